//! Training through the program: the nano base, the shop, demonstrations, cold start, reinforcement; stopped and resumed.

use crate::support::Place;
use hone_trace::{Filter, Store};
use std::path::Path;
use std::time::{Duration, Instant};

/// A whole run in miniature: every phase, seconds long.
fn recipe(place: &Place) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let text = format!(
        r#"kind = "agent"
name = "small"
about = "a run in miniature"
seed = 3
taskset = "shop"
base = "{}"

[demonstrations]
script = "over_eager"
episodes = 200

[sft]
steps = 12
batch_tokens = 1024
lr = {{ peak = 2e-3 }}

[rl]
method = "grpo"
steps = 4
tasks = 4
samples = 4
updates = 2
lr = {{ peak = 1e-4 }}
focus = 0.5
validate_every = 2
checkpoint_every = 2

[eval]
tasks = 10
validation_tasks = 5
baselines = ["do_nothing", "expert"]
sft_matched = true
"#,
        base.display()
    );
    std::fs::write(place.path("small.toml"), text).unwrap();
}

/// The recipe rewarded by one part of the scores.
fn reward(place: &Place, part: &str) {
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    let terms = format!("[rl.override]\nreward = {{ terms = [{{ part = \"{part}\", weight = 1.0 }}] }}\n\n[eval]");
    std::fs::write(place.path("small.toml"), text.replacen("[eval]", &terms, 1)).unwrap();
}

/// A number of a step of reinforcement, from metrics.csv.
fn metric(place: &Place, run: &str, step: u32, name: &str) -> f64 {
    let text = std::fs::read_to_string(place.path(run).join("metrics.csv")).unwrap();
    let start = format!("{step},rl,{name},");
    let value = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    value.parse().unwrap()
}

#[test]
fn a_run_gives_its_figures_its_report_and_the_same_record_on_any_number_of_threads() {
    let place = Place::new();
    recipe(&place);
    // So early nothing succeeds, but episodes differ in length.
    reward(&place, "shop.calls");
    let figures = place.ok("train small.toml --out two --threads 2 --json").json();
    for name in ["before", "sft", "rl", "sft_matched", "do_nothing", "expert"] {
        assert!(figures["success"][name].is_f64(), "{name} in {figures}");
    }
    assert_eq!(
        (&figures["success"]["expert"], &figures["n_heldout"]),
        (&1.0.into(), &10.into())
    );
    assert!(figures["sampled_tokens"].as_u64().unwrap() > 100);
    for file in [
        "report.html",
        "metrics.csv",
        "result.json",
        "model/config.json",
        "model/tokenizer.json",
    ] {
        assert!(place.path("two").join(file).is_file(), "{file} is missing");
    }
    place.ok("train small.toml --out one --threads 1");
    assert_eq!(place.digest("two"), place.digest("one"));
    // The trained model is a model like any other.
    let summary = place.ok("eval shop --model two/model --n 10 --out again --json").json();
    assert_eq!(summary["success"], figures["success"]["rl"]);
    // Every rollout of a step is accounted for: kept, or dropped with its reason.
    let mut moved = 0;
    for step in 0..4 {
        let explained = place.ok(&format!("train explain two --step {step} --json")).json();
        let stages = explained["stages"].as_array().unwrap();
        let stage = |name: &str| stages.iter().find(|s| s["stage"] == name).unwrap();
        assert_eq!(stage("select")["kept"], 16, "{explained}");
        let (kept, dropped) = (&stage("filter")["kept"], stage("filter")["dropped"].as_array().unwrap());
        assert_eq!(kept.as_u64().unwrap() + dropped.len() as u64, 16, "{explained}");
        let tokens = explained["tokens"].as_array().unwrap();
        assert_eq!(tokens.is_empty(), kept == 0, "{explained}");
        // The loss is that which was trained on, ratios of the second optimiser step included.
        let loss = metric(&place, "two", step, "loss");
        assert!(
            (explained["loss"].as_f64().unwrap() - loss).abs() < 1e-6,
            "{loss} {}",
            explained["loss"]
        );
        let ratios: Vec<f64> = tokens.iter().map(|token| token["ratio"].as_f64().unwrap()).collect();
        let error = ratios.iter().map(|r| (r - 1.0).abs()).sum::<f64>() / ratios.len().max(1) as f64;
        assert!(
            (error - metric(&place, "two", step, "ratio_error")).abs() < 1e-6,
            "{error}"
        );
        moved += ratios.iter().filter(|r| **r != 1.0).count();
    }
    assert!(moved > 0, "no second optimiser step was explained");
    place.fails("train explain two --step 4", 1, &["no rollouts of step 4"]);
}

