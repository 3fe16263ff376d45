//! Judges of recorded runs: how far they agree, and what they say of failures.

use crate::support::Place;
use crate::support::server::{Answer, Asked, Server, chat};
use hone_trace::{Filter, Store};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DESK: &str = "name = \"desk\"\ntasks = \"tasks.jsonl\"\n[checkers.tone]\nkind = \"judge\"\nrubric = \"polite\"\nmodel = MODELS\n";

/// The agent echoes its task; `kind` finds everything good, `strict` wants a please, `fair` forgives one task, and listens
/// to negations; `deaf` says no verdict.
fn votes(asked: &Asked) -> Answer {
    let request = asked.request();
    let please = request.contains("please");
    let pass = match asked.body["model"].as_str().unwrap() {
        "agent" => return chat(request, &[]),
        "kind" => true,
        "strict" => please,
        "fair" => (please || request.contains("three")) != request.contains("It is not the case"),
        _ => return chat("Perhaps.", &[]),
    };
    chat(&json!({"reasoning": "because", "pass": pass}).to_string(), &[])
}

#[test]
fn judges_are_held_against_each_other_and_against_people() {
    let place = Place::new();
    let server = Server::start(votes);
    let model = |name: &str| format!("{}#{name}", server.url);
    std::fs::create_dir(place.path("desk")).unwrap();
    let models = json!([model("kind"), model("strict"), model("fair")]).to_string();
    std::fs::write(place.path("desk/hone.toml"), DESK.replace("MODELS", &models)).unwrap();
    let task =
        |id: &str, prompt: &str| json!({"id": id, "split": "test", "prompt": prompt, "expected": {"tone": true}});
    let tasks = [
        task("1", "one please"),
        task("2", "two please"),
        task("3", "three"),
        task("4", "four"),
    ];
    let lines: Vec<_> = tasks.iter().map(|task| format!("{task}\n")).collect();
    std::fs::write(place.path("desk/tasks.jsonl"), lines.concat()).unwrap();
    place.ok(&format!(
        "eval desk --model {} --no-baselines --out run",
        model("agent")
    ));

    let close = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 1e-9, "{value}");
    let said = place.ok("eval judges run --json").json();
    let panel = &said["panels"][0];
    assert_eq!(
        (panel["findings"].as_u64(), said["panels"].as_array().unwrap().len()),
        (Some(4), 1)
    );
    close(&panel["pass"], 0.75);
    close(&panel["unanimous"], 0.5);
    // Votes 3, 3, 2, 1 of 3: observed (1 + 1 + 1/3 + 1/3) / 4, by chance (3/4)^2 + (1/4)^2.
    close(&panel["fleiss_kappa"], (2.0 / 3.0 - 0.625) / 0.375);
    // kind and strict agree on two of four, as chance has it; strict and fair on three, where chance gives two.
    close(&panel["pairs"][0]["cohen_kappa"], 0.0);
    close(&panel["pairs"][2]["cohen_kappa"], 0.5);
    let text = place.ok("eval judges run").stdout;
    assert!(
        text.contains("Fleiss' kappa 0.111") && text.contains("strict  fair"),
        "{text}"
    );

    let run = Store::open_read_only(place.path("run/run.db")).unwrap();
    let episodes = run.episodes(&Filter::default()).unwrap();
    let ids: BTreeMap<String, String> = episodes.into_iter().map(|e| (e.task, e.id)).collect();
    let id = |task: &str| ids.iter().find(|(name, _)| name.ends_with(task)).unwrap().1;
    let labels: Vec<_> = [("1", true), ("2", true), ("3", false), ("4", false)]
        .map(|(task, pass)| format!("{}\n", json!({"episode": id(task), "pass": pass})))
        .into();
    std::fs::write(place.path("people.jsonl"), labels.concat()).unwrap();
    let people = place.ok("eval judges run --labels people.jsonl --json").json()["panels"][0]["people"].clone();
    close(&people["agree"], 0.75);
    close(&people["cohen_kappa"], 0.5);
    assert_eq!((&people["too_kind"], &people["too_strict"]), (&json!(1), &json!(0)));
    assert_eq!(people["differ"][0]["episode"], json!(id("3")));
    std::fs::write(
        place.path("people.jsonl"),
        "{\"episode\": \"eval/9/0\", \"pass\": true}\n",
    )
    .unwrap();
    place.fails(
        "eval judges run --labels people.jsonl",
        1,
        &["people.jsonl:1", "eval/9/0"],
    );

    let fair = place
        .ok(&format!("eval judges run --lint {} --json", model("fair")))
        .json();
    assert_eq!((&fair["lint"]["asked"], &fair["lint"]["flips"]), (&json!(4), &json!(4)));
    let kind = place
        .ok(&format!("eval judges run --lint {} --n 3 --json", model("kind")))
        .json();
    assert_eq!(
        (&kind["lint"]["flips"], kind["lint"]["same"].as_array().unwrap().len()),
        (&json!(0), 3)
    );
    assert_eq!(kind["lint"]["same"][0]["says"], json!(true));
    let deaf = format!("eval judges run --lint {}", model("deaf"));
    place.fails(&deaf, 1, &["no verdict at all", "not JSON"]);
    place.ok("eval shop --model script:expert --n 2 --no-baselines --out shop");
    place.fails("eval judges shop", 1, &["nobody judged", "--judge MODEL"]);
}

