//! What the store's policy asks for, as a function of what has been found out so far.
//!
//! One function, [`decide`], is the expert, the source of every task's expected state, and what the over-eager
//! demonstrator departs from. It sees the request and the conversation, never the world.

use crate::scenario::{Intent, Request};
use crate::store::{Reason, Status};
use hone_model::{AgentTurn, Message};
use serde_json::{Value, json};
use std::fmt;

/// Days after delivery during which an order may come back.
pub const RETURN_WINDOW: u8 = 30;

/// The rules in words, for models that read a system message.
pub const GUIDE: &str = "You serve a store's customers with its tools. Find the order and read it before you act. \
    Only pending orders may be cancelled or get a new address. Only orders delivered at most 30 days ago may be \
    refunded or exchanged, and exchanged only for a color in stock. To refuse, call note_refusal with the reason (the \
    order's status, late, or stock). If no customer or order is found, escalate the topic unknown. Then end with one \
    line and nothing else: `done: cancelled`, `done: refunded`, `done: exchanged`, `done: moved`, `refused: REASON`, \
    `status: STATUS` or `escalated: unknown`.";

/// What is added to the rules in a dialogue.
pub const ASK: &str = "Ask the customer for what the tools need and you have not been told.";

/// An effect that a customer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deed {
    /// Call the order off.
    Cancelled,
    /// Give the money back.
    Refunded,
    /// Swap it for another color.
    Exchanged,
    /// Send it to another street.
    Moved,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cancelled, Self::Refunded, Self::Exchanged, Self::Moved];

    /// As the tools write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
            Self::Exchanged => "exchanged",
            Self::Moved => "moved",
        }
    }
}

/// What the agent says at the end: `verdict: detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The wish was granted.
    Done(Deed),
    /// Policy forbids it.
    Refused(Reason),
    /// A question was answered.
    Status(Status),
    /// Handed on to a person: no such customer or order.
    Escalated,
}

impl Outcome {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let deeds = Deed::ALL.into_iter().map(Self::Done);
        let reasons = Reason::ALL.into_iter().map(Self::Refused);
        deeds
            .chain(reasons)
            .chain(Status::ALL.into_iter().map(Self::Status))
            .chain([Self::Escalated])
    }

    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Done(deed) => ("done", deed.name()),
            Self::Refused(reason) => ("refused", reason.name()),
            Self::Status(status) => ("status", status.name()),
            Self::Escalated => ("escalated", "unknown"),
        }
    }

    /// The one outcome that a final answer states.
    ///
    /// `None` if it states none, or contains any other verdict or detail besides: hedging does not count. Words that are
    /// neither (a format's wrapping, a courtesy) do no harm.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| is_key(word));
        let (verdict, detail) = (words.next()?, words.next()?);
        let outcome = Self::all().find(|outcome| outcome.parts() == (verdict, detail))?;
        (words.next().is_none() && text.contains(&outcome.to_string())).then_some(outcome)
    }
}

/// Whether a word is a verdict or a detail of some outcome.
fn is_key(word: &str) -> bool {
    Outcome::all().any(|outcome| outcome.parts().0 == word || outcome.parts().1 == word)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verdict, detail) = self.parts();
        write!(f, "{verdict}: {detail}")
    }
}

/// A move of the agent, without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Find the customer by name or e-mail.
    Find,
    /// List the customer's orders.
    List,
    /// Read the order.
    Get,
    /// Count the wanted color.
    Stock,
    /// Grant the wish.
    Do(Deed),
    /// Note on the order why the wish is refused.
    Note(Reason),
    /// Hand on to a person.
    Escalate,
    /// End with this answer.
    Say(Outcome),
}

/// What a conversation has revealed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Customer id.
    pub customer: Option<String>,
    /// Order id, from the request or the list.
    pub order: Option<String>,
    /// Item, from the request or the order.
    pub item: Option<String>,
    /// The order's status.
    pub status: Option<Status>,
    /// Days since delivery.
    pub days: u8,
    /// Pieces of the wanted color.
    pub stock: Option<i64>,
    /// The customer or the order does not exist.
    pub lost: bool,
    /// The effect that closes the matter has happened.
    pub closed: Option<Outcome>,
}

impl Facts {
    /// Read the results of all calls so far.
    pub fn read(request: &Request, messages: &[Message]) -> Self {
        let mut facts = Self {
            order: request.order.clone(),
            item: request.item.clone(),
            ..Self::default()
        };
        let mut called = "";
        for message in messages {
            match message {
                Message::Agent(AgentTurn::Calls { calls, .. }) => {
                    called = calls.last().map_or("", |call| call.name.as_str());
                }
                Message::Tool(text) => facts.learn(called, serde_json::from_str(text).unwrap_or(Value::Null)),
                _ => {}
            }
        }
        facts
    }

