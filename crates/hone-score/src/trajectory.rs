//! An agent's calls beside the calls that a reference expects: matchers and measures.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One call, expected or made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Tool.
    pub name: String,
    /// Arguments, an object.
    #[serde(default)]
    pub arguments: Value,
}

/// How the calls made must lie to the expected ones. The names say which side covers which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The same calls in the same order, no more and no fewer.
    #[default]
    Strict,
    /// The same calls in any order.
    Unordered,
    /// Every call made is an expected one; some may be missing (`made ⊆ expected`).
    MadeWithinExpected,
    /// Every expected call was made; there may be more (`expected ⊆ made`).
    MadeCoversExpected,
    /// Every expected call was made, in this order; others may lie between.
    InOrder,
}

/// When two calls to the same tool agree in their arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// Equal. Numbers by value: 1 equals 1.0. Objects without order.
    #[default]
    Exact,
    /// Whatever they are.
    Ignore,
    /// Each argument made is expected with that value; some may be missing.
    MadeWithinExpected,
    /// Each expected argument was made with that value; there may be more.
    MadeCoversExpected,
    /// Equal in these arguments; absent on both sides counts as equal.
    Fields(BTreeSet<String>),
}

/// A trajectory check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// Order and completeness.
    pub order: Order,
    /// Arguments.
    pub arguments: Arguments,
    /// Arguments of single tools, instead.
    pub tools: BTreeMap<String, Arguments>,
}

impl Matcher {
    /// Whether one call made is the expected one.
    pub fn same(&self, expected: &Call, made: &Call) -> bool {
        expected.name == made.name
            && match self.tools.get(&expected.name).unwrap_or(&self.arguments) {
                Arguments::Exact => equal(&expected.arguments, &made.arguments),
                Arguments::Ignore => true,
                Arguments::MadeWithinExpected => within(&made.arguments, &expected.arguments),
                Arguments::MadeCoversExpected => within(&expected.arguments, &made.arguments),
                Arguments::Fields(fields) => {
                    fields.iter().all(
                        |field| match (expected.arguments.get(field), made.arguments.get(field)) {
                            (Some(a), Some(b)) => equal(a, b),
                            (a, b) => a.is_none() && b.is_none(),
                        },
                    )
                }
            }
    }

    /// Whether the calls made are those expected.
    ///
    /// Where order does not count, calls are paired by a maximum matching, so that it does not matter which of several
    /// calls that would do is looked at first.
    pub fn accepts(&self, expected: &[Call], made: &[Call]) -> bool {
        let (e, m) = (expected.len(), made.len());
        match self.order {
            Order::Strict => e == m && expected.iter().zip(made).all(|(a, b)| self.same(a, b)),
            Order::InOrder => {
                let mut rest = made.iter();
                // Taking the first that does leaves the most for those that follow.
                expected.iter().all(|a| rest.any(|b| self.same(a, b)))
            }
            Order::Unordered => e == m && self.paired(expected, made) == e,
            Order::MadeCoversExpected => e <= m && self.paired(expected, made) == e,
            Order::MadeWithinExpected => m <= e && self.paired(expected, made) == m,
        }
    }

    /// Number of pairs in a maximum matching of expected calls with calls made, by augmenting paths.
    pub fn paired(&self, expected: &[Call], made: &[Call]) -> usize {
        let may: Vec<Vec<usize>> = expected
            .iter()
            .map(|a| (0..made.len()).filter(|&j| self.same(a, &made[j])).collect())
            .collect();
        largest_matching(&may, made.len()).into_iter().flatten().count()
    }
}

/// For each left node one of the right nodes that it `may` have, or none, no right node twice, as many as there can be.
/// Searches breadth first, so that long chains need no stack.
fn largest_matching(may: &[Vec<usize>], right: usize) -> Vec<Option<usize>> {
    let mut has: Vec<Option<usize>> = vec![None; may.len()];
    let mut owner: Vec<Option<usize>> = vec![None; right];
    for start in 0..may.len() {
        let mut finder: Vec<Option<usize>> = vec![None; right];
        let mut queue = VecDeque::from([start]);
        'search: while let Some(i) = queue.pop_front() {
            for &j in &may[i] {
                if finder[j].is_some() {
                    continue;
                }
                finder[j] = Some(i);
                if let Some(other) = owner[j] {
                    queue.push_back(other);
                    continue;
                }
                // The free one goes to its finder, the finder's own to the one who found that, and so on to the start.
                let mut free = Some(j);
                while let Some((j, i)) = free.and_then(|j| Some((j, finder[j]?))) {
                    free = has[i].replace(j);
                    owner[j] = Some(i);
                }
                break 'search;
            }
        }
    }
    has
}

/// JSON equality with numbers by value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64().is_some_and(|x| Some(x) == y.as_f64()),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| equal(a, b)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, a)| y.get(k).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// Whether each argument of `part` is in `whole` with an equal value. No arguments at all are an empty object.
fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Null, _) => true,
        (Value::Object(x), Value::Object(y)) => x.iter().all(|(k, a)| y.get(k).is_some_and(|b| equal(a, b))),
        (Value::Object(x), Value::Null) => x.is_empty(),
        _ => equal(part, whole),
    }
}