/// The agent guesses an address where the request is of even length, and gives up. A judge finds that it stopped too early
/// wherever it guessed nothing, that it made something up wherever it guessed, by its own fault and with a wrong argument, and
/// the rest untrue; that it stopped too early is what it cannot hear while it is deaf.
fn reads(asked: &Asked, deaf: &AtomicBool) -> Answer {
    let request = asked.request();
    if asked.body["model"] == "agent" {
        let guess = request.len().is_multiple_of(2) && !asked.roles().contains(&"tool");
        let call = ("a", "find_email", "{\"email\": \"nobody@nowhere.org\"}");
        return match guess {
            true => chat("", &[call]),
            false => chat("I give up.", &[]),
        };
    }
    let (subject, statement) = request.split_once("<statement>").unwrap();
    let guessed = subject.contains("nobody@nowhere.org");
    if guessed && statement.contains("stopped before") && deaf.load(Ordering::SeqCst) {
        return chat("Perhaps.", &[]);
    }
    let pass = match () {
        () if statement.contains("stopped before") => !guessed,
        () if statement.contains("misunderstood") => guessed,
        () if statement.contains("agent is responsible") => guessed,
        () if statement.contains("with a wrong argument") => true,
        () => false,
    };
    chat(&json!({"reasoning": "because", "pass": pass}).to_string(), &[])
}

#[test]
fn a_judge_says_why_episodes_failed_and_the_rules_stand_beside() {
    let place = Place::new();
    let deaf = Arc::new(AtomicBool::new(true));
    let server = Server::start({
        let deaf = deaf.clone();
        move |asked| reads(asked, &deaf)
    });
    let model = |name: &str| format!("{}#{name}", server.url);
    place.ok(&format!("eval shop --model {} --n 8 --out run", model("agent")));
    let shown = place.ok("eval show run --failed --json").json_lines();
    let guessed = shown
        .iter()
        .filter(|one| !one["got"]["calls"].as_array().unwrap().is_empty())
        .count();
    assert!(
        shown.len() == 8 && guessed > 0 && guessed < 8,
        "{guessed} of {}",
        shown.len()
    );
    // Nobody has judged: the rules alone.
    let alone = place.ok("eval failures run --json").json();
    assert_eq!((&alone["failed"], &alone["judged"]), (&json!(8), &json!(0)));

    // A verdict that cannot be read is none: the episode is in no class.
    let asked = || {
        server
            .asked()
            .iter()
            .filter(|asked| asked.body["model"] != "agent")
            .count()
    };
    let judge = format!("eval failures run --judge {} --json", model("judge"));
    let first = place.ok(&judge).json();
    assert_eq!(
        (&first["judged"], &first["unjudged"]),
        (&json!(8 - guessed), &json!(guessed))
    );
    assert!(first.to_string().contains("not JSON"));
    let before = asked();
    assert_eq!(before, 4 * 8);
    // The rest is asked again, and only the rest.
    deaf.store(false, Ordering::SeqCst);
    let whole = place.ok(&judge).json();
    assert_eq!(asked() - before, 4 * guessed);
    assert_eq!((&whole["judged"], &whole["unjudged"]), (&json!(8), &json!(0)));
    let class = |name: &str| {
        let mut rows = whole["classes"].as_array().unwrap().iter();
        rows.find(|row| row["class"] == name).unwrap().clone()
    };
    let rule = |names: &[&str]| {
        let said = |one: &&Value| names.contains(&one["failure"]["class"].as_str().unwrap());
        shown.iter().filter(said).count()
    };
    let (early, invented) = (class("incomplete_fulfilment"), class("contextual_misinterpretation"));
    assert_eq!(
        (&early["judge"], &early["rule"]),
        (&json!(8 - guessed), &json!(rule(&["incomplete"])))
    );
    assert_eq!(
        (&invented["judge"], &invented["rule"]),
        (&json!(guessed), &json!(rule(&["hallucination", "misread"])))
    );
    assert_eq!(class("incorrect_retrieval")["judge"], 0);
    assert_eq!(whole["episodes"][0]["why"]["incorrect_retrieval"], "because");

    // What was said can be told, said again without a model, and looked at as any panel's words; others judge elsewhere.
    assert_eq!(place.ok("eval failures run --json").json(), whole);
    let again = "eval failures run --judge replay:run/failures --out again --json";
    assert_eq!(place.ok(again).json()["classes"], whole["classes"]);
    let panel = place.ok("eval judges run/failures --phase fama --json").json();
    assert_eq!(panel["panels"][0]["findings"], 4 * 8);
    let text = place.ok("eval failures run").stdout;
    assert!(
        text.contains("8 judged, 0 unjudged") && text.contains("incomplete_fulfilment"),
        "{text}"
    );
    let other = format!("eval failures run --judge {}", model("other"));
    place.fails(&other, 1, &["other judges", "--out"]);
    assert_eq!(asked() - before, 4 * guessed);
    // τ-bench's judge says first who was at fault, and has classes only for the agent's faults.
    let before = asked();
    let tau = place.ok(&format!("{judge} --classes tau")).json();
    assert_eq!(asked() - before, 2 * 8 + 3 * guessed);
    assert_eq!(
        (&tau["at_fault"], &tau["judged"], &tau["classed"]),
        (
            &json!({"agent": guessed, "environment": 8 - guessed}),
            &json!(8),
            &json!(guessed)
        )
    );
    assert_eq!(
        (&tau["classes"][1]["judge"], &tau["none"]),
        (&json!(guessed), &json!(0))
    );
    assert_eq!(place.ok("eval failures run --classes tau --json").json(), tau);
    let text = place.ok("eval failures run --classes tau").stdout;
    assert!(
        text.contains(&format!("at fault: agent {guessed}, environment")),
        "{text}"
    );
    // The run itself is as it was.
    assert_eq!(
        Store::open_read_only(place.path("run/run.db"))
            .unwrap()
            .count()
            .unwrap(),
        8
    );
    // A judge that never gives a verdict is not asked for ever.
    let server = Server::start(|_| chat("Perhaps.", &[]));
    let hopeless = format!(
        "eval failures run --judge {}#m --out b --concurrency 1 --limit 3",
        server.url
    );
    place.fails(&hopeless, 1, &["gives no verdict", "not JSON"]);
    assert_eq!(server.asked().len(), 3);
    place.fails("eval failures run --classes mine", 2, &["fama, tau, tau2"]);
}

