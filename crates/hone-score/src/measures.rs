//! What a set of episodes adds up to.

use crate::calibration::{Calibration, Stated};
use crate::estimate::{Rate, pass_at, pass_hat, percentile, wilson};
use crate::failure::{FailureClass, Reference, as_call, classify};
use crate::trajectory::Trajectory;
use hone_trace::{EndReason, Episode, EpisodeSummary, Outcome, ToolCall, ToolErrorClass, Turn};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Causes of failures that are told apart.
const CAUSES: usize = 100;

/// How many episodes ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Succeeded.
    pub ok: u64,
    /// Failed, and the policy is to blame.
    pub policy_failed: u64,
    /// Failed for reasons that are not the policy's; in no other number.
    pub infra_failed: u64,
}

/// Tries and successes of one task, or of one kind of task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Episodes that count.
    pub n: u64,
    /// Successes among them.
    pub ok: u64,
}

impl Tally {
    fn add(&mut self, succeeded: bool) {
        self.n += 1;
        self.ok += u64::from(succeeded);
    }

    fn merge(&mut self, other: Self) {
        self.n += other.n;
        self.ok += other.ok;
    }

    /// Success rate with its interval; `None` without episodes.
    pub fn rate(self) -> Option<Rate> {
        Rate::of(self.ok, self.n)
    }

    /// Success rate as a fraction; `None` without episodes.
    pub fn fraction(self) -> Option<f64> {
        (self.n > 0).then(|| self.ok as f64 / self.n as f64)
    }
}

/// Sums over a set of episodes (of one policy, usually). Add episodes in any order, then ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// How they ended.
    pub outcomes: Outcomes,
    /// Causes of the infrastructure's failures with how often each occurred; the first 100 of them.
    pub causes: BTreeMap<String, u64>,
    /// Tries and successes by (taskset, task).
    pub tasks: BTreeMap<(String, String), Tally>,
    /// Tries and successes by kind of task.
    pub kinds: BTreeMap<String, Tally>,
    /// Number of counted episodes by reason for their end.
    pub ends: BTreeMap<&'static str, u64>,
    /// Sum and number of each score part, by `scorer/part`.
    parts: BTreeMap<String, (f64, u64)>,
    /// Counted episodes whose calls were seen, not only their summary.
    seen: u64,
    turns: u64,
    tool_calls: u64,
    valid_calls: u64,
    /// Calls that ran or could have run, and all whose tool was not out of order.
    executable_calls: (u64, u64),
    repeated_calls: u64,
    /// Failed calls that were made good later, and all failed ones.
    recovered_calls: (u64, u64),
    /// Wall clock of each counted episode.
    seconds: Vec<f64>,
    /// Wall clock of each call of a remote model.
    call_seconds: Vec<f64>,
    sampled_tokens: u64,
    /// Tokens of prompts and of answers.
    tokens: (u64, u64),
    /// What model calls cost, of episodes that count and of the others, as far as the record has prices.
    cost_usd: Option<f64>,
    reward: (f64, u64),
    /// Number of failed episodes by class.
    failures: BTreeMap<FailureClass, u64>,
    /// Sum and number of each measure of calls beside the reference's.
    trajectory: BTreeMap<&'static str, (f64, u64)>,
    /// Agents that were to say how sure they are.
    asked: u64,
    /// What they said, and the tools that they had used.
    stated: Vec<(Stated, BTreeSet<String>)>,
}

