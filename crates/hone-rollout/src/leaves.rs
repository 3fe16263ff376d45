//! Groups whose rollouts fork from each other (ARPO, AEPO).
//!
//! A group is played in rounds: every rollout that is under way takes one turn, all at the same time; then, in the order of
//! their numbers, it is decided which of them fork. So who gets the last fork does not hang on who was faster.

use crate::branching::{Branching, Counter, Roots, Segment, Trial, roots};
use crate::rollout::{Planned, Stage};
use hone_harness::{End, Play, Snapshot, Turns};
use hone_trace::{Episode, Stream};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::task::JoinSet;

/// How a group forks, and over how many tokens entropies are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forking {
    /// By which rule.
    pub branching: Branching,
    /// Size of the policy's vocabulary.
    pub vocabulary: usize,
}

/// A rollout under way.
struct Leaf {
    planned: Planned,
    play: Play,
    /// Entropy of its first turn.
    first: Option<f64>,
    /// Forks in a row on its path.
    in_a_row: u32,
    /// Whether its last turn called tools.
    called: bool,
}

/// A round of one leaf.
struct Round {
    leaf: Leaf,
    end: Option<End>,
    /// Where a fork would go on.
    point: Option<Snapshot>,
    /// Entropy of the turn; `None` if none was made.
    entropy: Option<f64>,
}

/// Play all rollouts of a group. There are exactly as many episodes as rollouts were planned.
pub(crate) async fn play(
    stage: Arc<Stage>,
    planned: Vec<Planned>,
    turns: &'static dyn Turns,
    how: Forking,
) -> Vec<Episode> {
    let Some(Planned { group: stream, .. }) = planned.first() else {
        return Vec::new();
    };
    let draws = stream.named("fork");
    let leaves = planned.len() as u32;
    let mut group = Group {
        stage,
        turns,
        how,
        draws,
        waiting: planned.into(),
        in_a_row: 0,
        episodes: Vec::new(),
    };
    let first = match how.branching.roots {
        Roots::Fixed(n) => n,
        Roots::Trial(Trial { beta }) => {
            let episode = group.roots(1, false).await;
            let turns: Vec<f64> = episode.iter().flat_map(|it| group.entropies(it)).collect();
            let mean = turns.iter().sum::<f64>() / turns.len().max(1) as f64;
            roots(leaves, beta, turns.first().copied().unwrap_or_default(), mean) - 1
        }
    };
    group.roots(first as usize, true).await;
    // All have ended, and too few forked.
    group.roots(leaves as usize, false).await;
    group.episodes
}

struct Group {
    stage: Arc<Stage>,
    turns: &'static dyn Turns,
    how: Forking,
    draws: Stream,
    waiting: VecDeque<Planned>,
    /// Rounds in a row in which anything forked.
    in_a_row: u32,
    episodes: Vec<Episode>,
}

impl Group {
    fn entropy(&self, entropies: &[f32]) -> f64 {
        self.how.branching.probe.of(entropies, self.how.vocabulary)
    }

    fn entropies(&self, episode: &Episode) -> Vec<f64> {
        let calls = episode.model_calls.iter();
        calls.map(|call| self.entropy(&call.entropies)).collect()
    }

    /// Play so many new rollouts from the root to their ends, with their forks if it may fork. The episodes since.
    async fn roots(&mut self, n: usize, may_fork: bool) -> Vec<Episode> {
        let before = self.episodes.len();
        let mut opening = JoinSet::new();
        let mut spares = BTreeMap::new();
        for planned in self.waiting.drain(..n.min(self.waiting.len())) {
            let (stage, turns, spare) = (self.stage.clone(), self.turns, planned.clone());
            let handle = opening.spawn(async move {
                let setup = match stage.setup(&planned) {
                    Ok(setup) => setup,
                    Err(schema) => return Err(planned.failed(schema.to_string())),
                };
                let (play, opened) = turns.open(setup).await;
                let leaf = Leaf {
                    planned,
                    play,
                    first: None,
                    in_a_row: 0,
                    called: false,
                };
                match opened {
                    Ok(()) => Ok(leaf),
                    Err(end) => Err(stage.complete(&leaf.planned, leaf.play.finish(end).await).await),
                }
            });
            spares.insert(handle.id(), spare);
        }
        let mut live = Vec::new();
        for outcome in all(opening, &mut spares).await {
            match outcome {
                Ok(Ok(leaf)) => live.push(leaf),
                Ok(Err(episode)) | Err(episode) => self.episodes.push(episode),
            }
        }
        while !live.is_empty() {
            live.sort_by_key(|leaf: &Leaf| leaf.planned.label.sample);
            live = self.round(live, may_fork).await;
        }
        self.episodes[before..].to_vec()
    }

