//! Policies as they are written: TOML.

use super::rule::{Action, Change, Glob, Hints, Pattern, Rule};
use crate::canonical;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most rules of a policy.
const MAX_RULES: usize = 1000;

/// Longest policy file, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// The keys of a rule that are globs, one or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Globs {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Approve,
    Modify,
    Reject,
    Terminate,
    Escalate,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tool: Option<Globs>,
    server: Option<Globs>,
    #[serde(default)]
    arguments: BTreeMap<String, Value>,
    read_only: Option<bool>,
    destructive: Option<bool>,
    idempotent: Option<bool>,
    open_world: Option<bool>,
    action: Kind,
    message: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<toml::Table>,
}

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", .rule.map_or(String::new(), |rule| format!(", rule {rule}")))]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// Which rule, from 1.
    pub rule: Option<usize>,
    /// Which field, what is wrong with it, and what is allowed.
    pub what: String,
}

/// Ordered rules; the first that is for a call decides. A call that none is for is rejected.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) rules: Vec<Rule>,
}

impl Policy {
    /// Read a policy file: `[[rule]]` tables. `file` is for the messages.
    ///
    /// # Errors
    /// Names the file, the rule, the field and what is allowed.
    pub fn parse(text: &str, file: &str) -> Result<Self, PolicyError> {
        let wrong = |what: String| PolicyError {
            file: file.to_owned(),
            rule: None,
            what,
        };
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it has {} bytes; {MAX_BYTES} are allowed", text.len())));
        }
        let read: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text.get(..span.start)
                    .map_or(1, |before| before.matches('\n').count() + 1)
            });
            wrong(format!("line {line}: {}", error.message()))
        })?;
        Self::of(&read.rule, file)
    }

    /// A policy out of its rules, as tables of a recipe hold them.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn of(rules: &[toml::Table], file: &str) -> Result<Self, PolicyError> {
        let wrong = |rule: Option<usize>, what: String| PolicyError {
            file: file.to_owned(),
            rule,
            what,
        };
        if rules.is_empty() {
            return Err(wrong(
                None,
                "it has no rule, so that every call would be rejected; write [[rule]] with an `action`".to_owned(),
            ));
        }
        if rules.len() > MAX_RULES {
            let what = format!("it has {} rules; {MAX_RULES} are allowed", rules.len());
            return Err(wrong(None, what));
        }
        let read = |(index, rule): (usize, &toml::Table)| rule_of(rule).map_err(|what| wrong(Some(index + 1), what));
        let rules = rules.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

fn rule_of(table: &toml::Table) -> Result<Rule, String> {
    let written: Written = serde_path_to_error::deserialize(toml::Value::Table(table.clone())).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner().message().to_owned();
        match path.as_str() {
            "tool" | "server" => format!("`{path}`: write a glob, or a list of globs"),
            "action" => format!("`action`: {what}"),
            "." => what,
            _ => format!("`{path}`: {what}"),
        }
    })?;
    let globs = |key: &str, globs: Option<Globs>| -> Result<Vec<Glob>, String> {
        let texts = match globs {
            None => Vec::new(),
            Some(Globs::One(text)) => vec![text],
            Some(Globs::Several(texts)) if texts.is_empty() => {
                return Err(format!("`{key}`: the list is empty; leave it out to mean every one"));
            }
            Some(Globs::Several(texts)) => texts,
        };
        let compile = |text: &String| Glob::new(text).map_err(|why| format!("`{key}`: {why}"));
        texts.iter().map(compile).collect()
    };
    let arguments = written.arguments.into_iter().map(|(name, value)| {
        let pointer = pointer(&name, "arguments")?;
        let pattern = match value {
            Value::String(glob) => Pattern::Like(Glob::new(&glob).map_err(|why| format!("`arguments.{name}`: {why}"))?),
            other => Pattern::Equal(canonical(other)),
        };
        Ok((pointer, pattern))
    });
    let arguments = arguments.collect::<Result<Vec<_>, String>>()?;
    let mut changes = Vec::new();
    for (name, value) in written.set {
        changes.push(Change::Set(pointer(&name, "set")?, value));
    }
    for name in written.remove {
        changes.push(Change::Remove(pointer(&name, "remove")?));
    }
    if changes.is_empty() != (written.action != Kind::Modify) {
        return Err(match changes.is_empty() {
            true => "`action` is \"modify\": it needs `set` or `remove`".to_owned(),
            false => "`set` and `remove` are for `action = \"modify\"` only".to_owned(),
        });
    }
    if written.message.is_some() && matches!(written.action, Kind::Approve | Kind::Modify) {
        return Err("`message` is for \"reject\", \"terminate\" and \"escalate\" only".to_owned());
    }
    Ok(Rule {
        tools: globs("tool", written.tool)?,
        servers: globs("server", written.server)?,
        arguments,
        hints: Hints {
            read_only: written.read_only,
            destructive: written.destructive,
            idempotent: written.idempotent,
            open_world: written.open_world,
        },
        action: match written.action {
            Kind::Approve => Action::Approve,
            Kind::Modify => Action::Modify(changes),
            Kind::Reject => Action::Reject,
            Kind::Terminate => Action::Terminate,
            Kind::Escalate => Action::Escalate,
        },
        message: written.message,
    })
}

