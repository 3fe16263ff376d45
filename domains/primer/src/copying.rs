//! Skills of one step: copying values, and looking them up in front of one's eyes.

use crate::following::QUESTIONS;
use crate::scene::{Scene, fill, json, object, plain};
use crate::values::Kind;
use serde_json::Value;

/// Say again what the request says: long, so that nearly every token of the answer is a copy.
pub(crate) fn repeat(scene: &mut Scene) {
    let words: Vec<_> = (0..scene.between(3, 12)).map(|_| scene.any()).collect();
    let text = words.join(scene.pick(&[" ", ", ", ", ", "; ", " and "]));
    let template = scene.pick(&[
        "say {x}",
        "repeat: {x}",
        "say this: {x}",
        "write {x}",
        "echo {x}",
        "copy this line: {x}",
        "answer with {x}",
    ]);
    // No greeting: the answer is everything after the verb.
    scene.plain_user(&fill(template, &[("x", &text)]));
    scene.say(text);
}

/// Name-value pairs in the request, asked for one after the other: short documents with many look-ups.
pub(crate) fn recall(scene: &mut Scene) {
    let things = scene.chance(0.4);
    let numbers = scene.chance(0.1);
    let pairs: Vec<(String, Value)> = (0..scene.between(2, 8))
        .map(|_| {
            let key = if things { scene.make(Kind::Thing) } else { scene.any() };
            let kind = if numbers { Kind::Number } else { scene.any_kind() };
            let value = scene.make(kind);
            (key, json(kind, &value))
        })
        .collect();
    let board = if scene.chance(0.7) {
        object(pairs.iter().map(|(key, value)| (key.as_str(), value.clone())))
    } else {
        let template = scene.pick(&["{k}: {v}", "{k} is {v}", "{k} = {v}", "{k} -> {v}", "the {k} has {v}"]);
        let lines: Vec<_> = pairs
            .iter()
            .map(|(key, value)| fill(template, &[("k", key), ("v", &plain(value))]))
            .collect();
        lines.join(scene.pick(&["; ", ", ", "\n"]))
    };
    let mut asked = pairs.clone();
    scene.shuffle(&mut asked);
    for (at, (key, value)) in asked.iter().enumerate() {
        let template = scene.pick(QUESTIONS);
        let question = fill(template, &[("k", key)]);
        scene.plain_user(&if at == 0 {
            format!("{board}\n{question}")
        } else {
            question
        });
        scene.say(plain(value));
    }
}

/// Copy arguments from the request into one to three calls.
pub(crate) fn copy(scene: &mut Scene) {
    let mut steps = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..scene.pick(&[&1, &1, &2, &3]).to_owned() {
        let arguments = *scene.pick(&[&1, &1, &2, &3]);
        let tool = scene.tool(arguments);
        let (step, arguments) = scene.ask(&tool);
        steps.push(step);
        calls.push((tool, arguments));
    }
    let mut request = scene.steps(&steps);
    let last = scene.last_word(&mut request);
    scene.user(&request);
    for (tool, arguments) in calls {
        scene.target_call(&tool, arguments);
        scene.ack();
    }
    scene.say(last);
    // More requests, one at a time.
    if !scene.listed() {
        for _ in 0..scene.below(4) {
            let arguments = scene.between(1, 3);
            let tool = scene.tool(arguments);
            let (request, arguments) = scene.ask(&tool);
            scene.plain_user(&request);
            scene.target_call(&tool, arguments);
            scene.ack();
            scene.say("done");
        }
    }
}

/// The request tells several facts; the calls need some of them, by name.
pub(crate) fn facts(scene: &mut Scene) {
    let facts: Vec<_> = (0..scene.between(2, 5))
        .map(|_| {
            let (key, kind) = scene.key();
            let value = scene.make(kind);
            (key, kind, value)
        })
        .collect();
    let lines: Vec<_> = facts.iter().map(|(key, _, value)| scene.pair(key, value)).collect();
    let mut text = lines.join(scene.pick(&[", ", "; ", ". "]));
    let mut order: Vec<_> = (0..facts.len()).collect();
    scene.shuffle(&mut order);
    let mut calls = Vec::new();
    for at in order.into_iter().take(2) {
        let (key, kind, value) = &facts[at];
        let tool = scene.tool_with(vec![(key.clone(), *kind)]);
        let act = scene.act(&tool);
        let template = scene.pick(&[
            "{a} with the {k}",
            "{a} with my {k}",
            "{a} for the {k}",
            "{a}, it needs the {k}",
        ]);
        text.push_str(scene.pick(&[". ", ". now ", ". then "]));
        text.push_str(&fill(template, &[("a", &act), ("k", key)]));
        calls.push((tool, vec![(key.clone(), json(*kind, value))]));
    }
    let last = scene.last_word(&mut text);
    scene.user(&text);
    for (tool, arguments) in calls {
        scene.target_call(&tool, arguments);
        scene.ack();
    }
    scene.say(last);
}
