//! Skills of one step: copying values, and looking them up in front of one's eyes.

use crate::scene::{Scene, fill, json, object};
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

/// Name-value pairs in the request, some of which are asked for in another order.
pub(crate) fn recall(scene: &mut Scene) {
    let things = scene.chance(0.4);
    let numbers = scene.chance(0.15);
    let pairs: Vec<(String, Value)> = (0..scene.between(2, 8))
        .map(|_| {
            let key = if things { scene.make(Kind::Thing) } else { scene.any() };
            let kind = if numbers { Kind::Number } else { scene.any_kind() };
            let value = scene.make(kind);
            (key, json(kind, &value))
        })
        .collect();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let board = if scene.chance(0.6) {
        object(pairs.iter().map(|(key, value)| (key.as_str(), value.clone())))
    } else {
        let template = scene.pick(&["{k}: {v}", "{k} is {v}", "{k} = {v}", "{k} -> {v}", "the {k} has {v}"]);
        let lines: Vec<_> = pairs
            .iter()
            .map(|(key, value)| fill(template, &[("k", key), ("v", &text(value))]))
            .collect();
        lines.join(scene.pick(&["; ", ", ", "\n"]))
    };
    let mut asked = pairs.clone();
    scene.shuffle(&mut asked);
    let keep = scene.between(1, pairs.len());
    asked.truncate(keep);
    let keys: Vec<_> = asked.iter().map(|(key, _)| key.as_str()).collect();
    let template = scene.pick(&[
        "{b}\nwhat is {k}?",
        "{b}\nsay the values of {k}",
        "given {b}, tell {k}",
        "look: {b}\nnow give {k}",
        "find {k} in {b}",
    ]);
    scene.plain_user(&fill(template, &[("b", &board), ("k", &keys.join(", "))]));
    scene.say(
        asked
            .iter()
            .map(|(_, value)| text(value))
            .collect::<Vec<_>>()
            .join(", "),
    );
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