impl Measures {
    /// Of these episodes.
    pub fn of<'a>(episodes: impl IntoIterator<Item = &'a Episode>) -> Self {
        let mut measures = Self::default();
        for episode in episodes {
            measures.add(episode);
        }
        measures
    }

    /// Count one more episode.
    pub fn add(&mut self, episode: &Episode) {
        self.add_beside(episode, None);
    }

    /// Count one more episode, beside what a run did that solves the same task, if one is known.
    pub fn add_beside(&mut self, episode: &Episode, reference: Option<&Reference>) {
        let Episode {
            taskset,
            task,
            task_kind,
            end,
            ..
        } = episode;
        let prices = episode
            .model_calls
            .iter()
            .filter_map(|call| call.remote.as_ref()?.cost_usd);
        self.cost_usd = prices.fold(self.cost_usd, |sum, cost| Some(sum.unwrap_or(0.0) + cost));
        if !self.add_outcome(taskset, task, task_kind, *end, &episode.outcome) {
            return;
        }
        let tokens = episode.model_calls.iter().map(hone_trace::ModelCall::tokens);
        self.tokens = tokens.fold(self.tokens, |sum, call| (sum.0 + call.0, sum.1 + call.1));
        if let Some(failure) = classify(episode, reference) {
            *self.failures.entry(failure.class).or_default() += 1;
        }
        if let Some(reference) = reference {
            self.add_trajectory(episode, reference);
        }
        self.seen += 1;
        self.turns += episode.turns.iter().filter(|t| matches!(t, Turn::Agent { .. })).count() as u64;
        // A simulated user's calls are not the policy's.
        let calls: Vec<&ToolCall> = episode
            .tool_calls
            .iter()
            .filter(|call| episode.caller(call) != "user")
            .collect();
        self.tool_calls += calls.len() as u64;
        self.valid_calls += calls
            .iter()
            .filter(|call| call.error.as_ref().is_none_or(|error| is_well_formed(error.class)))
            .count() as u64;
        self.add_calls(&calls);
        self.asked += u64::from(episode.wants_confidence());
        let used = || calls.iter().map(|call| call.tool.clone()).collect();
        self.stated.extend(Stated::of(episode).map(|stated| (stated, used())));
        self.seconds.push(episode.timing.duration_us as f64 / 1e6);
        let remote = episode.model_calls.iter().filter(|call| call.remote.is_some());
        self.call_seconds
            .extend(remote.map(|call| call.timing.duration_us as f64 / 1e6));
        self.sampled_tokens += episode.sampled_tokens();
        if let Some(reward) = episode.reward {
            self.reward.0 += reward;
            self.reward.1 += 1;
        }
        for score in &episode.scores {
            for part in &score.parts {
                let sum = self.parts.entry(format!("{}/{}", score.scorer, part.name)).or_default();
                sum.0 += part.value;
                sum.1 += 1;
            }
        }
    }

    /// Count what another has counted.
    pub fn merge(&mut self, other: Self) {
        let add = |sum: &mut (f64, u64), more: (f64, u64)| *sum = (sum.0 + more.0, sum.1 + more.1);
        self.outcomes.ok += other.outcomes.ok;
        self.outcomes.policy_failed += other.outcomes.policy_failed;
        self.outcomes.infra_failed += other.outcomes.infra_failed;
        for (cause, n) in other.causes {
            if self.causes.len() < CAUSES || self.causes.contains_key(&cause) {
                *self.causes.entry(cause).or_default() += n;
            }
        }
        for (task, tally) in other.tasks {
            self.tasks.entry(task).or_default().merge(tally);
        }
        for (kind, tally) in other.kinds {
            self.kinds.entry(kind).or_default().merge(tally);
        }
        for (end, n) in other.ends {
            *self.ends.entry(end).or_default() += n;
        }
        for (class, n) in other.failures {
            *self.failures.entry(class).or_default() += n;
        }
        for (name, sum) in other.parts {
            add(self.parts.entry(name).or_default(), sum);
        }
        for (name, sum) in other.trajectory {
            add(self.trajectory.entry(name).or_default(), sum);
        }
        for (sum, more) in [
            (&mut self.executable_calls, other.executable_calls),
            (&mut self.recovered_calls, other.recovered_calls),
            (&mut self.tokens, other.tokens),
        ] {
            *sum = (sum.0 + more.0, sum.1 + more.1);
        }
        for (sum, more) in [
            (&mut self.seen, other.seen),
            (&mut self.turns, other.turns),
            (&mut self.tool_calls, other.tool_calls),
            (&mut self.valid_calls, other.valid_calls),
            (&mut self.repeated_calls, other.repeated_calls),
            (&mut self.sampled_tokens, other.sampled_tokens),
            (&mut self.asked, other.asked),
        ] {
            *sum += more;
        }
        self.stated.extend(other.stated);
        self.seconds.extend(other.seconds);
        self.call_seconds.extend(other.call_seconds);
        self.cost_usd = match (self.cost_usd, other.cost_usd) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        add(&mut self.reward, other.reward);
    }

    /// Count what a summary says of an episode: success, kinds, ends, time and reward. What needs the calls themselves then
    /// has nothing to go by, and is absent.
    pub fn add_summary(&mut self, episode: &EpisodeSummary) {
        let EpisodeSummary {
            taskset,
            task,
            task_kind,
            end,
            ..
        } = episode;
        if !self.add_outcome(taskset, task, task_kind, *end, &episode.outcome) {
            return;
        }
        self.seconds.push(episode.duration_us as f64 / 1e6);
        if let Some(reward) = episode.reward {
            self.reward.0 += reward;
            self.reward.1 += 1;
        }
    }

    /// Whether the episode counts.
    fn add_outcome(&mut self, taskset: &str, task: &str, kind: &str, end: EndReason, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Ok => self.outcomes.ok += 1,
            Outcome::PolicyFailed => self.outcomes.policy_failed += 1,
            Outcome::InfraFailed { cause } => {
                self.outcomes.infra_failed += 1;
                if self.causes.len() < CAUSES || self.causes.contains_key(cause) {
                    *self.causes.entry(cause.clone()).or_default() += 1;
                }
                return false;
            }
        }
        let succeeded = *outcome == Outcome::Ok;
        self.tasks
            .entry((taskset.to_owned(), task.to_owned()))
            .or_default()
            .add(succeeded);
        match self.kinds.get_mut(kind) {
            Some(tally) => tally.add(succeeded),
            None => self.kinds.entry(kind.to_owned()).or_default().add(succeeded),
        }
        *self.ends.entry(end_name(end)).or_default() += 1;
        true
    }

    fn add_trajectory(&mut self, episode: &Episode, reference: &Reference) {
        let made: Vec<_> = episode.tool_calls.iter().map(as_call).collect();
        let t = Trajectory::of(&reference.calls, &made);
        let extra = made.len().saturating_sub(reference.calls.len());
        let redundancy = (!made.is_empty()).then(|| extra as f64 / made.len() as f64);
        for (name, value) in [
            ("precision", t.precision),
            ("recall", t.recall),
            ("f1", t.f1),
            ("argument_accuracy", t.argument_accuracy),
            ("edit_similarity", t.edit_similarity),
            ("redundancy", redundancy),
        ] {
            if let Some(value) = value {
                let sum = self.trajectory.entry(name).or_default();
                sum.0 += value;
                sum.1 += 1;
            }
        }
    }

    fn add_calls(&mut self, calls: &[&ToolCall]) {
        use ToolErrorClass::{Denied, Infrastructure, Panic, Timeout};
        let class = |call: &ToolCall| call.error.as_ref().map(|error| error.class);
        for (i, call) in calls.iter().enumerate() {
            let error = class(call);
            if !matches!(error, Some(Timeout | Panic | Infrastructure)) {
                self.executable_calls.1 += 1;
                self.executable_calls.0 += u64::from(error.is_none_or(|e| is_well_formed(e) && e != Denied));
            }
            let before = i.checked_sub(1).map(|before| calls[before]);
            let repeats = |b: &ToolCall| (&b.tool, &b.arguments, &b.raw) == (&call.tool, &call.arguments, &call.raw);
            self.repeated_calls += u64::from(before.is_some_and(repeats));
            if error.is_some_and(ToolErrorClass::is_policy) {
                self.recovered_calls.1 += 1;
                // A call that names no tool may have meant any.
                let good =
                    |later: &ToolCall| later.error.is_none() && (call.tool.is_empty() || later.tool == call.tool);
                self.recovered_calls.0 += u64::from(calls[i + 1..].iter().copied().any(good));
            }
        }
    }

    /// Number of episodes that count.
    pub fn n(&self) -> u64 {
        self.outcomes.ok + self.outcomes.policy_failed
    }

    /// Share of counted episodes that succeeded, with a 95 % interval; `None` without any.
    ///
    /// The interval is Wilson's. Tries of the same task are not independent, so where tasks were tried more than once
    /// `n` is divided by the design effect `Σ_task (Σ_try (x − p))² / (n p (1 − p))` (Kish 1965; the cluster-robust
    /// variance of a mean over the binomial one), never below 1. With one try per task that factor is exactly 1; where
    /// all tries agree (p is 0 or 1) the number of tasks is taken.
    pub fn success(&self) -> Option<Rate> {
        let n = self.n();
        let mut rate = Rate::of(self.outcomes.ok, n)?;
        let p = rate.value;
        let effective = if p == 0.0 || p == 1.0 {
            self.tasks.len() as f64
        } else {
            let between: f64 = self
                .tasks
                .values()
                .map(|t| (t.ok as f64 - t.n as f64 * p).powi(2))
                .sum();
            n as f64 / (between / (n as f64 * p * (1.0 - p))).max(1.0)
        };
        (rate.lo, rate.hi) = wilson(p, effective);
        Some(rate)
    }

    /// Share of tool calls that were a call at all: neither malformed, nor to an unknown tool, nor with arguments that
    /// do not fit. What the tool then said does not matter. `None` without calls.
    pub fn call_validity(&self) -> Option<f64> {
        mean(self.valid_calls as f64, self.tool_calls)
    }

    /// Share of tool calls that ran or could have run: well formed and not denied. Calls whose tool timed out, crashed or
    /// was out of reach are on neither side. `None` without calls.
    pub fn executable_calls(&self) -> Option<f64> {
        mean(self.executable_calls.0 as f64, self.executable_calls.1)
    }

    /// Share of tool calls that repeat the one directly before, letter by letter. `None` without calls.
    pub fn loop_rate(&self) -> Option<f64> {
        mean(self.repeated_calls as f64, self.tool_calls)
    }

    /// Of the calls that failed through the policy's own fault, the share after which the same tool succeeded in the same
    /// episode (any tool, if the failed call named none). `None` without failed calls.
    pub fn recovery_rate(&self) -> Option<f64> {
        mean(self.recovered_calls.0 as f64, self.recovered_calls.1)
    }

    /// Nearest-rank percentile of the wall clock of episodes, in seconds; `share` is 0 to 1.
    pub fn seconds(&self, share: f64) -> Option<f64> {
        percentile(&self.seconds, share)
    }

    /// The same of the calls of remote models; `None` without any.
    pub fn call_seconds(&self, share: f64) -> Option<f64> {
        percentile(&self.call_seconds, share)
    }

    /// Mean number of agent turns; `None` without episodes.
    pub fn mean_turns(&self) -> Option<f64> {
        mean(self.turns as f64, self.seen)
    }

    /// Mean number of tool calls; `None` without episodes.
    pub fn mean_tool_calls(&self) -> Option<f64> {
        mean(self.tool_calls as f64, self.seen)
    }

    /// Mean number of tokens that the policy sampled in an episode; `None` without episodes.
    pub fn mean_sampled_tokens(&self) -> Option<f64> {
        mean(self.sampled_tokens as f64, self.seen)
    }

    /// Mean number of tokens of an episode's prompts and of its answers, the endpoint's own count where the model hides
    /// them; `None` without any.
    pub fn mean_tokens(&self) -> Option<(f64, f64)> {
        let (input, output) = self.tokens;
        (input + output > 0).then(|| (input as f64 / self.seen as f64, output as f64 / self.seen as f64))
    }

    /// Count what was spent on tries that are not in the record any more, in US dollars.
    pub fn add_cost(&mut self, usd: f64) {
        self.cost_usd = Some(self.cost_usd.unwrap_or(0.0) + usd);
    }

    /// What all model calls cost, in US dollars, of episodes that do not count too; `None` where no price is recorded.
    pub fn cost_usd(&self) -> Option<f64> {
        self.cost_usd
    }

    /// Mean reward over the counted episodes that have one.
    pub fn mean_reward(&self) -> Option<f64> {
        mean(self.reward.0, self.reward.1)
    }

    /// Mean of each score part, by `scorer/part`.
    pub fn score_parts(&self) -> BTreeMap<&str, f64> {
        self.parts
            .iter()
            .map(|(name, (sum, n))| (name.as_str(), sum / *n as f64))
            .collect()
    }

    /// Number of failed episodes by class of failure, the commonest first.
    pub fn failures(&self) -> Vec<(FailureClass, u64)> {
        let mut failures: Vec<_> = self.failures.iter().map(|(class, n)| (*class, *n)).collect();
        failures.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        failures
    }

    /// Mean of each measure of the calls beside a reference's, over the episodes that have it; empty without references.
    pub fn trajectory(&self) -> BTreeMap<&'static str, f64> {
        self.trajectory
            .iter()
            .map(|(name, (sum, n))| (*name, sum / *n as f64))
            .collect()
    }

    /// Share of the agents that were asked how sure they are which said it; `None` where none was asked.
    pub fn confidence_stated(&self) -> Option<f64> {
        mean(self.stated.len() as f64, self.asked)
    }

    /// How far their word can be trusted; `None` without any.
    pub fn calibration(&self) -> Option<Calibration> {
        let stated: Vec<Stated> = self.stated.iter().map(|(stated, _)| *stated).collect();
        Calibration::of(&stated)
    }

    /// The same by tool, of the episodes that used it, and of those that used none under an empty name. Empty where nobody
    /// was asked.
    pub fn calibration_by_tool(&self) -> BTreeMap<&str, Calibration> {
        let mut by: BTreeMap<&str, Vec<Stated>> = BTreeMap::new();
        for (stated, tools) in &self.stated {
            let none = tools.is_empty().then_some("");
            for tool in tools.iter().map(String::as_str).chain(none) {
                by.entry(tool).or_default().push(*stated);
            }
        }
        let of = |(tool, stated): (_, Vec<Stated>)| Some((tool, Calibration::of(&stated)?));
        by.into_iter().filter_map(of).collect()
    }

    /// The `k` worth reporting: 1, 2, 4, … and the number of tries itself, as far as at least half the tasks have that
    /// many counted tries. Empty without tasks.
    pub fn ks(&self) -> Vec<u64> {
        let mut tries: Vec<u64> = self.tasks.values().map(|t| t.n).collect();
        tries.sort_unstable();
        // The largest k that at least half of the tasks support.
        let Some(&most) = tries.get(tries.len() / 2) else {
            return Vec::new();
        };
        let mut ks: Vec<u64> = std::iter::successors(Some(1u64), |k| k.checked_mul(2))
            .take_while(|&k| k < most)
            .collect();
        ks.push(most);
        ks
    }

    /// [`pass_at`], averaged over the tasks with at least `k` counted tries; `None` if there is none.
    pub fn pass_at(&self, k: u64) -> Option<f64> {
        self.over_tasks(|t| pass_at(t.n, t.ok, k))
    }

    /// [`pass_hat`], averaged over the tasks with at least `k` counted tries; `None` if there is none.
    pub fn pass_hat(&self, k: u64) -> Option<f64> {
        self.over_tasks(|t| pass_hat(t.n, t.ok, k))
    }

    fn over_tasks(&self, f: impl Fn(&Tally) -> Option<f64>) -> Option<f64> {
        let (mut sum, mut n) = (0.0, 0);
        for value in self.tasks.values().filter_map(f) {
            sum += value;
            n += 1;
        }
        mean(sum, n)
    }
}

