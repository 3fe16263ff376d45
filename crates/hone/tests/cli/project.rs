//! One's own tasks: the example that `hone init` makes, and what is said of mistakes in it.

use crate::support::Place;
use serde_json::{Value, json};
use std::path::Path;

/// A place with the example in `my`.
fn example() -> Place {
    let place = Place::new();
    place.ok("init my");
    place
}

fn edit(place: &Place, file: &str, from: &str, to: &str) {
    let path = place.path(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn append(place: &Place, file: &str, text: &str) {
    let path = place.path(file);
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + text).unwrap();
}

#[test]
fn the_example_is_solved_by_its_gold_and_not_by_the_baselines() {
    let place = example();
    let gold = place.ok("eval my --model script:gold --json").json();
    assert_eq!((&gold["suite"], &gold["n"]), (&json!("helpdesk"), &json!(10)));
    assert_eq!(
        (&gold["success"], &gold["metrics"]["call_validity"]),
        (&json!(1.0), &json!(1.0)),
        "{gold}"
    );
    assert_eq!(gold["run"], "runs/eval-helpdesk-script-gold-001");
    let train = place.ok("eval my --model script:gold --split train --json").json();
    assert_eq!((&train["n"], &train["success"]), (&json!(2), &json!(1.0)));
    let idle = place.ok("eval my --model script:do_nothing --json").json();
    assert_eq!((&idle["n"], &idle["success"]), (&json!(10), &json!(0.0)), "{idle}");
    let random = place.ok("eval my --model script:random --samples 5 --json").json();
    assert!(random["success"].as_f64().unwrap() < 0.1, "{random}");
    assert_eq!(random["outcomes"]["infra_failed"], 0, "{random}");
    assert_eq!(random["metrics"]["call_validity"], 1.0, "{random}");
    // The same seed gives the same record, though tools are processes.
    place.ok("eval my --model script:random --samples 5 --out again --concurrency 3");
    assert_eq!(place.digest("again"), place.digest(random["run"].as_str().unwrap()));
    place.fails("init my", 1, &["hone.toml exists already"]);
}

#[test]
fn a_real_model_plays_it() {
    let place = example();
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano");
    let said = place.ok(&format!("eval my --model {} --n 4 --json", nano.display()));
    let summary = said.json();
    assert_eq!(
        (&summary["n"], &summary["outcomes"]["infra_failed"]),
        (&json!(4), &json!(0)),
        "{}",
        said.stderr
    );
    assert!(summary["metrics"]["sampled_tokens"].as_f64().unwrap() > 0.0);
}

#[test]
fn failures_say_what_was_expected_and_what_came() {
    let place = example();
    let said = place.ok("run my --task test/5 --model script:do_nothing --json");
    let score = said.json()["scores"][0].take();
    assert_eq!((&score["scorer"], &score["value"]), (&json!("helpdesk"), &json!(0.0)));
    let why = score["parts"][0]["why"].as_str().unwrap();
    assert!(
        why.contains(r#"at /records/tickets/T1/status: expected "closed", but there is "open""#),
        "{why}"
    );
    assert!(said.stderr.contains(why), "{}", said.stderr);
    // The command's own words.
    let report = place.ok("run my --task test/7 --model script:do_nothing --json").json();
    assert_eq!(
        report["scores"][0]["parts"][0]["why"],
        "0 of 3 lines are right, 0 should not be there"
    );
}

#[test]
fn mistakes_are_named_with_file_line_and_field() {
    for (file, from, to, words) in [
        (
            "hone.toml",
            "tasks = ",
            "taks = ",
            ["my/hone.toml:4: unknown field `taks`", "`tasks`"],
        ),
        (
            "hone.toml",
            "max_turns = 12",
            "max_turns = \"12\"",
            ["`max_turns`", "invalid type"],
        ),
        (
            "hone.toml",
            "\"desk.json\"",
            "\"dusk.json\"",
            ["my/dusk.json", "cannot be read"],
        ),
        (
            "hone.toml",
            "\"tools.py\"",
            "\"tolls.py\"",
            ["my/hone.toml:18: `tools.2.python`", "no file my/tolls.py"],
        ),
        (
            "hone.toml",
            "\"tools.py\"",
            "\"../tools.py\"",
            ["`tools.2.python`", "no path below"],
        ),
        (
            "hone.toml",
            "folder = \"files\"",
            "folder = \"flies\"",
            ["`tools.1.folder`", "no folder my/flies"],
        ),
        (
            "hone.toml",
            "\"tools.py\"",
            "\"tools.py\"\nonly = [\"send_mail\"]",
            ["no tool `send_mail`", "days_between, send_email"],
        ),
        (
            "hone.toml",
            "\"check.py\"",
            "\"chekc.py\"",
            ["`checkers.report.command`", "chekc.py"],
        ),
        (
            "hone.toml",
            "[\"python3\", \"check.py\"]",
            "[\"pithon\", \"check.py\"]",
            ["no program `pithon`", "install"],
        ),
        (
            "hone.toml",
            "kind = \"regex\"",
            "kind = \"judge\"",
            ["`checkers.pattern.rubric`", "missing"],
        ),
        (
            "tasks.jsonl",
            "{\"id\": \"open",
            "{\"id\": open",
            ["my/tasks.jsonl:2: it is not JSON", "column 8"],
        ),
        (
            "tasks.jsonl",
            "\"prompt\": \"How many",
            "\"promt\": \"How many",
            ["my/tasks.jsonl:2", "unknown field `promt`"],
        ),
        (
            "tasks.jsonl",
            "{\"answer\": 3}",
            "{\"anwser\": 3}",
            [
                "my/tasks.jsonl:2: field `expected.anwser`",
                "answer, form, pattern, report, state",
            ],
        ),
        (
            "tasks.jsonl",
            "(?i)",
            "(?i",
            ["my/tasks.jsonl:3: field `expected.pattern`", "no regular expression"],
        ),
        (
            "tasks.jsonl",
            "\"name\": \"set_record\"",
            "\"name\": \"put_record\"",
            ["my/tasks.jsonl:6: field `gold.calls[0]`", "no tool `put_record`"],
        ),
        (
            "tasks.jsonl",
            "\"id\": \"T1\", \"fields\"",
            "\"nr\": \"T1\", \"fields\"",
            [
                "my/tasks.jsonl:6: field `gold.calls[0]`",
                "set_record: `id` (string) is missing",
            ],
        ),
        (
            "tasks.jsonl",
            "{\"at\": \"/records/tickets/T1/status\"",
            "{\"of\": \"x\"",
            ["field `expected.state`", "unknown field `of`"],
        ),
        (
            "desk.json",
            "\"tickets\": {",
            "\"tickets\": [",
            ["my/desk.json:", "not JSON"],
        ),
        (
            "tools.py",
            "def send_email",
            "def days_of(x): return undefined\nimport nowhere\ndef send_email",
            ["`tools.2.python`", "No module named 'nowhere'"],
        ),
        (
            "check.py",
            "\"protocol\": 1",
            "\"protocol\": 9",
            ["`checkers.report.command`", "speaks protocol 9"],
        ),
    ] {
        let place = example();
        edit(&place, &format!("my/{file}"), from, to);
        place.fails("eval my --model script:gold", 1, &words);
        assert!(!place.path("runs").exists(), "{to}: nothing was begun");
    }
    let place = example();
    std::fs::remove_file(place.path("my/tasks.jsonl")).unwrap();
    place.fails("eval my --model script:gold", 1, &["my/tasks.jsonl", "cannot be read"]);
    std::fs::remove_file(place.path("my/hone.toml")).unwrap();
    place.fails("eval my --model script:gold", 1, &["my/hone.toml", "hone init"]);
    place.fails(
        "eval your --model script:gold",
        1,
        &["no taskset `your`", "hone init DIR"],
    );
}

#[test]
fn without_python_the_message_says_so() {
    let place = example();
    let output = assert_cmd::Command::cargo_bin("hone")
        .unwrap()
        .args(["eval", "my", "--model", "script:gold"])
        .current_dir(place.dir.path())
        .env("PATH", place.dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("`tools.2.python`") && stderr.contains("no program `python3`"),
        "{stderr}"
    );
}

#[test]
fn what_breaks_is_no_failure_of_the_policy_and_costs_its_own_episode_only() {
    let place = example();
    // A tool with a bug, a checker that crashes on one task, a tool that hangs.
    edit(&place, "my/tools.py", "outbox.append(", "outbox.add(");
    edit(
        &place,
        "my/check.py",
        "wanted = task[\"expected\"]",
        "wanted = task[\"expcted\"]",
    );
    edit(
        &place,
        "my/tools.py",
        "    return (date",
        "    import time; time.sleep(1000)\n    return (date",
    );
    edit(&place, "my/hone.toml", "[limits]", "[limits]\ntimeout_ms = 5000");
    let said = place.ok("eval my --model script:gold --concurrency 2 --json");
    let summary = said.json();
    let outcomes = json!({"ok": 7, "policy_failed": 0, "infra_failed": 3});
    assert_eq!(
        (&summary["outcomes"], &summary["n"]),
        (&outcomes, &json!(7)),
        "{}",
        said.stderr
    );
    let run = summary["run"].as_str().unwrap();
    let lines = place
        .ok(&format!("trace export {run} --outcome infra_failed"))
        .json_lines();
    let cause = |task: &str| {
        let episode = lines.iter().find(|episode| episode["task"] == task);
        let episode = episode.unwrap_or_else(|| panic!("{task} in {lines:?}"));
        episode["outcome"]["cause"].as_str().unwrap().to_owned()
    };
    for (task, words) in [
        ("tell-tom", ["python3 tools.py", "has no attribute 'add'"]),
        ("report", ["scorer report: ", "KeyError: 'expcted'"]),
        ("days-open", ["no answer in `call` within 5000 ms", "python3 tools.py"]),
    ] {
        for word in words {
            assert!(cause(task).contains(word), "{task}: {}", cause(task));
        }
    }
}

#[test]
fn a_project_that_was_changed_is_another_one() {
    let place = example();
    place.ok("eval my --model script:gold --n 2 --out a");
    place.ok("eval --resume a");
    edit(&place, "my/tasks.jsonl", "Which plan does Ada", "What plan does Ada");
    place.fails(
        "eval --resume a",
        1,
        &["my was changed since a began", "new evaluation"],
    );
}

/// The built-in loop, as a command.
const LOOP: &str = r#"
import json, sys
def write(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def read(): return json.loads(sys.stdin.readline())
def ask(method, **params):
    write(id=method, method=method, params=params)
    return read()["result"]
write(id=read()["id"], result={"protocol": 1})
run = read()
task = run["params"]["task"]
messages = [{"role": role, "content": text} for role, text in [("system", task["system"]), ("user", task["prompt"])]]
while (turn := ask("model", messages=messages))["calls"]:
    messages = []
    for call in turn["calls"]:
        ask("call", name=call["name"], arguments=call["arguments"])
write(id=run["id"], result={"answer": turn["content"]})
"#;

#[test]
fn an_agent_loop_of_ones_own_plays_the_same_episodes() {
    let place = example();
    let built_in = place.ok("eval my --model script:gold --json").json();
    std::fs::write(place.path("my/loop.py"), LOOP).unwrap();
    append(
        &place,
        "my/hone.toml",
        "\n[harness]\ncommand = [\"python3\", \"loop.py\"]\n",
    );
    let own = place.ok("eval my --model script:gold --json").json();
    assert_eq!((&own["n"], &own["success"]), (&json!(10), &json!(1.0)), "{own}");
    let episodes = |run: &Value| {
        let mut lines = place
            .ok(&format!("trace export {}", run["run"].as_str().unwrap()))
            .json_lines();
        for line in &mut lines {
            let harness = line["harness"].take();
            assert!(harness == "react" || harness == "external", "{harness}");
            line["events"].take();
            for call in line["tool_calls"].as_array_mut().unwrap() {
                call["raw"].take();
                call["timing"].take();
            }
            for call in line["model_calls"].as_array_mut().unwrap() {
                call["timing"].take();
            }
            line["timing"].take();
        }
        lines.sort_by_key(|line| line["id"].as_str().unwrap().to_owned());
        lines
    };
    assert_eq!(episodes(&own), episodes(&built_in));
}

/// A loop that calls a tool before it asks anybody, and has every other turn in a conversation of its own.
const TWO: &str = r#"
import json, sys
def write(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def read(): return json.loads(sys.stdin.readline())
def ask(method, **params):
    write(id=method, method=method, params=params)
    return read()["result"]
write(id=read()["id"], result={"protocol": 1})
run = read()
ask("call", name="find_records", arguments={"table": "tickets"}, conversation=None)
ask("call", name="find_records", arguments={"tabel": "tickets"}, conversation=None)
for turns in range(100):
    name = ["main", "helper"][turns % 2]
    turn = ask("model", conversation=name, messages=[{"role": "user", "content": run["params"]["task"]["prompt"]}])
    if not turn["calls"]:
        break
    for call in turn["calls"]:
        ask("call", name=call["name"], arguments=call["arguments"], conversation=name)
write(id=run["id"], result={"answer": turn["content"]})
"#;

#[test]
fn an_agent_loop_of_ones_own_replays_from_its_record_alone() {
    let place = example();
    std::fs::write(place.path("my/loop.py"), TWO).unwrap();
    append(
        &place,
        "my/hone.toml",
        "\n[harness]\ncommand = [\"python3\", \"loop.py\"]\n",
    );
    let own = place.ok("eval my --model script:gold --out own --json").json();
    assert_eq!((&own["n"], &own["success"]), (&json!(10), &json!(1.0)), "{own}");
    std::fs::remove_dir_all(place.path("my")).unwrap();
    let said = place.ok("trace replay own --json").json();
    assert_eq!(
        (&said["equal"], &said["differ"], &said["kept"]),
        (&json!(10), &json!(0), &json!(0)),
        "{said}"
    );
    assert_eq!(said["replayed"], json!(place.digest("own")));
    // A call whose record was changed is named.
    let mut changed = place.ok("trace export own").json_lines();
    changed[0]["tool_calls"][0]["arguments"]["table"] = json!("people");
    let changed: Vec<String> = changed.iter().map(Value::to_string).collect();
    std::fs::write(place.path("changed.jsonl"), changed.join("\n")).unwrap();
    place.ok("trace import own changed.jsonl");
    let said = place.hone("trace replay own --json");
    assert_eq!(said.status, 1, "{}", said.stderr);
    let first = said.json()["first"]["where"].as_str().unwrap().to_owned();
    assert!(
        first.contains("call 0 is not the recorded one: `/table`: recorded is \"people\""),
        "{first}"
    );
}

#[test]
fn the_training_recipe_of_the_tutorial_is_right() {
    let place = example();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md");
    let page = std::fs::read_to_string(page).unwrap();
    let recipe = page[page.find("kind = \"agent\"").unwrap()..]
        .split("```")
        .next()
        .unwrap();
    std::fs::write(place.path("mine.toml"), recipe).unwrap();
    place.ok("recipe check mine.toml");
    let more = recipe.replacen("\ntasks = 10", "\ntasks = 11", 1);
    std::fs::write(place.path("mine.toml"), more).unwrap();
    place.fails(
        "recipe check mine.toml",
        1,
        &["`eval.tasks`: helpdesk has 10 tasks in its split test, fewer than 11"],
    );
}
