//! Answers that others recorded, scored; loops and numbers by their other names.

use crate::support::{Place, data_with};
use serde_json::{Value, json};
use std::path::Path;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn write(path: &Path, lines: &[Value]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_models_folder_of_bfcl_results_is_scored_in_every_category() {
    let Some(data) = data_with("bfcl") else { return };
    let place = Place::new();
    let gold = |name: &str| lines(&data.join("bfcl/possible_answer").join(format!("BFCL_v4_{name}.json")));
    // The original's decoder passes over arguments without names.
    let named = |turn: &Value| {
        let calls = turn.as_array().unwrap().iter().filter_map(Value::as_str);
        let mut inner = calls.filter_map(|call| Some(call.split_once('(')?.1));
        inner.all(|inner| inner.starts_with(')') || inner.split(',').next().is_some_and(|first| first.contains('=')))
    };
    // Multi-turn: the gold calls of each turn in one step, then words. The last task lacks its last turn.
    let mut turns: Vec<Value> = gold("multi_turn_base")
        .iter()
        .filter(|line| line["ground_truth"].as_array().unwrap().iter().all(named))
        .take(20)
        .map(|line| {
            let turn = |calls: &Value| {
                let calls: Vec<&str> = calls.as_array().unwrap().iter().filter_map(Value::as_str).collect();
                json!([format!("[{}]", calls.join(", ")), "Done."])
            };
            let turns: Vec<Value> = line["ground_truth"].as_array().unwrap().iter().map(turn).collect();
            json!({"id": line["id"], "result": turns, "inference_log": []})
        })
        .collect();
    turns[19]["result"].as_array_mut().unwrap().pop();
    write(
        &place.path("result/m/multi_turn/BFCL_v4_multi_turn_base_result.json"),
        &turns,
    );
    let memory: Vec<Value> = gold("memory")
        .iter()
        .take(10)
        .map(|line| {
            let id = line["id"].as_str().unwrap().replacen("memory", "memory_kv", 1);
            json!({"id": id, "result": [["[core_memory_retrieve_all()]", format!("It is {}.", line["ground_truth"][0].as_str().unwrap())]]})
        })
        .collect();
    write(
        &place.path("result/m/agentic/memory/kv/BFCL_v4_memory_kv_result.json"),
        &memory,
    );
    // Prerequisites are no answers.
    write(
        &place.path("result/m/agentic/memory/kv/BFCL_v4_memory_kv_prereq_result.json"),
        &[json!({"id": "memory_kv_prereq_0-customer-0", "result": []})],
    );
    let data = data.display();
    let said = place.ok(&format!("eval bfcl --responses result/m --data {data} --json"));
    let report = said.json();
    assert_eq!(
        report["categories"],
        json!({"memory_kv": [10, 10], "multi_turn_base": [20, 19]})
    );
    assert_eq!(report["errors"], json!({"multi_turn:force_terminated": 1}));
    assert_eq!(
        report["failed"],
        json!({turns[19]["id"].as_str().unwrap(): "multi_turn:force_terminated"})
    );
    assert_eq!(
        (&report["strict"]["passed"], &report["unscored"]),
        (&json!(29), &json!([]))
    );
    // 30 % of a quarter of multi-turn, 40 % of half of a third of agentic.
    let overall = report["overall"]["bfcl/overall"].as_f64().unwrap();
    assert!((overall - (0.3 * 0.95 / 4.0 + 0.4 / 6.0)).abs() < 1e-9, "{overall}");
    // One file, by the longer name of the command, says the same of it.
    let file = "result/m/multi_turn/BFCL_v4_multi_turn_base_result.json";
    let report = place
        .ok(&format!("eval score bfcl --responses {file} --data {data} --json"))
        .json();
    assert_eq!(report["categories"], json!({"multi_turn_base": [20, 19]}));
    place.fails(
        &format!("eval bfcl --responses result/none --data {data}"),
        1,
        &["result/none"],
    );
}

#[test]
fn openai_messages_are_scored() {
    let Some(data) = data_with("bfcl") else { return };
    let place = Place::new();
    let call = |name: &str, arguments: Value| {
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()}}]})
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    let single = json!({"id": "simple_python_0", "messages": [user("area?"),
        call("calculate_triangle_area", json!({"base": 10, "height": 5})), {"role": "tool", "tool_call_id": "c", "content": "25"},
        {"role": "assistant", "content": "25"}]});
    let wrong =
        json!({"id": "simple_python_1", "messages": [user("factorial?"), {"role": "assistant", "content": "120"}]});
    std::fs::write(
        place.path("m.json"),
        json!([single, wrong, {"id": "nothing_1", "messages": []}]).to_string(),
    )
    .unwrap();
    let said = place.ok(&format!(
        "eval bfcl --responses m.json --function-calling --data {} --json",
        data.display()
    ));
    let report = said.json();
    assert_eq!(report["categories"], json!({"simple_python": [2, 1]}));
    assert!(
        report["unscored"][0].as_str().unwrap().contains("nothing_1"),
        "{report}"
    );
}

#[test]
fn loops_and_numbers_go_by_their_other_names() {
    let place = Place::new();
    let summary = place
        .ok("eval shop --model script:expert --limit 3 --k 2 --harness react --no-baselines --json")
        .json();
    assert_eq!((&summary["n"], &summary["success"]), (&json!(6), &json!(1.0)));
    place.fails(
        "eval shop --model script:expert --harness dialogue",
        1,
        &["no simulated users"],
    );
    place.fails(
        "eval shop --model script:expert --harness rodeo",
        1,
        &["rodeo", "command:"],
    );
    place.fails(
        "eval shop --model script:expert --harness command:",
        1,
        &["names no program"],
    );
}
