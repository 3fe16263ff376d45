//! What the program says to wrong input, and what it knows about itself.

use crate::support::Place;
use serde_json::json;

#[test]
fn wrong_usage_is_status_2_and_names_the_argument() {
    let place = Place::new();
    place.fails("eval shop --modell x", 2, &["--modell", "--model"]);
    place.fails("eval shop", 2, &["--model <MODEL>"]);
    place.fails("eval --resume x shop", 2, &["cannot be used with"]);
    place.fails("eval shop --model script:expert --n 0", 2, &["--n", "1..=1000000"]);
    place.fails(
        "eval shop --model script:expert --temperature -1",
        2,
        &["--temperature"],
    );
    place.fails("eval shop --model script:", 2, &["such as script:expert"]);
    place.fails(
        "eval shop --model script:expert --split tets",
        2,
        &["train, validation or test"],
    );
    place.fails("run shop --task 3 --model script:expert", 2, &["SPLIT/INDEX"]);
    place.fails("trace ls run --outcome good", 2, &["ok, policy_failed"]);
    place.fails("frobnicate", 2, &["frobnicate"]);
}

#[test]
fn what_does_not_exist_is_status_1_with_what_does() {
    let place = Place::new();
    place.fails(
        "eval shopp --model script:expert",
        1,
        &["no taskset `shopp`", "textcraft"],
    );
    place.fails("eval textcraft:2-9 --model script:expert", 1, &["textcraft:2-3"]);
    place.fails(
        "eval textcraft --model script:expert",
        1,
        &["recipes.json", "hone data get textcraft"],
    );
    place.fails(
        "eval shop --model script:nobody",
        1,
        &["no script `nobody`", "script:expert"],
    );
    place.fails(
        "eval shop --model nowhere",
        1,
        &["no model directory nowhere", "config.json"],
    );
    std::fs::create_dir(place.path("empty")).unwrap();
    place.fails(
        "run shop --task test/0 --model empty",
        1,
        &["config.json", "give a directory"],
    );
    place.fails("eval --resume nowhere", 1, &["does not exist"]);
    place.fails("trace ls nowhere", 1, &["does not exist", "run.db"]);
    place.fails("data get bfkl", 1, &["no suite `bfkl`", "bfcl"]);
    place.fails(
        "data get longvidsearch",
        1,
        &["https://github.com/yrywill/LongVidSearch", "longvidsearch"],
    );
    assert!(!place.path("runs").exists(), "nothing was begun");
}

#[test]
fn systems_are_json_lines_with_the_documented_keys() {
    let place = Place::new();
    let systems = place.ok("systems --json").json_lines();
    assert_eq!(systems.len(), 61);
    for system in &systems {
        let keys: Vec<&String> = system.as_object().unwrap().keys().collect();
        for key in ["id", "name", "state", "recipe", "command", "shows"] {
            assert!(keys.iter().any(|k| *k == key), "{system}");
        }
    }
    let some = place.ok("systems --json --state mechanism").json_lines();
    assert!(some.iter().any(|system| system["id"] == "astraflow"));
    assert!(place.ok("systems").stdout.contains("astraflow"));
}

#[test]
fn doctor_answers_for_everything() {
    let place = Place::new();
    let checks = place.ok("doctor --json").json()["checks"].take();
    let checks = checks.as_array().unwrap();
    for name in [
        "processor",
        "cores",
        "memory",
        "disk",
        "user namespaces",
        #[cfg(all(feature = "tools", target_os = "linux"))]
        "cgroup v2",
        "GPU",
        "nano base",
        "data textcraft",
    ] {
        let check = checks
            .iter()
            .find(|check| check["name"] == name)
            .unwrap_or_else(|| panic!("{name}"));
        let state = check["state"].as_str().unwrap();
        assert!(["ok", "limited", "missing"].contains(&state), "{check}");
        assert!(
            state == "ok" || !check["advice"].as_str().unwrap().is_empty(),
            "{check}"
        );
    }
    let textcraft = checks.iter().find(|check| check["name"] == "data textcraft").unwrap();
    assert_eq!(textcraft["state"], "missing");
    let bfcl = checks.iter().find(|check| check["name"] == "data bfcl").unwrap();
    let advice = bfcl["advice"].as_str().unwrap();
    assert!(advice.contains("hone data get bfcl"), "{advice}");
}

