//! Defects of a set of tools that can be seen without calling one.

mod schema;

use crate::{ToolSpec, Toolset};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The tool cannot be used as it is.
    Error,
    /// A model will have trouble with it.
    Warning,
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// The schema is none, or refers to a document elsewhere.
    InvalidSchema,
    /// No arguments fit the schema, so that every call is refused.
    Unsatisfiable,
    /// An argument, or one of its choices, can never be given.
    ImpossibleArgument,
    /// Two tools of one name.
    NameClash,
    /// Two names that differ only in case, `-`, `_` or `.`.
    SimilarNames,
    /// A name that model APIs refuse: they want `[A-Za-z0-9_-]`, at most 64.
    RefusedName,
    /// No description.
    MissingDescription,
    /// A description that says no more than the name does.
    EmptyWords,
    /// A tool that lists, searches or reads, without an argument that bounds how much.
    UnboundedOutput,
}

impl Defect {
    /// How much it matters.
    pub fn level(self) -> Level {
        match self {
            Self::InvalidSchema | Self::Unsatisfiable | Self::NameClash | Self::MissingDescription => Level::Error,
            _ => Level::Warning,
        }
    }
}

/// A defect and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The tool.
    pub tool: String,
    /// JSON Pointer into its input schema, `description` or `name`.
    pub at: String,
    /// What kind of thing it is.
    pub defect: Defect,
    /// How much it matters.
    pub level: Level,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The defects of a set of tools, in its order.
pub fn lint(specs: &[ToolSpec]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for spec in specs {
        let mut report = Report {
            tool: &spec.name,
            findings: &mut findings,
        };
        name(spec, &mut report);
        words(spec, &mut report);
        arguments(spec, &mut report);
        bounds(spec, &mut report);
    }
    clashes(specs, &mut findings);
    findings
}

/// What a tool costs in each request that shows it: the bytes of its name, description and schema as a model API takes
/// them, by 4, rounded up.
///
/// An estimate: English and JSON come to 3 to 5 bytes a token in today's vocabularies, and some chat templates write tools
/// in another form. Counting exactly takes the model's own tokenizer and template.
pub fn estimated_tokens(spec: &ToolSpec) -> usize {
    let shown = json!({
        "type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": spec.input_schema},
    });
    shown.to_string().len().div_ceil(4)
}

struct Report<'a> {
    tool: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, defect: Defect, at: impl Into<String>, message: String) {
        self.findings.push(Finding {
            tool: self.tool.to_owned(),
            at: at.into(),
            defect,
            level: defect.level(),
            message,
        });
    }
}

fn name(spec: &ToolSpec, report: &mut Report<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !(1..=64).contains(&spec.name.len()) || !spec.name.chars().all(plain) {
        let message = "model APIs take names of letters, digits, `_` and `-`, at most 64; rename it".to_owned();
        report.add(Defect::RefusedName, "name", message);
    }
}

fn words(spec: &ToolSpec, report: &mut Report<'_>) {
    if spec.description.trim().is_empty() {
        let message = "there is no description; say what it does and when to use it".to_owned();
        report.add(Defect::MissingDescription, "description", message);
    } else if says_nothing(&spec.description, &spec.name) {
        let message = "the description only repeats the name; say what it does and when to use it".to_owned();
        report.add(Defect::EmptyWords, "description", message);
    }
    for (property, schema) in properties(&spec.input_schema) {
        let at = format!("/properties/{}", schema::escaped(property));
        match schema.get("description").and_then(Value::as_str) {
            Some(text) if !says_nothing(text, property) => {}
            Some(_) => report.add(
                Defect::EmptyWords,
                at,
                format!("the description of `{property}` only repeats its name; say what it means, or leave it out"),
            ),
            // What can be chosen from explains itself.
            None if schema.get("enum").is_some() || schema.get("const").is_some() => {}
            None => report.add(
                Defect::EmptyWords,
                at,
                format!("`{property}` is not described; say what it means and in which form it comes"),
            ),
        }
    }
}

fn arguments(spec: &ToolSpec, report: &mut Report<'_>) {
    if let Err(error) = Toolset::compile(std::slice::from_ref(spec)) {
        report.add(Defect::InvalidSchema, "", error.to_string());
        return;
    }
    if let Some(why) = schema::impossible_arguments(&spec.input_schema) {
        report.add(
            Defect::Unsatisfiable,
            why.at,
            format!("no arguments can fit, because {}; mend the schema", why.because),
        );
        return;
    }
    for why in schema::impossible_parts(&spec.input_schema) {
        report.add(
            Defect::ImpossibleArgument,
            why.at,
            format!(
                "this can never be given, because {}; mend it or take it out",
                why.because
            ),
        );
    }
}

/// Words in the name of a tool that returns as much as there is.
const PLENTY: [&str; 10] = [
    "list", "search", "read", "fetch", "dump", "export", "tree", "logs", "scan", "grep",
];

/// Parts of the names of arguments that bound it.
const BOUNDS: [&str; 22] = [
    "limit", "max", "count", "page", "cursor", "offset", "head", "tail", "top", "size", "length", "num", "first",
    "last", "range", "lines", "depth", "start", "end", "budget", "per", "n",
];

