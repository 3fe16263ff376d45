//! The same requests in a dialogue: what the agent asks for, and the customer who says no more than it was asked.

use crate::Assignment;
use crate::policy::{Deed, Outcome, Step};
use crate::scenario::{Fact, Request};
use crate::wording;
use hone_env::{ScriptInfo, ScriptRole, SimulatedUser, Task};
use hone_model::{AgentTurn, Message, Script};
use hone_trace::Stream;
use rand::RngExt;

/// Ends the episode where the customer says it.
pub const STOP: &str = "###STOP###";

/// Messages of the agent without a question that the customer can newly answer, and without an outcome, that it bears.
const PATIENCE: u32 = 3;

/// What the agent is taken to have said to whoever speaks first.
const GREETING: &str = "hello, what can i do for you";

pub(crate) const USER_SCRIPTS: &[ScriptInfo] = &[ScriptInfo {
    name: "customer",
    about: "Says its wish, then who it is and what it meant when asked, and leaves once it is told what came of it.",
    role: ScriptRole::Baseline,
}];

/// What the customer keeps back: who it is, and half of the time the color or the street.
pub(crate) fn withheld(request: &Request, rng: &mut Stream) -> Vec<Fact> {
    let told = rng.random_bool(0.5);
    let keeps = |fact: &Fact| request.value(*fact).is_some() && (*fact == Fact::Who || !told);
    Fact::ALL.into_iter().filter(keeps).collect()
}

/// Whom a model plays that stands in for the customer.
pub(crate) fn role(request: &Request, opening: &str) -> SimulatedUser {
    let who = match (&request.name, &request.email, &request.order) {
        (Some(name), _, _) => format!("your name is {name}"),
        (_, Some(email), _) => format!("your e-mail address is {email}"),
        (_, _, order) => format!("your order has the id {}", order.as_deref().unwrap_or_default()),
    };
    let color = request.color.iter().map(|color| format!("you want the color {color}"));
    let street = request
        .street
        .iter()
        .map(|street| format!("the new street is {street}"));
    let facts: Vec<String> = [who].into_iter().chain(color).chain(street).collect();
    SimulatedUser {
        instructions: format!(
            "You are a customer of a store and write to its agent. Answer its greeting with: {opening}\nYou also know: {}. \
             Tell such a fact only when the agent asks for it. Of anything else say that you do not know. Write one short \
             message at a time. When the agent says what came of your wish (done, refused, a status, or handed on), answer \
             with {STOP} and nothing else. Do the same if it makes no sense for {PATIENCE} messages.",
            facts.join("; ")
        ),
        cue: Some(GREETING.to_owned()),
        stop: vec![STOP.to_owned()],
        ..SimulatedUser::default()
    }
}

/// The question that a step waits for: a fact that the customer knows and has not said.
pub(crate) fn question(step: Step, knows: &Request, said: &Request) -> Option<AgentTurn> {
    let (fact, text) = match step {
        Step::Find => (Fact::Who, "your name, email or order id please"),
        Step::Stock | Step::Do(Deed::Exchanged) => (Fact::Color, "which color please"),
        Step::Do(Deed::Moved) => (Fact::Street, "which street please"),
        _ => return None,
    };
    (knows.value(fact).is_some() && said.value(fact).is_none()).then(|| AgentTurn::Say(text.to_owned()))
}

/// What the customer has said so far.
pub(crate) fn said(request: &Request, messages: &[Message]) -> Request {
    let said = |value: &str| {
        let mut texts = messages.iter().filter_map(|message| match message {
            Message::User(text) => Some(text),
            _ => None,
        });
        texts.any(|text| text.contains(value))
    };
    let unsaid = |fact: &Fact| request.value(*fact).is_some_and(|value| !said(value));
    let unsaid: Vec<Fact> = Fact::ALL.into_iter().filter(unsaid).collect();
    request.without(&unsaid)
}

/// The facts that a message of the agent asks for, as far as its words show.
fn asked(text: &str) -> Vec<Fact> {
    let text = text.to_lowercase();
    let words = || {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
    };
    let before = || [""].into_iter().chain(words());
    let asks = |fact: &Fact| {
        words().zip(before()).any(|(word, before)| match fact {
            Fact::Who => matches!(word, "who" | "name" | "email" | "mail" | "id" | "number"),
            Fact::Color => matches!(word, "color" | "colour"),
            Fact::Street => word == "street" || (word == "address" && !matches!(before, "email" | "mail")),
        })
    };
    Fact::ALL.into_iter().filter(asks).collect()
}

/// The customer as a script. Whatever the agent says, it says one of a few lines, and leaves in the end.
pub(crate) struct Customer {
    opening: String,
    answers: Vec<(Fact, String)>,
    puzzled: &'static str,
    unsaid: Vec<Fact>,
    patience: u32,
}

impl Customer {
    /// The customer of a task; its words come from the task's seed.
    pub(crate) fn new(assignment: &Assignment, task: &Task) -> Self {
        let (split, rng) = (assignment.split, &mut Stream::new(task.seed).named("customer"));
        let answers = Fact::ALL
            .into_iter()
            .filter_map(|fact| Some((fact, wording::answer(split, fact, &assignment.request, rng)?)));
        Self {
            answers: answers.collect(),
            opening: task.instruction.clone(),
            puzzled: wording::puzzled(split),
            unsaid: assignment.withheld.clone(),
            patience: PATIENCE,
        }
    }

    fn reply(&mut self, text: &str) -> String {
        if Outcome::read(text).is_some() {
            return format!("thanks, bye {STOP}");
        }
        let asked = asked(text);
        let unsaid = self.unsaid.len();
        self.unsaid.retain(|fact| !asked.contains(fact));
        if self.unsaid.len() == unsaid {
            let Some(left) = self.patience.checked_sub(1) else {
                return format!("i give up, bye {STOP}");
            };
            self.patience = left;
        }
        let answers = self.answers.iter().filter(|(fact, _)| asked.contains(fact));
        let answers: Vec<&str> = answers.map(|(_, answer)| answer.as_str()).collect();
        match answers.as_slice() {
            [] => self.puzzled.to_owned(),
            answers => answers.join(". "),
        }
    }
}

impl Script for Customer {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        let spoke = messages.iter().any(|message| matches!(message, Message::Agent(_)));
        AgentTurn::Say(match messages.last() {
            Some(Message::User(text)) if spoke => self.reply(text),
            _ => self.opening.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_words() {
        use Fact::{Color, Street, Who};
        for (text, facts) in [
            ("your name, email or order id please", vec![Who]),
            ("Who are you?", vec![Who]),
            ("Could I have your e-mail address?", vec![Who]),
            ("which color please", vec![Color]),
            ("To which STREET? And what colour?", vec![Color, Street]),
            ("the new address please", vec![Street]),
            ("address", vec![Street]),
            ("nothing whole is named colorful", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(asked(text), facts, "{text}");
        }
    }
}
