//! Retrieval of tools in projects: what a model is shown of many tools, and what it finds.

use crate::support::Place;
use crate::support::server::{Answer, Asked, Server, chat};
use serde_json::{Value, json};
use std::collections::BTreeSet;
#[cfg(feature = "suites")]
use std::os::unix::fs::PermissionsExt;

/// Sixty tools of two kinds on one command: `<verb>_<thing>` answers with its own name.
const TOOLS: &str = r#"
import json, sys

verbs = {"convert": "Convert an amount of", "list": "List every known", "delete": "Remove one"}
things = ["currency", "recipe", "invoice", "flight", "song", "planet", "mineral", "river", "engine", "statue", "novel",
          "bridge", "glacier", "violin", "comet", "orchid", "falcon", "lantern", "harbor", "quilt"]
tools = [{"name": f"{verb}_{thing}", "description": f"{text} {thing}.", "annotations": {"readOnlyHint": verb == "list"},
          "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False}}
         for verb, text in verbs.items() for thing in things]
for line in sys.stdin:
    r = json.loads(line)
    result = {}
    if r["method"] == "hello":
        result = {"protocol": 1, "name": "things", "version": "1", "tools": tools}
    elif r["method"] == "call":
        result = {"text": r["params"]["name"]}
    print(json.dumps({"jsonrpc": "2.0", "id": r["id"], "result": result}), flush=True)
"#;

/// An embedder that knows one thing that words do not say: money is currency.
const EMBEDDER: &str = r#"
import json, sys

for line in sys.stdin:
    r = json.loads(line)
    if r["method"] == "hello":
        result = {"protocol": 1, "name": "toy", "version": "1", "dimension": 2}
    else:
        result = {"vectors": [[float("money" in t or "currency" in t), 1.0] for t in r["params"]["texts"]]}
    print(json.dumps({"jsonrpc": "2.0", "id": r["id"], "result": result}), flush=True)
"#;

fn project(retrieve: &str, prompt: &str, gold: Value) -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("my")).unwrap();
    let recipe = format!(
        "name = \"many\"\ntasks = \"tasks.jsonl\"\nretrieve = {retrieve}\n\n[[tools]]\ncommand = [\"python3\", \"tools.py\"]\n\
         tags = [\"toys\"]\n\n[checkers.said]\nkind = \"exact\"\n"
    );
    let task = json!({"id": "one", "prompt": prompt, "expected": {"said": "done"}, "gold": gold});
    for (file, text) in [
        ("hone.toml", recipe),
        ("tools.py", TOOLS.to_owned()),
        ("embed.py", EMBEDDER.to_owned()),
        ("tasks.jsonl", task.to_string()),
    ] {
        std::fs::write(place.path("my").join(file), text).unwrap();
    }
    place
}

