//! Who may call what: ordered rules, people who are asked, and what they decided for good.

mod file;
mod rule;
mod sticky;

pub use file::{Policy, PolicyError};
pub use rule::{Action, Change};
pub use sticky::Sticky;

use crate::ToolSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Between a server's name and its tool's.
pub const SEPARATOR: &str = "__";

/// Which valid calls may run. A call that cannot be read, or does not fit its tool's schema, never gets here.
#[derive(Clone, Debug, Default)]
pub enum ApprovalPolicy {
    /// All of them.
    #[default]
    AllowAll,
    /// Those that a policy lets through.
    Guarded(Arc<Guard>),
}

impl ApprovalPolicy {
    /// Those that these rules let through; what they leave to a person is rejected.
    pub fn rules(policy: Policy, server: &str) -> Self {
        Self::Guarded(Arc::new(Guard::new(Some(policy), server, Escalation::Reject)))
    }

    /// None of them.
    pub fn nothing() -> Self {
        Self::rules(Policy { rules: Vec::new() }, "")
    }

    /// The decision on a call of `tool`, as far as it needs no person.
    pub(crate) fn decide(&self, tool: &ToolSpec, arguments: &Value) -> Verdict {
        match self {
            Self::AllowAll => Verdict {
                by: None,
                choice: Choice::Approve,
            },
            Self::Guarded(guard) => guard.decide(tool, arguments),
        }
    }
}

/// A policy at work.
pub struct Guard {
    policy: Option<Policy>,
    server: String,
    escalation: Escalation,
    sticky: Mutex<Sticky>,
    keep: Option<Box<Keep>>,
}

/// Makes sticky decisions durable.
type Keep = dyn Fn(&Sticky) + Send + Sync;

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("policy", &self.policy)
            .field("server", &self.server)
            .field("escalation", &self.escalation)
            .finish_non_exhaustive()
    }
}

/// What is done with a call that a person must decide on.
#[derive(Clone)]
pub enum Escalation {
    /// It is rejected: there is nobody to ask.
    Reject,
    /// It is recorded as pending, and the episode ends until somebody has decided.
    Save,
    /// Somebody is asked, on a thread of its own.
    Ask(Arc<dyn Asker>),
}

impl fmt::Debug for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reject => "Reject",
            Self::Save => "Save",
            Self::Ask(_) => "Ask",
        })
    }
}

/// Somebody who decides on calls.
pub trait Asker: Send + Sync {
    /// Decide. May block for as long as it takes; one question at a time.
    fn ask(&self, question: &Question) -> Reply;
}

/// A call that somebody must decide on.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Whose tool it is.
    pub server: String,
    /// The tool.
    pub tool: ToolSpec,
    /// The arguments, valid by the tool's schema.
    pub arguments: Value,
    /// Why somebody is asked, where the policy says so.
    pub why: String,
    /// Why an edited call was not taken, where it is asked once more.
    pub refused: Option<String>,
}

/// What somebody decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Reply {
    /// It runs.
    Approve,
    /// It runs with these arguments, if they fit the tool's schema.
    Edit {
        /// The arguments.
        arguments: Value,
    },
    /// It does not run.
    Reject {
        /// Why, for the model; may be empty.
        #[serde(default)]
        message: String,
    },
    /// It runs, and so do all later ones of the tool, or those with exactly the same arguments.
    Always {
        /// Only with the same arguments.
        #[serde(default)]
        exactly: bool,
    },
    /// It does not run, and no later one does.
    Never {
        /// Only with the same arguments.
        #[serde(default)]
        exactly: bool,
    },
    /// It does not run, and the episode ends.
    Terminate,
}

/// A decision with who made it.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    pub by: Option<String>,
    pub choice: Choice,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Choice {
    Approve,
    Modify(Value),
    Reject(String),
    Terminate(String),
    Escalate(String),
    /// The policy contradicts itself; nobody's fault but its author's.
    Broken(String),
}

impl Guard {
    /// A policy at work; without one, every call is for a person to decide. `server` names the source of tools whose names do
    /// not (`server__tool`), usually the taskset.
    pub fn new(policy: Option<Policy>, server: &str, escalation: Escalation) -> Self {
        Self {
            policy,
            server: server.to_owned(),
            escalation,
            sticky: Mutex::default(),
            keep: None,
        }
    }

