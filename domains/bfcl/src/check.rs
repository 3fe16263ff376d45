//! The comparison of decoded calls with gold.
//!
//! The order of the rules is part of their definition: the first that fails names the error. Values are compared as
//! Python compares them, and where Python would raise (a gold value of an unforeseen shape), the check is a [`Crash`].

use crate::convert::{java_value, javascript_value};
use crate::{Category, Function, Gold, Language, Names, Record};
use hone_python::{Dict, Plain, Value};
use std::borrow::Cow;

/// The original's checker would raise this exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the original raises {0}")]
pub struct Crash(pub &'static str);

/// Why calls do not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// They are wrong: the original's `error_type`, and what is wrong.
    Wrong(&'static str, String),
    /// They cannot be judged.
    Crash(Crash),
}

impl From<Crash> for Stop {
    fn from(crash: Crash) -> Self {
        Self::Crash(crash)
    }
}

fn wrong<T>(error_type: &'static str, why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Wrong(error_type, why.into()))
}

const TYPE_ERROR: Crash = Crash("TypeError");
const KEY_ERROR: Crash = Crash("KeyError");
const ATTRIBUTE_ERROR: Crash = Crash("AttributeError");

/// A decoded call: its name, and its arguments in order, each name once. An argument without a name has none.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    pub name: &'a str,
    pub arguments: Vec<(Option<&'a str>, Plain<'a>)>,
}

impl Found<'_> {
    /// Whether an argument is given, looked for first where it is likely.
    fn gives(&self, name: &str, likely: usize) -> bool {
        let given = |(known, _): &(Option<&str>, Plain<'_>)| *known == Some(name);
        self.arguments.get(likely).is_some_and(given) || self.arguments.iter().any(given)
    }
}

/// What the checker knows of a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    language: Language,
    /// Its type, in BFCL's words.
    declared: String,
    /// Its type in Python.
    expected: &'static str,
    /// The type of its items, in BFCL's words, and in Python; none where it has no items.
    items: Result<Option<(String, &'static str)>, Crash>,
}

impl Rule {
    /// From a parameter's schema.
    ///
    /// # Errors
    /// Where the original would not get as far as to look at an argument.
    pub fn of(details: &Value, language: Language) -> Result<Self, Crash> {
        let declared = details.get("type").and_then(Value::as_str).ok_or(KEY_ERROR)?;
        let expected = python_type(declared, language).ok_or(KEY_ERROR)?;
        let has_items = match language {
            Language::Python => matches!(declared, "array" | "tuple"),
            _ => matches!(declared, "Array" | "ArrayList" | "array"),
        };
        let items = has_items.then(|| {
            let of = item_type(details)?;
            let expected = python_type(of, language).ok_or(KEY_ERROR)?;
            Ok((of.to_owned(), expected))
        });
        Ok(Self {
            language,
            declared: declared.to_owned(),
            expected,
            items: items.transpose(),
        })
    }
}

impl Function {
    /// The rule of a parameter, looked for first where it is likely.
    fn rule(&self, name: &str, likely: usize) -> Option<&Result<Rule, Crash>> {
        let of = |(known, rule)| (known == name).then_some(rule);
        let likely = self
            .rules
            .get(likely)
            .and_then(|(known, rule)| of((known.as_str(), rule)));
        likely.or_else(|| self.rules.iter().find_map(|(known, rule)| of((known.as_str(), rule))))
    }
}

