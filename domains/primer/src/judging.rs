//! Skills of judgement: conditions, rules, errors, short answers.

use crate::scene::{Scene, Tool, fill, json, object};
use crate::values::Kind;
use serde_json::Value;

/// What to do in one case.
enum Deed {
    Call(Tool, Vec<(String, Value)>),
    Say(String),
}

impl Deed {
    fn draw(scene: &mut Scene) -> (String, Self) {
        if scene.chance(0.4) {
            let words = if scene.chance(0.5) {
                scene
                    .pick(&["no", "yes", "not possible", "too late", "all good", "wait", "sorry"])
                    .into()
            } else {
                scene.any()
            };
            let template = scene.pick(&["say {x}", "answer {x}", "say \"{x}\"", "reply with {x}"]);
            return (fill(template, &[("x", &words)]), Self::Say(words));
        }
        let arguments = scene.between(1, 2);
        let tool = scene.tool(arguments);
        let (text, arguments) = scene.ask(&tool);
        (text, Self::Call(tool, arguments))
    }

    fn play(self, scene: &mut Scene) {
        match self {
            Self::Say(words) => scene.say(words),
            Self::Call(tool, arguments) => {
                scene.call(&tool, arguments);
                scene.ack();
                scene.say("done");
            }
        }
    }
}

/// Read something, then do one thing or the other, as a state or a number of the result decides.
pub(crate) fn condition(scene: &mut Scene) {
    let read = scene.tool(1);
    let (step, arguments) = scene.ask(&read);
    let (field, value, test, holds) = if scene.chance(0.5) {
        let (field, states) = scene.state();
        let value = scene.pick(states);
        let asked = if scene.chance(0.5) { value } else { scene.pick(states) };
        let template = scene.pick(&["the {f} is {v}", "{f} is {v}", "it is {v}", "the {f} says {v}"]);
        (
            field.to_string(),
            Value::from(value),
            fill(template, &[("f", field), ("v", asked)]),
            asked == value,
        )
    } else {
        let field = scene.number_key();
        let (limit, value) = (scene.between(2, 90), scene.between(1, 99));
        let (above, template) = *scene.pick(&[
            &(true, "the {f} is over {v}"),
            &(true, "the {f} is more than {v}"),
            &(true, "{f} is above {v}"),
            &(false, "the {f} is under {v}"),
            &(false, "the {f} is less than {v}"),
            &(false, "{f} is below {v}"),
        ]);
        let holds = if above { value > limit } else { value < limit };
        (
            field.clone(),
            value.into(),
            fill(template, &[("f", &field), ("v", &limit.to_string())]),
            holds,
        )
    };
    let (then, yes) = Deed::draw(scene);
    let (other, no) = Deed::draw(scene);
    let template = scene.pick(&[
        "if {c}, {y}. otherwise {n}",
        "if {c} then {y}, else {n}",
        "when {c}, {y}; if not, {n}",
        "{y} if {c}, otherwise {n}",
        "should it turn out that {c}, {y}. if not, {n}",
    ]);
    let rule = fill(template, &[("c", &test), ("y", &then), ("n", &other)]);
    let mut request = step;
    if scene.chance(0.3) {
        scene.rule = Some(rule);
    } else {
        request = scene.steps(&[request, rule]);
    }
    scene.user(&request);
    scene.call(&read, arguments);
    let mut fields = vec![(field, value)];
    for _ in 0..scene.below(4) {
        let (key, kind) = scene.key();
        if key != fields[0].0 {
            let value = scene.make(kind);
            fields.push((key, json(kind, &value)));
        }
    }
    scene.shuffle(&mut fields);
    scene.result(object(fields.iter().map(|(key, value)| (key.as_str(), value.clone()))));
    let deed = if holds { yes } else { no };
    deed.play(scene);
}

/// Short instructions: say a word, answer a greeting as told, count to a number.
pub(crate) fn short(scene: &mut Scene) {
    let [one, other] = [scene.any(), scene.any()];
    let both = format!("{one} {other}");
    let n = scene.between(2, 9);
    let (request, answer) = match scene.below(6) {
        0 => (format!("say only {one}"), one),
        1 => (format!("first say {one}, then {other}"), both),
        2 => (format!("say {other} after {one}"), both),
        3 => (
            format!("count to {n}"),
            (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(" "),
        ),
        4 => (format!("not {other}, but {one}: say it"), one),
        _ => (format!("say {one} twice"), format!("{one} {one}")),
    };
    scene.plain_user(&request);
    scene.say(answer);
}

/// A tool fails: say so, or try what the request names as the way out.
pub(crate) fn error(scene: &mut Scene) {
    let arguments = scene.between(1, 2);
    let first = scene.tool(arguments);
    let (step, arguments) = scene.ask(&first);
    let (text, way_out) = Deed::draw(scene);
    let template = scene.pick(&[
        "if that fails, {d}",
        "if there is an error, {d}",
        "should it fail, {d}",
        "on an error {d}",
        "if it does not work, {d}",
    ]);
    let told = scene.chance(0.75);
    let mut steps = vec![step];
    if told {
        steps.push(fill(template, &[("d", &text)]));
    }
    let request = scene.steps(&steps);
    scene.user(&request);
    scene.call(&first, arguments);
    if scene.chance(0.3) {
        scene.ack();
        scene.say("done");
        return;
    }
    let what = scene.make(Kind::Word);
    let template = scene.pick(&[
        "error: no such {k}",
        "error: {k} not found",
        "error: {k} is not available",
        "error: {w} is closed",
        "{\"error\":\"{w}\"}",
        "error: wrong {k}",
    ]);
    let text = fill(template, &[("k", &first.keys[0].0), ("w", &what)]);
    scene.result(text);
    if told {
        way_out.play(scene);
    } else {
        scene.say("failed");
    }
}