fn names(tools: &Value) -> BTreeSet<String> {
    let name = |tool: &Value| tool["function"]["name"].as_str().unwrap().to_owned();
    tools.as_array().unwrap().iter().map(name).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Looks for what it needs, calls what it found, and says so.
fn looks(asked: &Asked) -> Answer {
    match asked.roles().len() {
        1 => chat(
            "",
            &[("a", "find_tools", "{\"query\": \"list every glacier\", \"k\": 2}")],
        ),
        3 => chat("", &[("b", "list_glacier", "{}")]),
        _ => chat("done", &[]),
    }
}

#[test]
fn a_model_sees_the_tools_of_its_task_and_those_that_it_finds() {
    let gold = json!({"calls": [{"name": "convert_currency", "arguments": {}}], "answer": "done"});
    let place = project("{ k = 3, find_tools = true }", "Convert some currency", gold);
    let server = Server::start(looks);
    let summary = place
        .ok(&format!("eval my --model {}#m --json --out a", server.url))
        .json();
    assert_eq!(
        (&summary["n"], &summary["success"]),
        (&json!(1), &json!(1.0)),
        "{summary}"
    );
    let asked = server.asked();
    let shown: Vec<BTreeSet<String>> = asked.iter().map(|request| names(&request.body["tools"])).collect();
    assert_eq!(shown.len(), 3);
    assert_eq!(shown[0].len(), 4, "three of sixty, and find_tools: {:?}", shown[0]);
    assert!(
        set(&["find_tools", "convert_currency", "list_currency", "delete_currency"]) == shown[0],
        "{:?}",
        shown[0]
    );
    assert_eq!(shown[1].difference(&shown[0]).count(), 2);
    assert!(shown[1].contains("list_glacier"));
    assert_eq!(shown[1], shown[2]);
    let found = asked[1].body["messages"][2]["content"].as_str().unwrap();
    let found: Value = serde_json::from_str(found).unwrap();
    assert_eq!(found["tools"][0]["name"], "list_glacier", "with its schema: {found}");
    assert_eq!(found["tools"][0]["inputSchema"]["additionalProperties"], false);

    let episode = place.ok("run my --task test/0 --model script:gold --json").json();
    let events: Vec<&Value> = episode["events"].as_array().unwrap().iter().collect();
    assert_eq!(events[0]["kind"], "chosen_tools");
    assert_eq!(events[0]["detail"]["tools"].as_array().unwrap().len(), 4);
    // The same project gives the same record.
    place.ok("eval my --model script:gold --out one");
    place.ok("eval my --model script:gold --out two");
    assert_eq!(place.digest("one"), place.digest("two"));
    // And replays without it, with what was found on the way.
    std::fs::remove_dir_all(place.path("my")).unwrap();
    for run in ["one", "a"] {
        let said = place.ok(&format!("trace replay {run} --json")).json();
        assert_eq!((&said["equal"], &said["differ"]), (&json!(1), &json!(0)), "{said}");
    }
}

#[test]
fn tools_that_are_not_shown_cannot_be_called_and_found_ones_have_a_bound() {
    let call = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    let find = |query: &str| call("find_tools", json!({"query": query}));
    let gold = json!({"calls": [
        call("list_river", json!({})), find("list every river"), call("list_river", json!({})),
        find("list every comet"), call("list_river", json!({})),
        call("find_tools", json!({"query": "river", "server": "nobody"})),
    ], "answer": "done"});
    let place = project("{ k = 1, find_tools = true }", "Convert some currency", gold);
    let episode = place.ok("run my --task test/0 --model script:gold --json").json();
    let shown: Vec<&str> = episode["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["shown"].as_str().unwrap())
        .collect();
    assert!(
        shown[0].starts_with("error: there is no tool `list_river`; the tools are `find_tools`, `convert_currency`"),
        "{shown:?}"
    );
    assert!(shown[1].contains("\"list_river\""), "{shown:?}");
    assert_eq!(shown[2], "list_river");
    assert!(
        shown[4].starts_with("error: there is no tool `list_river`"),
        "one at most is kept: {shown:?}"
    );
    assert_eq!(shown[5], "error: there is no such server; the servers are python3");
}

#[test]
fn constraints_and_an_embedder_of_ones_own() {
    let gold = json!({"calls": [], "answer": "done"});
    let tools = |retrieve: &str, prompt: &str| -> BTreeSet<String> {
        let place = project(retrieve, prompt, gold.clone());
        let episode = place.ok("run my --task test/0 --model script:gold --json").json();
        let tools = episode["events"][0]["detail"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        tools("{ k = 2, read_only = true }", "currency"),
        set(&["list_currency"])
    );
    assert_eq!(tools("{ k = 2, tags = [\"nothing\"] }", "currency"), set(&[]));
    assert_eq!(
        tools(
            "{ k = 1, tags = [\"toys\"], keep = [\"list_song\"] }",
            "delete one river"
        ),
        set(&["list_song", "delete_river"])
    );
    // No tool says "money".
    assert_eq!(tools("{ k = 3 }", "money"), set(&[]));
    let embedder = "{ k = 3, embedder = [\"python3\", \"embed.py\"] }";
    assert_eq!(
        tools(embedder, "money"),
        set(&["convert_currency", "list_currency", "delete_currency"])
    );
    // The built-in one finds misspelled words.
    assert!(tools("{ k = 3, method = \"fused\" }", "curency").contains("convert_currency"));
}

#[test]
fn mistakes_are_told() {
    for (retrieve, says) in [
        ("{ k = 0 }", "`retrieve.k`: 0 is out of range"),
        ("{ k = 500 }", "write 1 to 128"),
        ("{ k = 5, servers = 0 }", "`retrieve.servers`"),
        ("{ k = 5, keep = [\"nothing\"] }", "there is no tool `nothing`"),
        ("{ k = 5, method = \"magic\" }", "unknown variant `magic`"),
        (
            "{ k = 5, embedder = [\"python3\", \"none.py\"] }",
            "`retrieve.embedder`",
        ),
        ("{ k = 5, method = \"bm25\", embedder = [\"x\"] }", "uses none"),
        ("{ tools = 5 }", "unknown field `tools`"),
    ] {
        let place = project(retrieve, "Convert", json!({"calls": [], "answer": "done"}));
        place.fails("eval my --model script:gold", 1, &["my/hone.toml:3", says]);
    }
}

/// A question of BFCL in an empty vector memory, and what a model does about it.
#[cfg(feature = "suites")]
fn vector_memory(embedder: &str, turns: &Value) -> Place {
    let place = Place::new();
    let write = |name: &str, line: &Value| {
        let path = place.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, line.to_string()).unwrap();
    };
    let id = "memory_0-customer-0";
    write(
        "data/bfcl/BFCL_v4_memory.json",
        &json!({"id": id, "scenario": "customer", "involved_classes": ["MemoryAPI"],
                "question": [[{"role": "user", "content": "How much do I have?"}]]}),
    );
    write(
        "data/bfcl/possible_answer/BFCL_v4_memory.json",
        &json!({"id": id, "ground_truth": ["ten"], "source": ""}),
    );
    let tool = |name: &str, text: &str, more: Value| {
        let mut properties = json!({text: {"type": "string"}});
        properties
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"name": name, "description": "It does.",
               "parameters": {"type": "dict", "properties": properties, "required": [text]}})
    };
    let tools = [
        tool("core_memory_add", "text", json!({})),
        tool("core_memory_retrieve", "query", json!({"top_k": {"type": "integer"}})),
    ];
    let folder = place.path("data/bfcl/multi_turn_func_doc");
    std::fs::create_dir_all(&folder).unwrap();
    let text: String = tools.iter().map(|tool| format!("{tool}\n")).collect();
    std::fs::write(folder.join("memory_vector.json"), text).unwrap();
    write("script.jsonl", &json!({"task": "test/0", "turns": turns}));
    let command = place.path("embed.py");
    std::fs::write(&command, format!("#!/usr/bin/env python3\n{embedder}")).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

#[cfg(feature = "suites")]
fn memory_add(text: &str) -> Value {
    json!([{"name": "core_memory_add", "arguments": {"text": text}}])
}

#[cfg(feature = "suites")]
const EVAL: &str = "--model scripted:script.jsonl --data data --n 1 --no-baselines --out run --embedder ./embed.py";

#[cfg(feature = "suites")]
#[test]
fn a_vector_memory_of_bfcl_finds_with_the_users_embedder() {
    let find = json!([{"name": "core_memory_retrieve", "arguments": {"query": "currency", "top_k": 1}}]);
    let turns = json!([
        memory_add("the cat swims"),
        memory_add("ten euros of money"),
        find,
        "ten"
    ]);
    let place = vector_memory(EMBEDDER, &turns);
    place.ok(&format!("eval bfcl:memory_vector {EVAL}"));
    place.ok("trace export run --out episodes.jsonl");
    let episodes = std::fs::read_to_string(place.path("episodes.jsonl")).unwrap();
    let episode: Value = serde_json::from_str(episodes.lines().next().unwrap()).unwrap();
    let found: Value = serde_json::from_str(episode["tool_calls"][2]["shown"].as_str().unwrap()).unwrap();
    let [first] = &found["result"].as_array().unwrap()[..] else {
        panic!("{found}")
    };
    assert_eq!(first["text"], "ten euros of money");
    assert!(
        (first["similarity_score"].as_f64().unwrap() - 1.0).abs() < 1e-6,
        "{first}"
    );
    // What it finds with is part of the task.
    place.fails(
        "eval --resume run --data data --no-baselines",
        1,
        &["bfcl:memory_vector"],
    );
}

#[cfg(feature = "suites")]
#[test]
fn an_embedder_that_dies_is_no_fault_of_the_models() {
    let dies = EMBEDDER.replace(
        "    else:\n",
        "    elif \"money\" in r[\"params\"][\"texts\"][0]:\n        sys.exit(3)\n    else:\n",
    );
    let calls = json!([memory_add("the cat swims"), memory_add("ten euros of money"), "ten"]);
    let texts = json!([
        "[core_memory_add(text='the cat swims')]",
        "[core_memory_add(text='money')]",
        "ten"
    ]);
    for (suite, turns) in [("bfcl:memory_vector", &calls), ("bfcl-prompt:memory_vector", &texts)] {
        let place = vector_memory(&dies, turns);
        place.fails(
            &format!("eval {suite} {EVAL}"),
            1,
            &["1 infrastructure failed", "embed.py"],
        );
    }
}