/// Calls made beside expected ones, in numbers. Names of tools only, but for `arguments`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trajectory {
    /// Share of the calls made that were expected (as multisets); `None` if none was made.
    pub precision: Option<f64>,
    /// Share of the expected calls that were made; `None` if none was expected.
    pub recall: Option<f64>,
    /// `2 · common / (made + expected)`: their harmonic mean; `None` if there is no call on either side.
    pub f1: Option<f64>,
    /// Positions with the same tool, over the longer length; `None` if there is no call.
    pub positional: Option<f64>,
    /// `1 − Levenshtein distance / longer length`; `None` if there is no call.
    pub edit_similarity: Option<f64>,
    /// Of the pairs of a maximum matching by name, the share that also agrees in all arguments; `None` without a pair.
    pub argument_accuracy: Option<f64>,
    /// `min(0.30, 0.05 · calls beyond the expected number)` (the rule of RadAgentBench).
    pub redundancy_penalty: f64,
    /// Share of the calls made that repeat the one directly before, name and arguments; `None` if none was made.
    pub loop_rate: Option<f64>,
}

impl Trajectory {
    /// Of these calls.
    pub fn of(expected: &[Call], made: &[Call]) -> Self {
        let (e, m) = (expected.len(), made.len());
        let longer = e.max(m);
        let share = |part: f64, of: usize| (of > 0).then(|| part / of as f64);
        let by_name = Matcher {
            order: Order::Unordered,
            arguments: Arguments::Ignore,
            tools: BTreeMap::new(),
        };
        let common = by_name.paired(expected, made);
        let exact = Matcher::default().paired(expected, made);
        let position = expected.iter().zip(made).filter(|(a, b)| a.name == b.name).count();
        let exact_matcher = Matcher::default();
        let loops = made.windows(2).filter(|w| exact_matcher.same(&w[0], &w[1])).count();
        Self {
            precision: share(common as f64, m),
            recall: share(common as f64, e),
            f1: share(2.0 * common as f64, e + m),
            positional: share(position as f64, longer),
            edit_similarity: share(longer as f64 - levenshtein(expected, made) as f64, longer),
            argument_accuracy: share(exact as f64, common),
            redundancy_penalty: (0.05 * m.saturating_sub(e) as f64).min(0.30),
            loop_rate: share(loops as f64, m),
        }
    }
}

