//! The comparison of decoded calls with gold.
//!
//! The order of the rules is part of their definition: the first that fails names the error. Values are compared as
//! Python compares them, and where Python would raise (a gold value of an unforeseen shape), the check is a [`Crash`].

use crate::convert::{java_value, javascript_value};
use crate::{Category, Function, Gold, Language, Names, Record};
use hone_python::{Dict, Value};
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

/// Whether decoded calls are what a record's gold asks for.
///
/// # Errors
/// The first rule that fails.
pub(crate) fn calls(record: &Record, calls: &[(Value, Dict)], names: Names) -> Result<(), Stop> {
    use Category::*;
    let find = |gold: &Gold| record.functions.iter().find(|f| f.name == gold.name).ok_or(TYPE_ERROR);
    let language = record.category.language();
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
                    match call(function, output, gold, language, names) {
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
            call(find(gold)?, output, gold, language, names)
        }
        _ => {
            let [output] = calls else {
                return wrong("simple_function_checker:wrong_count", count(calls, record));
            };
            let (Some(function), Some(gold)) = (record.functions.first(), record.gold.first()) else {
                return Err(Crash("IndexError").into());
            };
            call(function, output, gold, language, names)
        }
    }
}

fn count(calls: &[(Value, Dict)], record: &Record) -> String {
    format!("{} calls where {} are asked for", calls.len(), record.gold.len())
}

/// One call against one gold call.
fn call<'a>(
    function: &'a Function,
    output: &(Value, Dict),
    gold: &'a Gold,
    language: Language,
    names: Names,
) -> Result<(), Stop> {
    let expected = names.written(&function.name);
    let (name, arguments) = output;
    if name.as_str() != Some(expected.as_str()) {
        return wrong(
            "simple_function_checker:wrong_func_name",
            format!("{name} is called, not {expected}"),
        );
    }
    if let Some(missing) = function.required.iter().find(|name| !arguments.contains(name)) {
        return wrong(
            "simple_function_checker:missing_required",
            format!("{missing} is required and missing"),
        );
    }
    for (name, value) in arguments.iter() {
        let found = |dict: &'a Dict| dict.lookup(name).ok().flatten();
        let (Some(details), Some(allowed)) = (found(&function.properties), found(&gold.parameters)) else {
            return wrong(
                "simple_function_checker:unexpected_param",
                format!("{name} is not expected"),
            );
        };
        check(&name.to_string(), value, details, allowed, language)?;
    }
    for (name, allowed) in gold.parameters.iter() {
        if arguments.lookup(name).ok().flatten().is_none() && !contains(allowed, &"".into())? {
            return wrong("simple_function_checker:missing_optional", format!("{name} is missing"));
        }
    }
    Ok(())
}