fn mean(sum: f64, n: u64) -> Option<f64> {
    (n > 0).then(|| sum / n as f64)
}

/// Whether a call that failed in this way still was a well-formed call to a tool that exists.
fn is_well_formed(class: ToolErrorClass) -> bool {
    !matches!(
        class,
        ToolErrorClass::Malformed | ToolErrorClass::UnknownTool | ToolErrorClass::InvalidArguments
    )
}

/// The name of an end reason, as it is written in traces.
pub(crate) fn end_name(end: EndReason) -> &'static str {
    match end {
        EndReason::Answered => "answered",
        EndReason::Terminal => "terminal",
        EndReason::MaxTurns => "max_turns",
        EndReason::MaxCalls => "max_calls",
        EndReason::MaxErrors => "max_errors",
        EndReason::MaxTokens => "max_tokens",
        EndReason::ContextOverflow => "context_overflow",
        EndReason::Deadline => "deadline",
        EndReason::Malformed => "malformed",
        EndReason::Terminated => "terminated",
        EndReason::Pending => "pending",
        EndReason::ToolFailure => "tool_failure",
        EndReason::ModelFailure => "model_failure",
        EndReason::EnvironmentFailure => "environment_failure",
        EndReason::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{call, episode};
    use hone_trace::{CONFIDENCE, Event};

    #[test]
    fn calls_are_told_apart() {
        use ToolErrorClass::{Denied, Infrastructure, Malformed, Tool};
        let with = |tool: &str, error| {
            let mut call = call(error);
            call.tool = tool.into();
            call
        };
        let mut played = episode("a", Outcome::PolicyFailed);
        // Two failures of `get`, then a success of it; a refusal of `pay` that nothing makes good; a broken server; a call
        // that cannot be read, before a success.
        played.tool_calls = vec![
            with("get", Some(Tool)),
            with("get", Some(Tool)),
            with("", Some(Malformed)),
            with("get", None),
            with("pay", Some(Denied)),
            with("get", Some(Infrastructure)),
        ];
        played.timing.duration_us = 2_500_000;
        let measures = Measures::of([&played]);
        assert_eq!(measures.call_validity(), Some(5.0 / 6.0));
        assert_eq!(measures.executable_calls(), Some(3.0 / 5.0));
        assert_eq!(measures.loop_rate(), Some(1.0 / 6.0));
        assert_eq!(measures.recovery_rate(), Some(3.0 / 4.0));
        assert_eq!(measures.seconds(0.95), Some(2.5));
        let idle = Measures::of([&episode("b", Outcome::Ok)]);
        assert_eq!(
            (idle.executable_calls(), idle.loop_rate(), idle.recovery_rate()),
            (None, None, None)
        );
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let episodes: Vec<Episode> = (0..40)
            .map(|i| hone_trace::sample::episode(&hone_trace::Stream::new(4), &format!("eval/{i}/0"), 3))
            .collect();
        let reference = Reference::of(episodes.iter().find(|e| e.succeeded()).unwrap());
        let of = |episodes: &[Episode]| {
            let mut measures = Measures::default();
            episodes.iter().for_each(|e| measures.add_beside(e, reference.as_ref()));
            measures
        };
        let whole = crate::EvalSummary::new("r", "s", "m", &of(&episodes), 0.0);
        let mut parts = of(&episodes[..13]);
        parts.merge(of(&episodes[13..]));
        let parts = crate::EvalSummary::new("r", "s", "m", &parts, 0.0);
        assert_eq!(
            parts.metrics.keys().collect::<Vec<_>>(),
            whole.metrics.keys().collect::<Vec<_>>()
        );
        for (name, value) in &whole.metrics {
            assert!((value - parts.metrics[name]).abs() < 1e-9, "{name}");
        }
        assert_eq!(
            (parts.n, parts.success, parts.outcomes),
            (whole.n, whole.success, whole.outcomes)
        );
        let mut summaries = Measures::default();
        for e in &episodes {
            summaries.add_summary(&EpisodeSummary {
                id: e.id.clone(),
                phase: e.phase.clone(),
                taskset: e.taskset.clone(),
                task: e.task.clone(),
                task_kind: e.task_kind.clone(),
                policy: e.policy.clone(),
                end: e.end,
                outcome: e.outcome.clone(),
                reward: e.reward,
                model_calls: 0,
                tool_calls: 0,
                sampled_tokens: 0,
                duration_us: e.timing.duration_us,
            });
        }
        let few = crate::EvalSummary::new("r", "s", "m", &summaries, 0.0);
        assert_eq!(
            (few.n, few.success, few.ci95, few.pass_at),
            (whole.n, whole.success, whole.ci95, whole.pass_at)
        );
        assert!(
            few.metrics
                .iter()
                .all(|(name, value)| (whole.metrics[name] - value).abs() < 1e-9),
            "{:?}",
            few.metrics
        );
    }

    #[test]
    fn infra_failures_enter_no_number() {
        let mut lost = episode(
            "b",
            Outcome::InfraFailed {
                cause: "server gone".into(),
            },
        );
        lost.tool_calls.push(call(Some(ToolErrorClass::Malformed)));
        lost.turns.push(Turn::Agent { model_call: 0 });
        let good = episode("a", Outcome::Ok);
        let alone = Measures::of([&good]);
        let mut both = Measures::of([&lost, &good]);
        assert_eq!(
            both.outcomes,
            Outcomes {
                ok: 1,
                policy_failed: 0,
                infra_failed: 1
            }
        );
        both.outcomes.infra_failed = 0;
        assert_eq!(both.causes.remove("server gone"), Some(1));
        assert_eq!(alone, both);
        let none = Measures::of([&lost]);
        assert_eq!(
            (none.n(), none.success(), none.call_validity(), none.mean_turns()),
            (0, None, None, None)
        );
        assert!(none.ks().is_empty());
    }

    #[test]
    fn only_ill_formed_calls_are_invalid() {
        let mut e = episode("a", Outcome::PolicyFailed);
        e.tool_calls = vec![
            call(None),
            call(Some(ToolErrorClass::Malformed)),
            call(Some(ToolErrorClass::UnknownTool)),
            call(Some(ToolErrorClass::InvalidArguments)),
            call(Some(ToolErrorClass::Denied)),
            call(Some(ToolErrorClass::Tool)),
            call(Some(ToolErrorClass::Timeout)),
            call(Some(ToolErrorClass::Panic)),
        ];
        let m = Measures::of([&e]);
        assert_eq!(m.call_validity(), Some(5.0 / 8.0));
        assert_eq!(m.mean_tool_calls(), Some(8.0));
    }

    #[test]
    fn pass_is_averaged_over_tasks_not_tries() {
        // Task a: 4 tries, 2 successes. Task b: 2 tries, none (two more were lost to the infrastructure).
        let mut all = Vec::new();
        for ok in [true, true, false, false] {
            all.push(episode("a", if ok { Outcome::Ok } else { Outcome::PolicyFailed }));
        }
        for _ in 0..2 {
            all.push(episode("b", Outcome::PolicyFailed));
            all.push(episode("b", Outcome::InfraFailed { cause: "lost".into() }));
        }
        let m = Measures::of(&all);
        assert_eq!(m.pass_at(1), Some(0.25));
        assert!((m.pass_at(2).unwrap() - (5.0 / 6.0) / 2.0).abs() < 1e-12);
        assert!((m.pass_hat(2).unwrap() - (1.0 / 6.0) / 2.0).abs() < 1e-12);
        assert_eq!(m.pass_at(4), Some(1.0), "only task a has four tries");
        assert_eq!(m.pass_at(5), None);
        assert_eq!(m.ks(), [1, 2, 4]);
        assert_eq!(m.success().unwrap().value, 2.0 / 6.0);
    }

    #[test]
    fn repeated_tries_widen_the_interval() {
        // Ten tasks, eight tries each that always agree: as informative as ten tries, not eighty.
        let mut all = Vec::new();
        for task in 0..10 {
            for _ in 0..8 {
                let outcome = if task < 8 { Outcome::Ok } else { Outcome::PolicyFailed };
                all.push(episode(&task.to_string(), outcome));
            }
        }
        let rate = Measures::of(&all).success().unwrap();
        let ten = Rate::of(8, 10).unwrap();
        assert_eq!(rate.n, 80);
        assert!((rate.lo - ten.lo).abs() < 1e-12 && (rate.hi - ten.hi).abs() < 1e-12);
        // One try per task: plain Wilson.
        let single: Vec<_> = (0..10)
            .map(|t| episode(&t.to_string(), if t < 8 { Outcome::Ok } else { Outcome::PolicyFailed }))
            .collect();
        let plain = Measures::of(&single).success().unwrap();
        assert!((plain.lo - ten.lo).abs() < 1e-12 && (plain.hi - ten.hi).abs() < 1e-12);
    }

    #[test]
    fn end_names_are_those_of_the_trace() {
        use EndReason::*;
        for end in [
            Answered,
            Terminal,
            MaxTurns,
            MaxCalls,
            MaxErrors,
            MaxTokens,
            ContextOverflow,
            Deadline,
            Malformed,
            ToolFailure,
            ModelFailure,
            EnvironmentFailure,
            Cancelled,
        ] {
            assert_eq!(serde_json::to_value(end).unwrap(), end_name(end));
        }
    }

    #[test]
    fn confidence_is_measured_over_all_and_by_tool() {
        let said = |confidence: Option<f64>, outcome, tool: Option<&str>| {
            let mut played = episode("a", outcome);
            played.tool_calls.clear();
            played.tool_calls.extend(tool.map(|tool| {
                let mut call = call(None);
                call.tool = tool.into();
                call
            }));
            played.events.push(Event {
                kind: CONFIDENCE.into(),
                detail: serde_json::json!({"value": confidence}),
            });
            played
        };
        use Outcome::{Ok, PolicyFailed};
        let lost = Outcome::InfraFailed { cause: "x".into() };
        let episodes = [
            said(Some(0.9), Ok, Some("run")),
            said(Some(0.8), PolicyFailed, Some("search")),
            said(Some(0.6), Ok, Some("run")),
            said(Some(0.3), PolicyFailed, None),
            said(None, Ok, None),
            said(Some(0.1), lost, None),
            episode("a", Ok),
        ];
        let measures = Measures::of(&episodes);
        assert_eq!(measures.confidence_stated(), Some(4.0 / 5.0));
        let summary = crate::EvalSummary::new("r", "s", "m", &measures, 0.0);
        // The worked example of arXiv:2601.07264's file.
        for (name, value) in [
            ("brier", 0.225),
            ("ece", 0.4),
            ("auroc", 0.75),
            ("confidence_when_wrong", 0.55),
            ("confidence_when_wrong/search", 0.8),
            ("confidence_when_wrong/no_tools", 0.3),
            ("ece/run", 0.25),
        ] {
            assert!((summary.metrics[name] - value).abs() < 1e-12, "{name}");
        }
        assert!(!summary.metrics.contains_key("confidence_when_wrong/run"));
        for name in summary.metrics.keys() {
            assert!(crate::define(name).is_some(), "{name} is not in the dictionary");
        }
        assert_eq!(summary.calibration.unwrap().reliability.len(), 4);
        assert_eq!(Measures::of([&episode("a", Ok)]).confidence_stated(), None);
    }
}