/// The nano base as a published model: its tokenizer, and a chat template that only names the tools.
fn published(place: &Place) {
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let base = place.path("base");
    std::fs::create_dir(&base).unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(nano.join(file), base.join(file)).unwrap();
    }
    let config = std::fs::read_to_string(nano.join("config.json")).unwrap();
    let longer = config.replace("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 2048");
    assert_ne!(longer, config);
    std::fs::write(base.join("config.json"), longer).unwrap();
    let template = "{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}\
        {% if m.role == 'assistant' %}<|agent|>{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}\
        {% elif m.role == 'tool' %}<|tool|>{{ m.content }}{% else %}<|user|>{{ m.content }}{% endif %}<|end|>{% endfor %}\
        {% if add_generation_prompt %}<|agent|>{% endif %}";
    let text = serde_json::json!({"eos_token": "<|end|>", "chat_template": template});
    std::fs::write(base.join("tokenizer_config.json"), text.to_string()).unwrap();
}

#[test]
fn an_adapter_of_a_published_model_is_trained_alone_and_added_to_it() {
    let place = Place::new();
    published(&place);
    let chat = r#"{"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Good day."}]}"#;
    std::fs::write(place.path("chats.jsonl"), chat).unwrap();
    let text = r#"kind = "agent"
name = "adapter"
about = "an adapter in miniature"
seed = 3
taskset = "shop"
base = "base"
max_answer_tokens = 60
checkpoint_activations = true

[lora]
rank = 4
alpha = 8
targets = ["q_proj", "v_proj", "up_proj", "down_proj"]
dropout = 0.1

[demonstrations]
script = "over_eager"
episodes = 20
chats = "chats.jsonl"

[sft]
steps = 8
batch_tokens = 1024
lr = { peak = 3e-3 }

[rl]
method = "grpo"
steps = 1
tasks = 2
samples = 2
updates = 1
lr = { peak = 1e-4 }
checkpoint_every = 1

[rl.override]
reward = { terms = [{ part = "shop.calls", weight = 1.0 }] }

[eval]
tasks = 3
sampled = false
validation_tasks = 2
baselines = []
sft_matched = false
"#;
    std::fs::write(place.path("adapter.toml"), text).unwrap();
    place.ok("recipe check adapter.toml");
    let figures = place.ok("train adapter.toml --out two --threads 2 --json").json();
    for name in ["before", "sft", "rl"] {
        assert!(figures["success"][name].is_f64(), "{name} in {figures}");
    }
    let losses = std::fs::read_to_string(place.path("two/metrics.csv")).unwrap();
    let loss = |step: u32| -> f64 {
        let start = format!("{step},sft,loss,");
        let found = losses.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        found.parse().unwrap()
    };
    assert!(loss(7) < 0.9 * loss(0), "{} -> {}", loss(0), loss(7));
    for checkpoint in ["sft", "rl-00001"] {
        let dir = place.path("two/checkpoints").join(checkpoint);
        assert!(dir.join("adapter_model.safetensors").is_file() && dir.join("tokenizer.json").is_file());
        assert!(!dir.join("model.safetensors").exists());
    }
    place.ok("train adapter.toml --out one --threads 1");
    assert_eq!(place.digest("two"), place.digest("one"));
    // The adapter is in the model, which is a published one like its base.
    place.ok("eval shop --model two/model --n 2 --out again --json");
    let wrong = text.replace("rank = 4", "rank = 0");
    std::fs::write(place.path("wrong.toml"), wrong).unwrap();
    place.fails("recipe check wrong.toml", 1, &["wrong.toml:11: `lora.rank` is 0"]);
}

