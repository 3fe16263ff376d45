//! Over random pipelines: nothing is lost without a reason, and what failed for other reasons than the policy's changes nothing.

use hone_trace::EndReason;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::rollout;

fn any_row() -> impl Strategy<Value = Row> {
    prop::collection::vec((0u32..3, any::<bool>(), -2.0f32..0.0), 0..5).prop_map(|tokens| Row {
        ids: tokens.iter().map(|t| t.0).collect(),
        mask: tokens.iter().map(|t| t.1).collect(),
        logp_sampler: vec![-1.0; tokens.len()],
        logp_old: Some(tokens.iter().map(|t| t.2).collect()),
        logp_ref: Some(vec![-1.5; tokens.len()]),
        turns: vec![0; tokens.len()],
    })
}

fn any_rollout() -> impl Strategy<Value = Rollout> {
    let validity = prop::sample::select(vec![Validity::Ok, Validity::PolicyFailed, Validity::InfraFailed]);
    let end = prop::sample::select(vec![EndReason::Answered, EndReason::MaxTokens]);
    let rows = prop::collection::vec(any_row(), 0..3);
    let said = (0u32..4, 0u32..3, any::<bool>(), 0u32..3);
    (0u64..4, 0u32..3, validity, end, rows, said).prop_map(
        |(group, reward, validity, end, rows, (calls, failed, alone, state))| {
            let reward = f64::from(reward) / 2.0;
            let names = [
                "answer",
                "format",
                "format_relaxed",
                "format_strict",
                "state",
                "functions",
                "confidence",
            ];
            Rollout {
                validity,
                end,
                rows,
                parts: names.map(|name| (name.to_owned(), reward)).into(),
                variant: alone.then(|| "no_tools".into()),
                calls: (0..calls)
                    .map(|n| Call {
                        tool: "search".into(),
                        ok: n >= failed,
                    })
                    .collect(),
                steps: vec![AgentStep {
                    turn: 0,
                    reward,
                    anchor: Some(state.to_string()),
                    valid: state > 0,
                    checks: vec![Check {
                        name: "said".into(),
                        weight: 0.5,
                        ok: state > 1,
                        after: Vec::new(),
                    }],
                }],
                dialogue_turns: Some(2),
                ..rollout("", group, reward, &[])
            }
        },
    )
}

fn any_rollouts() -> impl Strategy<Value = Vec<Rollout>> {
    prop::collection::vec(any_rollout(), 0..20).prop_map(|mut rollouts| {
        for (i, rollout) in rollouts.iter_mut().enumerate() {
            rollout.id = format!("r{i}");
        }
        rollouts
    })
}

/// Parts that can be added to every preset.
fn any_parts() -> impl Strategy<Value = Value> {
    let all = vec![
        ("std_top", json!({"share": 0.6})),
        ("mask", json!({"max_tokens": 4})),
        ("roc", json!({"keep": 2, "select": "weighted"})),
        ("balanced", json!({"right": 1, "wrong": 1, "budget": 4})),
        ("anchor", json!({})),
        ("cut", json!({"multiple": 2})),
        ("importance", json!({"veto": 0.2})),
        ("m2po", json!({})),
    ];
    prop::sample::subsequence(all, 0..4).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(name, settings)| (name.to_owned(), settings))
            .collect()
    })
}

proptest! {
    #[test]
    fn everything_is_kept_or_dropped_with_a_reason(
        rollouts in any_rollouts(),
        preset in 0..presets().len(),
        mut parts in any_parts(),
        min_group in 0u32..4,
        step in 0u64..300,
    ) {
        let Preset { name, method, .. } = &presets()[preset];
        if method.advantage.credit == Credit::PrefixTree {
            parts["anchor"] = json!(false);
        }
        if method.parts.has("batch_norm") {
            parts["anchor"] = json!(false);
        }
        if method.objective.surrogate != Surrogate::ClippedRatio {
            parts["m2po"] = json!(false);
        }
        let settings = json!({ "select": { "min_group": min_group, "mask_out": ["max_tokens"] }, "parts": parts });
        let method = Method::resolve(name, &settings).unwrap();
        let prepared = method.prepare_at(step, rollouts.clone()).unwrap();
        let mut given = rollouts.len();
        let mut gone: Vec<&str> = Vec::new();
        let mut rows = None;
        for report in prepared.reports.iter().filter(|report| report.stage != "later") {
            prop_assert!(report.dropped.iter().all(|d| !d.reason.is_empty()));
            let added = report.values["added"].as_u64().unwrap_or(0) as usize;
            if report.stage != "rows" {
                gone.extend(report.dropped.iter().map(|d| d.id.as_str()));
            } else if rows.is_none() {
                let left = rollouts.iter().filter(|r| !gone.contains(&r.id.as_str()));
                given = left.map(|r| r.rows.len()).sum();
                rows = Some(());
            }
            prop_assert_eq!(report.kept + report.dropped.len(), given + added, "{} {:?}", &report.stage, &report.part);
            given = report.kept;
        }
        prop_assert_eq!(given, prepared.rows.len());
        for row in &prepared.rows {
            prop_assert!(row.row.sampled() > 0 && row.advantage.iter().all(|a| a.is_finite()));
            prop_assert!(row.advantage.iter().zip(&row.row.mask).all(|(a, m)| *m || *a == 0.0));
        }
        // What infrastructure broke leaves no trace but its own entries.
        let sound: Vec<Rollout> = rollouts.into_iter().filter(|r| r.validity != Validity::InfraFailed).collect();
        let again = method.prepare_at(step, sound).unwrap();
        prop_assert_eq!(&again.rows, &prepared.rows);
        // The loss is finite, and the main channel's weights are those of a mean.
        let mut batch = BatchObjective::of(&prepared.channels, &method.parts, &prepared.rows, &[], step).unwrap();
        let logp: Vec<Vec<f64>> = prepared.rows.iter().map(|row| vec![-1.2; row.row.ids.len()]).collect();
        if batch.needs_observation() {
            batch.observe(&logp, &logp).unwrap();
        }
        let mut weights = 0.0;
        for (i, row) in prepared.rows.iter().enumerate() {
            prop_assert!(batch.row(i, &logp[i], &logp[i]).unwrap().loss.is_finite());
            if row.channel == 0 {
                weights += (0..row.row.ids.len()).map(|j| batch.weight(i, j)).sum::<f64>();
            }
        }
        if method.objective.aggregation.mode == AggregationMode::TokenMean && prepared.rows.iter().any(|row| row.channel == 0) {
            prop_assert!((weights - 1.0).abs() < 1e-12);
        }
    }
}
