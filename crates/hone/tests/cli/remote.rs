//! Models behind an API: the program against servers on this machine, well-behaved and hostile ones.

use crate::support::Place;
use crate::support::server::{Answer, Asked, Server, chat, refusal};
use hone_trace::{EndReason, Episode, Filter, Outcome, Remote, Store};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Every recorded episode by its id.
fn episodes(place: &Place, run: &str) -> BTreeMap<String, Episode> {
    let store = Store::open_read_only(place.path(run).join("run.db")).unwrap();
    let summaries = store.episodes(&Filter::default()).unwrap();
    let load = |id: String| (id.clone(), store.episode(&id).unwrap().unwrap());
    summaries.into_iter().map(|summary| load(summary.id)).collect()
}

/// With this price an answer of the server's costs 0.002 USD.
const PRICE: &str =
    "[[price]]\nmodel = \"m\"\ninput = 1.0\noutput = 10.0\ndate = \"2026-01-31\"\nsource = \"made up\"\n";

/// Two calls, the first of which the store refuses; then an answer.
fn plays(asked: &Asked) -> Answer {
    match asked.roles().contains(&"tool") {
        false => chat(
            "Let me see.",
            &[
                ("call_a", "find_email", "{\"email\": \"nobody@nowhere.org\"}"),
                ("call_b", "find_email", "{\"email\": "),
            ],
        ),
        true => chat("I cannot help.", &[]),
    }
}