#[test]
fn every_help_teaches_with_examples() {
    let place = Place::new();
    let mut commands = vec![String::new()];
    let mut seen = 0;
    while let Some(command) = commands.pop() {
        let said = place.ok(&format!("{command}--help"));
        assert!(said.stdout.contains("Examples:\n  hone "), "{command}");
        let below = said.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = below
            .take_while(|line| line.starts_with("  "))
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next());
        commands.extend(
            names
                .filter(|name| *name != "help")
                .map(|name| format!("{command}{name} ")),
        );
        seen += 1;
    }
    assert!(seen > 25, "only {seen} commands were found");
}

/// Two rollouts of one group, by hand: advantages are plus and minus 1/√2, each token weighs a half, and at ratio 1 the
/// gradient of the loss is minus advantage times weight.
#[test]
fn explain_shows_what_a_method_makes_of_given_rollouts() {
    let place = Place::new();
    let rollout = |id: &str, reward: f64, token: u32| {
        let row = json!({"ids": [5, token], "mask": [false, true], "logp_sampler": [0.0, -0.5]});
        json!({"id": id, "group": 0, "reward": reward, "rows": [row]})
    };
    let input = json!({"preset": "grpo", "rollouts": [rollout("a", 1.0, 6), rollout("b", 0.0, 7)]});
    std::fs::write(place.path("two.json"), input.to_string()).unwrap();
    let out = place.ok("train explain two.json --json").json();
    let tokens = out["tokens"].as_array().unwrap();
    for (token, sign) in tokens.iter().zip([1.0, -1.0]) {
        let is = |key: &str, value: f64| assert!((token[key].as_f64().unwrap() - value).abs() < 1e-6, "{token}");
        is("advantage", sign * 0.5f64.sqrt());
        is("ratio", 1.0);
        is("weight", 0.5);
        is("grad", -sign * 0.5 * 0.5f64.sqrt());
    }
    assert_eq!(tokens.len(), 2);
    assert!(
        place
            .ok("train explain two.json")
            .stdout
            .contains("advantage  keeps     2")
    );

    // The method can be named, drawn, and be a recipe's.
    let rloo = place
        .ok("train explain --preset rloo --input two.json --svg two.svg --json")
        .json();
    assert_eq!(
        (&rloo["preset"], &rloo["tokens"][0]["advantage"]),
        (&json!("rloo"), &json!(1.0))
    );
    let svg = std::fs::read_to_string(place.path("two.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("rloo") && svg.contains("class=\"down\""),
        "{svg}"
    );
    let recipe = place.ok("recipe show quickstart").stdout;
    let parts = "[rl.override.parts.tool_count]\n[rl.override.reward]\nterms = [{ part = \"reward\", weight = 2 }, { part = \"tool_count\", weight = 1 }]\n\n[eval]";
    std::fs::write(place.path("mine.toml"), recipe.replacen("[eval]", parts, 1)).unwrap();
    let out = place.ok("train explain --recipe mine.toml two.json --json").json();
    assert_eq!(out["stages"][1]["values"]["rewards"]["a"]["total"], 2.0);

    std::fs::write(place.path("odd.json"), r#"{"preset": "grppo", "rollouts": []}"#).unwrap();
    place.fails("train explain odd.json", 1, &["odd.json", "grppo", "grpo"]);
    std::fs::write(place.path("cut.json"), "{\"preset\": ").unwrap();
    place.fails("train explain cut.json", 1, &["cut.json is not JSON"]);
    place.fails("train explain .", 1, &["recipe.toml", "directory of a run"]);
    place.fails("train explain", 2, &["<INPUT>"]);
    place.fails(
        "train explain two.json --preset rloo --recipe mine.toml",
        2,
        &["--recipe"],
    );
}

/// Each preset and part stands on the page on methods, and its input is one.
#[test]
fn the_page_on_methods_is_true() {
    let place = Place::new();
    let page = include_str!("../../../../docs/methods.md");
    let listed = place.ok("train methods --json").json_lines();
    assert!(listed.len() > 60);
    for line in &listed {
        let name = line["name"].as_str().unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
    let block = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(place.path("page.json"), block).unwrap();
    let out = place.ok("train explain page.json --json").json();
    assert!(out["loss"].is_number(), "{out}");
    for name in ["arpo-soft-paper", "spear", "akbe-code", "rlcr"] {
        let shown = place.ok(&format!("train methods {name}")).stdout;
        toml::from_str::<toml::Table>(&shown).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let shown = place.ok("train methods grpo-roc-code").stdout;
    assert!(shown.contains("[parts.roc]") && shown.contains("keep = 16"), "{shown}");
    place.fails("train methods grppo", 1, &["grppo", "grpo"]);
}
