//! Rollouts with and without tools that tell what the model knows by itself, and a teacher among its own answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stages::advantage::broadcast;
use crate::stages::error::check;
use crate::stages::{
    Aggregation, AggregationMode, Channel, Clip, Method, Need, Objective, Part, PartType, Rollout, RowStage,
    StageError, Surrogate, TrainRow, groups,
};

/// Which of the right rollouts with tools is the best one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// The one with the fewest calls (the paper's).
    FewestCalls,
    /// The one with the fewest tokens, prompt included (the released code's).
    FewestTokens,
}

/// Paired rollouts (AKBE, arXiv 2605.26952). Each group has rollouts with tools and ones of the prompt without tools (`variant`), which take no part
/// in the statistics. By which of them are right, the group gives a teacher:
///
/// | with tools | without | category | teacher |
/// | --- | --- | --- | --- |
/// | some right | none | capability | the best right one with tools |
/// | some right | some | efficiency | the shortest right one without |
/// | none | some | hallucination | the shortest right one without |
/// | none | none | unknown | none |
///
/// loss += `weight` mean over teachers of -(1/|y|) sum_t log pi(y_t): teachers are learnt under their own prompt. Of equal ones the first is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// Weight of the teachers' loss.
    pub weight: f64,
    /// The best right one with tools.
    pub best: Best,
    /// The variant that stands for the prompt without tools.
    #[serde(default = "variant")]
    pub variant: String,
    /// The part that says whether a rollout is right: greater than 0.
    #[serde(default = "correct")]
    pub correct: String,
}

fn variant() -> String {
    crate::rows::NO_TOOLS.into()
}

fn correct() -> String {
    "reward".into()
}

impl PartType for Paired {
    const NAME: &'static str = "paired";
    const ABOUT: &'static str = "Rollouts with and without tools, and a teacher among them (AKBE)";
}