#[test]
fn a_remote_model_plays_and_all_of_it_is_on_record() {
    let place = Place::new();
    let server = Server::start(plays);
    std::fs::write(place.path("prices.toml"), PRICE).unwrap();
    let eval = format!(
        "eval shop --model {}#m-1 --n 3 --prices prices.toml --json --out a",
        server.url
    );
    let summary = place.ok(&eval).json();
    assert_eq!(
        summary["outcomes"],
        json!({"ok": 0, "policy_failed": 3, "infra_failed": 0})
    );
    let metrics = &summary["metrics"];
    assert_eq!((&metrics["turns"], &metrics["tool_calls"]), (&json!(2.0), &json!(2.0)));
    assert_eq!(
        (&metrics["input_tokens"], &metrics["output_tokens"]),
        (&json!(2000.0), &json!(200.0))
    );
    assert!((metrics["cost_usd"].as_f64().unwrap() - 0.012).abs() < 1e-9);
    assert!(metrics["call_seconds_p95"].as_f64().unwrap() >= metrics["call_seconds_p50"].as_f64().unwrap());

    let asked = server.asked();
    assert_eq!(asked.len(), 6);
    for request in &asked {
        assert!(
            request.head.starts_with("post /v1/chat/completions"),
            "{}",
            request.head
        );
        assert!(!request.head.contains("authorization"), "{}", request.head);
        let body = &request.body;
        assert_eq!(
            (&body["model"], &body["temperature"], &body["top_p"]),
            (&json!("m-1"), &json!(0.0), &json!(1.0))
        );
        // The taskset's bound of 40 tokens is for small models with tokens of their own.
        assert_eq!(body["max_tokens"], 4096);
        let names: Vec<_> = body["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| &t["function"]["name"])
            .collect();
        assert!(names.contains(&&json!("find_email")), "{names:?}");
    }
    let second = asked.iter().find(|request| request.roles().contains(&"tool")).unwrap();
    let messages = second.body["messages"].as_array().unwrap();
    assert_eq!(second.roles(), ["user", "assistant", "tool", "tool"]);
    assert_eq!(messages[1]["content"], "Let me see.");
    assert_eq!(messages[1]["tool_calls"][1]["id"], "call_b");
    assert_eq!(messages[1]["tool_calls"][1]["function"]["arguments"], "{\"email\": ");
    assert_eq!(
        (&messages[2]["tool_call_id"], &messages[3]["tool_call_id"]),
        (&json!("call_a"), &json!("call_b"))
    );
    assert!(
        messages[3]["content"]
            .as_str()
            .unwrap()
            .starts_with("error: find_email: the arguments are not JSON")
    );

    let recorded = episodes(&place, "a");
    let episode = &recorded["eval/0/0"];
    assert_eq!((episode.policy.as_str(), episode.end), ("m-1", EndReason::Answered));
    let calls = &episode.model_calls;
    assert_eq!((calls[0].parent, calls[1].parent), (None, Some(0)));
    assert!(
        calls
            .iter()
            .all(|call| call.output.is_empty() && call.prompt.new.is_empty())
    );
    assert_eq!(calls[1].text, "I cannot help.");
    let remote = |call: usize| -> &Remote { calls[call].remote.as_ref().unwrap() };
    let roles: Vec<Vec<&str>> = (0..2)
        .map(|c| remote(c).asked.iter().map(|m| m.role.as_str()).collect())
        .collect();
    assert_eq!(roles, [vec!["user"], vec!["tool", "tool"]]);
    assert_eq!(remote(1).asked[0].text, episode.tool_calls[0].shown);
    assert_eq!(remote(0).usage.unwrap().input, 1000);
    assert!((remote(0).cost_usd.unwrap() - 0.002).abs() < 1e-12);
    let served = &remote(0).served;
    assert_eq!(
        (served.model.as_str(), served.id.as_str(), served.attempts),
        ("served-model", "answer-1", 1)
    );
    let raw = &episode.tool_calls[1].raw;
    assert_eq!(raw, "find_email {\"email\": ");

    // Nothing is left to do; another server is another model; and what was recorded can be said again.
    place.ok("eval --resume a --json");
    let other = format!("eval --resume a --model {}#m-2", server.url);
    place.fails(&other, 1, &["is not the model"]);
    assert_eq!(server.asked().len(), 6);
    place.ok("eval shop --model replay:a --n 3 --out again");
    for (id, mut again) in episodes(&place, "again") {
        again.policy.clone_from(&recorded[&id].policy);
        assert_eq!(again.digest(), recorded[&id].digest(), "{id}");
    }
    let told = place.ok(&format!("run shop --task test/0 --model {}#m --json", server.url));
    assert!(
        told.stderr.contains("Let me see.") && told.stderr.contains("I cannot help."),
        "{}",
        told.stderr
    );
}

#[test]
fn anthropics_dialect_is_spoken_where_the_file_says_so() {
    let place = Place::new();
    let server = Server::start(|asked| {
        let messages = asked.body["messages"].as_array().unwrap();
        let content = match messages.len() {
            1 => json!([
                {"type": "thinking", "thinking": "Who is it?", "signature": "proof"},
                {"type": "tool_use", "id": "toolu_1", "name": "find_email", "input": {"email": "nobody@nowhere.org"}},
            ]),
            _ => json!([{"type": "text", "text": "No."}]),
        };
        let stop = if messages.len() == 1 { "tool_use" } else { "end_turn" };
        let body = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "c-1", "content": content,
            "stop_reason": stop, "usage": {"input_tokens": 7, "output_tokens": 5},
        });
        Answer::Body(200, "application/json", body.to_string().into_bytes())
    });
    let base = server.url.trim_end_matches("/v1");
    let file =
        format!("api = \"anthropic\"\nbase_url = \"{base}\"\nkey_env = \"MY_KEY\"\n[settings]\nmax_tokens = 9000\n");
    std::fs::write(place.path("c.toml"), file).unwrap();
    let eval = "eval shop --model endpoint:c.toml#c --n 1 --out a --json";
    place.fails(eval, 1, &["MY_KEY"]);
    let said = place.hone_in(eval, &[("MY_KEY", "sk-0123456789")]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].head.starts_with("post /v1/messages") && asked[0].head.contains("sk-0123456789"));
    let body = &asked[1].body;
    assert_eq!(
        (&body["temperature"], &body["max_tokens"]),
        (&Value::Null, &json!(9000))
    );
    let blocks = body["messages"][1]["content"].as_array().unwrap();
    assert_eq!(
        (&blocks[0]["signature"], &blocks[1]["id"]),
        (&json!("proof"), &json!("toolu_1"))
    );
    let result = &body["messages"][2]["content"][0];
    assert_eq!(
        (&result["tool_use_id"], &result["is_error"]),
        (&json!("toolu_1"), &json!(true))
    );
    let call = &episodes(&place, "a")["eval/0/0"].model_calls[0];
    assert_eq!((call.sampling.temperature, call.sampling.max_tokens), (1.0, 9000));
    assert_eq!(call.remote.as_ref().unwrap().reasoning, "Who is it?");
}

/// An endpoint's file with short deadlines and one attempt.
fn impatient(place: &Place, server: &Server) {
    let file = format!(
        "api = \"openai\"\nbase_url = \"{}\"\ndeadlines = {{ first_byte_ms = 2000, idle_ms = 2000 }}\nretry = {{ attempts = 1 }}\n",
        server.url
    );
    std::fs::write(place.path("e.toml"), file).unwrap();
}

const SSE: &str = "text/event-stream";

/// The beginning of a stream.
fn piece(text: &str) -> Vec<u8> {
    format!(
        "data: {}\n\n",
        json!({"choices": [{"index": 0, "delta": {"content": text}}]})
    )
    .into_bytes()
}

