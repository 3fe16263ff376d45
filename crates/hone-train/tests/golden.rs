//! The worked numbers of the GRPO family through `explain`, the function behind `hone train explain`.
//!
//! A = R wherever a rollout is alone in its group: baseline mean, no scale, singleton raw.

use std::f64::consts::FRAC_1_SQRT_2;

use hone_train::stages::explain;
use serde_json::{Value, json};

fn near(got: &Value, want: f64, tolerance: f64, what: &str) {
    let got = got.as_f64().unwrap_or_else(|| panic!("{what}: {got} is no number"));
    assert!((got - want).abs() <= tolerance, "{what}: {got} is not {want}");
}

/// A rollout of one row: a prompt token, then sampled ones of these old log-probabilities.
fn rollout(id: &str, group: u64, reward: f64, old: &[f64]) -> Value {
    let n = old.len() + 1;
    let mut logp = vec![0.0];
    logp.extend(old);
    let row = json!({"ids": (0..n).collect::<Vec<_>>(), "mask": (0..n).map(|j| j > 0).collect::<Vec<_>>(), "logp_sampler": logp});
    json!({"id": id, "group": group, "reward": reward, "rows": [row]})
}

fn run(preset: &str, method: Value, rollouts: Vec<Value>, rest: Value) -> Value {
    let mut input = json!({"preset": preset, "method": method, "rollouts": rollouts});
    input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    explain(&input).unwrap_or_else(|error| panic!("{preset}: {error}"))
}

/// The tokens of a rollout.
fn of<'a>(out: &'a Value, id: &str) -> Vec<&'a Value> {
    let tokens = out["tokens"].as_array().unwrap();
    tokens.iter().filter(|token| token["rollout"] == id).collect()
}

/// All groups stay, and A = R - mean.
fn plain() -> Value {
    json!({"select": {"drop_equal": false}, "advantage": {"scale": "none"}})
}

fn with(mut method: Value, key: &str, value: Value) -> Value {
    method[key] = value;
    method
}

#[test]
fn advantages() {
    let group = |rewards: &[f64]| -> Vec<Value> {
        let each = rewards.iter().enumerate();
        each.map(|(i, reward)| rollout(&i.to_string(), 0, *reward, &[-1.0]))
            .collect()
    };
    let all = json!({"drop_equal": false});
    for (scale, rewards, want) in [
        (
            "std_unbiased",
            &[1.0, 0.0, 0.0, 0.0][..],
            &[1.499997, -0.499999, -0.499999, -0.499999][..],
        ),
        ("none", &[1.0, 0.0, 0.0, 0.0], &[0.75, -0.25, -0.25, -0.25]),
        (
            "std_population",
            &[1.0, 0.0, 0.0, 0.0],
            &[1.73205, -0.57735, -0.57735, -0.57735],
        ),
        ("std_unbiased", &[0.7], &[0.6999993]),
        ("std_unbiased", &[1.0, 1.0, 1.0], &[0.0, 0.0, 0.0]),
        // Three of eight (MUA-RL).
        (
            "std_unbiased",
            &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            &[1.2076, 1.2076, 1.2076, -0.7246, -0.7246, -0.7246, -0.7246, -0.7246],
        ),
    ] {
        let method = json!({"advantage": {"scale": scale}, "select": all});
        let out = run("grpo", method, group(rewards), json!({}));
        for (i, want) in want.iter().enumerate() {
            near(&of(&out, &i.to_string())[0]["advantage"], *want, 5e-5, scale);
        }
    }
}

/// AgentFlow's example: rollout A is right in one turn, B wrong in three; every turn is a row of one token.
#[test]
fn flow_grpo_by_its_paper_and_its_code() {
    let row = || {
        let row = &rollout("", 0, 0.0, &[-1.0])["rows"][0];
        let mut row = row.clone();
        row["logp_ref"] = row["logp_sampler"].clone();
        row
    };
    let rollouts = || {
        vec![
            json!({"id": "A", "group": 0, "reward": 1, "rows": [row()]}),
            json!({"id": "B", "group": 0, "reward": 0, "rows": [row(), row(), row()]}),
        ]
    };
    let paper = run("flow-grpo-paper", json!({}), rollouts(), json!({}));
    near(&of(&paper, "A")[0]["advantage"], FRAC_1_SQRT_2, 1e-5, "paper");
    near(&of(&paper, "A")[0]["grad"], -0.35355, 1e-5, "paper");
    assert_eq!(of(&paper, "B").len(), 3);
    for token in of(&paper, "B") {
        near(&token["advantage"], -FRAC_1_SQRT_2, 1e-5, "paper");
        near(&token["grad"], 0.11785, 1e-5, "paper");
    }
    let code = run("flow-grpo-code", json!({}), rollouts(), json!({}));
    near(&of(&code, "A")[0]["advantage"], 1.5, 1e-5, "code");
    of(&code, "B")
        .iter()
        .for_each(|token| near(&token["advantage"], -0.5, 1e-5, "code"));
}

