//! Policies at work in the one path of every call.

use hone_tool::*;
use hone_trace::{Approval, EndReason, ToolErrorClass};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Writes down what reaches it.
struct Mail {
    specs: Vec<ToolSpec>,
    sent: Vec<Value>,
}

impl Mail {
    fn boxed() -> Box<Self> {
        let spec = ToolSpec {
            name: "send".into(),
            description: String::new(),
            input_schema: json!({
                "type": "object", "required": ["to"], "additionalProperties": false,
                "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "maximum": 5}},
            }),
            annotations: Annotations::default(),
            version: "1".into(),
            unchecked: false,
        };
        Box::new(Self {
            specs: vec![spec],
            sent: Vec::new(),
        })
    }
}

impl ToolHost for Mail {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, _: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.sent.push(arguments.clone());
        Ok(ToolOutput::json(json!("sent")))
    }

    fn inline(&self) -> bool {
        true
    }
}

/// Replies in order, and what was asked.
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Question>>,
}

impl Script {
    fn of(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Arc::new(Self {
            replies: Mutex::new(replies.into_iter().collect()),
            asked: Mutex::default(),
        })
    }
}

impl Asker for Script {
    fn ask(&self, question: &Question) -> Reply {
        self.asked.lock().unwrap().push(question.clone());
        std::thread::sleep(Duration::from_millis(5));
        self.replies.lock().unwrap().pop_front().expect("no further question")
    }
}

