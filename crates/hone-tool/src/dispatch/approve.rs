//! Between a valid call and its tool: the policy, and whom it leaves the decision to.

use super::{Rules, failure};
use crate::approval::{Choice, Verdict, denial};
use crate::{ApprovalPolicy, Escalation, Guard, Question, Recording, Reply, ToolSpec, canonical};
use hone_trace::{Approval, Decision, EndReason, ToolCall, ToolErrorClass, ToolFailure};
use std::time::{Duration, Instant};

/// How often somebody may edit a call into one that does not fit its schema.
const MAX_EDITS: usize = 20;

/// Why a call does not run, and how the episode ends if it does for that.
pub(super) type Refused = (ToolFailure, Option<EndReason>);

/// May it run? Arguments may be others afterwards.
pub(super) async fn approve(
    spec: &ToolSpec,
    rules: &Rules<'_>,
    recording: Option<&Recording>,
    record: &mut ToolCall,
    waited: &mut Duration,
) -> Result<(), Refused> {
    let Verdict { by, choice } = rules.approval.decide(spec, &record.arguments);
    let ApprovalPolicy::Guarded(guard) = rules.approval else {
        record.approval = Approval::Allowed;
        return Ok(());
    };
    let mut decision = Decision {
        by: by.unwrap_or_default(),
        ..Decision::default()
    };
    let choice = match choice {
        Choice::Escalate(why) => {
            decision.why.clone_from(&why);
            let reply = recording.and_then(|recording| recording.reply(record.id));
            let (escalation, question) = (guard.escalation(), question(guard, spec, record, why));
            match (reply, escalation) {
                (Some(reply), _) => {
                    if let Reply::Edit { arguments } = &reply
                        && let Err(wrong) = rules.toolset.check(&record.tool, &canonical(arguments.clone()))
                    {
                        decision.why = format!("the edited arguments do not fit: {}", wrong.message);
                        return Err(pend(record, decision));
                    }
                    decision.by = "person".to_owned();
                    guard.heed(reply, &record.tool, &record.arguments)
                }
                (None, Escalation::Ask(_)) => {
                    decision.by = "person".to_owned();
                    let clock = Instant::now();
                    let choice = ask(guard, rules, question).await;
                    *waited = clock.elapsed();
                    choice
                }
                (None, Escalation::Reject) => Choice::Reject(denial(&record.tool)),
                (None, Escalation::Save) => return Err(pend(record, decision)),
            }
        }
        decided => decided,
    };
    let outcome = settle(choice, rules, record, &mut decision);
    record.decision = Some(Box::new(decision));
    outcome
}

/// A call that has to wait for somebody.
fn pend(record: &mut ToolCall, decision: Decision) -> Refused {
    record.approval = Approval::Pending;
    record.decision = Some(Box::new(decision));
    let message = format!("{} waits for somebody's decision", record.tool);
    (failure(ToolErrorClass::Denied, message), Some(EndReason::Pending))
}

fn question(guard: &Guard, spec: &ToolSpec, record: &ToolCall, why: String) -> Question {
    Question {
        server: guard.server_of(&record.tool).to_owned(),
        tool: spec.clone(),
        arguments: record.arguments.clone(),
        why,
        refused: None,
    }
}

/// Do what was chosen.
fn settle(choice: Choice, rules: &Rules<'_>, record: &mut ToolCall, decision: &mut Decision) -> Result<(), Refused> {
    match choice {
        Choice::Approve => {
            record.approval = Approval::Allowed;
            Ok(())
        }
        Choice::Modify(arguments) => match rules.toolset.check(&record.tool, &arguments) {
            Ok(_) => {
                record.approval = Approval::Modified;
                decision.asked = Some(std::mem::replace(&mut record.arguments, arguments));
                Ok(())
            }
            Err(wrong) => {
                record.approval = Approval::Denied;
                let message = format!(
                    "{} changed the arguments into such that do not fit: {}",
                    decision.by, wrong.message
                );
                Err((failure(ToolErrorClass::Infrastructure, message), None))
            }
        },
        Choice::Reject(message) => {
            record.approval = Approval::Denied;
            Err((failure(ToolErrorClass::Denied, message), None))
        }
        Choice::Terminate(message) => {
            record.approval = Approval::Terminated;
            let denied = failure(ToolErrorClass::Denied, message);
            Err((denied, Some(EndReason::Terminated)))
        }
        Choice::Broken(why) => {
            record.approval = Approval::Denied;
            Err((failure(ToolErrorClass::Infrastructure, why), None))
        }
        Choice::Escalate(_) => {
            record.approval = Approval::Denied;
            Err((failure(ToolErrorClass::Denied, denial(&record.tool)), None))
        }
    }
}

/// Ask somebody, again where an edit does not fit the tool's schema.
async fn ask(guard: &Guard, rules: &Rules<'_>, mut question: Question) -> Choice {
    let Escalation::Ask(asker) = guard.escalation() else {
        return Choice::Reject(denial(&question.tool.name));
    };
    for _ in 0..MAX_EDITS {
        let (asker, asked) = (asker.clone(), question.clone());
        // A thread that cannot be had, or an asker that panics, is a no.
        let Ok(reply) = tokio::task::spawn_blocking(move || asker.ask(&asked)).await else {
            break;
        };
        if let Reply::Edit { arguments } = &reply {
            let arguments = canonical(arguments.clone());
            if let Err(wrong) = rules.toolset.check(&question.tool.name, &arguments) {
                question.refused = Some(wrong.message);
                continue;
            }
        }
        return guard.heed(reply, &question.tool.name, &question.arguments);
    }
    Choice::Reject(denial(&question.tool.name))
}
