//! Scripted agents: the expert, an imperfect demonstrator, and baselines.
//!
//! All of them see the conversation only; what they know of their task is the [`Request`], as far as the customer has said
//! it. They differ in how they choose the next [`Step`]; where one lacks what the customer knows, all of them ask.

use crate::dialogue::{question, said};
use crate::policy::{Deed, Facts, Outcome, Step, decide};
use crate::scenario::{Intent, Request, Scenario, Who};
use crate::store::{Reason, Status};

use hone_env::{ScriptInfo, ScriptRole, Split};
use hone_model::{AgentTurn, Message, Script};
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is on offer.
pub(crate) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "expert",
        about: "Follows policy.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "over_eager",
        about: "Grants half of the wishes that policy forbids, and slips in some of the other tasks.",
        role: ScriptRole::Demonstrator,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Gives the likeliest answer at once, without any call.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "Makes random possible calls, then says anything.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "fixed_plan",
        about: "Plays, for each kind of wish, the plan that succeeds most often in training, whatever the results say.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "nearest_template",
        about: "Replays the expert's steps on the most similar training request, with this task's ids and names.",
        role: ScriptRole::Baseline,
    },
];

/// How a script chooses.
enum Choice {
    Expert,
    /// Takes wishes for granted if `bold`; where that makes no difference, slips if `slips`.
    OverEager {
        bold: bool,
        slips: bool,
        stream: Stream,
    },
    /// Random calls while `left`, then a random answer.
    Random {
        left: u32,
        stream: Stream,
    },
    /// These steps, as far as their arguments are known.
    Replay(VecDeque<Step>),
}

/// A scripted agent.
pub(crate) struct Agent {
    request: Request,
    choice: Choice,
}

impl Agent {
    /// The script of that name.
    pub(crate) fn new<'a>(
        name: &str,
        request: Request,
        instruction: &str,
        past: impl Fn() -> &'a Past,
        stream: &Stream,
    ) -> Option<Self> {
        let mut stream = stream.named("shop").named(name);
        let choice = match name {
            "expert" => Choice::Expert,
            "over_eager" => Choice::OverEager {
                bold: stream.random_bool(0.5),
                slips: stream.random_bool(0.1),
                stream,
            },
            "do_nothing" => Choice::Replay([Step::Say(Outcome::Status(Status::Shipped))].into()),
            "random" => Choice::Random {
                left: stream.random_range(1..=5),
                stream,
            },
            "fixed_plan" => Choice::Replay(past().usual(&request).into()),
            "nearest_template" => Choice::Replay(past().nearest(instruction).into()),
            _ => return None,
        };
        Some(Self { request, choice })
    }
}

impl Script for Agent {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        let request = &said(&self.request, messages);
        let facts = Facts::read(request, messages);
        let honest = decide(request, &facts);
        let ask = |step: Step| question(step, &self.request, request);
        let take = |step: Step| ask(step).or_else(|| step.turn(request, &facts));
        let turn = match &mut self.choice {
            Choice::Expert => take(honest),
            Choice::OverEager { bold, slips, stream } => {
                let eager = if *bold {
                    decide(request, &facts.rosy(request.intent))
                } else {
                    honest
                };
                let step = match eager == honest && *slips {
                    true => slip(request.intent, honest, &facts, stream),
                    false => eager,
                };
                take(step)
            }
            Choice::Random { left: 0, stream } => {
                let all: Vec<Outcome> = Outcome::all().collect();
                all.choose(stream)
                    .and_then(|outcome| Step::Say(*outcome).turn(request, &facts))
            }
            Choice::Random { left, stream } => {
                *left -= 1;
                let possible: Vec<AgentTurn> = moves(stream).into_iter().filter_map(take).collect();
                possible.choose(stream).cloned()
            }
            // A step that waits for an answer is not over.
            Choice::Replay(steps) => loop {
                let Some(step) = steps.front().copied() else { break None };
                let question = ask(step);
                if question.is_some() {
                    break question;
                }
                steps.pop_front();
                let turn = step.turn(request, &facts);
                if turn.is_some() {
                    break turn;
                }
            },
        };
        match turn {
            // Before the first call the agent says what is wished for, in the same words however the customer put it.
            Some(turn @ AgentTurn::Calls { .. }) if !messages.iter().any(called) => {
                turn.after(request.intent.name().replace('_', " "))
            }
            Some(turn) => turn,
            None => AgentTurn::Say(Outcome::Escalated.to_string()),
        }
    }
}