    fn learn(&mut self, tool: &str, result: Value) {
        let field = |key: &str| result.get(key).and_then(Value::as_str);
        match tool {
            "find_customer" | "find_email" => {
                self.customer = field("customer").map(str::to_owned);
                self.lost |= self.customer.is_none();
            }
            "list_orders" => {
                self.order = self.item.as_deref().and_then(field).map(str::to_owned);
                self.lost |= self.order.is_none();
            }
            "get_order" => {
                self.status = field("status").and_then(|name| Status::ALL.into_iter().find(|s| s.name() == name));
                self.days = field("days").and_then(|days| days.parse().ok()).unwrap_or(0);
                self.item = field("item").map(str::to_owned).or(self.item.take());
                self.lost |= self.status.is_none();
            }
            "get_stock" => self.stock = result.get("stock").and_then(Value::as_i64),
            _ => {
                let done = field("done").and_then(|name| Deed::ALL.into_iter().find(|d| d.name() == name));
                let noted = field("noted").and_then(|name| Reason::ALL.into_iter().find(|r| r.name() == name));
                let escalated = field("escalated").map(|_| Outcome::Escalated);
                self.closed = done
                    .map(Outcome::Done)
                    .or(noted.map(Outcome::Refused))
                    .or(escalated)
                    .or(self.closed.take());
            }
        }
    }

    /// The same, seen by somebody who takes every wish for granted.
    pub fn rosy(&self, intent: Intent) -> Self {
        let returns = matches!(intent, Intent::Refund | Intent::Exchange | Intent::ExchangeElseRefund);
        let wished = if returns { Status::Delivered } else { Status::Pending };
        let status = self
            .status
            .map(|status| if intent == Intent::Status { status } else { wished });
        Self {
            status,
            days: 0,
            stock: self.stock.map(|_| 1),
            ..self.clone()
        }
    }
}

/// The next step that policy asks for.
pub fn decide(request: &Request, facts: &Facts) -> Step {
    if let Some(outcome) = facts.closed {
        return Step::Say(outcome);
    }
    if facts.lost {
        return Step::Escalate;
    }
    let Some(status) = facts.status else {
        return match (&facts.customer, &facts.order) {
            (_, Some(_)) => Step::Get,
            (Some(_), None) => Step::List,
            (None, None) => Step::Find,
        };
    };
    match (request.intent, status) {
        (Intent::Status, _) => Step::Say(Outcome::Status(status)),
        (Intent::Address, Status::Pending) => Step::Do(Deed::Moved),
        (Intent::Cancel | Intent::CancelElseStatus, Status::Pending) => Step::Do(Deed::Cancelled),
        (Intent::CancelElseStatus, _) => Step::Say(Outcome::Status(status)),
        (Intent::Refund | Intent::Exchange | Intent::ExchangeElseRefund, Status::Delivered) => {
            if facts.days > RETURN_WINDOW {
                return Step::Note(Reason::Late);
            }
            match (request.intent, facts.stock) {
                (Intent::Refund, _) => Step::Do(Deed::Refunded),
                (_, None) => Step::Stock,
                (_, Some(1..)) => Step::Do(Deed::Exchanged),
                (Intent::ExchangeElseRefund, _) => Step::Do(Deed::Refunded),
                _ => Step::Note(Reason::Stock),
            }
        }
        _ => Step::Note(Reason::Status(status)),
    }
}

impl Step {
    /// The step as a turn, its arguments copied from the request and from results; `None` while one is not known.
    pub fn turn(self, request: &Request, facts: &Facts) -> Option<AgentTurn> {
        let order = facts.order.as_ref();
        let color = request.color.as_ref();
        let (tool, arguments) = match self {
            Self::Find => match (&request.name, &request.email) {
                (Some(name), _) => ("find_customer", json!({"name": name})),
                (None, Some(email)) => ("find_email", json!({"email": email})),
                (None, None) => return None,
            },
            Self::List => ("list_orders", json!({"customer": facts.customer.as_ref()?})),
            // Whoever found the order by its item says so, and the tool compares.
            Self::Get => match &request.item {
                Some(item) if request.order.is_none() => ("get_order", json!({"item": item, "order": order?})),
                _ => ("get_order", json!({"order": order?})),
            },
            Self::Stock => ("get_stock", json!({"color": color?, "item": facts.item.as_ref()?})),
            Self::Do(Deed::Cancelled) => ("cancel_order", json!({"order": order?})),
            Self::Do(Deed::Refunded) => ("refund_order", json!({"order": order?})),
            Self::Do(Deed::Exchanged) => ("exchange_order", json!({"color": color?, "order": order?})),
            Self::Do(Deed::Moved) => (
                "change_address",
                json!({"order": order?, "street": request.street.as_ref()?}),
            ),
            Self::Note(reason) => ("note_refusal", json!({"order": order?, "reason": reason.name()})),
            Self::Escalate => ("escalate", json!({"topic": "unknown"})),
            Self::Say(outcome) => return Some(AgentTurn::Say(outcome.to_string())),
        };
        Some(AgentTurn::call(tool, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_states_exactly_one_outcome() {
        for outcome in Outcome::all() {
            assert_eq!(Outcome::read(&outcome.to_string()), Some(outcome));
        }
        let moved = Some(Outcome::Done(Deed::Moved));
        assert_eq!(Outcome::read("<say>Done: moved.</say>"), moved);
        assert_eq!(Outcome::read("done: moved done: refunded"), None);
        assert_eq!(Outcome::read("done: moved refused: shipped"), None);
        assert_eq!(Outcome::read("done: moved shipped"), None);
        assert_eq!(Outcome::read("refused moved done: moved"), None);
        assert_eq!(Outcome::read("refused: moved"), None);
        assert_eq!(Outcome::read("done, moved"), None);
        assert_eq!(Outcome::read(""), None);
    }
}
