//! The gold answer and the answer that does nothing.

use crate::check::{Rule, check, items};
use crate::decode::{Answer, Decoded, decode};
use crate::{Category, Gold, Language, Names, Record};
use hone_python::{Dict, DumpOptions, Plain, Value, dumps};

/// What a model says that does nothing: an empty answer.
pub fn do_nothing() -> Answer {
    Answer::Text(String::new())
}

/// An answer that meets a record's gold: for prompted models where functions are named with dots, else for function
/// calling. It passes faithful mode, but for the records of [`DEFECTS`](crate::DEFECTS).
///
/// Relevance asks for any call, irrelevance for none.
pub fn gold(record: &Record, names: Names) -> Answer {
    let calls: Vec<(String, Dict)> = match record.category {
        Category::Irrelevance | Category::LiveIrrelevance => vec![],
        Category::LiveRelevance => record
            .functions
            .first()
            .map(|f| (f.name.clone(), Dict::new()))
            .into_iter()
            .collect(),
        _ => record
            .gold
            .iter()
            .map(|gold| (gold.name.clone(), arguments(record, gold)))
            .collect(),
    };
    written(record.category.language(), calls, names)
}

/// Calls as an answer. Arguments of Java and JavaScript are source text.
pub(crate) fn written(language: Language, calls: Vec<(String, Dict)>, names: Names) -> Answer {
    if names == Names::Underscored {
        let json = |dict: Dict| dumps(&dict.into(), &DumpOptions::default()).unwrap_or_else(|_| "{}".into());
        return Answer::Calls(
            calls
                .into_iter()
                .map(|(name, dict)| (names.written(&name), json(dict)))
                .collect(),
        );
    }
    let argument = |(name, value): (&Value, &Value)| match (language, value) {
        (Language::Python, _) => format!("{name}={}", value.repr()),
        _ => format!("{name}={}", source(value.as_str().unwrap_or_default(), language)),
    };
    let call =
        |(name, dict): &(String, Dict)| format!("{name}({})", dict.iter().map(argument).collect::<Vec<_>>().join(", "));
    Answer::Text(format!("[{}]", calls.iter().map(call).collect::<Vec<_>>().join(", ")))
}

/// Source that decodes to an argument's text: as it is, in quotes, or as a text block, whose quotes need no escapes.
fn source(text: &str, language: Language) -> String {
    let forms = [
        text.to_owned(),
        format!("\"{text}\""),
        format!("'{text}'"),
        format!("\"\"\"{text}\"\"\""),
    ];
    let same = |form: &&String| {
        let decoded = decode(&Answer::Text(format!("[f(p={form})]")), language);
        matches!(decoded, Ok(Decoded::Calls(calls)) if calls.first().is_some_and(|(_, dict)| {
            dict.len() == 1 && dict.get("p").and_then(Value::as_str).is_some_and(|found| found.ends_with(text))
                && (dict.get("p").and_then(Value::as_str) == Some(text) || form.starts_with("\"\"\""))
        }))
    };
    forms.iter().find(same).unwrap_or(&forms[1]).clone()
}

fn arguments(record: &Record, gold: &Gold) -> Dict {
    let language = record.category.language();
    let function = record.functions.iter().find(|f| f.name == gold.name);
    let mut arguments = Dict::new();
    for (name, allowed) in gold.parameters.iter() {
        let Some(name) = name.as_str() else { continue };
        let options = allowed.as_list().unwrap_or_default();
        let details = function.and_then(|f| f.properties.get(name));
        let optional = options.iter().any(|option| option.as_str() == Some(""));
        // What may only be absent is left out, unless the function requires it: then the text "" passes.
        let required = function.is_some_and(|f| f.required.iter().any(|required| required == name));
        let Some(details) = details.filter(|_| !optional || options.len() > 1 || required) else {
            continue;
        };
        let forms: Vec<_> = options
            .iter()
            .flat_map(|option| forms(option, details, language))
            .collect();
        let rule = Rule::of(details, language);
        let passes = |form: &&Value| {
            rule.as_ref()
                .is_ok_and(|rule| check(name, &Plain::from(*form), rule, allowed).is_ok())
        };
        // What may be absent may also be the text "", but a value says more.
        let nonempty = |form: &&Value| form.as_str() != Some("");
        let found = forms
            .iter()
            .filter(nonempty)
            .find(passes)
            .or_else(|| forms.iter().find(passes));
        match found.or_else(|| forms.first().filter(|_| !optional)) {
            Some(form) => arguments.set(name, form.clone()),
            None => continue,
        }
    }
    arguments
}

