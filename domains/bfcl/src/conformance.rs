//! What the baselines must score on the published records.

use crate::{Accuracy, Answer, Category, DEFECTS, Harm, Names, Record, Settings, Suite, do_nothing, evaluate, gold};

/// A baseline over a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conformance {
    /// `bfcl/CATEGORY/BASELINE`.
    pub set: String,
    /// Records.
    pub records: usize,
    /// Those that pass.
    pub passed: usize,
    /// How many pass in the original.
    pub expected: usize,
}

/// Gold (where there is gold), nothing, and for the relevance categories any call, over each category of the suite, in
/// faithful mode.
pub fn conformance(suite: &Suite) -> impl Iterator<Item = Conformance> {
    suite.categories.iter().flat_map(|(category, records)| {
        let impossible = |record: &Record| DEFECTS.iter().any(|d| d.harm == Harm::Impossible && d.id == record.id);
        let line = |baseline: &str, expected: usize, answer: &dyn Fn(&Record) -> Answer| {
            let verdicts = records
                .iter()
                .map(|record| evaluate(record, &answer(record), Settings::default()));
            let verdicts: Vec<_> = verdicts.collect();
            let Accuracy { correct, .. } = verdicts.iter().collect();
            Conformance {
                set: format!("bfcl/{}/{baseline}", category.name()),
                records: records.len(),
                passed: correct,
                expected,
            }
        };
        let all = records.len();
        let possible = records.iter().filter(|record| !impossible(record)).count();
        let (nothing, call) = match category {
            Category::LiveRelevance => (0, Some(all)),
            category if category.relevance() => (all, Some(0)),
            _ => (0, None),
        };
        let idle = Some(line("do_nothing", nothing, &|_| do_nothing()));
        let gold = (!category.relevance()).then(|| line("gold", possible, &|record| gold(record, Names::Dotted)));
        let call = call.map(|expected| line("any_call", expected, &|_| Answer::Text("[f(x=1)]".into())));
        [gold, idle, call].into_iter().flatten()
    })
}