#[test]
fn a_run_may_be_held_near_the_model_that_it_starts_from() {
    let place = Place::new();
    recipe(&place);
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    let settings = "[rl.override]\nreward = { terms = [{ part = \"shop.calls\", weight = 1.0 }] }\nobjective = { kl = { estimator = \"k3\", beta = 0.2 } }\n\n[eval]";
    std::fs::write(place.path("small.toml"), text.replacen("[eval]", settings, 1)).unwrap();
    place.ok("train small.toml --out near --threads 2");
    // The first step starts at the reference; the last one does not.
    assert!(metric(&place, "near", 0, "kl_ref") < metric(&place, "near", 3, "kl_ref"));
    let explained = place.ok("train explain near --step 3 --json").json();
    let loss = metric(&place, "near", 3, "loss");
    assert!(
        (explained["loss"].as_f64().unwrap() - loss).abs() < 1e-6,
        "{loss} {}",
        explained["loss"]
    );
}

/// Parts of methods that look at the whole batch, keep rows for later steps, or add a channel; and the record explains each step.
#[test]
fn a_method_of_many_parts_trains_and_is_explained() {
    let place = Place::new();
    recipe(&place);
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    let settings = r#"[rl.override]
select = { drop_equal = false }
reward = { terms = [{ part = "shop.calls", weight = 1.0 }, { part = "kl_reward", weight = 1.0 }] }

[rl.override.parts]
kl_reward = { estimator = "k1", beta = 0.01 }
anchor = {}
entropy_advantage = {}
clip_cov = { low = 0.1 }
economy = { correct = "shop.calls" }
channel = { part = "economy", weight = 0.15 }
replay = { size = 2, trigger = 0.5, rise = 2 }

[eval]"#;
    std::fs::write(place.path("small.toml"), text.replacen("[eval]", settings, 1)).unwrap();
    place.ok("train small.toml --out many --threads 2");
    for step in 0..4 {
        let explained = place.ok(&format!("train explain many --step {step} --json")).json();
        let loss = metric(&place, "many", step, "loss");
        assert!(
            (explained["loss"].as_f64().unwrap() - loss).abs() < 1e-6,
            "{loss} {}",
            explained["loss"]
        );
    }
    // What is kept for later steps is part of the run's state.
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("many/state.json")).unwrap()).unwrap();
    assert!(
        state["memory"]["replay"]["groups"].as_array().unwrap().len() > 3,
        "{state}"
    );
    let recipe = text.replacen("[eval]", "[rl.override.parts.tree]\n\n[eval]", 1);
    std::fs::write(place.path("tree.toml"), recipe).unwrap();
    place.fails(
        "train tree.toml --dry-run",
        1,
        &["parts.tree", "forked rollouts", "hone train explain"],
    );
}

/// A model plus what training changed: here the base, plus the trained one, minus the base.
#[test]
fn what_training_changed_can_be_added_to_a_model() {
    let place = Place::new();
    let nano = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/nano")
        .canonicalize()
        .unwrap();
    let nano = nano.display();
    let out = place
        .ok(&format!(
            "train combine {nano} --add {nano} --less {nano} --scale 2 --out same --json"
        ))
        .json();
    assert_eq!(out["angle"]["cosine"], 0.0);
    let read = |path: &Path| std::fs::read(path.join("model.safetensors")).unwrap();
    assert_eq!(place.ok("eval shop --model same --n 1 --json").json()["n"], 1);
    place.fails(
        &format!("train combine {nano} --add {nano} --less {nano} --out same"),
        1,
        &["same exists"],
    );
    place.ok(&format!("train combine same --add {nano} --less same --out again"));
    assert_eq!(read(&place.path("same")), read(&place.path("again")));
}