fn bounds(spec: &ToolSpec, report: &mut Report<'_>) {
    let plenty = parts(&spec.name).iter().any(|part| PLENTY.contains(&part.as_str()));
    let bounded = properties(&spec.input_schema)
        .any(|(property, _)| parts(property).iter().any(|part| BOUNDS.contains(&part.as_str())));
    if plenty && !bounded {
        let message =
            "its name promises a list or a text and no argument bounds how much comes back; add one, such as `limit`";
        report.add(Defect::UnboundedOutput, "", message.to_owned());
    }
}

fn clashes(specs: &[ToolSpec], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for spec in specs {
        let key = parts(&spec.name).concat();
        let Some(first) = seen.insert(key, &spec.name) else {
            continue;
        };
        let mut report = Report {
            tool: &spec.name,
            findings,
        };
        if first == spec.name {
            let message = "another tool has the same name; rename one, or give their servers names".to_owned();
            report.add(Defect::NameClash, "name", message);
        } else {
            let message = format!("`{first}` is called almost the same; rename one of them");
            report.add(Defect::SimilarNames, "name", message);
        }
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// The words of an identifier or a sentence, in lower case: `listFiles` and `list_files` have the same.
fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut before_lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before_lower) {
            parts.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(last) = parts.last_mut()
        {
            last.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase() || c.is_numeric();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether a description adds no word of its own to a name.
fn says_nothing(description: &str, name: &str) -> bool {
    const FILLERS: [&str; 12] = [
        "a",
        "an",
        "the",
        "this",
        "tool",
        "of",
        "to",
        "for",
        "parameter",
        "argument",
        "value",
        "is",
    ];
    let known = parts(name);
    let stem = |word: &str| word.trim_end_matches('s').to_owned();
    parts(description)
        .iter()
        .all(|word| FILLERS.contains(&word.as_str()) || known.iter().any(|own| stem(own) == stem(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotations;

    fn tool(name: &str, description: &str, input_schema: Value) -> ToolSpec {
        ToolSpec {
            name: name.into(),
            description: description.into(),
            input_schema,
            annotations: Annotations::default(),
            version: String::new(),
            unchecked: false,
        }
    }

    fn found(specs: &[ToolSpec]) -> Vec<(String, Defect, String)> {
        lint(specs).into_iter().map(|f| (f.tool, f.defect, f.at)).collect()
    }

    #[test]
    fn a_sound_set_has_no_defects() {
        let schema = json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Absolute, below the root."},
                "limit": {"type": "integer", "minimum": 1, "description": "At most so many lines."},
                "order": {"enum": ["name", "size"]},
            },
            "required": ["path"],
        });
        assert_eq!(
            found(&[tool("list_files", "Names of the files in a folder.", schema)]),
            []
        );
    }

    #[test]
    fn names_and_words() {
        let none = || json!({"type": "object"});
        let specs = [
            tool("get.user", "Look a user up by e-mail address.", none()),
            tool("get_user", " ", none()),
            tool("getUsers", "Get users.", none()),
            tool("get_user", "Look a user up.", none()),
            tool(
                "log_in",
                "Signs on.",
                json!({"properties": {"userName": {"description": "The user name"}, "key": {}}}),
            ),
        ];
        let expected = [
            ("get.user", Defect::RefusedName, "name"),
            ("get_user", Defect::MissingDescription, "description"),
            ("getUsers", Defect::EmptyWords, "description"),
            ("log_in", Defect::EmptyWords, "/properties/key"),
            ("log_in", Defect::EmptyWords, "/properties/userName"),
            ("get_user", Defect::SimilarNames, "name"),
            ("get_user", Defect::NameClash, "name"),
        ];
        let expected = expected.map(|(tool, defect, at)| (tool.to_owned(), defect, at.to_owned()));
        assert_eq!(found(&specs), expected);
    }

    #[test]
    fn schemas_and_bounds() {
        let about = "A sentence that says something.";
        let broken = tool("broken", about, json!({"type": 12}));
        let never = tool("never", about, json!({"required": ["x"], "properties": {"x": false}}));
        let odd = tool(
            "odd",
            about,
            json!({"properties": {"x": {"enum": ["one", 1], "type": "string", "description": "a choice"}}}),
        );
        let endless = tool("searchAll", about, json!({"type": "object"}));
        assert_eq!(
            found(&[broken, never, odd, endless]),
            [
                ("broken".into(), Defect::InvalidSchema, String::new()),
                ("never".into(), Defect::EmptyWords, "/properties/x".into()),
                ("never".into(), Defect::Unsatisfiable, "/properties/x".into()),
                ("odd".into(), Defect::ImpossibleArgument, "/properties/x/enum/1".into()),
                ("searchAll".into(), Defect::UnboundedOutput, String::new()),
            ]
        );
    }

    #[test]
    fn tokens_grow_with_what_is_shown() {
        let small = tool("a", "", json!({}));
        // {"function":{"description":"","name":"a","parameters":{}},"type":"function"}
        assert_eq!(estimated_tokens(&small), 19);
        assert_eq!(estimated_tokens(&tool("a", &"x".repeat(400), json!({}))), 119);
    }
}