#[test]
fn clips() {
    let clip = |low, high, dual, keep_high, keep_low| json!({"low": low, "high": high, "dual": dual, "keep_high": keep_high, "keep_low": keep_low});
    for (what, clip, a, ratio, loss, grad) in [
        ("C1", clip(0.2, 0.2, 0, 0, 0.0), 1.0, 1.5f64, -1.2, 0.0),
        ("C2", clip(0.2, 0.28, 0, 0, 0.0), 1.0, 1.5, -1.28, 0.0),
        ("C4", clip(0.2, 0.28, 0, 1, 0.0), 1.0, 1.5, -1.28, -1.28),
        ("C1", clip(0.2, 0.2, 0, 0, 0.0), -1.0, 0.5, 0.8, 0.0),
        ("C1", clip(0.2, 0.2, 0, 0, 0.0), -1.0, 1.5, 1.5, 1.5),
        ("C3", clip(0.2, 0.2, 3, 0, 0.0), -1.0, 5.0, 3.0, 0.0),
        ("C3", clip(0.2, 0.2, 10, 0, 0.0), -1.0, 5.0, 5.0, 5.0),
        ("CE-GPPO", clip(0.2, 0.28, 0, 1, 0.25), -1.0, 0.5, 0.2, 0.2),
    ] {
        let method = with(plain(), "objective", json!({ "clip": clip }));
        let now = json!({"now": {"a": [{"logp": [0.0, ratio.ln() - 1.0]}]}});
        let out = run("grpo", method, vec![rollout("a", 0, a, &[-1.0])], now);
        let token = of(&out, "a")[0];
        near(&token["ratio"], ratio, 1e-9, what);
        near(&token["loss"], loss, 1e-9, what);
        near(&token["grad"], grad, 1e-9, what);
    }
}

/// Token losses [2, 2] and [0, 0, 0, 2], as turns that no other rollout has.
#[test]
fn aggregations() {
    let losses = |last: f64| {
        let mut a = rollout("a", 0, 0.0, &[-1.0, -1.0]);
        a["rows"][0]["turns"] = json!([0, 0, 0]);
        a["steps"] = json!([{"turn": 0, "reward": -2}]);
        let mut b = rollout("b", 0, 0.0, &[-1.0; 4]);
        b["rows"][0]["turns"] = if last == 2.0 {
            json!([1, 1, 1, 1, 2])
        } else {
            json!([1, 1, 1, 2, 2])
        };
        b["steps"] = json!([{"turn": 1, "reward": 0}, {"turn": 2, "reward": -last}]);
        vec![a, b]
    };
    let loss = |aggregation: Value, last, micro: Value| {
        let method = with(plain(), "parts", json!({"turn_credit": {}}));
        let method = with(method, "objective", json!({ "aggregation": aggregation }));
        run("grpo", method, losses(last), json!({ "micro": micro }))["loss"].clone()
    };
    for (what, aggregation, want) in [
        ("L1", json!({"mode": "token_mean"}), 1.0),
        ("L2", json!({"mode": "seq_mean_token_sum"}), 3.0),
        ("L3", json!({"mode": "seq_mean_token_mean"}), 1.25),
        ("L4", json!({"mode": "sum_over_pad", "pad": 8}), 0.75),
        ("L5", json!({"mode": "group_token_sum"}), 0.5),
    ] {
        near(&loss(aggregation, 2.0, json!({})), want, 1e-9, what);
    }
    // The second turn of the second rollout is [1, 1] here, whose mean is that of [0, 2].
    near(
        &loss(json!({"mode": "rollout_turn_mean"}), 1.0, json!({})),
        1.25,
        1e-9,
        "L6",
    );
    let split = json!({"a": 0, "b": 1});
    near(
        &loss(json!({"scope": "micro"}), 2.0, split.clone()),
        1.25,
        1e-9,
        "micro",
    );
    near(&loss(json!({"scope": "global"}), 2.0, split), 1.0, 1e-9, "global");
}

