//! Which tool calls may run: a file of rules, and the person at the terminal.

use crate::console::say;
use anyhow::Context;
use hone_tool::{ApprovalPolicy, Asker, Escalation, Guard, Policy, Question, Reply, Sticky};
use hone_view::printable;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Most characters of a call's arguments that are shown to whom is asked.
const SHOWN: usize = 4000;

/// What becomes of calls that a person must decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Ask in the terminal; without one, reject
    Ask,
    /// Record the call as pending and end the episode; see `hone trace pending --help`
    Save,
    /// Reject
    Reject,
}

/// Rules for tool calls, on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ApprovalArgs {
    /// Which tool calls may run: a file of rules, as docs/tools.md describes it. Goes before the rules of a project
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What becomes of calls that the rules leave to a person; without rules, of every call
    #[arg(long, value_enum, value_name = "HOW")]
    pub approve: Option<How>,
}

impl ApprovalArgs {
    /// The text of the policy file.
    ///
    /// # Errors
    /// When it cannot be read or has a mistake.
    pub fn text(&self) -> anyhow::Result<Option<String>> {
        let read = self.policy.as_deref().map(read).transpose()?;
        Ok(read.map(|(text, _)| text))
    }

    /// The rules of the policy file.
    ///
    /// # Errors
    /// As [`ApprovalArgs::text`].
    #[cfg(feature = "mcp")]
    pub fn rules(&self) -> anyhow::Result<Option<Policy>> {
        self.policy.as_deref().map(policy).transpose()
    }
}

/// The rules of a policy file.
///
/// # Errors
/// When it cannot be read or has a mistake.
#[cfg(feature = "mcp")]
pub fn policy(file: &Path) -> anyhow::Result<Policy> {
    Ok(read(file)?.1)
}

fn read(file: &Path) -> anyhow::Result<(String, Policy)> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read; name a file of rules", file.display()))?;
    let policy = Policy::parse(&text, &file.display().to_string())?;
    Ok((text, policy))
}

/// Rules at work for the tools of `server`; with neither rules nor a way to decide, every call may run.
pub fn guard(policy: Option<Policy>, approve: Option<How>, otherwise: How, server: &str) -> Option<Guard> {
    if policy.is_none() && approve.is_none() {
        return None;
    }
    let escalation = match approve.unwrap_or(otherwise) {
        How::Save => Escalation::Save,
        How::Reject => Escalation::Reject,
        How::Ask if io::stdin().is_terminal() && io::stderr().is_terminal() => {
            Escalation::Ask(Arc::new(Terminal::default()))
        }
        How::Ask => {
            if approve.is_some() {
                say("there is no terminal to ask in: calls that a person must decide on are rejected");
            }
            Escalation::Reject
        }
    };
    Some(Guard::new(policy, server, escalation))
}

/// The same with what was decided before in the run, which `keep` is told of.
pub fn approval(
    guard: Option<Guard>,
    sticky: Sticky,
    keep: impl Fn(&Sticky) + Send + Sync + 'static,
) -> ApprovalPolicy {
    match guard {
        None => ApprovalPolicy::AllowAll,
        Some(guard) => ApprovalPolicy::Guarded(Arc::new(guard.remembering(sticky, keep))),
    }
}

/// Asks on stderr, reads from stdin.
#[derive(Default)]
struct Terminal {
    /// One question at a time.
    busy: Mutex<()>,
}

impl Asker for Terminal {
    fn ask(&self, question: &Question) -> Reply {
        let _one = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        ask(question, &mut io::stdin().lock(), &mut io::stderr())
    }
}

const CHOICES: &str = "run it? [y]es, [n]o (or: n REASON), always, never (always = / never = : only with these arguments), \
                       edit JSON, end: ";

/// Ask until there is an answer. The end of the input, or an error, is a no.
fn ask(question: &Question, input: &mut dyn BufRead, output: &mut dyn Write) -> Reply {
    let no = |message: &str| Reply::Reject {
        message: message.to_owned(),
    };
    let shown: String = question.arguments.to_string().chars().take(SHOWN).collect();
    let hints = question.tool.annotations;
    let effect = match (hints.read_only_hint, hints.destructive_hint) {
        (true, _) => "only reads",
        (false, true) => "may delete or overwrite",
        (false, false) => "changes something",
    };
    let mut lines = vec![
        format!("\n  tool  {} of {} ({effect})", question.tool.name, question.server),
        format!("  call  {shown}"),
    ];
    if !question.why.is_empty() {
        lines.push(format!("   why  {}", question.why));
    }
    if let Some(refused) = &question.refused {
        lines.push(format!("  edit  does not fit: {refused}"));
    }
    let mut said = printable(&lines.join("\n"));
    loop {
        if write!(output, "{said}\n{CHOICES}")
            .and_then(|()| output.flush())
            .is_err()
        {
            return no("");
        }
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(read) if read > 0 => {}
            _ => return no(""),
        }
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word.to_ascii_lowercase().as_str(), rest) {
            ("y" | "yes", "") => return Reply::Approve,
            ("n" | "no", message) => return no(message),
            ("always", "") => return Reply::Always { exactly: false },
            ("always", "=") => return Reply::Always { exactly: true },
            ("never", "") => return Reply::Never { exactly: false },
            ("never", "=") => return Reply::Never { exactly: true },
            ("end", "") => return Reply::Terminate,
            ("edit", text) => match serde_json::from_str(text) {
                Ok(arguments) => return Reply::Edit { arguments },
                Err(error) => said = format!("  edit  is no JSON ({error}); write: edit {{\"field\": \"value\"}}"),
            },
            _ => said = "  write one of these words".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_tool::{Annotations, ToolSpec};
    use serde_json::json;

    fn answered(input: &str) -> (Reply, String) {
        let tool = ToolSpec {
            name: "send".into(),
            description: String::new(),
            input_schema: json!({}),
            annotations: Annotations::default(),
            version: String::new(),
            unchecked: false,
        };
        let question = Question {
            server: "mail".into(),
            tool,
            arguments: json!({"to": "a\u{1b}[2J"}),
            why: "leaves the house".into(),
            refused: None,
        };
        let mut output = Vec::new();
        let reply = ask(&question, &mut input.as_bytes(), &mut output);
        (reply, String::from_utf8(output).unwrap())
    }

    #[test]
    fn words_are_read_and_anything_else_is_asked_again_or_a_no() {
        let reject = |message: &str| Reply::Reject {
            message: message.into(),
        };
        for (input, reply) in [
            ("y\n", Reply::Approve),
            ("YES\n", Reply::Approve),
            ("n\n", reject("")),
            ("no to her, never\n", reject("to her, never")),
            ("always\n", Reply::Always { exactly: false }),
            ("never =\n", Reply::Never { exactly: true }),
            (
                "edit {\"to\": \"b\"}\n",
                Reply::Edit {
                    arguments: json!({"to": "b"}),
                },
            ),
            ("end\n", Reply::Terminate),
            ("what\n\nedit {\ny\n", Reply::Approve),
            ("", reject("")),
            ("y or n\n", reject("")),
        ] {
            assert_eq!(answered(input).0, reply, "{input}");
        }
        let (_, said) = answered("hm\ny\n");
        assert!(
            said.contains("send of mail") && said.contains("leaves the house"),
            "{said}"
        );
        assert!(
            !said.contains('\u{1b}') && said.matches("run it?").count() == 2,
            "{said}"
        );
    }
}
