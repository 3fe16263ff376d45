//! Presets, rewards, drops, settings, `explain`; nothing is lost on the way.

use std::collections::BTreeMap;

use hone_trace::EndReason;
use serde_json::json;

use super::super::*;
use super::rollout;

#[test]
fn at_ratio_one_every_preset_is_the_advantage_times_its_mean() {
    let group = || {
        vec![
            rollout("a", 0, 1.0, &[1, 2, 3, 4]),
            rollout("b", 0, 0.0, &[1, 2, 5]),
            rollout("c", 0, 0.0, &[1, 6]),
            rollout("d", 0, 0.5, &[1, 6, 6]),
        ]
    };
    for name in [
        "grpo",
        "dr_grpo",
        "grpo_clip_higher",
        "reinforce",
        "rloo",
        "prefix_tree",
    ] {
        let preset = method(name).unwrap();
        assert_eq!(Method::resolve(name, &json!({})).unwrap(), preset);
        let prepared = preset.prepare(group()).unwrap();
        let batch = BatchObjective::new(&preset.objective, &prepared.rows, &[]).unwrap();
        for (i, row) in prepared.rows.iter().enumerate() {
            let loss = batch.row(i, row.row.old(), &[]).unwrap();
            let tokens: usize = prepared.rows.iter().map(|r| r.row.sampled()).sum();
            let weight = match preset.objective.aggregation.mode {
                AggregationMode::TokenMean => 1.0 / tokens as f64,
                AggregationMode::SeqMeanTokenSum => 0.25,
                AggregationMode::SeqMeanTokenMean => 0.25 / row.row.sampled() as f64,
                _ => 1.0 / 1024.0,
            };
            for (j, &d) in loss.dlogp.iter().enumerate() {
                let want = if row.row.mask[j] {
                    -row.advantage[j] * weight
                } else {
                    0.0
                };
                assert!((f64::from(d) - want).abs() < 1e-7, "{name}");
            }
        }
        if name != "prefix_tree" {
            // The advantages of a group add up to 0.
            let sum: f64 = prepared.rows.iter().map(|row| row.advantage[1]).sum();
            assert!(sum.abs() < 1e-12, "{name}: {sum}");
        }
    }
    assert_eq!(method("grpo"), Some(Method::default()));
    assert!(method("ppo").is_none());
}

#[test]
fn prefix_tree_credits_the_fork_and_not_the_prompt() {
    let preset = method("prefix_tree").unwrap();
    let rollouts = vec![rollout("a", 0, 1.0, &[1, 2, 3]), rollout("b", 0, 0.0, &[1, 2, 4])];
    let prepared = preset.prepare(rollouts).unwrap();
    let unit = 0.5 / (0.5f64.sqrt() + 1e-6);
    assert_eq!(prepared.rows[0].advantage, [0.0, 0.0, unit]);
    assert_eq!(prepared.rows[1].advantage, [0.0, 0.0, -unit]);
    let halved = Method::resolve(
        "prefix_tree",
        &json!({ "advantage": { "negative_scale": 0.5, "scale": "none" } }),
    )
    .unwrap();
    let rollouts = vec![rollout("a", 0, 1.0, &[1, 2, 3]), rollout("b", 0, 0.0, &[1, 2, 4])];
    let prepared = halved.prepare(rollouts).unwrap();
    assert_eq!(
        (prepared.rows[0].advantage[2], prepared.rows[1].advantage[2]),
        (0.5, -0.25)
    );
}