/// One call under a policy: what became of it, and what reached the tool.
fn send(approval: &ApprovalPolicy, asked: Asked) -> (Dispatched<Mail>, Vec<Value>) {
    let host = Mail::boxed();
    let toolset = Toolset::compile(host.specs()).unwrap();
    let rules = Rules {
        toolset: &toolset,
        approval,
        timeout: Duration::from_secs(5),
        max_shown_chars: 500,
        truncation: Truncation::Head,
        max_schema_chars: 80,
    };
    let request = ToolRequest {
        id: 0,
        model_call: None,
        raw: "raw".into(),
        asked,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut done = runtime.block_on(dispatch(host, request, &rules, None));
    let sent = done.host.take().unwrap().sent;
    (done, sent)
}

fn call(arguments: Value) -> Asked {
    Asked::Call {
        tool: "send".into(),
        arguments,
    }
}

fn policy(rules: &str) -> Policy {
    Policy::parse(rules, "p").unwrap()
}

#[test]
fn a_changed_call_is_checked_again_and_both_are_recorded() {
    let approval = ApprovalPolicy::rules(
        policy("[[rule]]\narguments = { to = \"*@home\" }\naction = \"modify\"\nset = { copies = 1 }"),
        "mail",
    );
    let (done, sent) = send(&approval, call(json!({"to": "a@home", "copies": 5})));
    let record = &done.record;
    assert_eq!(sent, [json!({"to": "a@home", "copies": 1})]);
    assert_eq!((record.approval, &record.arguments), (Approval::Modified, &sent[0]));
    let decision = record.decision.as_ref().unwrap();
    assert_eq!(
        (&*decision.by, &decision.asked),
        ("rule 1", &Some(json!({"to": "a@home", "copies": 5})))
    );
    // A policy that makes calls invalid is the fault of neither the model nor the tool.
    for change in ["set = { copies = 9 }", "remove = [\"to\"]", "set = { \"/to/x\" = 1 }"] {
        let broken = ApprovalPolicy::rules(policy(&format!("[[rule]]\naction = \"modify\"\n{change}")), "mail");
        let (done, sent) = send(&broken, call(json!({"to": "a@home"})));
        let error = done.record.error.unwrap();
        assert_eq!(
            (error.class, sent),
            (ToolErrorClass::Infrastructure, vec![]),
            "{change}"
        );
        assert!(error.message.contains("rule 1"), "{}", error.message);
    }
}

#[test]
fn what_cannot_be_read_passes_no_rule_and_is_answered_with_the_schema() {
    let all = ApprovalPolicy::rules(policy("[[rule]]\naction = \"approve\""), "mail");
    let broken = Asked::Malformed {
        error: "the arguments are no JSON".into(),
    };
    let cases = [
        (broken, ToolErrorClass::Malformed),
        (call(json!("{\"to\": \"x\"}")), ToolErrorClass::InvalidArguments),
        (call(Value::Null), ToolErrorClass::InvalidArguments),
        (call(json!({})), ToolErrorClass::InvalidArguments),
    ];
    for (asked, class) in cases {
        let (done, sent) = send(&all, asked.clone());
        let record = done.record;
        assert_eq!(
            (record.error.unwrap().class, record.approval, sent),
            (class, Approval::NotReached, vec![]),
            "{asked:?}"
        );
        assert_eq!((record.decision, &*record.raw), (None, "raw"));
    }
    let (done, _) = send(&all, call(json!({})));
    assert_eq!(
        done.record.shown,
        "error: send: `to` (string) is missing. The arguments' schema: \
         {\"additionalProperties\":false,\"properties\":{\"copies\":{\"maximum\":5,\"type\":\"…[cut]"
    );
    let (done, sent) = send(&all, call(json!({"to": "x"})));
    assert_eq!((done.record.approval, sent.len()), (Approval::Allowed, 1));
    assert_eq!(done.record.decision.unwrap().by, "rule 1");
}

#[test]
fn rejected_terminated_and_pending_calls_reach_no_tool_and_say_so() {
    let rule = |action: &str| policy(&format!("[[rule]]\naction = \"{action}\"\nmessage = \"the reason\""));
    let arguments = || call(json!({"to": "x"}));
    let (done, sent) = send(&ApprovalPolicy::rules(rule("reject"), "mail"), arguments());
    assert_eq!(
        (&*done.record.shown, done.end, sent),
        ("error: the reason", None, vec![])
    );
    let (done, sent) = send(&ApprovalPolicy::rules(rule("terminate"), "mail"), arguments());
    assert_eq!((done.record.approval, sent), (Approval::Terminated, vec![]));
    assert_eq!(done.end, Some(EndReason::Terminated));
    // Nobody to ask: no.
    let (done, sent) = send(&ApprovalPolicy::rules(rule("escalate"), "mail"), arguments());
    assert_eq!((done.record.approval, done.end, sent), (Approval::Denied, None, vec![]));
    let saves = Guard::new(Some(rule("escalate")), "mail", Escalation::Save);
    let (done, sent) = send(&ApprovalPolicy::Guarded(Arc::new(saves)), arguments());
    assert_eq!(
        (done.record.approval, done.end, sent),
        (Approval::Pending, Some(EndReason::Pending), vec![])
    );
    assert_eq!(done.record.decision.unwrap().why, "the reason");
}

#[test]
fn somebody_is_asked_and_an_edit_that_does_not_fit_is_asked_again() {
    let asker = Script::of([
        Reply::Edit {
            arguments: json!({"to": "x", "copies": 7}),
        },
        Reply::Edit {
            arguments: json!({"to": "x", "copies": 2.0}),
        },
        Reply::Reject {
            message: "not to her".into(),
        },
        Reply::Always { exactly: true },
        Reply::Terminate,
    ]);
    // Without a policy every call is for a person.
    let guard = Guard::new(None, "mail", Escalation::Ask(asker.clone()));
    let approval = ApprovalPolicy::Guarded(Arc::new(guard));
    let asked = || call(json!({"to": "y"}));
    let (done, sent) = send(&approval, asked());
    assert_eq!(
        (sent, done.record.approval),
        (vec![json!({"to": "x", "copies": 2})], Approval::Modified)
    );
    assert!(done.waited >= Duration::from_millis(5));
    let questions = asker.asked.lock().unwrap().clone();
    let refused = questions[1].refused.as_ref().unwrap();
    assert!(
        questions[0].refused.is_none() && refused.contains("`copies`"),
        "{refused}"
    );
    assert_eq!((&*questions[0].server, &*questions[0].tool.name), ("mail", "send"));

    let (done, sent) = send(&approval, asked());
    assert_eq!((&*done.record.shown, sent), ("error: not to her", vec![]));
    let (done, sent) = send(&approval, asked());
    assert_eq!((done.record.decision.unwrap().by, sent.len()), ("person".into(), 1));
    // Remembered: nobody is asked for this, but for another.
    let (done, sent) = send(&approval, asked());
    assert_eq!((done.record.decision.unwrap().by, sent.len()), ("always".into(), 1));
    let (done, sent) = send(&approval, call(json!({"to": "z"})));
    assert_eq!((done.end, sent), (Some(EndReason::Terminated), vec![]));
    // An asker that panics (there is no further reply) is a no.
    let (done, sent) = send(&approval, call(json!({"to": "z"})));
    assert_eq!((done.record.approval, sent), (Approval::Denied, vec![]));
}