    /// The same with what was decided before; `keep` gets what is decided from now on.
    pub fn remembering(mut self, sticky: Sticky, keep: impl Fn(&Sticky) + Send + Sync + 'static) -> Self {
        self.sticky = Mutex::new(sticky);
        self.keep = Some(Box::new(keep));
        self
    }

    pub(crate) fn escalation(&self) -> &Escalation {
        &self.escalation
    }

    /// Whose tool it is.
    pub(crate) fn server_of<'a>(&'a self, tool: &'a str) -> &'a str {
        server_of(tool, &self.server)
    }

    fn decide(&self, spec: &ToolSpec, arguments: &Value) -> Verdict {
        let server = self.server_of(&spec.name);
        let Some(policy) = &self.policy else {
            return self.remembered(server, &spec.name, arguments, None, String::new());
        };
        let rules = policy.rules.iter().enumerate();
        let Some((index, rule)) = { rules }.find(|(_, rule)| rule.covers(server, spec, arguments)) else {
            return Verdict {
                by: Some("no rule".to_owned()),
                choice: Choice::Reject(denial(&spec.name)),
            };
        };
        let by = format!("rule {}", index + 1);
        let message = || rule.message.clone().unwrap_or_else(|| denial(&spec.name));
        let choice = match &rule.action {
            Action::Approve => Choice::Approve,
            Action::Modify(changes) => match rule::changed(arguments, changes) {
                Ok(changed) => Choice::Modify(changed),
                Err(why) => Choice::Broken(format!("{by} of the approval policy: {why}")),
            },
            Action::Reject => Choice::Reject(message()),
            Action::Terminate => Choice::Terminate(message()),
            Action::Escalate => {
                let why = rule.message.clone().unwrap_or_default();
                return self.remembered(server, &spec.name, arguments, Some(by), why);
            }
        };
        Verdict { by: Some(by), choice }
    }

    /// What was decided before of a call that is for a person.
    fn remembered(&self, server: &str, tool: &str, arguments: &Value, by: Option<String>, why: String) -> Verdict {
        let sticky = self.sticky.lock().unwrap_or_else(PoisonError::into_inner);
        match sticky.answer(server, tool, arguments) {
            Some(true) => Verdict {
                by: Some("always".to_owned()),
                choice: Choice::Approve,
            },
            Some(false) => Verdict {
                by: Some("never".to_owned()),
                choice: Choice::Reject(denial(tool)),
            },
            None => Verdict {
                by,
                choice: Choice::Escalate(why),
            },
        }
    }

    /// What a reply means for a call, after what it says of later ones is kept.
    pub(crate) fn heed(&self, reply: Reply, tool: &str, arguments: &Value) -> Choice {
        let remember = |exactly: bool, allow: bool| {
            let mut sticky = self.sticky.lock().unwrap_or_else(PoisonError::into_inner);
            sticky.remember(self.server_of(tool), tool, exactly.then(|| arguments.clone()), allow);
            if let Some(keep) = &self.keep {
                keep(&sticky);
            }
        };
        match reply {
            Reply::Approve => Choice::Approve,
            Reply::Edit { arguments } => Choice::Modify(crate::canonical(arguments)),
            Reply::Reject { message } if message.is_empty() => Choice::Reject(denial(tool)),
            Reply::Reject { message } => Choice::Reject(message),
            Reply::Always { exactly } => {
                remember(exactly, true);
                Choice::Approve
            }
            Reply::Never { exactly } => {
                remember(exactly, false);
                Choice::Reject(denial(tool))
            }
            Reply::Terminate => Choice::Terminate(denial(tool)),
        }
    }
}

/// Whose tool it is: what its name says before `__`, else `otherwise`.
pub fn server_of<'a>(tool: &'a str, otherwise: &'a str) -> &'a str {
    match tool.split_once(SEPARATOR) {
        Some((server, name)) if !server.is_empty() && !name.is_empty() => server,
        _ => otherwise,
    }
}