/// Whether decoded calls are what a record's gold asks for.
///
/// # Errors
/// The first rule that fails.
pub(crate) fn calls(record: &Record, calls: &[Found<'_>], names: Names) -> Result<(), Stop> {
    use Category::*;
    let find = |gold: &Gold| record.functions.iter().find(|f| f.name == gold.name).ok_or(TYPE_ERROR);
    match record.category {
        Parallel | ParallelMultiple | LiveParallel | LiveParallelMultiple => {
            if calls.len() != record.gold.len() {
                return wrong("parallel_function_checker_no_order:wrong_count", count(calls, record));
            }
            let mut free: Vec<_> = calls.iter().collect();
            for gold in &record.gold {
                let function = find(gold)?;
                let mut matched = None;
                for (i, output) in free.iter().enumerate() {
                    match call(function, output, gold, names) {
                        Ok(()) => matched = Some(i),
                        Err(Stop::Wrong(..)) => continue,
                        Err(crash) => return Err(crash),
                    }
                    break;
                }
                let Some(matched) = matched else {
                    let why = format!("no call matches the gold call of {}", gold.name);
                    return wrong("parallel_function_checker_no_order:cannot_find_match", why);
                };
                free.remove(matched);
            }
            Ok(())
        }
        Multiple | LiveMultiple => {
            let ([output], [gold, ..]) = (calls, &record.gold[..]) else {
                return wrong("multiple_function_checker:wrong_count", count(calls, record));
            };
            if calls.len() != record.gold.len() {
                return wrong("multiple_function_checker:wrong_count", count(calls, record));
            }
            call(find(gold)?, output, gold, names)
        }
        _ => {
            let [output] = calls else {
                return wrong("simple_function_checker:wrong_count", count(calls, record));
            };
            let (Some(function), Some(gold)) = (record.functions.first(), record.gold.first()) else {
                return Err(Crash("IndexError").into());
            };
            call(function, output, gold, names)
        }
    }
}

fn count(calls: &[Found<'_>], record: &Record) -> String {
    format!("{} calls where {} are asked for", calls.len(), record.gold.len())
}

/// One call against one gold call.
fn call(function: &Function, found: &Found<'_>, gold: &Gold, names: Names) -> Result<(), Stop> {
    if !names.is(&function.name, found.name) {
        let expected = names.written(&function.name);
        return wrong(
            "simple_function_checker:wrong_func_name",
            format!("{} is called, not {expected}", found.name),
        );
    }
    let mut required = function.required.iter().enumerate();
    if let Some((_, missing)) = required.find(|(i, name)| !found.gives(name, *i)) {
        return wrong(
            "simple_function_checker:missing_required",
            format!("{missing} is required and missing"),
        );
    }
    for (i, (name, value)) in found.arguments.iter().enumerate() {
        let known = name.and_then(|name| Some((name, function.rule(name, i)?, gold.parameters.get(name)?)));
        let Some((name, rule, allowed)) = known else {
            return wrong(
                "simple_function_checker:unexpected_param",
                format!("{} is not expected", name.unwrap_or("None")),
            );
        };
        check(name, value, rule.as_ref().map_err(|crash| *crash)?, allowed)?;
    }
    for (i, (name, allowed)) in gold.parameters.iter().enumerate() {
        let given = name.as_str().is_some_and(|name| found.gives(name, i));
        if !given && !contains(allowed, &EMPTY)? {
            return wrong("simple_function_checker:missing_optional", format!("{name} is missing"));
        }
    }
    Ok(())
}

/// The text that says among allowed values that there may be none.
const EMPTY: Plain<'static> = Plain::Str(Cow::Borrowed(""));

/// One argument against the values that its gold allows.
///
/// # Errors
/// The first rule that fails.
pub(crate) fn check(name: &str, value: &Plain<'_>, rule: &Rule, allowed: &Value) -> Result<(), Stop> {
    let items = || rule.items.as_ref().map_err(|crash| *crash);
    let expected = rule.expected;
    if rule.language == Language::Python {
        let nested = items()?.as_ref().map(|(_, nested)| *nested);
        return match (rule.declared.as_str(), value) {
            ("tuple", Plain::Tuple(items)) => {
                typed_and_allowed(name, &Plain::List(items.clone()), allowed, expected, nested)
            }
            ("float", Plain::Int(n)) => typed_and_allowed(name, &Plain::Float(*n as f64), allowed, expected, nested),
            ("float", Plain::Other(Value::Int(n))) => {
                let float = n.to_f64();
                if float.is_infinite() {
                    return Err(Crash("OverflowError").into());
                }
                typed_and_allowed(name, &Plain::Float(float), allowed, expected, nested)
            }
            _ => typed_and_allowed(name, value, allowed, expected, nested),
        };
    }
    let java = rule.language == Language::Java;
    let Some(source) = value.as_str() else {
        let error_type = if java { "type_error:java" } else { "type_error:js" };
        return wrong(
            error_type,
            format!("{name} is a {}, not source text", value.type_name()),
        );
    };
    let items = items()?.as_ref();
    let convert = if java { java_value } else { javascript_value };
    let converted = convert(source, &rule.declared, items.map(|(of, _)| of.as_str()))?;
    let nested = items.map(|(_, nested)| *nested);
    typed_and_allowed(name, &Plain::from(&converted), allowed, expected, nested)
}

fn typed_and_allowed(
    name: &str,
    value: &Plain<'_>,
    allowed: &Value,
    expected: &str,
    nested: Option<&str>,
) -> Result<(), Stop> {
    let variable = typed(name, value, allowed, expected, nested)?;
    if !variable {
        // Then the value is of the expected type.
        match (expected, nested, value) {
            ("dict", _, _) => return dict(name, value, &indexed(allowed)?),
            ("list", Some("dict"), Plain::List(found)) => return list_of_dicts(name, found, allowed),
            ("list", _, Plain::List(found)) => return list(name, found, allowed),
            ("str", _, value) => {
                if let Some(text) = value.as_str() {
                    return string(name, text, allowed);
                }
            }
            _ => {}
        }
    }
    if contains(allowed, value)? {
        return Ok(());
    }
    wrong("value_error:others", format!("{name} is {}", value.repr()))
}

fn item_type(details: &Value) -> Result<&str, Crash> {
    details
        .get("items")
        .and_then(|items| items.get("type"))
        .and_then(Value::as_str)
        .ok_or(KEY_ERROR)
}

/// The Python type of a declared type.
fn python_type(declared: &str, language: Language) -> Option<&'static str> {
    Some(match (language, declared) {
        (Language::Python, "string" | "any") => "str",
        (Language::Python, "array" | "tuple") => "list",
        (Language::Python, "boolean") => "bool",
        (Language::Python | Language::JavaScript, "dict") => "dict",
        (_, "integer") => "int",
        (_, "float") => "float",
        (Language::Java, "byte" | "short" | "long") => "int",
        (Language::Java, "double") => "float",
        (Language::Java, "boolean") => "bool",
        (Language::Java, "char" | "String" | "any") => "str",
        (Language::Java, "Array" | "ArrayList" | "Queue" | "Stack") => "list",
        (Language::Java, "HashMap" | "Hashtable") => "dict",
        (Language::Java, "Set") => "set",
        (Language::JavaScript, "String" | "any") => "str",
        (Language::JavaScript, "Bigint") => "int",
        (Language::JavaScript, "Boolean") => "bool",
        (Language::JavaScript, "array") => "list",
        _ => return None,
    })
}

/// Whether the value's type fits; if so, whether it counts as a variable (a name that stands for a value).
fn typed(name: &str, value: &Plain<'_>, allowed: &Value, expected: &str, nested: Option<&str>) -> Result<bool, Stop> {
    let allowed = items(allowed)?;
    let allowed_type = allowed
        .iter()
        .find(|value| value.as_str() != Some(""))
        .map(Value::type_name);
    let found = value.type_name();
    let mut error_type = "type_error:simple";
    if found == expected {
        let variable = allowed_type.is_some_and(|found| found != expected);
        // What has items is a list here.
        let (Some(nested), Plain::List(found)) = (nested, value) else {
            return Ok(variable);
        };
        for option in allowed.iter() {
            let Value::List(_) = option else { return Ok(variable) };
            let mut fits = true;
            for item in found {
                match typed(name, item, option, nested, None) {
                    Ok(_) => {}
                    Err(Stop::Wrong(..)) => {
                        fits = false;
                        break;
                    }
                    Err(crash) => return Err(crash),
                }
            }
            if fits {
                return Ok(variable);
            }
        }
        error_type = "type_error:nested";
    }
    let why = || format!("{name} is a {found} ({}), not a {expected}", value.repr());
    if allowed_type == Some(found) {
        return if error_type == "type_error:nested" {
            wrong(error_type, why())
        } else {
            Ok(true)
        };
    }
    wrong("type_error:simple", why())
}

/// Without spaces and `,./-_*^`, in lower case, with double quotes for single ones.
fn standardized(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | ',' | '.' | '/' | '-' | '_' | '*' | '^'))
        .collect();
    kept.to_lowercase().replace('\'', "\"")
}