#[test]
fn a_hostile_server_costs_the_episodes_that_it_spoils_and_no_other() {
    let place = Place::new();
    // Each request of a user spoils in another way, but for the first one, lest all begin alike, and the later ones.
    let seen = Mutex::new(Vec::<String>::new());
    let server = Server::start(move |asked| {
        let at = {
            let mut seen = seen.lock().unwrap();
            let request = asked.request().to_owned();
            seen.iter().position(|one| *one == request).unwrap_or_else(|| {
                seen.push(request);
                seen.len() - 1
            })
        };
        let calls = vec![("x", "find_email", "{}"); 10_000];
        match at {
            1 => Answer::Body(200, "application/json", b"\x00\x01 certainly not JSON".to_vec()),
            2 => Answer::Flood(SSE, piece("Let me"), 1),
            3 => Answer::Body(
                200,
                SSE,
                [&piece("a")[..], b"data: {\"choices\": [\"\xff\xfe\"]}\n\n"].concat(),
            ),
            4 => Answer::Flood(SSE, piece(&"x".repeat(1 << 20)), 50),
            5 => Answer::Flood("application/json", vec![b'['; 1 << 20], 50),
            6 => chat("", &calls),
            7 => Answer::Stall,
            8 => Answer::Flood(SSE, b"data: ".to_vec(), 1 << 21),
            9 => Answer::Body(200, "application/json", b"{\"choices\": []}".to_vec()),
            10 => refusal(500, "\u{1b}[31mout of order"),
            11 => Answer::Body(204, "text/plain", Vec::new()),
            _ => chat("I cannot help.", &[]),
        }
    });
    impatient(&place, &server);
    let said = place.ok("eval shop --model endpoint:e.toml#m --n 20 --concurrency 4 --out a --json");
    assert_eq!(
        said.json()["outcomes"],
        json!({"ok": 0, "policy_failed": 9, "infra_failed": 11})
    );
    assert!(!said.stderr.contains('\u{1b}'), "{}", said.stderr);
    let causes: Vec<String> = episodes(&place, "a")
        .into_values()
        .filter_map(|episode| match episode.outcome {
            Outcome::InfraFailed { cause } => {
                assert_eq!(episode.end, EndReason::ModelFailure, "{cause}");
                assert!(cause.len() < 1500, "{cause}");
                Some(cause)
            }
            _ => None,
        })
        .collect();
    for words in [
        "it is not JSON",
        "it was cut off",
        "not valid UTF-8",
        "the body exceeds",
        "the first byte of an answer",
        "more than 4096 entries",
        "a line of the stream exceeds",
        "choices",
        "out of order",
    ] {
        let found = causes
            .iter()
            .any(|cause| words.split('|').any(|words| cause.contains(words)));
        assert!(found, "no {words:?} in {causes:#?}");
    }
}

#[test]
fn what_failed_is_played_again_when_the_server_is_back() {
    let place = Place::new();
    let up = Arc::new(AtomicBool::new(false));
    let flag = up.clone();
    let first = Mutex::new(None::<String>);
    let server = Server::start(move |asked| {
        let mut first = first.lock().unwrap();
        let lucky = first.get_or_insert_with(|| asked.request().to_owned()) == asked.request();
        if lucky || flag.load(Ordering::SeqCst) || !asked.roles().contains(&"tool") {
            plays(asked)
        } else {
            refusal(503, "down")
        }
    });
    impatient(&place, &server);
    let file = std::fs::read_to_string(place.path("e.toml")).unwrap();
    std::fs::write(place.path("e.toml"), file + PRICE).unwrap();
    let said = place.ok("eval shop --model endpoint:e.toml#m --n 6 --concurrency 1 --out a --json");
    assert_eq!(said.json()["outcomes"]["infra_failed"], 5, "{}", said.stderr);
    // Seven answers came, of 0.002 USD each; those of the episodes that are played again stay paid.
    let cost = |summary: Value| (summary["metrics"]["cost_usd"].as_f64().unwrap() * 1e6).round();
    assert_eq!(cost(said.json()), 14_000.0);
    let before = episodes(&place, "a")["eval/0/0"].digest();
    up.store(true, Ordering::SeqCst);
    let said = place.ok("eval --resume a --json");
    assert_eq!(
        (&said.json()["n"], &said.json()["outcomes"]["infra_failed"]),
        (&json!(6), &json!(0))
    );
    assert_eq!(cost(said.json()), 34_000.0);
    assert!(
        said.stderr.contains("1 episodes are recorded already"),
        "{}",
        said.stderr
    );
    assert_eq!(episodes(&place, "a")["eval/0/0"].digest(), before);
}