/// That a call does not run, for the model.
pub(crate) fn denial(tool: &str) -> String {
    format!("{tool} is not allowed here with these arguments; do without it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotations;
    use serde_json::json;

    fn spec(name: &str, read_only: bool) -> ToolSpec {
        ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema: json!({}),
            annotations: Annotations {
                read_only_hint: read_only,
                destructive_hint: true,
                ..Annotations::default()
            },
            version: "1".into(),
            unchecked: false,
        }
    }

    fn guarded(text: &str) -> Guard {
        Guard::new(Some(Policy::parse(text, "p").unwrap()), "shop", Escalation::Reject)
    }

    #[test]
    fn the_first_rule_that_covers_a_call_decides_and_none_means_no() {
        let guard = guarded(
            r#"
            [[rule]]
            tool = "*"
            arguments = { path = "*..*" }
            action = "terminate"
            message = "no way out"
            [[rule]]
            tool = ["write", "append"]
            arguments = { path = "/tmp/*", "/options/mode" = 7 }
            action = "approve"
            [[rule]]
            server = "mail"
            action = "escalate"
            message = "leaves the house"
            [[rule]]
            tool = "find"
            action = "modify"
            set = { limit = 10 }
            remove = ["debug"]
            [[rule]]
            read_only = true
            action = "approve"
            [[rule]]
            destructive = true
            action = "reject"
            message = "reads only"
            "#,
        );
        let decide = |name: &str, read_only, arguments| {
            let Verdict { by, choice } = guard.decide(&spec(name, read_only), &arguments);
            (by.unwrap_or_default(), choice)
        };
        let said = |by: &str, choice| (by.to_owned(), choice);
        let path = json!({"path": "/tmp/a", "options": {"mode": 7}});
        assert_eq!(decide("write", false, path.clone()), said("rule 2", Choice::Approve));
        assert_eq!(
            decide("write", false, json!({"path": "/tmp/../etc", "options": {"mode": 7}})),
            said("rule 1", Choice::Terminate("no way out".into()))
        );
        // A field that is missing, or is another, is no match.
        for other in [
            json!({"path": "/tmp/a"}),
            json!({"path": "/etc", "options": {"mode": 7}}),
        ] {
            assert_eq!(decide("write", false, other).0, "rule 6");
        }
        assert_eq!(
            decide("mail__send", false, json!({})),
            said("rule 3", Choice::Escalate("leaves the house".into()))
        );
        assert_eq!(
            decide("find", false, json!({"debug": true, "limit": 99, "q": "x"})),
            said("rule 4", Choice::Modify(json!({"limit": 10, "q": "x"})))
        );
        assert_eq!(decide("look", true, json!({})), said("rule 5", Choice::Approve));
        assert_eq!(
            decide("drop", false, json!({})),
            said("rule 6", Choice::Reject("reads only".into()))
        );
        let none = guarded("[[rule]]\ntool = \"x\"\naction = \"approve\"").decide(&spec("y", true), &json!({}));
        assert_eq!(none.by.as_deref(), Some("no rule"));
        assert!(matches!(none.choice, Choice::Reject(why) if why.starts_with("y is not allowed")));
    }

    #[test]
    fn words_that_stick_answer_what_is_left_to_a_person_and_overrule_no_rule() {
        let guard = guarded(
            "[[rule]]\ntool = \"drop\"\naction = \"reject\"\n[[rule]]\naction = \"escalate\"\nmessage = \"why\"",
        );
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = kept.clone();
        let guard = guard.remembering(Sticky::default(), move |sticky| {
            sink.lock().unwrap().push(sticky.clone())
        });
        let arguments = json!({"to": "x"});
        let decide = |name: &str| guard.decide(&spec(name, false), &arguments).choice;
        assert_eq!(decide("send"), Choice::Escalate("why".into()));
        let always = Reply::Always { exactly: false };
        assert_eq!(guard.heed(always.clone(), "send", &arguments), Choice::Approve);
        assert_eq!(guard.heed(always, "drop", &arguments), Choice::Approve);
        assert_eq!(decide("send"), Choice::Approve);
        assert!(matches!(decide("drop"), Choice::Reject(_)));
        // Another server's tool of the same name is another tool.
        assert!(matches!(decide("other__send"), Choice::Escalate(_)));
        assert!(matches!(
            guard.heed(Reply::Never { exactly: true }, "send", &arguments),
            Choice::Reject(_)
        ));
        assert!(matches!(decide("send"), Choice::Reject(_)));
        let kept = kept.lock().unwrap();
        assert_eq!((kept.len(), kept[0].is_empty()), (3, false));
    }
}