/// What an argument may look like to mean an allowed value.
fn forms(option: &Value, details: &Value, language: Language) -> Vec<Value> {
    let declared = details.get("type").and_then(Value::as_str).unwrap_or_default();
    let nested = details
        .get("items")
        .and_then(|items| items.get("type"))
        .and_then(Value::as_str);
    let value = plain(option);
    if language == Language::Python {
        return vec![value];
    }
    let quoted = |text: &str| format!("\"{text}\"");
    let scalar = |value: &Value, quotes: bool| match value {
        Value::Str(text) if quotes => quoted(text),
        Value::Bool(b) => b.to_string(),
        other => other.to_string(),
    };
    let texts: Vec<String> = match (&value, declared) {
        (Value::Int(n), "long") => vec![format!("{n}L")],
        (Value::Int(n), "Bigint") => vec![format!("{n}n")],
        (Value::Float(_), "float") if language == Language::Java => vec![format!("{value}f")],
        (Value::List(items), _) => {
            let item = |item: &Value, quotes| match (item, nested) {
                (Value::Int(n), Some("long")) => format!("{n}L"),
                _ => scalar(item, quotes),
            };
            let all = |quotes| items.iter().map(|i| item(i, quotes)).collect::<Vec<_>>().join(", ");
            let whole = |items: String| match declared {
                "ArrayList" => format!("new ArrayList<>(Arrays.asList({items}))"),
                "Array" => format!("new Object[]{{{items}}}"),
                _ => format!("[{items}]"),
            };
            vec![whole(all(true)), whole(all(false))]
        }
        (Value::Dict(dict), _) if language == Language::Java => {
            let put = |(key, value): (&Value, &Value)| format!("put(\"{key}\", {}); ", scalar(value, true));
            vec![format!(
                "new HashMap<>() {{{{ {}}}}}",
                dict.iter().map(put).collect::<String>()
            )]
        }
        (Value::Dict(dict), _) => {
            let list = |value: &Value| match value {
                Value::List(items) => {
                    format!(
                        "[{}]",
                        items
                            .iter()
                            .map(|item| scalar(item, true))
                            .collect::<Vec<_>>()
                            .join(", ")
                    )
                }
                other => scalar(other, true),
            };
            let entry = |(key, value): (&Value, &Value)| format!("\"{key}\": {}", list(value));
            vec![format!("{{{}}}", dict.iter().map(entry).collect::<Vec<_>>().join(", "))]
        }
        (Value::Str(text), "String") if language == Language::JavaScript => vec![text.clone(), quoted(text)],
        (other, _) => vec![scalar(other, false)],
    };
    texts.into_iter().map(Value::from).collect()
}

/// An allowed value itself: where it is a dictionary, each key has a list of allowed values.
fn plain(option: &Value) -> Value {
    match option {
        Value::Dict(dict) => {
            let mut made = Dict::new();
            for (key, allowed) in dict.iter() {
                // As the checker reads it: of a text, each letter.
                let options = items(allowed).unwrap_or_default();
                let absent = options.iter().any(|option| option.as_str() == Some(""));
                let chosen = options.iter().find(|option| option.as_str() != Some("")).cloned();
                let chosen = chosen.or_else(|| options.first().filter(|_| !absent).cloned());
                if let (Some(key), Some(chosen)) = (key.as_str(), chosen) {
                    made.set(key, chosen);
                }
            }
            made.into()
        }
        Value::List(items) if items.iter().any(|item| matches!(item, Value::Dict(_))) => {
            Value::List(items.iter().map(plain).collect())
        }
        other => other.clone(),
    }
}
