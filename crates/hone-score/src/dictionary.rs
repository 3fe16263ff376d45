//! What every number means: formula, unit, denominator, what happens when nothing supports it, and where it comes from.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither by itself.
    Neither,
}

/// A number's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// Name, as in results. Words in capitals stand for a name of the taskset's or scorer's.
    pub name: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// What it is over: the denominator.
    pub over: &'static str,
    /// When it is absent.
    pub absent: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Where the definition comes from.
    pub source: &'static str,
    /// The part that it is of.
    pub part: &'static str,
}

const EPISODES: &str = "episodes that count: all but those that the infrastructure failed";
const NO_EPISODE: &str = "no episode counts";
const CALLS: &str = "tool calls of the episodes that count";
const FAILED: &str = "episodes that failed by the policy's own fault";
const BESIDE: &str = "episodes that count, of tasks that the expert script solves";
const ANSWERS: &str = "answers with a confidence from 0 to 1";

macro_rules! metrics {
    ($([$part:literal] $($name:literal, $better:ident, $unit:literal, over $over:expr, absent $absent:expr, $source:literal, $formula:literal;)*)*) => {
        /// All of them.
        pub const DICTIONARY: &[Metric] = &[$($(Metric {
            name: $name,
            formula: $formula,
            unit: $unit,
            over: $over,
            absent: $absent,
            better: Better::$better,
            source: $source,
            part: $part,
        },)*)*];
    };
}