/// One argument against the values that its gold allows.
///
/// # Errors
/// The first rule that fails.
pub(crate) fn check(
    name: &str,
    value: &Value,
    details: &Value,
    allowed: &Value,
    language: Language,
) -> Result<(), Stop> {
    let declared = details.get("type").and_then(Value::as_str).ok_or(KEY_ERROR)?;
    let mut value = Cow::Borrowed(value);
    let expected = python_type(declared, language).ok_or(KEY_ERROR)?;
    let mut nested = None;
    if language == Language::Python {
        if matches!(declared, "array" | "tuple") {
            nested = Some(python_type(item_type(details)?, language).ok_or(KEY_ERROR)?);
        }
    } else {
        let java = language == Language::Java;
        let Value::Str(source) = &*value else {
            let error_type = if java { "type_error:java" } else { "type_error:js" };
            return wrong(
                error_type,
                format!("{name} is a {}, not source text", value.type_name()),
            );
        };
        let mut items = None;
        if matches!(declared, "Array" | "ArrayList" | "array") {
            let of = item_type(details)?;
            nested = Some(python_type(of, language).ok_or(KEY_ERROR)?);
            items = Some(of);
        }
        let convert = if java { java_value } else { javascript_value };
        value = Cow::Owned(convert(source, declared, items)?);
    }
    if let ("tuple", Value::Tuple(items)) = (declared, &*value) {
        value = Cow::Owned(Value::List(items.clone()));
    }
    if let (Language::Python, "float", Value::Int(n)) = (language, declared, &*value) {
        let float = n.to_f64();
        if float.is_infinite() {
            return Err(Crash("OverflowError").into());
        }
        value = Cow::Owned(float.into());
    }
    let variable = typed(name, &value, allowed, expected, nested)?;
    if !variable {
        match (expected, nested, &*value) {
            ("dict", _, _) => return dict(name, &value, &indexed(allowed)?),
            ("list", Some("dict"), _) => return list_of_dicts(name, &value, allowed),
            ("str", _, Value::Str(text)) => return string(name, text, allowed),
            ("list", _, Value::List(found)) => return list(name, found, allowed),
            _ => {}
        }
    }
    if contains(allowed, &value)? {
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
fn typed(name: &str, value: &Value, allowed: &Value, expected: &str, nested: Option<&str>) -> Result<bool, Stop> {
    let allowed = items(allowed)?;
    let allowed_type = allowed
        .iter()
        .find(|value| value.as_str() != Some(""))
        .map(Value::type_name);
    let mut error_type = "type_error:simple";
    if value.type_name() == expected {
        let variable = allowed_type.is_some_and(|found| found != expected);
        let Some(nested) = nested else { return Ok(variable) };
        for option in allowed.iter() {
            let Value::List(_) = option else { return Ok(variable) };
            let mut fits = true;
            for item in items(value)?.iter() {
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
    let why = || format!("{name} is a {} ({}), not a {expected}", value.type_name(), value.repr());
    if allowed_type == Some(value.type_name()) {
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

fn standard(value: &Value) -> Value {
    value
        .as_str()
        .map_or_else(|| value.clone(), |text| standardized(text).into())
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

fn list(name: &str, found: &[Value], allowed: &Value) -> Result<(), Stop> {
    let found: Vec<_> = found.iter().map(standard).collect();
    let mut any = false;
    for option in indexed(allowed)?.iter() {
        any |= indexed(option)?.iter().map(standard).eq(found.iter().cloned());
    }
    if any {
        Ok(())
    } else {
        wrong(
            "value_error:list/tuple",
            format!("{name} is {}", Value::List(found).repr()),
        )
    }
}

fn dict(name: &str, value: &Value, allowed: &[Value]) -> Result<(), Stop> {
    let mut result = wrong("dict_checker:unclear", format!("{name} has no allowed value"));
    for option in allowed.iter().filter(|option| option.as_str() != Some("")) {
        result = one_dict(value.as_dict().ok_or(ATTRIBUTE_ERROR)?, option);
        if !matches!(result, Err(Stop::Wrong(..))) {
            break;
        }
    }
    result
}

fn one_dict(found: &Dict, option: &Value) -> Result<(), Stop> {
    let mut result = Ok(());
    for (key, value) in found.iter() {
        if !contains(option, key)? {
            result = wrong("value_error:dict_key", format!("key {key} is not expected"));
            break;
        }
        let Value::Dict(option) = option else {
            return Err(TYPE_ERROR.into());
        };
        let allowed = option.lookup(key).ok().flatten().ok_or(KEY_ERROR)?;
        let options: Vec<_> = indexed(allowed)?.iter().map(standard).collect();
        if !options.contains(&standard(value)) {
            result = wrong("value_error:dict_value", format!("{key} is {}", value.repr()));
            break;
        }
    }
    // The keys are counted even where a value is wrong, and then name the error.
    let Value::Dict(option) = option else {
        return Err(ATTRIBUTE_ERROR.into());
    };
    for (key, allowed) in option.iter() {
        if found.lookup(key).ok().flatten().is_none() && !contains(allowed, &"".into())? {
            return wrong("value_error:dict_key", format!("key {key} is missing"));
        }
    }
    result
}

fn list_of_dicts(name: &str, value: &Value, allowed: &Value) -> Result<(), Stop> {
    let mut result = wrong("list_dict_checker:unclear", format!("{name} has no allowed value"));
    let found = indexed(value)?;
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
            let option = indexed(option)?.get(i).cloned().ok_or(KEY_ERROR)?;
            result = dict(name, item, &[option]);
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
fn contains(container: &Value, item: &Value) -> Result<bool, Crash> {
    match (container, item) {
        (Value::List(items) | Value::Tuple(items), _) => Ok(items.contains(item)),
        (Value::Str(text), Value::Str(part)) => Ok(text.contains(part.as_str())),
        (Value::Dict(dict), _) => dict.lookup(item).map(|found| found.is_some()).map_err(|_| TYPE_ERROR),
        _ => Err(TYPE_ERROR),
    }
}