/// Start `hone` and kill it as soon as `begun`.
fn killed(place: &Place, arguments: &str, begun: impl Fn() -> bool) {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("hone"))
        .args(arguments.split(' '))
        .current_dir(place.dir.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(300);
    while !begun() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        assert!(Instant::now() < patience, "it did not get so far");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_base_model_is_made_to_the_same_bits_when_its_making_is_killed() {
    let place = Place::new();
    let recipe = |name: &str| {
        let text = format!(
            r#"kind = "base"
name = "{name}"
about = "a base in miniature"
seed = 5
output = "{name}-model"
probes = 20

[model]
vocab_size = 1024
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
num_key_value_heads = 1
head_dim = 16
intermediate_size = 64
rope_theta = 1e6
rms_norm_eps = 1e-6
max_position_embeddings = 512

[corpus]
name = "primer"

[pretrain]
steps = 1200
batch_tokens = 512
lr = {{ peak = 3e-3 }}
"#
        );
        std::fs::write(place.path(&format!("{name}.toml")), text).unwrap();
    };
    recipe("whole");
    recipe("cut");
    let whole = place.ok("train whole.toml --out whole --json").json();
    let begun = place.path("cut/checkpoint/place.json");
    killed(&place, "train cut.toml --out cut", || begun.exists());
    let cut = place.ok("train --resume cut --json").json();
    assert_eq!(whole["sha256"], cut["sha256"]);
    let curve = std::fs::read_to_string(place.path("whole-model/loss.csv")).unwrap();
    assert_eq!(curve.lines().count(), 1 + 12, "{curve}");
    assert_eq!(
        std::fs::read_to_string(place.path("cut-model/loss.csv")).unwrap(),
        curve
    );
}

#[test]
fn a_killed_run_resumes_to_the_record_of_one_that_was_not() {
    let place = Place::new();
    recipe(&place);
    // Kill it in the middle of reinforcement: after the first checkpoint, with a step played beyond it.
    let path = place.path("killed/run.db");
    let begun = || {
        let played = |s: Store| s.episodes(&Filter::phase("rl/2")).is_ok_and(|e| !e.is_empty());
        Store::open_read_only(&path).is_ok_and(played)
    };
    killed(&place, "train small.toml --out killed", begun);
    place.ok("train --resume killed");
    place.ok("train small.toml --out whole");
    assert_eq!(place.digest("killed"), place.digest("whole"));
}

/// What `hone train` says in a room too small for it, put where `resume` finds it. `limit` is a command of bash.
#[cfg(unix)]
fn cramped(place: &Place, shell: &[&str], limit: &str) -> String {
    let script = format!(
        "mkdir disk && {limit} || exit 99; \"$0\" train small.toml --out disk/run; status=$?; \
         ulimit -f unlimited; cp -r disk/run kept; exit $status"
    );
    let output = std::process::Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &script])
        .arg(assert_cmd::cargo::cargo_bin!("hone"))
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{limit}: {said}");
    assert!(!said.contains("panicked"), "{limit}: {said}");
    assert!(said.contains("hone train --resume disk/run"), "{limit}: {said}");
    said
}

#[test]
#[cfg(unix)]
fn a_run_out_of_space_says_so_and_goes_on_when_there_is_some() {
    let place = Place::new();
    recipe(&place);
    place.ok("train small.toml --out whole");
    let whole = place.digest("whole");

    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano/model.safetensors");
    let weights = std::fs::metadata(nano).unwrap().len() >> 10;
    // The soft limit of a file's size needs no right. In a namespace of its own, anybody may mount a small disk.
    let bash = ["bash"].as_slice();
    let mut cases = vec![(
        bash,
        format!("trap '' XFSZ && ulimit -Sf {}", weights + 100),
        ["checkpoints/sft/optimizer.safetensors", "the disk is not full"],
    )];
    let namespace = ["unshare", "--map-root-user", "--mount", "bash"].as_slice();
    let disk = |kib: u64| format!("mount -t tmpfs -o size={kib}k none disk");
    let probe = std::process::Command::new(namespace[0])
        .args(&namespace[1..])
        .args(["-c", &format!("mkdir disk && {}", disk(4))])
        .current_dir(place.dir.path())
        .output();
    std::fs::remove_dir(place.path("disk")).ok();
    if probe.is_ok_and(|probe| probe.status.success()) {
        for (kib, words) in [
            (60, ["run.db", "Free some space"]),
            (400, ["run.db", "Free some space"]),
            // A checkpoint is three times the weights: room for the first and for one of reinforcement.
            (8 * weights, ["checkpoints/rl-", "the disk is not full"]),
        ] {
            cases.push((namespace, disk(kib), words));
        }
    } else {
        eprintln!("skipped: a full disk; `unshare` may not make a namespace with a mount here");
    }
    for (shell, limit, words) in cases {
        let said = cramped(&place, shell, &limit);
        for word in words {
            assert!(said.contains(word), "{limit}: no {word:?} in {said}");
        }
        place.ok("train --resume kept");
        assert_eq!(place.digest("kept"), whole, "{limit}");
        for dir in ["kept", "disk"] {
            std::fs::remove_dir_all(place.path(dir)).unwrap();
        }
    }
}

