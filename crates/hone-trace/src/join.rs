//! Training sequences out of model calls.
//!
//! The calls of a conversation repeat each other: the next prompt holds the last prompt, the last answer and what came
//! in between. Training on each call alone costs the square of the length and lets long episodes dominate, so calls are
//! joined to [`Segment`]s: one sequence in which every answer stands once. Whether two calls may be joined is decided on
//! tokens, by one of two rules ([`Joining`]); each call that could not be joined leaves a [`Break`] that says why.
//!
//! Whatever the rule: the mask is 1 only on sampled tokens, with the ids, log-probabilities and policy versions as they
//! were recorded; and no sampled token is in two segments.

mod reason;
mod segment;

use std::collections::BTreeMap;

pub use reason::{Break, BreakReason};
pub use segment::{CallSpan, JoinReport, Joined, Segment};

use crate::{Episode, Flaw, Lineage, ModelCall, TokenId};

/// The rule by which a call joins an open segment. Only calls of the same role, policy and lineage are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joining {
    /// A call joins the deepest segment whose sequence is an exact prefix of its prompt. What the policy saw is then, to
    /// the token, what it is trained on.
    ExactPrefix,
    /// A call joins the segment whose last *prompt* is the longest prefix of its own. The template's rendering of the
    /// last answer, up to and including the first end-of-turn token, is replaced by the sampled answer (Polar,
    /// arXiv 2605.24220). Joins across templates that render an answer otherwise than it was sampled; in exchange the
    /// context may differ from what the policy saw ([`Segment::drifted`] names the calls).
    PromptTipSplice {
        /// The ids that end an assistant turn, of which any will do.
        end_of_turn: Vec<TokenId>,
    },
}

/// A call with the tokens that were served.
struct Served<'a> {
    call: &'a ModelCall,
    /// Prompt and output.
    ids: Vec<TokenId>,
}

impl Served<'_> {
    fn prompt(&self) -> &[TokenId] {
        &self.ids[..self.ids.len() - self.call.output.len()]
    }

    /// Calls of another thread are never joined.
    fn thread(&self) -> (&str, &str, &Lineage) {
        (&self.call.role, &self.call.policy, &self.call.lineage)
    }
}

/// A segment that later calls may join.
struct Open<'a> {
    segment: Segment,
    /// The last call in it.
    tip: &'a Served<'a>,
}

impl Joining {
    /// Joins the calls of an episode that `chosen` picks (those of the trained policy, say), in their order.
    ///
    /// Fails only on a record that is not whole.
    pub fn join(&self, episode: &Episode, chosen: impl Fn(&ModelCall) -> bool) -> Result<Joined, Flaw> {
        episode.check()?;
        let mut served = Vec::new();
        for call in episode.model_calls.iter().filter(|call| chosen(call)) {
            let ids = episode.sequence(call.id);
            let ids = ids.ok_or_else(|| Flaw::new(format!("model_calls[{}].prompt", call.id), "has no sequence"))?;
            served.push(Served { call, ids });
        }
        let dropped = dropped(&served);
        let mut open: Vec<Open<'_>> = Vec::new();
        let mut breaks = Vec::new();
        for next in &served {
            let call = next.call.id;
            if let Some(reason) = dropped.get(&call) {
                breaks.push(Break { call, reason: *reason });
                continue;
            }
            match self.find(&open, next) {
                Ok(Place { segment, held }) => {
                    let Open { segment, tip } = &mut open[segment];
                    segment.context(&next.prompt()[held..]);
                    if segment.ids != next.prompt() {
                        segment.drifted.push(call);
                    }
                    segment.answer(next.call);
                    *tip = next;
                }
                Err(reason) => {
                    // The first segment of all continues nothing and breaks nothing.
                    if !open.is_empty() {
                        breaks.push(Break { call, reason });
                    }
                    let mut segment = Segment::new(next.call);
                    segment.context(next.prompt());
                    segment.answer(next.call);
                    open.push(Open { segment, tip: next });
                }
            }
        }
        Ok(Joined {
            segments: open.into_iter().map(|open| open.segment).collect(),
            breaks,
        })
    }

