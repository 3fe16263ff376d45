//! The leaderboard's scores.

use crate::{Category, Verdict};
use std::collections::BTreeMap;

/// Right answers of a category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Answers that pass.
    pub correct: usize,
    /// Answers that count.
    pub total: usize,
}

impl Accuracy {
    /// Count a verdict, if it counts.
    pub fn add(&mut self, verdict: &Verdict) {
        self.correct += usize::from(verdict.counts && verdict.valid);
        self.total += usize::from(verdict.counts);
    }

    /// Share of right answers; 0 if there are none.
    pub fn value(self) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            self.correct as f64 / self.total as f64
        }
    }
}

impl<'a> FromIterator<&'a Verdict> for Accuracy {
    fn from_iter<I: IntoIterator<Item = &'a Verdict>>(verdicts: I) -> Self {
        let mut accuracy = Self::default();
        verdicts.into_iter().for_each(|verdict| accuracy.add(verdict));
        accuracy
    }
}

/// A group of categories in the overall score.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// `non_live`, `live`, `irrelevance`, `multi_turn`, `agentic`.
    pub name: &'static str,
    /// Its weight in the overall score, in percent.
    pub weight: u32,
    /// Its score, from 0 to 1, with 0 for each part that was not run.
    pub score: f64,
    /// Its categories that were not run.
    pub missing: Vec<Category>,
}

/// The leaderboard's overall score and what it is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Overall {
    /// From 0 to 1: 10 % non-live, 10 % live, 10 % irrelevance, 30 % multi-turn, 40 % agentic.
    pub score: f64,
    /// The groups, in that order.
    pub groups: Vec<Group>,
    /// Accuracy on live relevance, which is shown and not scored.
    pub live_relevance: Option<f64>,
}

impl Overall {
    /// Categories that count 0 because they were not run.
    pub fn missing(&self) -> impl Iterator<Item = Category> {
        self.groups.iter().flat_map(|group| group.missing.iter().copied())
    }
}

/// Aggregate accuracies as the leaderboard does: plain means everywhere, but for live, which weighs by number of records.
pub fn overall(accuracies: &BTreeMap<Category, Accuracy>) -> Overall {
    use Category::*;
    let of = |category: Category| accuracies.get(&category).map_or(0.0, |accuracy| accuracy.value());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all = |categories: &[Category]| mean(&categories.iter().map(|category| of(*category)).collect::<Vec<_>>());
    let simple = [SimplePython, SimpleJava, SimpleJavaScript];
    let several = [Multiple, Parallel, ParallelMultiple];
    let live = [LiveSimple, LiveMultiple, LiveParallel, LiveParallelMultiple];
    let irrelevance = [Irrelevance, LiveIrrelevance];
    let turns = [
        MultiTurnBase,
        MultiTurnMissFunc,
        MultiTurnMissParam,
        MultiTurnLongContext,
    ];
    let web = [WebSearchBase, WebSearchNoSnippet];
    let memory = [MemoryKv, MemoryVector, MemoryRecSum];

    let records = |category: &Category| accuracies.get(category).map_or(category.records(), |a| a.total) as f64;
    let weighted: f64 = live.iter().map(|category| of(*category) * records(category)).sum();
    let group = |name, weight, score, categories: &[&[Category]]| Group {
        name,
        weight,
        score,
        missing: categories
            .concat()
            .into_iter()
            .filter(|category| !accuracies.contains_key(category))
            .collect(),
    };
    let of_live = weighted / live.iter().map(records).sum::<f64>().max(1.0);
    let of_non_live = mean(&[all(&simple), of(several[0]), of(several[1]), of(several[2])]);
    let groups = vec![
        group("non_live", 10, of_non_live, &[&simple, &several]),
        group("live", 10, of_live, &[&live]),
        group("irrelevance", 10, all(&irrelevance), &[&irrelevance]),
        group("multi_turn", 30, all(&turns), &[&turns]),
        group("agentic", 40, mean(&[all(&web), all(&memory)]), &[&web, &memory]),
    ];
    Overall {
        score: groups
            .iter()
            .map(|group| group.score * f64::from(group.weight) / 100.0)
            .sum(),
        groups,
        live_relevance: accuracies.get(&LiveRelevance).map(|accuracy| accuracy.value()),
    }
}