metrics! {
    ["hone eval"]
    "success", Higher, "share", over EPISODES, absent NO_EPISODE, "the taskset's scorer",
        "episodes that succeeded / episodes";
    "ci95", Neither, "share", over EPISODES, absent "never; [0, 1] if no episode counts", "Wilson 1927; Kish 1965",
        "Wilson's score interval of success; n divided by the design effect where tasks were tried more than once";
    "pass_at/K", Higher, "share", over "tasks with at least K tries that count", absent "no such task", "Chen et al. 2021, arXiv:2107.03374",
        "mean over tasks of 1 - C(n-c, K) / C(n, K), for c successes in n tries";
    "pass_hat/K", Higher, "share", over "tasks with at least K tries that count", absent "no such task", "Yao et al. 2024, arXiv:2406.12045",
        "mean over tasks of C(c, K) / C(n, K), for c successes in n tries";
    "success/KIND", Higher, "share", over "episodes that count of that kind of task", absent "no such episode", "the taskset",
        "episodes that succeeded / episodes";
    "end/REASON", Neither, "share", over EPISODES, absent "no episode ended so", "the trace",
        "episodes that ended for that reason / episodes";
    "call_validity", Higher, "share", over CALLS, absent "no call", "schema validity rate before any repair",
        "calls to a known tool whose arguments could be read and fit its schema / calls; one that cannot be read is one invalid call";
    "executable_calls", Higher, "share", over "tool calls but those whose tool timed out, crashed or was out of reach", absent "no call", "executable call rate",
        "calls that were well formed and not denied / calls; what the tool then said does not matter";
    "loop_rate", Lower, "share", over CALLS, absent "no call", "loop rate",
        "calls equal to the one directly before, letter by letter / calls";
    "recovery_rate", Higher, "share", over "calls that failed by the policy's own fault", absent "no such call", "error recovery",
        "failed calls after which the same tool succeeded in the same episode (any tool, if none was named) / failed calls";
    "turns", Neither, "turns", over EPISODES, absent NO_EPISODE, "the trace",
        "agent turns / episodes";
    "tool_calls", Neither, "calls", over EPISODES, absent NO_EPISODE, "the trace",
        "tool calls, failed and unreadable ones too / episodes";
    "sampled_tokens", Lower, "tokens", over EPISODES, absent NO_EPISODE, "the trace",
        "tokens that the policy sampled / episodes";
    "input_tokens", Lower, "tokens", over EPISODES, absent "no tokens are recorded", "the trace, or the endpoint's count",
        "tokens of all prompts, each in full / episodes";
    "output_tokens", Lower, "tokens", over EPISODES, absent "no tokens are recorded", "the trace, or the endpoint's count",
        "tokens of all answers / episodes";
    "cost_usd", Lower, "US dollars", over "all episodes, those that do not count and those played again too", absent "no price is recorded", "the trace",
        "sum of the prices of all model calls";
    "cost_per_success", Lower, "US dollars", over "episodes that succeeded", absent "no price is recorded, or no success", "cost per successful task",
        "all that was spent, on failed tries, retries and escalations too / successes";
    "seconds_p50", Lower, "seconds", over EPISODES, absent NO_EPISODE, "nearest rank",
        "wall clock of episode number ceil(0.50 n) in order of wall clock";
    "seconds_p95", Lower, "seconds", over EPISODES, absent NO_EPISODE, "nearest rank",
        "wall clock of episode number ceil(0.95 n) in order of wall clock";
    "call_seconds_p50", Lower, "seconds", over "calls of remote models, of the episodes that count", absent "no such call", "nearest rank",
        "wall clock of call number ceil(0.50 n) in order of wall clock: further attempts and pauses included, the wait for a place not";
    "call_seconds_p95", Lower, "seconds", over "calls of remote models, of the episodes that count", absent "no such call", "nearest rank",
        "wall clock of call number ceil(0.95 n) in order of wall clock: further attempts and pauses included, the wait for a place not";
    "reward", Higher, "reward", over "episodes that count and have a reward", absent "no such episode", "the recipe's or the taskset's reward",
        "sum of rewards / episodes";
    "score/SCORER/PART", Neither, "the scorer's", over "episodes that count and have the part", absent "no such episode", "the scorer",
        "sum of the part's values / episodes";
    "baselines/SCRIPT", Neither, "share", over "the same tasks, one try each", absent "the taskset has no such script, or --no-baselines", "the taskset's scorer",
        "episodes of the script that succeeded / episodes";

    ["hone eval, beside the expert's calls"]
    "trajectory/precision", Higher, "share", over BESIDE, absent "no such episode made a call", "multisets of tool names; mean over episodes",
        "calls made that were expected / calls made";
    "trajectory/recall", Higher, "share", over BESIDE, absent "no such episode expects a call", "multisets of tool names; mean over episodes",
        "expected calls that were made / calls expected";
    "trajectory/f1", Higher, "share", over BESIDE, absent "no call on either side", "multisets of tool names; mean over episodes",
        "2 common / (made + expected)";
    "trajectory/argument_accuracy", Higher, "share", over BESIDE, absent "no pair of calls with the same name", "maximum bipartite matching; mean over episodes",
        "pairs of a maximum matching by name and arguments / pairs by name";
    "trajectory/edit_similarity", Higher, "share", over BESIDE, absent "no call on either side", "Levenshtein 1966; mean over episodes",
        "1 - edit distance of the tool names / longer length";
    "trajectory/redundancy", Lower, "share", over BESIDE, absent "no such episode made a call", "calls beyond the reference's number; mean over episodes",
        "max(0, calls made - calls expected) / calls made";

    ["hone eval, why it failed"]
    "failure/invalid_call", Neither, "share", over FAILED, absent "none failed so", "RadAgentBench: malformed call",
        "1. the last call could not be read, names no tool or does not fit its schema, or a malformed turn ended the episode";
    "failure/limit", Neither, "share", over FAILED, absent "none failed so", "the trace",
        "2. turns, calls, tokens, context or time ran out";
    "failure/policy_violation", Neither, "share", over FAILED, absent "none failed so", "FAMA's DCV, arXiv:2604.25135; tau-bench: called wrong tool",
        "3. a call changed the state by a tool with which the expert's run makes no change that is left, and the final states differ";
    "failure/hallucination", Neither, "share", over FAILED, absent "none failed so", "FAMA's CM; tau-bench: used wrong tool argument",
        "4. a call differs from the expert's to the same tool in an argument that nothing shown before contains";
    "failure/wrong_retrieval", Neither, "share", over FAILED, absent "none failed so", "FAMA's IR; tau-bench: used wrong tool argument",
        "5. the same, and the argument stands in an earlier result of a tool only";
    "failure/misread", Neither, "share", over FAILED, absent "none failed so", "FAMA's CM; tau-bench: used wrong tool argument",
        "6. the same, and the argument stands in what user or system said, is a truth value or a structure, or is left out";
    "failure/incomplete", Neither, "share", over FAILED, absent "none failed so", "FAMA's IFU; tau-bench: goal partially completed",
        "7. a call of the expert's was not made, and none of the above";
    "failure/wrong_answer", Neither, "share", over FAILED, absent "none failed so", "tau-bench: output-graded failures",
        "8. all calls of the expert's were made, the states do not differ, and the last words do";
    "failure/other", Neither, "share", over FAILED, absent "none failed so", "what the rules leave",
        "9. no rule applies: no expert's run to compare with, or another order of the same calls";

    ["hone eval --confidence"]
    "confidence_stated", Higher, "share", over "agents that were asked how sure they are", absent "nobody was asked", "parse rate, arXiv:2601.07264",
        "answers with a confidence from 0 to 1 / agents asked; one whose episode was cut short counts as asked";
    "ece/TOOL", Lower, "share", over "answers with a confidence, of episodes that used the tool; of those that used none: ece/no_tools", absent "no such answer", "arXiv:2601.07264",
        "as ece";
    "confidence_when_wrong/TOOL", Lower, "share", over "wrong answers with a confidence, of episodes that used the tool; of those that used none: …/no_tools", absent "no such answer", "MCIP by kind of tool, arXiv:2601.07264",
        "mean confidence";
    "ece", Lower, "share", over ANSWERS, absent "no such answer", "Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599",
        "sum over ten bins of equal width of n_b / n |accuracy_b - confidence_b|; 1 falls into the last bin, empty bins add nothing";
    "adaptive_ece", Lower, "share", over ANSWERS, absent "no such answer", "Nguyen & O'Connor 2015",
        "the same over ten bins of equal size";
    "brier", Lower, "score", over ANSWERS, absent "no such answer", "Brier 1950",
        "mean of (confidence - correct)^2";
    "auroc", Higher, "share", over "pairs of a right and a wrong answer", absent "all are right or all are wrong", "Mann & Whitney 1947",
        "pairs in which the right answer has the higher confidence / pairs; ties count a half";
    "confidence_when_wrong", Lower, "share", over "wrong answers with a confidence", absent "no such answer", "MCIP of arXiv:2601.07264",
        "mean confidence";
    "confidence_when_right", Higher, "share", over "right answers with a confidence", absent "no such answer", "arXiv:2601.07264",
        "mean confidence";

    ["hone eval compare"]
    "difference", Neither, "share", over "tasks that both tried", absent "no such task", "paired by task",
        "mean over tasks of second's success rate - first's";
    "difference/ci95", Neither, "share", over "tasks that both tried", absent "no such task", "Efron 1979",
        "percentile interval of the difference, 4,000 resamples of tasks";
    "p_value", Neither, "probability", over "tasks on which they differ", absent "never; 1 if they differ nowhere", "McNemar 1947",
        "two-sided exact sign test; with one try a task, McNemar's exact test";

    ["library, trajectory"]
    "precision", Higher, "share", over "calls made", absent "none was made", "multisets of tool names",
        "calls made that were expected / calls made";
    "recall", Higher, "share", over "calls expected", absent "none was expected", "multisets of tool names",
        "expected calls that were made / calls expected";
    "f1", Higher, "share", over "calls on both sides", absent "no call on either side", "multisets of tool names",
        "2 common / (made + expected)";
    "positional", Higher, "share", over "the longer of both lists", absent "no call on either side", "positional match",
        "positions with the same tool / longer length";
    "edit_similarity", Higher, "share", over "the longer of both lists", absent "no call on either side", "Levenshtein 1966",
        "1 - edit distance of the tool names / longer length";
    "argument_accuracy", Higher, "share", over "pairs of a maximum matching by tool name", absent "no pair", "maximum bipartite matching",
        "pairs of a maximum matching by name and arguments / pairs by name";
    "redundancy_penalty", Lower, "score", over "calls made", absent "never", "RadAgentBench",
        "min(0.30, 0.05 (calls made - calls expected)), at least 0";

    ["library, estimates"]
    "clustered_error", Lower, "the value's", over "all values", absent "no value", "Liang & Zeger 1986; Miller 2024, arXiv:2411.00640",
        "sqrt(sum over tasks of (sum over tries of (x - mean))^2) / n";
}