#[test]
fn rewards_are_composed_from_parts() {
    let mut one = rollout("a", 0, 0.0, &[1, 2]);
    one.parts = BTreeMap::from([("state".into(), 1.0), ("said".into(), 0.5), ("fast".into(), 0.2)]);
    let mut two = one.clone();
    two.id = "b".into();
    two.parts.insert("state".into(), 0.0);
    let terms = json!([{ "part": "state", "weight": 2 }, { "part": "said", "weight": 0.5 }, { "part": "fast", "weight": 1.0, "gate": "state" }]);
    let method = Method::resolve("grpo", &json!({ "reward": { "terms": terms } })).unwrap();
    assert_eq!(method.reward.total(&one, 0).unwrap(), (2.45, vec![2.0, 0.25, 0.2]));
    assert_eq!(method.reward.total(&two, 0).unwrap(), (0.25, vec![0.0, 0.25, 0.0]));
    let prepared = method.prepare(vec![one, two.clone()]).unwrap();
    assert_eq!(prepared.reports[1].values["rewards"]["a"]["total"], 2.45);
    two.parts.remove("said");
    let error = method.prepare(vec![two]).unwrap_err().to_string();
    assert!(
        error.starts_with("rollout `b` has no reward part `said` (it has: fast, state)"),
        "{error}"
    );
}