/// Whether a value equals an allowed one, texts in their standardized form.
fn alike(value: &Plain<'_>, option: &Value) -> bool {
    match (value.as_str(), option.as_str()) {
        (Some(text), Some(option)) => text == option || standardized(text) == standardized(option),
        _ => value == option,
    }
}

fn string(name: &str, text: &str, allowed: &Value) -> Result<(), Stop> {
    let options = indexed(allowed)?;
    if options.iter().any(|option| option.as_str() == Some(text)) {
        return Ok(());
    }
    let found = standardized(text);
    if options
        .iter()
        .filter_map(Value::as_str)
        .any(|option| standardized(option) == found)
    {
        return Ok(());
    }
    wrong("value_error:string", format!("{name} is {text:?}"))
}

fn list(name: &str, found: &[Plain<'_>], allowed: &Value) -> Result<(), Stop> {
    let mut any = false;
    for option in indexed(allowed)?.iter() {
        let option = indexed(option)?;
        any |= option.len() == found.len()
            && found
                .iter()
                .zip(option.iter())
                .all(|(item, option)| alike(item, option));
    }
    if any {
        return Ok(());
    }
    let standard = |item: &Plain<'_>| match item.as_str() {
        Some(text) => standardized(text).into(),
        None => item.clone().into_value(),
    };
    let found = Value::List(found.iter().map(standard).collect());
    wrong("value_error:list/tuple", format!("{name} is {}", found.repr()))
}