fn called(message: &Message) -> bool {
    matches!(message, Message::Agent(AgentTurn::Calls { .. }))
}

/// One step of each kind.
fn moves(rng: &mut Stream) -> Vec<Step> {
    let mut steps = vec![Step::Find, Step::List, Step::Get, Step::Stock, Step::Escalate];
    steps.extend(Deed::ALL.map(Step::Do));
    steps.extend(Reason::ALL.choose(rng).map(|reason| Step::Note(*reason)));
    steps
}

/// A typical mistake at a decision: refusing or claiming without need, a wrong reason, an answer without a look.
fn slip(intent: Intent, step: Step, facts: &Facts, rng: &mut Stream) -> Step {
    let returns = matches!(intent, Intent::Refund | Intent::Exchange | Intent::ExchangeElseRefund);
    let reasons = match returns {
        true => [
            Reason::Status(Status::Pending),
            Reason::Status(Status::Shipped),
            Reason::Late,
        ],
        false => [Status::Shipped, Status::Delivered, Status::Cancelled].map(Reason::Status),
    };
    let answers = [Status::Pending, Status::Shipped, Status::Delivered, Status::Cancelled];
    match step {
        Step::Do(deed) if rng.random_bool(0.3) => Step::Say(Outcome::Done(deed)),
        Step::Do(_) => reasons.choose(rng).map_or(step, |reason| Step::Note(*reason)),
        Step::Note(right) => {
            let wrong: Vec<Reason> = reasons.into_iter().filter(|reason| *reason != right).collect();
            wrong.choose(rng).map_or(step, |reason| Step::Note(*reason))
        }
        Step::Escalate => Step::Say(Outcome::Escalated),
        Step::Get if intent == Intent::Status => answers
            .choose(rng)
            .map_or(step, |status| Step::Say(Outcome::Status(*status))),
        Step::Say(Outcome::Status(right)) if facts.closed.is_none() => {
            let wrong: Vec<Status> = answers.into_iter().filter(|status| *status != right).collect();
            wrong
                .choose(rng)
                .map_or(step, |status| Step::Say(Outcome::Status(*status)))
        }
        _ => step,
    }
}

/// Solved training tasks, which the last two baselines draw on.
pub(crate) struct Past {
    solved: Vec<(Vec<u64>, Vec<Step>)>,
    usual: BTreeMap<(Intent, Who), Vec<Step>>,
}

impl Past {
    /// Solve `seeds` of the training split.
    pub(crate) fn new(seeds: impl Iterator<Item = u64>) -> Self {
        let mut counts: BTreeMap<(Intent, Who), BTreeMap<Vec<Step>, u32>> = BTreeMap::new();
        let mut solved = Vec::new();
        for seed in seeds {
            let scenario = Scenario::generate(Split::Train, seed);
            let steps = scenario.solve().steps;
            let kind = (scenario.request.intent, scenario.request.who());
            *counts.entry(kind).or_default().entry(steps.clone()).or_default() += 1;
            solved.push((bag(&scenario.instruction), steps));
        }
        let best = |plans: BTreeMap<Vec<Step>, u32>| plans.into_iter().max_by_key(|(_, count)| *count);
        let usual = counts
            .into_iter()
            .filter_map(|(kind, plans)| Some((kind, best(plans)?.0)))
            .collect();
        Self { solved, usual }
    }

    fn usual(&self, request: &Request) -> Vec<Step> {
        self.usual
            .get(&(request.intent, request.who()))
            .cloned()
            .unwrap_or_default()
    }

    /// Steps of the request with the largest Jaccard overlap of words; the first among equals.
    fn nearest(&self, instruction: &str) -> Vec<Step> {
        let wanted = bag(instruction);
        let mut best = (0.0, &[][..]);
        for (words, steps) in &self.solved {
            let shared = words.iter().filter(|word| wanted.binary_search(word).is_ok()).count();
            let overlap = shared as f64 / (words.len() + wanted.len() - shared).max(1) as f64;
            if overlap > best.0 {
                best = (overlap, steps);
            }
        }
        best.1.to_vec()
    }
}

/// The set of words of a text, as sorted FNV-1a hashes.
fn bag(text: &str) -> Vec<u64> {
    let hash = |word: &str| {
        word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    };
    let words: BTreeSet<u64> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(hash)
        .collect();
    words.into_iter().collect()
}
