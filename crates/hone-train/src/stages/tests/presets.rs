//! Every preset is sound, and those that ought to be the same are.

use serde_json::json;

use super::super::*;
use super::rollout;

/// A group that has everything that a preset may ask for; under the reference model every token is as likely as before.
fn group() -> Vec<Rollout> {
    let names = [
        "answer",
        "format",
        "format_relaxed",
        "format_strict",
        "state",
        "functions",
        "confidence",
    ];
    let mut out = vec![
        rollout("a", 0, 1.0, &[1, 2, 3, 4]),
        rollout("b", 0, 0.0, &[1, 2, 5]),
        rollout("c", 0, 0.0, &[1, 6]),
        rollout("d", 0, 0.5, &[1, 6, 6]),
        rollout("e", 0, 0.0, &[1, 7]),
    ];
    for (n, rollout) in out.iter_mut().enumerate() {
        let row = &mut rollout.rows[0];
        row.turns = (0..row.ids.len() as u32).map(|j| j / 3).collect();
        row.logp_ref = Some(row.logp_sampler.clone());
        rollout.parts = names.map(|name| (name.to_owned(), rollout.reward)).into();
        let tool = |ok| Call {
            tool: "lookup".into(),
            ok,
        };
        rollout.calls = (0..n).map(|m| tool(m > 0)).collect();
        rollout.dialogue_turns = Some(2);
        rollout.steps = (0..2)
            .map(|turn| AgentStep {
                turn,
                reward: 0.0,
                anchor: Some(turn.to_string()),
                valid: n != 1,
                checks: vec![Check {
                    name: format!("c{turn}"),
                    weight: 0.5,
                    ok: n % 2 == 0,
                    after: Vec::new(),
                }],
            })
            .collect();
    }
    out
}

fn resolve(name: &str, overrides: serde_json::Value) -> Method {
    Method::resolve(name, &overrides).unwrap()
}

#[test]
fn every_preset_is_valid_and_can_be_written_down() {
    for preset in presets() {
        let Preset {
            name,
            about,
            source,
            method,
        } = preset;
        assert_eq!(resolve(name, json!({})), *method, "{name}");
        assert!(!about.is_empty() && !source.is_empty(), "{name}");
        let written = serde_json::to_value(method).unwrap();
        assert_eq!(serde_json::from_value::<Method>(written).unwrap(), *method, "{name}");
    }
    let mut names: Vec<&str> = presets().iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), presets().len());
    assert_eq!(method("grpo"), Some(Method::default()));
    assert!(method("ppo").is_none());
}

/// At ratio 1, with nothing to observe a difference from, a preset's gradient is the advantage times its weight.
#[test]
fn at_ratio_one_every_preset_is_the_advantage_times_its_weight() {
    for Preset { name, method, .. } in presets().iter().filter(|it| it.name != "dpo") {
        let group = match method.parts.has("roc") {
            // As many as are kept.
            true => (0..16)
                .map(|n| Rollout {
                    id: n.to_string(),
                    ..group()[n % 5].clone()
                })
                .collect(),
            false => group(),
        };
        let prepared = method.prepare(group).unwrap();
        assert!(!prepared.rows.is_empty(), "{name}");
        let mut batch = BatchObjective::of(&prepared.channels, &method.parts, &prepared.rows, &[], 0).unwrap();
        let logp: Vec<Vec<f64>> = prepared
            .rows
            .iter()
            .map(|row| row.row.old().iter().map(|l| f64::from(*l)).collect())
            .collect();
        let entropy: Vec<Vec<f64>> = logp.iter().map(|row| vec![1.0; row.len()]).collect();
        if batch.needs_observation() {
            batch.observe(&logp, &entropy).unwrap();
        }
        for (i, row) in prepared.rows.iter().enumerate() {
            for (j, token) in batch.tokens(i, &logp[i], &entropy[i]).unwrap() {
                let want = -row.advantage[j] * batch.weight(i, j);
                assert!((token.dl - want).abs() < 1e-12, "{name}: {} is not {want}", token.dl);
            }
        }
    }
}

#[test]
fn presets_that_ought_to_be_the_same_are() {
    let off = json!({"parts": {"entropy_advantage": false}, "objective": {"clip": {"keep_high": 0}}});
    assert_eq!(
        resolve("aepo-paper", off.clone()),
        resolve("arpo-soft-paper", json!({}))
    );
    assert_eq!(resolve("aepo-code", off), resolve("arpo-soft-code", json!({})));
    let rows = |method: &Method, step| method.prepare_at(step, group()).unwrap().rows;
    // SPEAR once its reward for calls is gone, and before; nothing is replayed at first.
    let (spear, base) = (resolve("spear", json!({})), resolve("dr-bot", json!({})));
    assert_eq!(rows(&spear, 200), rows(&base, 200));
    assert_ne!(rows(&spear, 0), rows(&base, 0));
    assert_eq!(spear.objective, base.objective);
    // ARPO without branches and with neither of its tools; GRPO-RoC that draws what it keeps.
    let same = |name: &str, over, base: &str, and| {
        let (method, base) = (resolve(name, over), resolve(base, and));
        assert_eq!(
            (rows(&method, 0), &method.objective),
            (rows(&base, 0), &base.objective),
            "{name}"
        );
    };
    let all = json!({"select": {"drop_equal": false}, "objective": {"clip": {"dual": 3}}});
    same("arpo-soft-paper", json!({}), "grpo", all.clone());
    same("arpo-hard-paper", json!({}), "grpo", all);
    let keep = |n: u32| json!({"parts": {"roc": {"keep": n}}});
    let dual = json!({"objective": {"clip": {"dual": 3}}});
    same("grpo-roc-paper", keep(5), "grpo_clip_higher", dual.clone());
    same("grpo-roc-code", keep(5), "grpo_clip_higher", dual);
    // A channel that nobody qualifies for.
    let none = json!({"parts": {"channel": {"min": 9}}});
    same("hdpo", none, "grpo", json!({"select": {"drop_equal": false}}));
}

#[test]
fn sequence_ratios_have_the_slope_of_the_mean() {
    let gspo = resolve("gspo", json!({"objective": {"clip": {"low": 0.9, "high": 9}}}));
    let prepared = gspo.prepare(group()).unwrap();
    let batch = BatchObjective::of(&prepared.channels, &gspo.parts, &prepared.rows, &[], 0).unwrap();
    let now = [-0.9, -0.4, -0.7, -0.1];
    let loss = |now: &[f64]| batch.row(0, now, &[]).unwrap();
    let slopes = loss(&now).dlogp;
    for j in 1..4 {
        let moved = |by: f64| {
            let mut other = now;
            other[j] += by;
            loss(&other).loss
        };
        let want = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!(
            (f64::from(slopes[j]) - want).abs() < 1e-6,
            "{} is not {want}",
            slopes[j]
        );
    }
    // Log-ratios .1, -.2, .4 over three tokens: s = e^.1 is clipped for A > 0, although one token has a ratio of .82.
    let strict = resolve("gspo", json!({}));
    let prepared = strict.prepare(group()).unwrap();
    let batch = BatchObjective::of(&prepared.channels, &strict.parts, &prepared.rows, &[], 0).unwrap();
    let tokens = batch.tokens(0, &[0.0, -0.4, -0.7, -0.1], &[]).unwrap();
    assert!(tokens.iter().all(|(_, t)| (t.ratio - 1.105171).abs() < 5e-7));
    assert!(tokens.iter().all(|(_, t)| t.clipped));
}