/// A JSON pointer (RFC 6901) out of one, or out of a field's name.
fn pointer(name: &str, key: &str) -> Result<String, String> {
    let broken = name.replace("~0", "").replace("~1", "").contains('~');
    match name {
        "" | "/" => Err(format!(
            "`{key}`: write a field's name, or a JSON pointer such as `/options/force`"
        )),
        _ if !name.starts_with('/') => Ok(format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
        _ if broken => Err(format!("`{key}.{name}`: in a JSON pointer `~` is written `~0`")),
        _ => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_file_rule_and_field() {
        let good = "[[rule]]\naction = \"approve\"\n";
        for (text, said) in [
            ("rules = 1", "p.toml: line 1: unknown field `rules`, expected `rule`"),
            ("", "p.toml: it has no rule"),
            ("[[rule]]\naction = ", "p.toml: line 2: "),
            ("[[rule]]\ntool = \"x\"", "p.toml, rule 2: missing field `action`"),
            (
                "[[rule]]\naction = \"aprove\"",
                "p.toml, rule 2: `action`: unknown variant `aprove`, expected one of `approve`, `modify`, `reject`, `terminate`, `escalate`",
            ),
            (
                "[[rule]]\ntool = 3\naction = \"reject\"",
                "p.toml, rule 2: `tool`: write a glob",
            ),
            (
                "[[rule]]\ntool = []\naction = \"reject\"",
                "p.toml, rule 2: `tool`: the list is empty",
            ),
            (
                "[[rule]]\nread_only = \"yes\"\naction = \"reject\"",
                "p.toml, rule 2: `read_only`: invalid type: string \"yes\", expected a boolean",
            ),
            (
                "[[rule]]\nacton = 1\naction = \"reject\"",
                "p.toml, rule 2: `acton`: unknown field `acton`, expected one of `tool`",
            ),
            (
                "[[rule]]\naction = \"modify\"",
                "p.toml, rule 2: `action` is \"modify\": it needs `set` or `remove`",
            ),
            (
                "[[rule]]\naction = \"reject\"\nremove = [\"x\"]",
                "p.toml, rule 2: `set` and `remove` are for",
            ),
            (
                "[[rule]]\naction = \"approve\"\nmessage = \"x\"",
                "p.toml, rule 2: `message` is for",
            ),
            (
                "[[rule]]\naction = \"reject\"\narguments = { \"/a~b\" = 1 }",
                "p.toml, rule 2: `arguments./a~b`: in a JSON pointer",
            ),
        ] {
            let text = match text.starts_with("[[rule]]") && !text.ends_with("= ") {
                true => format!("{good}{text}"),
                false => text.to_owned(),
            };
            let error = Policy::parse(&text, "p.toml").unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}\nfor {text}");
        }
        assert_eq!(Policy::parse(good, "p.toml").unwrap().rules.len(), 1);
        let many = good.repeat(1001);
        assert!(Policy::parse(&many, "p.toml").unwrap_err().what.contains("1001 rules"));
        let long = format!("#{}", " ".repeat(1 << 20));
        assert!(Policy::parse(&long, "p.toml").unwrap_err().what.contains("bytes"));
    }
}