#[test]
fn a_wrong_key_ends_it_at_once_and_is_never_shown() {
    let place = Place::new();
    let key = "sk-very-secret-0123456789";
    let server = Server::start(move |_| refusal(401, &format!("Incorrect API key provided: {key}.")));
    let variables = [("OPENAI_BASE_URL", server.url.as_str()), ("OPENAI_API_KEY", key)];
    let said = place.hone_in("eval shop --model openai:m --n 400 --out a", &variables);
    assert_eq!(said.status, 1, "{}", said.stderr);
    for words in [
        "the first 8 episodes all failed alike",
        "status 401",
        "hone eval --resume a",
        "$OPENAI_API_KEY",
    ] {
        assert!(said.stderr.contains(words), "no {words:?} in {}", said.stderr);
    }
    assert!(!said.stderr.contains(key), "{}", said.stderr);
    let recorded = episodes(&place, "a").len();
    assert!((8..100).contains(&recorded), "{recorded}");
    let asked = server.asked();
    assert!(asked.len() < 100, "{}", asked.len());
    assert!(asked[0].head.contains(&format!("authorization: bearer {key}")));
    place.fails("eval shop --model openai:m --n 1", 1, &["OPENAI_API_KEY"]);
    // A server that is not there.
    place.fails(
        "eval shop --model http://127.0.0.1:1/v1#m --n 1 --out b",
        1,
        &["cannot be reached", "no episode counts"],
    );
}

#[test]
fn a_key_that_a_model_repeats_is_not_written() {
    let place = Place::new();
    let server = Server::start(|_| chat("The key is sk-very-secret-0123456789!", &[]));
    let model = format!("eval shop --model {}#m --n 1 --out a", server.url);
    let said = place.hone_in(&model, &[("HONE_API_KEY", "sk-very-secret-0123456789")]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(server.asked()[0].head.contains("authorization: bearer sk-very"));
    let text = &episodes(&place, "a")["eval/0/0"].model_calls[0].text;
    assert_eq!(text, "The key is [HONE_API_KEY]!");
}

#[test]
fn spending_ends_at_its_bound_and_goes_on_above_it() {
    let place = Place::new();
    let server = Server::start(|_| chat("No.", &[]));
    let price =
        "[[price]]\nmodel = \"m\"\ninput = 1000.0\noutput = 10000.0\ndate = \"2026-01-31\"\nsource = \"made up\"\n";
    std::fs::write(place.path("p.toml"), price).unwrap();
    let model = format!("{}#m", server.url);
    let eval = |more: &str| format!("eval shop --model {model} --n 10 --concurrency 1 --max-cost 5 {more}");
    place.fails(&eval("--out x"), 1, &["price", "--prices"]);
    // Each answer costs 2 USD.
    place.fails(
        &eval("--out a --prices p.toml"),
        1,
        &["6.0000 USD are spent", "--max-cost 5", "hone eval --resume a"],
    );
    assert_eq!(episodes(&place, "a").len(), 3);
    place.fails("eval --resume a --max-cost 5", 1, &["6.0000 USD are spent"]);
    assert_eq!(server.asked().len(), 3);
    place.fails(
        "eval --resume a --max-cost 9 --concurrency 1",
        1,
        &["10.0000 USD are spent"],
    );
    assert_eq!(place.ok("eval --resume a --max-cost 100 --json").json()["n"], 10);
    assert_eq!(server.asked().len(), 10);
    place.fails(&eval("--out b --prices nowhere.toml"), 1, &["nowhere.toml"]);
}

#[test]
fn a_full_context_is_the_policys_end_and_not_the_servers_failure() {
    let place = Place::new();
    let server = Server::start(|asked| match asked.roles().contains(&"tool") {
        false => plays(asked),
        true => refusal(400, "This model's maximum context length is 8 tokens."),
    });
    let summary = place
        .ok(&format!("eval shop --model {}#m --n 2 --json", server.url))
        .json();
    assert_eq!(
        summary["outcomes"],
        json!({"ok": 0, "policy_failed": 2, "infra_failed": 0})
    );
    assert_eq!(summary["metrics"]["end/context_overflow"], 1.0);
    // Where the answer's bound alone is too much, the setting is to blame.
    let server = Server::start(|_| {
        refusal(
            400,
            "'max_tokens' is too large: 4096. This model's maximum context length is 8.",
        )
    });
    let eval = format!("eval shop --model {}#m --n 2", server.url);
    place.fails(&eval, 1, &["2 infrastructure failed", "lower `max_tokens`"]);
}