impl Part for Paired {
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let ok = self.weight > 0.0 && self.weight.is_finite();
        check(ok, &format!("{at}.weight"), self.weight, "a number > 0")?;
        check(
            !self.variant.is_empty(),
            &format!("{at}.variant"),
            "empty",
            "the name of a variant",
        )?;
        let all = !method.select.drop_equal;
        check(
            all,
            "select.drop_equal",
            "true",
            "false with parts.paired: groups that are all right teach, too",
        )
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Variants]
    }

    fn aside(&self, rollout: &Rollout) -> Option<String> {
        let without = rollout.variant.as_deref() == Some(self.variant.as_str());
        without.then(|| {
            format!(
                "aside: a rollout of the variant {}, not one of the group's statistics",
                self.variant
            )
        })
    }

    fn rows(&self, stage: &mut RowStage<'_>) -> Result<Option<Value>, StageError> {
        let tokens = |it: &Rollout| it.rows.iter().map(|row| row.ids.len()).sum::<usize>();
        let right = |all: &[Rollout], members: Option<&Vec<usize>>| -> Result<Vec<usize>, StageError> {
            let mut out = Vec::new();
            for &i in members.into_iter().flatten() {
                if all[i].part(&self.correct)? > 0.0 {
                    out.push(i);
                }
            }
            Ok(out)
        };
        let (with, without) = (groups(stage.rollouts), groups(stage.aside));
        let mut counts: BTreeMap<&str, u32> = ["capability", "efficiency", "hallucination", "unknown"]
            .map(|it| (it, 0))
            .into();
        let mut teachers: Vec<&Rollout> = Vec::new();
        let names: std::collections::BTreeSet<u64> = with.keys().chain(without.keys()).copied().collect();
        for group in names {
            let tools = right(stage.rollouts, with.get(&group))?;
            let alone = right(stage.aside, without.get(&group))?;
            let best = tools
                .iter()
                .map(|&i| &stage.rollouts[i])
                .min_by_key(|it| match self.best {
                    Best::FewestCalls => it.calls.len(),
                    Best::FewestTokens => tokens(it),
                });
            let shortest = alone.iter().map(|&i| &stage.aside[i]).min_by_key(|it| it.sampled());
            let (category, teacher) = match (best, shortest) {
                (Some(best), None) => ("capability", Some(best)),
                (Some(_), Some(shortest)) => ("efficiency", Some(shortest)),
                (None, Some(shortest)) => ("hallucination", Some(shortest)),
                (None, None) => ("unknown", None),
            };
            *counts.entry(category).or_default() += 1;
            teachers.extend(teacher);
        }
        let number = stage.channel(Channel {
            name: "teachers".into(),
            weight: self.weight,
            objective: Objective {
                surrogate: Surrogate::LogProb,
                clip: Clip::OFF,
                aggregation: Aggregation {
                    mode: AggregationMode::SeqMeanTokenMean,
                    ..Aggregation::default()
                },
                ..Objective::default()
            },
        });
        let internal = counts["efficiency"] + counts["hallucination"];
        let share = f64::from(internal) / teachers.len().max(1) as f64;
        let values = json!({ "categories": counts, "teachers": teachers.len(), "internalisation": share });
        for teacher in teachers {
            let rows = teacher.rows.iter().zip(0..).filter(|(row, _)| row.sampled() > 0);
            let rows: Vec<TrainRow> = rows
                .map(|(row, index)| TrainRow {
                    rollout: teacher.id.clone(),
                    group: teacher.group,
                    index,
                    row: row.clone(),
                    advantage: broadcast(row, 1.0),
                    channel: number,
                })
                .collect();
            stage.rows.extend(rows);
        }
        Ok(Some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{called, long, near};
    use super::*;
    use crate::stages::BatchObjective;

    fn one(id: &str, group: u64, reward: f64, tokens: usize, calls: usize, alone: bool) -> Rollout {
        Rollout {
            id: id.into(),
            group,
            reward,
            calls: called(calls, 0).calls,
            variant: alone.then(variant),
            ..long(tokens)
        }
    }

    fn teachers(best: &str, rollouts: Vec<Rollout>) -> (Vec<String>, Value) {
        let settings = json!({"parts": {"paired": {"weight": 0.05, "best": best}}, "select": {"drop_equal": false}});
        let prepared = Method::resolve("grpo", &settings).unwrap().prepare(rollouts).unwrap();
        let rows = prepared.rows.iter().filter(|row| row.channel == 1);
        let names = rows.map(|row| row.rollout.clone()).collect();
        (names, prepared.reports.last().unwrap().values.clone())
    }

    #[test]
    fn golden_categories() {
        let rollouts = || {
            vec![
                // Capability: A has 2 calls and 9 tokens, B 3 calls and 7.
                one("A", 0, 1.0, 9, 2, false),
                one("B", 0, 1.0, 7, 3, false),
                one("wrong", 0, 0.0, 1, 0, true),
                // Efficiency.
                one("tool", 1, 1.0, 5, 1, false),
                one("long", 1, 1.0, 4, 0, true),
                one("short", 1, 1.0, 3, 0, true),
                // Hallucination.
                one("misled", 2, 0.0, 5, 1, false),
                one("knew", 2, 1.0, 5, 0, true),
                // Unknown, without any of the variant.
                one("lost", 3, 0.0, 5, 1, false),
            ]
        };
        let (names, values) = teachers("fewest_calls", rollouts());
        assert_eq!(names, ["A", "short", "knew"]);
        assert_eq!(
            values["categories"],
            json!({"capability": 1, "efficiency": 1, "hallucination": 1, "unknown": 1})
        );
        near(values["internalisation"].as_f64().unwrap(), 2.0 / 3.0, 1e-12);
        assert_eq!(teachers("fewest_tokens", rollouts()).0[0], "B");
    }

    #[test]
    fn the_teachers_loss_is_their_mean_negative_log_likelihood() {
        let settings =
            json!({"parts": {"paired": {"weight": 0.05, "best": "fewest_calls"}}, "select": {"drop_equal": false}});
        let method = Method::resolve("grpo", &settings).unwrap();
        let mut teacher = one("t", 0, 1.0, 3, 0, true);
        teacher.rows[0].mask = vec![false, true, false, true];
        let prepared = method.prepare(vec![one("x", 0, 0.0, 2, 0, false), teacher]).unwrap();
        let batch = BatchObjective::of(&prepared.channels, &method.parts, &prepared.rows, &[], 0).unwrap();
        let loss = batch.row(1, &[0.0, -1.0, -2.0, -3.0], &[]).unwrap();
        near(loss.loss, 0.05 * 2.0, 1e-12);
        near(f64::from(loss.dlogp[1]), -0.025, 1e-8);
    }
}