fn levenshtein(a: &[Call], b: &[Call]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x.name != y.name);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn call(name: &str, arguments: Value) -> Call {
        Call {
            name: name.into(),
            arguments,
        }
    }

    fn named(names: &str) -> Vec<Call> {
        names.chars().map(|c| call(&c.to_string(), json!({}))).collect()
    }

    fn order(order: Order) -> Matcher {
        Matcher {
            order,
            ..Matcher::default()
        }
    }

    #[test]
    fn orders() {
        use Order::{InOrder, MadeCoversExpected, MadeWithinExpected, Strict, Unordered};
        for (mode, expected, made, accepted) in [
            (Strict, "abc", "abc", true),
            (Strict, "abc", "acb", false),
            (Strict, "", "", true),
            (Unordered, "abc", "cab", true),
            (Unordered, "aab", "abb", false),
            (Unordered, "abc", "abcc", false),
            (MadeCoversExpected, "ab", "bxa", true),
            (MadeCoversExpected, "aa", "ab", false),
            (MadeCoversExpected, "", "x", true),
            (MadeWithinExpected, "abc", "ca", true),
            (MadeWithinExpected, "abc", "cc", false),
            (MadeWithinExpected, "abc", "", true),
            (InOrder, "abc", "xaybzc", true),
            (InOrder, "abc", "acb", false),
        ] {
            assert_eq!(
                order(mode).accepts(&named(expected), &named(made)),
                accepted,
                "{mode:?} {expected} {made}"
            );
        }
    }

    #[test]
    fn arguments() {
        let wanted = call("f", json!({ "a": 1, "b": [1, { "c": 2.0 }] }));
        let with = |arguments| Matcher {
            arguments,
            ..Matcher::default()
        };
        let made = |arguments| call("f", arguments);
        assert!(with(Arguments::Exact).same(&wanted, &made(json!({ "b": [1.0, { "c": 2 }], "a": 1.0 }))));
        assert!(!with(Arguments::Exact).same(&wanted, &made(json!({ "a": true, "b": [1, { "c": 2 }] }))));
        assert!(!with(Arguments::Exact).same(&wanted, &made(json!({ "a": 1 }))));
        assert!(with(Arguments::Ignore).same(&wanted, &made(json!(null))));
        assert!(with(Arguments::MadeWithinExpected).same(&wanted, &made(json!({ "a": 1 }))));
        assert!(!with(Arguments::MadeWithinExpected).same(&wanted, &made(json!({ "a": 1, "x": 1 }))));
        let more = json!({ "a": 1, "b": [1, { "c": 2 }], "x": 1 });
        assert!(with(Arguments::MadeCoversExpected).same(&wanted, &made(more.clone())));
        assert!(!with(Arguments::MadeCoversExpected).same(&wanted, &made(json!({ "a": 1 }))));
        assert!(with(Arguments::Fields(["a".into(), "none".into()].into())).same(&wanted, &made(json!({ "a": 1 }))));
        assert!(!with(Arguments::Fields(["b".into()].into())).same(&wanted, &made(json!({ "a": 1 }))));
        let mut own = with(Arguments::Exact);
        own.tools.insert("f".into(), Arguments::Ignore);
        assert!(own.same(&wanted, &made(more)));
        assert!(!own.same(&wanted, &call("g", json!({}))), "another tool");
    }

    #[test]
    fn repeated_names_are_paired_best() {
        // Expected: any `f`, and `f` with a = 1. A greedy pairing gives the one that fits both to the first.
        let expected = [call("f", json!({})), call("f", json!({ "a": 1 }))];
        let made = [call("f", json!({ "a": 1 })), call("f", json!({ "a": 2 }))];
        let matcher = Matcher {
            order: Order::Unordered,
            arguments: Arguments::MadeCoversExpected,
            tools: BTreeMap::new(),
        };
        assert!(matcher.accepts(&expected, &made));
        assert!(!matcher.accepts(&[call("f", json!({ "a": 1 })), call("f", json!({ "a": 1 }))], &made));
    }

    #[test]
    fn numbers_of_the_worked_example() {
        // Reference (a, b, c), run (a, c, b): one position of three, all names, distance 2.
        let t = Trajectory::of(&named("abc"), &named("acb"));
        assert_eq!(t.positional, Some(1.0 / 3.0));
        assert_eq!((t.precision, t.recall, t.f1), (Some(1.0), Some(1.0), Some(1.0)));
        assert!((t.edit_similarity.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(t.loop_rate, Some(0.0));
        assert_eq!(Trajectory::of(&[], &named("aaab")).loop_rate, Some(0.5));
        // 8 calls for a reference of 5; and far too many.
        assert!((Trajectory::of(&named("abcde"), &named("abcdefgh")).redundancy_penalty - 0.15).abs() < 1e-12);
        assert!((Trajectory::of(&[], &named("abcdefghij")).redundancy_penalty - 0.30).abs() < 1e-12);
        // Gold (o, c, w), run (o, x): precision 1/2, recall 1/3, F1 0.4.
        let t = Trajectory::of(&named("ocw"), &named("ox"));
        assert_eq!((t.precision, t.recall), (Some(0.5), Some(1.0 / 3.0)));
        assert!((t.f1.unwrap() - 0.4).abs() < 1e-12);
        let t = Trajectory::of(&[], &[]);
        assert_eq!(
            (t.precision, t.recall, t.f1, t.positional, t.edit_similarity),
            (None, None, None, None, None)
        );
        let expected = [call("f", json!({ "a": 1 })), call("f", json!({ "a": 2 }))];
        let made = [call("f", json!({ "a": 2 })), call("f", json!({ "a": 3 }))];
        assert_eq!(Trajectory::of(&expected, &made).argument_accuracy, Some(0.5));
    }

    #[test]
    fn a_chain_of_moves() {
        // Node i may have i and i + 1; the last only 0: every one must move.
        let n = 2_000;
        let may: Vec<Vec<usize>> = (0..n)
            .map(|i| if i + 1 < n { vec![i, i + 1] } else { vec![0] })
            .collect();
        let found = largest_matching(&may, n);
        assert!(found.iter().enumerate().all(|(i, j)| *j == Some((i + 1) % n)));
    }

    proptest! {
        /// The matching is a largest one: no choice of distinct partners, tried one by one, pairs more.
        #[test]
        fn matchings_are_largest(edges in prop::collection::vec(prop::collection::vec(prop::bool::ANY, 5), 1..6)) {
            fn best(i: usize, edges: &[Vec<bool>], used: u32) -> usize {
                if i == edges.len() {
                    return 0;
                }
                let skip = best(i + 1, edges, used);
                let take = (0..5).filter(|&j| edges[i][j] && used & (1 << j) == 0).map(|j| 1 + best(i + 1, edges, used | 1 << j));
                take.max().unwrap_or(0).max(skip)
            }
            let may: Vec<Vec<usize>> = edges.iter().map(|row| (0..5).filter(|&j| row[j]).collect()).collect();
            let found = largest_matching(&may, 5);
            prop_assert!(found.iter().enumerate().all(|(i, j)| j.is_none_or(|j| may[i].contains(&j))));
            let partners: Vec<usize> = found.into_iter().flatten().collect();
            prop_assert_eq!(partners.len(), best(0, &edges, 0));
            prop_assert_eq!(partners.iter().collect::<BTreeSet<_>>().len(), partners.len());
        }
    }
}
