//! Scripts for the roles of a planner-executor loop.
//!
//! The planner says which tool is next, and the reason of a refusal; an executor finds the arguments in the request and the
//! memory. A verifier stops as soon as something closed the matter, or a question is answered.

use crate::policy::{Deed, Facts, Outcome, Step, decide};
use crate::scenario::{Intent, Request};
use crate::scripts::Agent;
use crate::store::Reason;

use hone_env::{Brief, NextStep, Role, ScriptInfo, ScriptRole, verdict};
use hone_model::{AgentTurn, Message, Script};
use serde_json::Value;

/// What is on offer for a helper.
pub(crate) const HELPERS: &[ScriptInfo] = &[ScriptInfo {
    name: "rules",
    about: "Knows what the request says, and does its part by rule.",
    role: ScriptRole::Expert,
}];

/// A script of a role.
pub(crate) enum Part {
    /// Plans what this agent would do.
    Planner { query: String, agent: Box<Agent> },
    /// A helper by rule.
    Helper {
        role: Role,
        query: String,
        request: Request,
    },
}

impl Script for Part {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        match self {
            Self::Planner { query, agent } => {
                let brief = Brief::read(query, messages).unwrap_or_default();
                let turn = agent.next(&brief.conversation());
                plan(&turn)
            }
            Self::Helper { role, query, request } => {
                let brief = Brief::read(query, messages).unwrap_or_default();
                let facts = Facts::read(request, &brief.conversation());
                match role {
                    Role::Executor => execute(brief.next.as_ref(), request, &facts),
                    Role::Verifier => verdict(settled(request, &facts)),
                    Role::Planner | Role::Generator => answer(request, &facts),
                }
            }
        }
    }
}

/// An agent's turn as a plan. Where the agent would answer before the matter is closed, it plans to hand it on.
fn plan(turn: &AgentTurn) -> AgentTurn {
    let AgentTurn::Calls { content, calls } = turn else {
        return NextStep {
            tool_name: "escalate".into(),
            ..NextStep::default()
        }
        .turn();
    };
    let call = calls.first();
    let reason = call
        .and_then(|call| call.arguments.get("reason"))
        .and_then(Value::as_str);
    NextStep {
        tool_name: call.map(|call| call.name.clone()).unwrap_or_default(),
        sub_goal: content.clone(),
        context: reason.unwrap_or_default().to_owned(),
        ..NextStep::default()
    }
    .turn()
}

/// The call of a planned step, as far as its arguments are known.
fn execute(next: Option<&NextStep>, request: &Request, facts: &Facts) -> AgentTurn {
    let step = next.and_then(|next| {
        Some(match next.tool_name.as_str() {
            "find_customer" | "find_email" => Step::Find,
            "list_orders" => Step::List,
            "get_order" => Step::Get,
            "get_stock" => Step::Stock,
            "cancel_order" => Step::Do(Deed::Cancelled),
            "refund_order" => Step::Do(Deed::Refunded),
            "exchange_order" => Step::Do(Deed::Exchanged),
            "change_address" => Step::Do(Deed::Moved),
            "note_refusal" => Step::Note(Reason::ALL.into_iter().find(|reason| reason.name() == next.context)?),
            "escalate" => Step::Escalate,
            _ => return None,
        })
    });
    step.and_then(|step| step.turn(request, facts))
        .unwrap_or_else(|| AgentTurn::Say("what the step needs is not known".into()))
}

/// Whether nothing is left to be done.
fn settled(request: &Request, facts: &Facts) -> bool {
    let asked = matches!(request.intent, Intent::Status | Intent::CancelElseStatus);
    facts.closed.is_some() || (asked && matches!(decide(request, facts), Step::Say(_)))
}

/// What the memory shows: what closed the matter, else the order's status.
fn answer(request: &Request, facts: &Facts) -> AgentTurn {
    let shown = facts.closed.or(facts.status.map(Outcome::Status));
    let outcome = match decide(request, facts) {
        Step::Say(outcome) => outcome,
        _ => shown.unwrap_or(Outcome::Escalated),
    };
    AgentTurn::Say(outcome.to_string())
}