#[test]
fn a_learning_rate_that_breaks_the_model_is_said_and_can_be_lowered() {
    let place = Place::new();
    recipe(&place);
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    // One breaks the second step's loss, the other is found in what the last step left.
    for (name, steps, step) in [("wild", 12, 1), ("short", 1, 0)] {
        let wild =
            text.replacen("steps = 12", &format!("steps = {steps}"), 1)
                .replacen("peak = 2e-3", "peak = 1e30", 1);
        std::fs::write(place.path("wild.toml"), wild).unwrap();
        let step = format!("sft broke down at step {step} ");
        let remedy = format!("lower `sft.lr.peak` in {name}/recipe.toml");
        let resume = format!("hone train --resume {name}");
        let words = [&step, "not finite", &remedy, &resume, "what was done is kept"];
        place.fails(&format!("train wild.toml --out {name}"), 1, &words);
        // As it is, it ends the same way again.
        place.fails(&format!("train --resume {name}"), 1, &words);
    }
    let store = Store::open_read_only(place.path("wild/run.db")).unwrap();
    for (phase, episodes) in [("demonstrations", 200), ("eval/before", 20), ("eval/expert", 10)] {
        assert_eq!(
            store.episodes(&Filter::phase(phase)).unwrap().len(),
            episodes,
            "{phase}"
        );
    }
    let losses = store.metrics(Some("loss")).unwrap();
    assert!(losses.len() == 1 && losses[0].value.is_finite(), "{losses:?}");
    assert!(!place.path("wild/checkpoints").exists());
    drop(store);

    let recipe = place.path("wild/recipe.toml");
    let settled = std::fs::read_to_string(&recipe).unwrap();
    let peak = settled.lines().find(|line| line.starts_with("peak = 1")).unwrap();
    std::fs::write(&recipe, settled.replacen(peak, "peak = 2e-3", 1)).unwrap();
    place.ok("train --resume wild");
    place.ok("train small.toml --out whole");
    assert_eq!(place.digest("wild"), place.digest("whole"));
}