    /// One turn of each leaf. Those that go on, and the new ones.
    async fn round(&mut self, live: Vec<Leaf>, may_fork: bool) -> Vec<Leaf> {
        let segment = self.how.branching.segment;
        let forking = may_fork && !self.waiting.is_empty();
        let mut playing = JoinSet::new();
        let mut spares = BTreeMap::new();
        for mut leaf in live {
            let (turns, spare) = (self.turns, leaf.planned.clone());
            let handle = playing.spawn(async move {
                let anew = forking && segment == Segment::AfterResult && leaf.called;
                let mut point = anew.then(|| leaf.play.snapshot()).flatten();
                let (calls, asked) = (leaf.play.episode.tool_calls.len(), leaf.play.episode.model_calls.len());
                let end = turns.turn(&mut leaf.play).await.err();
                leaf.called = leaf.play.episode.tool_calls.len() > calls;
                if forking && segment == Segment::BeforeResult && leaf.called && end.is_none() && leaf.play.may_ask() {
                    point = leaf.play.snapshot();
                }
                (leaf, end, point, asked)
            });
            spares.insert(handle.id(), spare);
        }
        let mut rounds = Vec::new();
        for outcome in all(playing, &mut spares).await {
            match outcome {
                Ok((leaf, end, point, asked)) => {
                    let turn = leaf.play.episode.model_calls.get(asked);
                    let entropy = turn.map(|call| self.entropy(&call.entropies));
                    rounds.push(Round {
                        leaf,
                        end,
                        point,
                        entropy,
                    });
                }
                Err(episode) => self.episodes.push(episode),
            }
        }
        rounds.sort_by_key(|round| round.leaf.planned.label.sample);
        let mut live = Vec::new();
        let mut ended = Vec::new();
        let mut forks = 0;
        for mut round in rounds {
            let fork = self.fork(&mut round);
            forks += u32::from(fork.is_some());
            live.extend(fork);
            match round.end {
                Some(end) => ended.push((round.leaf, end)),
                None => live.push(round.leaf),
            }
        }
        self.in_a_row = if forks > 0 { self.in_a_row + 1 } else { 0 };
        for (Leaf { planned, play, .. }, end) in ended {
            let finished = play.finish(end).await;
            self.episodes.push(self.stage.complete(&planned, finished).await);
        }
        live
    }

    /// The fork of a leaf, if it does.
    fn fork(&mut self, round: &mut Round) -> Option<Leaf> {
        let Branching { when, counter, .. } = self.how.branching;
        let leaf = &mut round.leaf;
        let entropy = round.entropy?;
        let first = *leaf.first.get_or_insert(entropy);
        let point = round.point.take()?;
        let planned = self.waiting.front()?;
        let in_a_row = match counter {
            Counter::Path => leaf.in_a_row,
            Counter::Prompt => self.in_a_row,
        };
        let draw = self
            .draws
            .at(u64::from(leaf.planned.label.sample))
            .uniform(leaf.play.episode.model_calls.len() as u64);
        let dh = entropy - first;
        if !when.forks(dh, in_a_row, draw) {
            leaf.in_a_row = 0;
            return None;
        }
        leaf.in_a_row += 1;
        let mut play = point.branch(&leaf.play, planned.label.clone(), &planned.stream);
        let detail = json!({
            "entropy": entropy, "first": first, "in_a_row": in_a_row, "draw": draw,
            "probability": when.probability(dh, in_a_row),
        });
        play.note("forked", detail);
        Some(Leaf {
            planned: self.waiting.pop_front()?,
            play,
            first: Some(first),
            in_a_row: leaf.in_a_row,
            called: true,
        })
    }
}

/// What all tasks gave; the failed episode of one that panicked.
async fn all<T: 'static>(
    mut tasks: JoinSet<T>,
    spares: &mut BTreeMap<tokio::task::Id, Planned>,
) -> Vec<Result<T, Episode>> {
    let mut out = Vec::new();
    while let Some(done) = tasks.join_next_with_id().await {
        match done {
            Ok((_, value)) => out.push(Ok(value)),
            Err(lost) => {
                if let Some(planned) = spares.remove(&lost.id()) {
                    out.push(Err(planned.failed(format!("panicked: {lost}"))));
                }
            }
        }
    }
    out
}