#[test]
fn drops_have_reasons() {
    let settings = json!({ "select": { "min_group": 2, "mask_out": ["max_tokens"] } });
    let method = Method::resolve("grpo", &settings).unwrap();
    let mut rollouts = vec![
        rollout("a", 0, 1.0, &[1, 2]),
        rollout("b", 0, 0.0, &[1, 3]),
        rollout("long", 0, 0.0, &[1, 4]),
        rollout("broken", 0, 1.0, &[1, 4]),
        rollout("same1", 1, 1.0, &[1, 4]),
        rollout("same2", 1, 1.0, &[1, 4]),
        rollout("alone", 2, 1.0, &[1, 4]),
        rollout("silent", 0, 0.0, &[1]),
    ];
    rollouts[2].end = EndReason::MaxTokens;
    rollouts[3].validity = Validity::InfraFailed;
    rollouts[3].reward = f64::NAN;
    let prepared = method.prepare(rollouts).unwrap();
    let reasons: Vec<String> = prepared
        .reports
        .iter()
        .flat_map(|report| {
            report
                .dropped
                .iter()
                .map(move |d| format!("{}: {}: {}", report.stage, d.id, d.reason))
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "select: broken: infra_failed: not the policy's",
            "filter: same1: zero variance: every reward of group 1 is 1",
            "filter: same2: zero variance: every reward of group 1 is 1",
            "filter: alone: group 2 has 1 valid members, fewer than 2",
            "rows: long#0: masked out: the rollout ended by max_tokens",
            "rows: silent#0: no token that the policy sampled",
        ]
    );
    assert_eq!(prepared.rows.len(), 2);
    // The masked rollouts still count in the group's statistics: rewards 1, 0, 0, 0.
    assert!((prepared.rows[0].advantage[1] - 1.499997).abs() < 5e-7);
    assert!((prepared.zero_variance_share - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn settings_are_validated_by_name() {
    for (preset, overrides, message) in [
        ("ppo", json!({}), "there is no method `ppo`"),
        (
            "grpo",
            json!({ "objective": { "clip": { "lo": 0.1 } } }),
            "there is no setting `objective.clip.lo`. Allowed here: dual, high, keep_high, keep_low, low.",
        ),
        (
            "grpo",
            json!({ "objective": { "clip": { "low": 1.5 } } }),
            "`objective.clip.low` is 1.5. Allowed: a number in (0, 1].",
        ),
        (
            "grpo",
            json!({ "objective": { "clip": { "low": "x" } } }),
            "`objective.clip.low` cannot be \"x\"",
        ),
        (
            "grpo",
            json!({ "objective": { "clip": { "dual": 0.5 } } }),
            "objective.clip.dual",
        ),
        ("grpo", json!({ "objective": 3 }), "`objective` cannot be 3"),
        (
            "grpo",
            json!({ "objective": { "surrogate": "ppo" } }),
            "`clipped_ratio`",
        ),
        (
            "grpo",
            json!({ "objective": { "surrogate": "ratio" } }),
            "`objective.clip.low` is 0.2. Allowed: 0 unless",
        ),
        (
            "grpo",
            json!({ "objective": { "kl": { "estimator": "k3" } } }),
            "objective.kl.beta",
        ),
        (
            "grpo",
            json!({ "objective": { "kl": { "beta": 0.1 } } }),
            "objective.kl.beta",
        ),
        ("grpo", json!({ "objective": { "entropy": -1 } }), "objective.entropy"),
        (
            "dr_grpo",
            json!({ "objective": { "aggregation": { "pad": 0 } } }),
            "objective.aggregation.pad",
        ),
        (
            "grpo",
            json!({ "objective": { "aggregation": { "pad": 9 } } }),
            "objective.aggregation.pad",
        ),
        (
            "grpo",
            json!({ "advantage": { "negative_scale": -0.1 } }),
            "advantage.negative_scale",
        ),
        (
            "grpo",
            json!({ "select": { "min_group": -1 } }),
            "`select.min_group` cannot be -1",
        ),
        (
            "grpo",
            json!({ "select": { "mask_out": ["deadline", "deadline"] } }),
            "select.mask_out",
        ),
        (
            "grpo",
            json!({ "reward": { "terms": [{ "part": "a", "weight": 1, "gat": "b" }] } }),
            "unknown field `gat`",
        ),
        ("grpo", json!([]), "`method` cannot be []"),
    ] {
        let error = Method::resolve(preset, &overrides).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(message), "{overrides}: {error}");
    }
    assert!(serde_json::from_value::<Method>(json!({ "objetive": {} })).is_err());
}

#[test]
fn explain_gives_the_contract() {
    let rollouts = [
        rollout("a", 0, 1.0, &[1, 2]),
        rollout("b", 0, 0.0, &[1, 3]),
        rollout("c", 1, 0.0, &[1, 3]),
    ];
    let input = json!({
        "preset": "grpo",
        "method": { "advantage": { "scale": "none" } },
        "rollouts": rollouts,
        "now": { "a": [{ "logp": [0.0, -0.5 + 1.5f64.ln()] }] },
    });
    let out = explain(&input).unwrap();
    assert_eq!(out["preset"], "grpo");
    let stages: Vec<_> = out["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["select", "reward", "filter", "advantage", "rows", "objective"]);
    assert_eq!(out["stages"][2]["dropped"][0]["id"], "c");
    let token = &out["tokens"][0];
    assert_eq!(
        (
            &token["rollout"],
            &token["pos"],
            &token["advantage"],
            &token["clip"],
            &token["weight"],
            &token["grad"]
        ),
        (
            &json!("a"),
            &json!(1),
            &json!(0.5),
            &json!(true),
            &json!(0.5),
            &json!(0.0)
        )
    );
    assert!((token["ratio"].as_f64().unwrap() - 1.5).abs() < 1e-12);
    assert!((out["loss"].as_f64().unwrap() - (-0.6 + 0.5) / 2.0).abs() < 1e-12);
    let sum: f64 = out["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["loss"].as_f64().unwrap())
        .sum();
    assert_eq!(out["loss"].as_f64().unwrap(), sum);
    let keys: Vec<_> = token.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["advantage", "clip", "grad", "loss", "pos", "ratio", "rollout", "weight"]
    );
    assert!(
        explain(&json!({ "preset": "grpo" }))
            .unwrap_err()
            .to_string()
            .contains("missing field `rollouts`")
    );
    let stray = json!({ "preset": "grpo", "rollouts": [], "now": { "x": [] } });
    assert!(explain(&stray).unwrap_err().to_string().contains("rollout `x`"));
}

#[test]
fn bad_rollouts_are_named() {
    let twice = vec![rollout("a", 0, 1.0, &[1, 2]), rollout("a", 0, 0.0, &[1, 2])];
    assert_eq!(
        Method::default().prepare(twice),
        Err(StageError::DuplicateId { id: "a".into() })
    );
    let mut short = rollout("a", 0, 1.0, &[1, 2]);
    short.rows[0].mask.pop();
    assert!(matches!(
        Method::default().prepare(vec![short]),
        Err(StageError::Length { what: "mask", .. })
    ));
    let nan = vec![rollout("a", 0, f64::NAN, &[1, 2])];
    assert!(matches!(
        Method::default().prepare(nan),
        Err(StageError::NonFinite { what: "the reward", .. })
    ));
}