fn dict(name: &str, value: &Plain<'_>, allowed: &[Value]) -> Result<(), Stop> {
    let mut result = wrong("dict_checker:unclear", format!("{name} has no allowed value"));
    for option in allowed.iter().filter(|option| option.as_str() != Some("")) {
        let Plain::Dict(found) = value else {
            return Err(ATTRIBUTE_ERROR.into());
        };
        result = one_dict(found, option);
        if !matches!(result, Err(Stop::Wrong(..))) {
            break;
        }
    }
    result
}

fn one_dict(found: &[(Plain<'_>, Plain<'_>)], option: &Value) -> Result<(), Stop> {
    let mut result = Ok(());
    for (key, value) in found {
        if !contains(option, key)? {
            result = wrong("value_error:dict_key", format!("key {} is not expected", word(key)));
            break;
        }
        let Value::Dict(option) = option else {
            return Err(TYPE_ERROR.into());
        };
        let allowed = within(option, key).ok_or(KEY_ERROR)?;
        if !indexed(allowed)?.iter().any(|option| alike(value, option)) {
            result = wrong("value_error:dict_value", format!("{} is {}", word(key), value.repr()));
            break;
        }
    }
    // The keys are counted even where a value is wrong, and then name the error.
    let Value::Dict(option) = option else {
        return Err(ATTRIBUTE_ERROR.into());
    };
    for (key, allowed) in option.iter() {
        if !found.iter().any(|(known, _)| known == key) && !contains(allowed, &EMPTY)? {
            return wrong("value_error:dict_key", format!("key {key} is missing"));
        }
    }
    result
}

fn list_of_dicts(name: &str, found: &[Plain<'_>], allowed: &Value) -> Result<(), Stop> {
    let mut result = wrong("list_dict_checker:unclear", format!("{name} has no allowed value"));
    for option in indexed(allowed)?.iter() {
        let options = length(option)?;
        if found.len() != options {
            result = wrong(
                "value_error:list_dict_count",
                format!("{name} has {} items", found.len()),
            );
            continue;
        }
        result = Ok(());
        for (i, item) in found.iter().enumerate() {
            let options = indexed(option)?;
            let option = options.get(i).ok_or(KEY_ERROR)?;
            result = dict(name, item, std::slice::from_ref(option));
            if result.is_err() {
                break;
            }
        }
        if !matches!(result, Err(Stop::Wrong(..))) {
            break;
        }
    }
    result
}

/// `for item in value`
pub(crate) fn items(value: &Value) -> Result<Cow<'_, [Value]>, Crash> {
    match value {
        Value::List(items) | Value::Tuple(items) => Ok(Cow::Borrowed(items)),
        Value::Str(text) => Ok(text.chars().map(|c| c.to_string().into()).collect()),
        Value::Dict(dict) => Ok(dict.keys().cloned().collect()),
        _ => Err(TYPE_ERROR),
    }
}

/// `len(value)`
fn length(value: &Value) -> Result<usize, Crash> {
    items(value).map(|items| items.len())
}

/// `[value[i] for i in range(len(value))]`
fn indexed(value: &Value) -> Result<Cow<'_, [Value]>, Crash> {
    match value {
        Value::Dict(dict) => {
            let at = |i: usize| dict.lookup(&(i as i64).into()).ok().flatten().cloned();
            (0..dict.len()).map(|i| at(i).ok_or(KEY_ERROR)).collect()
        }
        other => items(other),
    }
}

/// `item in container`
fn contains(container: &Value, item: &Plain<'_>) -> Result<bool, Crash> {
    match container {
        Value::List(items) | Value::Tuple(items) => Ok(items.iter().any(|known| item == known)),
        Value::Str(text) => item.as_str().map(|part| text.contains(part)).ok_or(TYPE_ERROR),
        Value::Dict(_) if matches!(item, Plain::List(_) | Plain::Dict(_)) => Err(TYPE_ERROR),
        Value::Dict(dict) => match item.as_str() {
            Some(key) => Ok(dict.contains(key)),
            None => {
                let key = item.clone().into_value();
                dict.lookup(&key).map(|found| found.is_some()).map_err(|_| TYPE_ERROR)
            }
        },
        _ => Err(TYPE_ERROR),
    }
}

/// `dict.get(key)`, of a key that is one.
fn within<'a>(dict: &'a Dict, key: &Plain<'_>) -> Option<&'a Value> {
    match key.as_str() {
        Some(key) => dict.get(key),
        None => dict.lookup(&key.clone().into_value()).ok().flatten(),
    }
}

/// As `str(key)`.
fn word(key: &Plain<'_>) -> String {
    key.as_str().map_or_else(|| key.repr(), str::to_owned)
}