    fn find(&self, open: &[Open<'_>], next: &Served<'_>) -> Result<Place, BreakReason> {
        let prompt = next.prompt();
        let thread = || {
            open.iter()
                .enumerate()
                .filter(|(_, open)| open.tip.thread() == next.thread())
        };
        let found = match self {
            Self::ExactPrefix => thread()
                .filter(|(_, open)| prompt.starts_with(&open.segment.ids))
                .map(|(segment, open)| Place {
                    segment,
                    held: open.segment.ids.len(),
                })
                .max_by_key(|place| place.held),
            Self::PromptTipSplice { end_of_turn } => {
                // Of two calls with the same prompt, the one whose answer was continued is meant.
                let best = thread()
                    .filter(|(_, open)| prompt.starts_with(open.tip.prompt()))
                    .max_by_key(|(_, open)| (open.tip.prompt().len(), common_prefix(&open.tip.ids, prompt)));
                match best {
                    None => None,
                    Some((segment, open)) => {
                        let answer = open.tip.call;
                        let start = open.tip.prompt().len();
                        let ends = |id: &TokenId| end_of_turn.contains(id);
                        let end = prompt[start..].iter().position(ends);
                        let end = end.ok_or(BreakReason::NoEndOfTurn { call: answer.id })?;
                        // An answer that was cut off lacks its end of turn: the template's is kept, as context.
                        let complete = answer.output.last().is_some_and(ends);
                        Some(Place {
                            segment,
                            held: start + end + usize::from(complete),
                        })
                    }
                }
            }
        };
        found.ok_or_else(|| {
            reason::classify(
                next.call,
                prompt,
                thread().map(|(_, open)| (&open.segment, open.tip.call)),
            )
        })
    }
}

/// Where a call joins: the segment, and how many tokens of the call's prompt it stands for.
struct Place {
    segment: usize,
    held: usize,
}

/// The calls that are trained in no segment: those without an answer, and all but one of the attempts at a turn.
fn dropped(served: &[Served<'_>]) -> BTreeMap<u32, BreakReason> {
    let mut reasons = BTreeMap::new();
    // Attempts at the same turn, by the first of them.
    let mut attempts: BTreeMap<u32, Vec<&Served<'_>>> = BTreeMap::new();
    let mut first: BTreeMap<u32, u32> = BTreeMap::new();
    for attempt in served {
        let root = attempt
            .call
            .retry_of
            .map_or(attempt.call.id, |of| *first.get(&of).unwrap_or(&of));
        first.insert(attempt.call.id, root);
        attempts.entry(root).or_default().push(attempt);
    }
    for attempts in attempts.values().filter(|attempts| attempts.len() > 1) {
        let Some(kept) = kept(attempts, served) else {
            continue;
        };
        for attempt in attempts.iter().filter(|attempt| attempt.call.id != kept) {
            reasons.insert(attempt.call.id, BreakReason::Retried { kept });
        }
    }
    let mut answered: Vec<&Served<'_>> = Vec::new();
    for next in served {
        let id = next.call.id;
        if next.call.output.is_empty() {
            reasons.insert(id, BreakReason::NoOutput);
        }
        if reasons.contains_key(&id) {
            continue;
        }
        // Some clients repeat a call and do not say so.
        let same = |earlier: &&&Served<'_>| {
            earlier.ids == next.ids && earlier.prompt() == next.prompt() && earlier.thread() == next.thread()
        };
        match answered.iter().find(same) {
            Some(earlier) => drop(reasons.insert(id, BreakReason::Duplicate { of: earlier.call.id })),
            None => answered.push(next),
        }
    }
    reasons
}

/// Which attempt at a turn counts: the last that a later call continues to the token, else that a later call names as
/// its parent, else the last of all. Only attempts with an answer do.
fn kept(attempts: &[&Served<'_>], served: &[Served<'_>]) -> Option<u32> {
    let later = |attempt: &Served<'_>| {
        let id = attempt.call.id;
        let ids: Vec<u32> = attempts.iter().map(|attempt| attempt.call.id).collect();
        served
            .iter()
            .filter(move |call| call.call.id > id && !ids.contains(&call.call.id))
    };
    let answered = || attempts.iter().rev().filter(|attempt| !attempt.call.output.is_empty());
    let continued = answered().find(|attempt| later(attempt).any(|call| call.prompt().starts_with(&attempt.ids)));
    let named = || answered().find(|attempt| later(attempt).any(|call| call.call.parent == Some(attempt.call.id)));
    continued
        .or_else(named)
        .or_else(|| answered().next())
        .map(|attempt| attempt.call.id)
}

fn common_prefix(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