#[test]
fn a_base_model_that_gives_no_numbers_is_refused() {
    let place = Place::new();
    recipe(&place);
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    std::fs::create_dir(place.path("base")).unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(nano.join(file), place.path("base").join(file)).unwrap();
    }
    let weights = std::fs::read(nano.join("model.safetensors")).unwrap();
    // Numbers that are not finite are refused when they are read; those that are too large, when they are used.
    for (value, floats, words) in [
        (f32::NAN, 1, ["base/model.safetensors", "not finite", "make it again"]),
        (
            1e30,
            100_000,
            ["eval/before/greedy", "not finite", "another base model"],
        ),
    ] {
        let mut weights = weights.clone();
        for slot in weights.rchunks_exact_mut(4).take(floats) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        std::fs::write(place.path("base/model.safetensors"), weights).unwrap();
        let out = format!("run-{floats}");
        place.fails(&format!("train small.toml --base base --out {out}"), 1, &words);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_printed_is_an_error() {
    let place = Place::new();
    recipe(&place);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(assert_cmd::cargo::cargo_bin!("hone"))
        .args(["train", "small.toml", "--dry-run"])
        .current_dir(place.dir.path())
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output") && !said.contains("panicked"), "{said}");
}

#[test]
fn policies_are_evaluated_in_a_form_where_this_build_can_hold_them_to_one() {
    let place = Place::new();
    recipe(&place);
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    let eval = "[eval]\nsampled = false\nconstraint = ";
    std::fs::write(
        place.path("odd.toml"),
        text.replacen("[eval]", &format!("{eval}\"poetry\""), 1),
    )
    .unwrap();
    place.fails("recipe check odd.toml", 1, &["odd.toml:", "poetry", "calls"]);
    let text = text.replacen("[eval]", &format!("{eval}\"calls\""), 1);
    let text = text
        .replacen("steps = 4", "steps = 0", 1)
        .replacen("episodes = 200", "episodes = 50", 1);
    std::fs::write(
        place.path("held.toml"),
        text.replacen("sft_matched = true", "sft_matched = false", 1),
    )
    .unwrap();
    if !hone_engine::CONSTRAINS {
        place.fails(
            "train held.toml --out held",
            1,
            &["eval.constraint", "--features constrain"],
        );
        assert!(!place.path("held/checkpoints").exists());
        return;
    }
    let figures = place.ok("train held.toml --out held --json").json();
    assert!(figures["success_constrained"]["sft"].is_f64(), "{figures}");
    let episodes = place
        .ok("trace ls held --phase eval/sft/constrained --json")
        .json_lines();
    assert_eq!(episodes.len(), 10);
}

#[test]
fn a_recipe_is_checked_before_anything_runs() {
    let place = Place::new();
    recipe(&place);
    let text = std::fs::read_to_string(place.path("small.toml")).unwrap();
    for (from, to, words) in [
        (
            "samples = 4",
            "sampels = 4",
            vec!["bad.toml:21:", "unknown field `sampels`"],
        ),
        (
            "samples = 4",
            "samples = 1",
            vec!["bad.toml:21:", "rl.samples", "between 2"],
        ),
        ("\"shop\"", "\"shoop\"", vec!["shoop", "shop"]),
        ("\"over_eager\"", "\"over_eagre\"", vec!["over_eagre", "over_eager"]),
        ("models/nano", "models/gone", vec!["models/gone", "--base"]),
    ] {
        assert!(text.contains(from));
        std::fs::write(place.path("bad.toml"), text.replacen(from, to, 1)).unwrap();
        place.fails("train bad.toml --out bad", 1, &words);
        assert!(!place.path("bad").exists(), "{to}");
    }
    // What the taskset's scorer does not give is found before anything is learnt.
    reward(&place, "charm");
    place.fails("train small.toml --out charm", 1, &["charm"]);
    assert!(!place.path("charm/checkpoints").exists());
    recipe(&place);
    let plan = place.ok("train small.toml --dry-run");
    assert!(
        plan.stdout.contains("method = \"grpo\"") && plan.stderr.contains("64 rollouts"),
        "{}",
        plan.stderr
    );
    assert!(!place.path("runs").exists());
    place.fails("train nothing.toml", 1, &["nothing.toml"]);
    place.fails("train --resume nowhere", 1, &["nowhere"]);
    // Every method can be chosen, also those that allow one update a step where the recipe makes two.
    for (method, updates) in [("rloo", 1), ("reinforce", 1), ("dr_grpo", 2), ("prefix_tree", 2)] {
        let plan = place.ok(&format!("train small.toml --method {method} --dry-run --json"));
        assert_eq!(plan.json()["rl"]["updates"], updates, "{method}");
        assert_eq!(plan.stderr.contains("one update"), updates == 1, "{}", plan.stderr);
    }
    // Whoever has a way from scratch names a base model, too.
    let scratch = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/quickstart/scratch.toml");
    let both = format!("scratch = \"{}\"\n[demonstrations]", scratch.display());
    let text = text.replacen("[demonstrations]", &both, 1);
    std::fs::write(place.path("both.toml"), &text).unwrap();
    place.ok("recipe check both.toml");
    std::fs::write(place.path("both.toml"), text.replacen("models/nano", "models/gone", 1)).unwrap();
    // A model may come later than its recipe.
    let said = place.ok("recipe check both.toml");
    assert!(said.stderr.contains("models/gone yet"), "{}", said.stderr);
    place.fails("train both.toml", 1, &["no base model", "models/gone"]);
}
