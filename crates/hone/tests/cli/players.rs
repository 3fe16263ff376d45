//! Players without a network: `gold`, `null`, `random`, `replay:RUN`, `scripted:FILE`.

use crate::support::{Place, make_model, make_published_model};
use hone_trace::{Episode, Filter, Store};
use serde_json::{Value, json};

/// The episodes of a run in order of their ids, without the names of their players and the wall clock.
fn episodes(place: &Place, run: &str) -> Vec<Episode> {
    let store = Store::open_read_only(place.path(run).join("run.db")).unwrap();
    let mut episodes = Vec::new();
    for summary in store.episodes(&Filter::default()).unwrap() {
        let mut episode = store.episode(&summary.id).unwrap().unwrap();
        episode.clear_timing();
        episode.policy.clear();
        episodes.push(episode);
    }
    episodes.sort_by(|a, b| a.id.cmp(&b.id));
    episodes
}

#[test]
fn gold_null_and_random_are_there_for_every_taskset() {
    let place = Place::new();
    let success = |model: &str| {
        let said = place.ok(&format!("eval shop --model {model} --n 30 --json --out {model}"));
        said.json()["success"].as_f64().unwrap()
    };
    assert_eq!(success("gold"), 1.0);
    assert_eq!(success("null"), 0.0);
    assert!(success("random") < 0.2);
    assert_eq!(place.ok("eval --resume gold --json").json()["model"], "gold");
}

#[test]
fn a_replay_gives_the_recorded_episodes_again() {
    let place = Place::new();
    make_model(&place.path("tiny"), 3);
    // Malformed turns, turns without an end and too many calls are in what a random model says; thoughts and refusals in
    // what the demonstrator does.
    for (name, model) in [("a", "tiny"), ("b", "script:over_eager")] {
        place.ok(&format!(
            "eval shop --model {model} --n 12 --samples 2 --temperature 1 --out {name}"
        ));
        let again = format!("{name}-again");
        let said = place.ok(&format!(
            "eval shop --model replay:{name} --n 12 --samples 2 --out {again} --json"
        ));
        let summary = said.json();
        assert_eq!(
            (&summary["n"], &summary["outcomes"]["infra_failed"]),
            (&json!(24), &json!(0)),
            "{summary}"
        );
        assert_eq!(episodes(&place, name), episodes(&place, &again));
    }
    // Only what was recorded can be said again.
    let said = place.ok("eval shop --model replay:b --n 14 --json --out more");
    assert_eq!(said.json()["outcomes"]["infra_failed"], 2);
    let missing = "b has no finished episode of task test/12, sample 0";
    assert!(said.stderr.contains(missing), "{}", said.stderr);
    // A recording that has changed is another player.
    place.ok("eval --resume more --json");
    std::fs::rename(place.path("a"), place.path("b2")).unwrap();
    place.fails("eval --resume more --model replay:b2", 1, &["is not the model"]);
    place.fails("eval textcraft --model replay:b --n 1", 1, &["textcraft"]);
    place.fails("eval shop --model replay:nowhere --n 1", 1, &["nowhere"]);
}

#[test]
fn turns_written_by_hand_are_played() {
    let place = Place::new();
    let expert = place.ok("run shop --task test/1 --model gold --json").json();
    let calls = expert["tool_calls"].as_array().unwrap();
    let mut turns: Vec<Value> = calls
        .iter()
        .map(|call| json!([{"name": call["tool"], "arguments": call["arguments"]}]))
        .collect();
    // The first two in one turn.
    let second = turns.remove(1);
    turns[0].as_array_mut().unwrap().push(second[0].clone());
    let answer = expert["model_calls"].as_array().unwrap().last().unwrap()["text"].clone();
    turns.push(answer);
    let lines = format!(
        "{}\n\n{}\n",
        json!({"task": "test/1", "turns": turns}),
        json!({"task": "test/2", "turns": [[{"name": "nothing_of_the_kind"}]]})
    );
    std::fs::write(place.path("mine.jsonl"), lines).unwrap();
    let said = place.ok("eval shop --model scripted:mine.jsonl --n 3 --out a --json");
    let summary = said.json();
    assert_eq!(
        summary["outcomes"],
        json!({"ok": 1, "policy_failed": 0, "infra_failed": 2})
    );
    for cause in ["no line for task test/0", "has only 1 turns for task test/2"] {
        assert!(said.stderr.contains(cause), "{}", said.stderr);
    }
    let played = &episodes(&place, "a")[1];
    assert_eq!(
        (played.model_calls.len(), played.tool_calls.len()),
        (turns.len(), calls.len())
    );
    // Another text is another player.
    std::fs::write(place.path("mine.jsonl"), "{\"task\": \"test/0\", \"turns\": [\"hm\"]}").unwrap();
    place.fails("eval --resume a", 1, &["is not the model"]);
    for (wrong, word) in [
        ("{\"task\": \"test/0\", \"turns\": [[]]}", "no call"),
        ("{\"task\": \"test/0\"}", "line 1"),
        (
            "{\"task\": \"a\", \"turns\": []}\n{\"task\": \"a\", \"turns\": []}",
            "twice",
        ),
        ("{\"task\": \"a\", \"turns\": [{\"name\": \"x\"}]}", "line 1"),
    ] {
        std::fs::write(place.path("wrong.jsonl"), wrong).unwrap();
        place.fails("eval shop --model scripted:wrong.jsonl --n 1", 1, &[word]);
    }
}

#[test]
fn a_published_model_plays_with_its_own_template() {
    let place = Place::new();
    make_published_model(&place.path("llama"), 5);
    for out in ["a", "b"] {
        place.ok(&format!("eval shop --model llama --n 3 --temperature 1 --out {out}"));
    }
    assert_eq!(place.digest("a"), place.digest("b"));
    let episode = &episodes(&place, "a")[0];
    let calls = &episode.model_calls;
    // What is asked of a model whose template has no place for tools.
    assert!(
        !calls.is_empty()
            && calls
                .iter()
                .all(|call| !call.output.is_empty() && call.logprobs.len() == call.output.len())
    );
    // The bounds are not those of models with tokens of ours.
    assert!(calls[0].sampling.max_tokens >= 4096, "{:?}", calls[0].sampling);
    let said = place.ok("run shop --task test/0 --model llama --json");
    assert_eq!(said.json()["model_calls"][0]["policy"], "llama");
    // Its tokens chain into one sequence.
    for (call, next) in calls.iter().zip(calls.iter().skip(1)) {
        assert_eq!(
            next.prompt.shared,
            call.prompt.shared + (call.prompt.new.len() + call.output.len()) as u32
        );
    }

    std::fs::write(place.path("llama").join("tokenizer_config.json"), "{}").unwrap();
    place.fails("eval shop --model llama --n 1", 1, &["chat_template.jinja"]);
    std::fs::write(place.path("m.gguf"), b"GGUF\x03\0\0\0").unwrap();
    place.fails(
        "eval shop --model m.gguf --n 1",
        1,
        &["m.gguf", "in the middle of something"],
    );
}