#[test]
fn what_judges_of_failures_cost_is_told_and_bounded() {
    let place = Place::new();
    let deaf = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let deaf = deaf.clone();
        move |asked| match (asked.body["model"].as_str(), deaf.load(Ordering::SeqCst)) {
            (Some("judge"), true) => chat("Perhaps.", &[]),
            _ => reads(asked, &AtomicBool::new(false)),
        }
    });
    let price =
        "[[price]]\nmodel = \"judge\"\ninput = 1000.0\noutput = 10000.0\ndate = \"2026-01-31\"\nsource = \"made up\"\n";
    std::fs::write(place.path("p.toml"), price).unwrap();
    place.ok(&format!(
        "eval shop --model {}#agent --n 4 --no-baselines --out run",
        server.url
    ));
    assert_eq!(place.ok("eval failures run --json").json()["cost_usd"], Value::Null);
    let judge = |more: &str| format!("eval failures run --judge {}#judge --concurrency 1 {more}", server.url);
    place.fails(&judge("--max-cost 5"), 1, &["price", "--prices"]);
    // Each answer costs 2 USD, and each episode wants four.
    place.fails(
        &judge("--prices p.toml --max-cost 9"),
        1,
        &["16.0000 USD are spent", "2 of 4 failed episodes"],
    );
    let told = place.ok("eval failures run --json").json();
    assert_eq!((&told["judged"], &told["cost_usd"]), (&json!(2), &json!(16.0)));
    place.fails(&judge("--prices p.toml --max-cost 9"), 1, &["0 of 2 failed episodes"]);
    let whole = place.ok(&judge("--prices p.toml --max-cost 50 --json"));
    assert!(whole.stderr.contains("judge fama"), "{}", whole.stderr);
    assert_eq!(whole.json()["cost_usd"], 32.0);
    assert!(place.ok("eval failures run").stdout.contains("asking cost 32.0000 USD"));
    // What is said again costs nothing; what could not be read was paid for.
    let again = place
        .ok("eval failures run --judge replay:run/failures --out again --json")
        .json();
    assert_eq!((&again["judged"], &again["cost_usd"]), (&json!(4), &Value::Null));
    deaf.store(true, Ordering::SeqCst);
    let unread = judge("--classes tau --limit 1 --prices p.toml --json");
    place.fails(&unread, 1, &["no verdict"]);
    let paid = place.ok("eval failures run --classes tau --json").json()["cost_usd"]
        .as_f64()
        .unwrap();
    deaf.store(false, Ordering::SeqCst);
    let one = place.ok(&unread).json();
    let asked = if one["classed"] == 1 { 5.0 } else { 2.0 };
    assert_eq!(one["cost_usd"].as_f64().unwrap(), paid + asked * 2.0);
}