#[test]
fn distances_and_off_policy_weights() {
    for (estimator, plus, minus) in [
        ("k1", -0.5, 0.5),
        ("abs", 0.5, 0.5),
        ("k2", 0.125, 0.125),
        ("k3", 0.148721, 0.106531),
    ] {
        for (d, want) in [(0.5, plus), (-0.5, minus)] {
            let mut one = rollout("a", 0, 0.0, &[-1.0]);
            one["rows"][0]["logp_ref"] = json!([0.0, d - 1.0]);
            let method = with(plain(), "objective", json!({"kl": {"estimator": estimator, "beta": 1}}));
            let out = run("grpo", method, vec![one], json!({}));
            near(&of(&out, "a")[0]["loss"], want, 5e-7, estimator);
        }
    }
    // exp(.9) = 2.4596 is capped at 2.
    let mut one = rollout("a", 0, 1.0, &[-1.0]);
    one["rows"][0]["logp_old"] = json!([0.0, -0.1]);
    for (cap, want) in [(2.0, -2.0), (3.0, -2.459603)] {
        let method = with(plain(), "parts", json!({"importance": {"cap": cap}}));
        let out = run("grpo", method, vec![one.clone()], json!({}));
        near(&of(&out, "a")[0]["loss"], want, 1e-6, "W1");
    }
    let method = with(plain(), "objective", json!({"ratio": "sequence"}));
    let now = json!({"now": {"a": [{"logp": [0.0, -0.9, -1.2, -0.6]}]}});
    let out = run("grpo", method, vec![rollout("a", 0, 1.0, &[-1.0; 3])], now);
    of(&out, "a")
        .iter()
        .for_each(|token| near(&token["ratio"], 1.105171, 5e-7, "Q2"));
}

#[test]
fn resampled_groups() {
    for (wrong, right, want) in [
        (5, 27, (2, 14)),
        (31, 1, (15, 1)),
        (30, 2, (14, 2)),
        (29, 3, (14, 2)),
        (1, 31, (1, 15)),
    ] {
        let group = (0..32).map(|i| {
            let mut one = rollout(&i.to_string(), 0, f64::from(u8::from(i >= wrong)), &[-1.0]);
            // Later ones are cleaner.
            one["calls"] = (0..32).map(|n| json!({"tool": "python", "ok": n < i})).collect();
            one
        });
        let out = run("grpo-roc-code", json!({}), group.collect(), json!({}));
        let kept: Vec<i32> = out["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["rollout"].as_str().unwrap().parse().unwrap())
            .collect();
        let (bad, good): (Vec<i32>, Vec<i32>) = kept.iter().partition(|i| **i < wrong);
        assert_eq!((bad.len(), good.len()), want, "{wrong} {right}");
        // The first wrong ones and the cleanest right ones.
        assert_eq!(bad, (0..want.0 as i32).collect::<Vec<_>>());
        assert_eq!(good, (32 - want.1 as i32..32).collect::<Vec<_>>());
    }
}

#[test]
fn step_credit_and_schedules() {
    let step = |one: bool, two: bool| json!([{"turn": 0, "checks": [{"name": "one", "weight": 0.6, "ok": one}, {"name": "two", "weight": 0.4, "ok": two}]}]);
    let group = [("a", true, true), ("b", true, false), ("c", false, false)].map(|(id, one, two)| {
        let mut out = rollout(id, 0, 0.0, &[-1.0]);
        out["steps"] = step(one, two);
        out["rows"][0]["turns"] = json!([0, 0]);
        out
    });
    let out = run(
        "grpo",
        with(plain(), "parts", json!({"step_credit": {}})),
        group.into(),
        json!({}),
    );
    near(&of(&out, "a")[0]["advantage"], 0.466667, 5e-7, "G3");
    near(&of(&out, "c")[0]["advantage"], -0.533333, 5e-7, "G3");
    // SPEAR's reward of three calls fades: at step 75 of 200 it is .3 of .691342.
    let mut one = rollout("a", 0, 1.0, &[-1.0]);
    one["calls"] = json!(vec![json!({"tool": "python", "ok": true}); 3]);
    for (at, want) in [(0, 1.3), (75, 1.207403), (200, 1.0)] {
        let out = run("spear", json!({}), vec![one.clone()], json!({"step": at}));
        near(&out["stages"][1]["values"]["rewards"]["a"]["total"], want, 5e-7, "T2");
    }
}

#[test]
fn wrong_input_is_named() {
    for (input, message) in [
        (json!({"preset": "grpo"}), "missing field `rollouts`"),
        (
            json!({"preset": "grpo", "rollouts": [{"id": "a", "group": 0, "rows": [], "paren": 1}]}),
            "unknown field `paren`",
        ),
        (
            json!({"preset": "arpo-hard-paper", "rollouts": [{"id": "a", "group": 0, "rows": [], "parent": {"rollout": "a", "token": 3}}]}),
            "fewer tokens than it shares",
        ),
        (json!({"preset": "cm2-turn", "rollouts": []}), ""),
    ] {
        match explain(&input) {
            Ok(out) => assert!(message.is_empty() && out["loss"] == 0.0, "{out}"),
            Err(error) => assert!(error.to_string().contains(message) && !message.is_empty(), "{error}"),
        }
    }
}