/// The entry of a number as results name it: `success/refund` is `success/KIND`.
pub fn define(name: &str) -> Option<&'static Metric> {
    let fits = |metric: &&Metric| {
        let (mut ours, mut theirs) = (metric.name.split('/'), name.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                // Kinds of task and parts of scores may hold a slash: the last word in capitals takes the rest.
                (Some(word), Some(other)) if word.bytes().all(|b| b.is_ascii_uppercase()) && !other.is_empty() => {}
                (None, Some(_)) if metric.name.ends_with(|c: char| c.is_ascii_uppercase()) => return true,
                (Some(word), Some(other)) if word == other => {}
                _ => return false,
            }
        }
    };
    DICTIONARY
        .iter()
        .find(|m| m.name == name)
        .or_else(|| DICTIONARY.iter().find(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<&str> = DICTIONARY.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), DICTIONARY.len());
        for (name, found) in [
            ("success", "success"),
            ("success/refund/too_late", "success/KIND"),
            ("score/shop/state", "score/SCORER/PART"),
            ("pass_at/4", "pass_at/K"),
            ("end/answered", "end/REASON"),
            ("failure/misread", "failure/misread"),
            ("baselines/do_nothing", "baselines/SCRIPT"),
            ("difference/ci95", "difference/ci95"),
        ] {
            assert_eq!(define(name).map(|m| m.name), Some(found), "{name}");
        }
        for unknown in ["", "succes", "turns/x", "score", "score/shop", "success/"] {
            assert_eq!(define(unknown), None, "{unknown}");
        }
    }
}
