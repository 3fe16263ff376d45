//! Skills of several steps: what a result says is what the next call needs.

use crate::scene::{Scene, Tool, fill, json, object, plain};
use crate::values::Kind;
use serde_json::{Map, Value};

/// Entries of a result.
struct Entries(Vec<(String, Kind, String)>);

impl Entries {
    /// One to `most` entries: field names, things or invented words, each with a value.
    fn draw(scene: &mut Scene, most: usize) -> Self {
        let style = scene.below(3);
        let same = scene.chance(0.6).then(|| scene.any_kind());
        let entry = |scene: &mut Scene| {
            let (key, kind) = match style {
                0 => scene.key(),
                1 => (scene.make(Kind::Thing), scene.any_kind()),
                _ => (scene.any(), scene.any_kind()),
            };
            let kind = if style == 0 { kind } else { same.unwrap_or(kind) };
            let value = scene.make(kind);
            (key, kind, value)
        };
        Self((0..scene.between(1, most)).map(|_| entry(scene)).collect())
    }

    fn text(&self, scene: &mut Scene) -> String {
        let flat = object(
            self.0
                .iter()
                .map(|(key, kind, value)| (key.as_str(), json(*kind, value))),
        );
        if scene.chance(0.2) {
            let outer = scene.pick(&["entries", "data", "found", "result", "values", "content"]);
            return format!("{{\"{outer}\":{flat}}}");
        }
        flat
    }

    fn any(&self, scene: &mut Scene) -> (String, Kind, String) {
        self.0[scene.below(self.0.len())].clone()
    }
}

/// A tool that reads something, the request for it, and its arguments.
fn reader(scene: &mut Scene) -> (Tool, String, Vec<(String, Value)>) {
    if scene.chance(0.2) {
        let tool = scene.tool(0);
        let act = scene.act(&tool);
        return (tool, act, Vec::new());
    }
    let tool = scene.tool(1);
    let (step, arguments) = scene.ask(&tool);
    (tool, step, arguments)
}

/// Short questions for one entry.
pub(crate) const QUESTIONS: &[&str] = &[
    "what is {k}?",
    "{k}?",
    "and {k}?",
    "tell me {k}",
    "the value of {k}",
    "now {k}",
    "say the {k}",
];

/// Words for "call this tool with what stands under that key". They name the argument where no list of tools does.
fn use_entry(scene: &mut Scene, tool: &Tool, entry: &str) -> String {
    let act = scene.act(tool);
    let brief = scene.listed() && scene.chance(0.6);
    let template = scene.pick(if brief {
        &[
            "{a} for {e}",
            "{a} with what it gives for {e}",
            "{a} with the value of {e}",
            "{a} with its {e}",
            "{a} using the {e}",
        ]
    } else {
        &[
            "{a} with the {k} of {e}",
            "{a} with {k} of {e}",
            "{a}, {k} is what it gives for {e}",
            "{a} with {k} from {e}",
            "{a}: the {k} is the value of {e}",
            "{a} with its {e} as {k}",
        ]
    });
    fill(template, &[("a", &act), ("k", &tool.keys[0].0), ("e", entry)])
}

/// Look one or two keys up in a result and use their values in the next calls, or report one.
pub(crate) fn look_up(scene: &mut Scene) {
    let (read, step, arguments) = reader(scene);
    let entries = Entries::draw(scene, 6);
    let mut steps = vec![step];
    let mut calls: Vec<(String, Tool, String, Value)> = Vec::new();
    let mut report = None;
    if scene.chance(0.2) {
        let (key, _, value) = entries.any(scene);
        let template = scene.pick(&[
            "tell me the {k}",
            "report {k}",
            "what is the {k}?",
            "say what it gives for {k}",
            "answer with the {k}",
            "i want to know the {k}",
        ]);
        steps.push(fill(template, &[("k", &key)]));
        report = Some(value);
    } else {
        for _ in 0..if scene.chance(0.3) { 2 } else { 1 } {
            let (key, kind, value) = entries.any(scene);
            let (argument, _) = scene.key();
            let tool = scene.tool_with(vec![(argument.clone(), kind)]);
            steps.push(use_entry(scene, &tool, &key));
            calls.push((key, tool, argument, json(kind, &value)));
        }
    }
    let mut request = scene.steps(&steps);
    let last = report.unwrap_or_else(|| scene.last_word(&mut request));
    scene.user(&request);
    scene.call(&read, arguments);
    let text = entries.text(scene);
    scene.result(text);
    for (key, tool, argument, value) in calls {
        scene.target_found(&key, &value, &tool, argument);
        scene.ack();
    }
    scene.say(last);
    // More questions about the same result.
    for _ in 0..scene.below(4) {
        let (key, kind, value) = entries.any(scene);
        if scene.chance(0.5) {
            let template = scene.pick(QUESTIONS);
            scene.plain_user(&fill(template, &[("k", &key)]));
            scene.say(value);
        } else if !scene.listed() {
            let (argument, _) = scene.key();
            let tool = scene.tool_with(vec![(argument.clone(), kind)]);
            let request = use_entry(scene, &tool, &key);
            scene.plain_user(&request);
            scene.target_found(&key, &json(kind, &value), &tool, argument);
            scene.ack();
            scene.say("done");
        }
    }
}

/// The request gives a start; its result gives what the second call needs; that one's result ends the search.
pub(crate) fn two_hops(scene: &mut Scene) {
    let (first, step, arguments) = reader(scene);
    let near = Entries::draw(scene, 5);
    let far = Entries::draw(scene, 4);
    let (key, kind, value) = near.any(scene);
    let (argument, _) = scene.key();
    let second = scene.tool_with(vec![(argument.clone(), kind)]);
    let mut steps = vec![step, use_entry(scene, &second, &key)];
    let (goal, goal_kind, goal_value) = far.any(scene);
    let act = scene.chance(0.6).then(|| {
        let (argument, _) = scene.key();
        let tool = scene.tool_with(vec![(argument.clone(), goal_kind)]);
        steps.push(use_entry(scene, &tool, &goal));
        (tool, argument)
    });
    if act.is_none() {
        let template = scene.pick(&[
            "report the {k}",
            "tell me the {k}",
            "say the {k}",
            "answer with its {k}",
            "what is the {k}?",
        ]);
        steps.push(fill(template, &[("k", &goal)]));
    }
    let mut request = scene.steps(&steps);
    let last = if act.is_some() {
        scene.last_word(&mut request)
    } else {
        goal_value.clone()
    };
    scene.user(&request);
    scene.call(&first, arguments);
    let text = near.text(scene);
    scene.result(text);
    scene.target_found(&key, &json(kind, &value), &second, argument);
    let text = far.text(scene);
    scene.result(text);
    if let Some((tool, argument)) = act {
        scene.target_found(&goal, &json(goal_kind, &goal_value), &tool, argument);
        scene.ack();
    }
    scene.say(last);
}

/// Choose among the entries of a list by one field and use another.
pub(crate) fn choose(scene: &mut Scene) {
    let (read, step, arguments) = reader(scene);
    let count = scene.between(2, 4);
    let (id, id_kind) = scene.key();
    let numbers = scene.chance(0.35);
    let (field, values): (String, Vec<Value>) = if numbers {
        let key = scene.number_key();
        let values = (0..count)
            .map(|_| scene.make(Kind::Number))
            .map(|text| json(Kind::Number, &text))
            .collect();
        (key, values)
    } else if scene.chance(0.5) {
        let (field, states) = scene.state();
        let mut states = states.to_vec();
        scene.shuffle(&mut states);
        // Fewer states than entries: the last entries go without a rival of their own, so cut the list.
        (field.into(), states.into_iter().take(count).map(Value::from).collect())
    } else {
        let (key, kind) = scene.key();
        (
            key,
            (0..count)
                .map(|_| scene.make(kind))
                .map(|text| json(kind, &text))
                .collect(),
        )
    };
    let ids: Vec<_> = values.iter().map(|_| json(id_kind, &scene.make(id_kind))).collect();
    let wanted = scene.below(values.len());
    let (wanted, which) = if numbers && scene.chance(0.4) {
        let highest = scene.chance(0.5);
        let mut order: Vec<_> = (0..values.len()).collect();
        order.sort_by_key(|at| values[*at].as_u64());
        let at = if highest { order[order.len() - 1] } else { order[0] };
        let word = scene.pick(if highest {
            &["highest", "largest", "most"]
        } else {
            &["lowest", "smallest", "least"]
        });
        (at, format!("the one with the {word} {field}"))
    } else {
        let template = scene.pick(&[
            "the one whose {f} is {v}",
            "the one with {f} {v}",
            "the entry with {f} {v}",
            "the {v} one",
            "the one where {f} is {v}",
        ]);
        (wanted, fill(template, &[("f", &field), ("v", &plain(&values[wanted]))]))
    };
    // The argument has the field's name, or one that the request or the list of tools tells.
    let argument = if scene.chance(0.5) { id.clone() } else { scene.key().0 };
    let tool = scene.tool_with(vec![(argument.clone(), id_kind)]);
    let act = scene.act(&tool);
    let brief = argument == id || scene.listed();
    let template = scene.pick(if brief {
        &[
            "{a} with the {i} of {w}",
            "{a} for {w}, by its {i}",
            "take the {i} of {w} and {a}",
            "pick {w} and {a} with its {i}",
        ]
    } else {
        &[
            "{a} with the {i} of {w} as {k}",
            "{a} for {w}, its {i} is the {k}",
            "{a}, the {k} is the {i} of {w}",
            "take the {i} of {w} as {k} and {a}",
        ]
    });
    let use_it = fill(template, &[("a", &act), ("i", &id), ("w", &which), ("k", &argument)]);
    let mut request = scene.steps(&[step, use_it]);
    let last = scene.last_word(&mut request);
    scene.user(&request);
    scene.call(&read, arguments);
    let first = scene.chance(0.6);
    let list: Vec<_> = ids
        .iter()
        .zip(&values)
        .map(|(one, value)| {
            let mut fields = vec![(id.as_str(), one.clone()), (field.as_str(), value.clone())];
            if !first {
                fields.reverse();
            }
            object(fields)
        })
        .collect();
    let list = format!("[{}]", list.join(","));
    let outer = scene.pick(&["entries", "found", "list", "rows"]);
    let nested = scene.chance(0.3);
    scene.result(if nested {
        format!("{{\"{outer}\":{list}}}")
    } else {
        list
    });
    let which = format!("{field} {}, {id}", plain(&values[wanted]));
    scene.target_found(&which, &ids[wanted], &tool, argument);
    scene.ack();
    scene.say(last);
}

/// A result lists parts with counts; take each in order, and make the parts that are not at hand from their own.
pub(crate) fn parts(scene: &mut Scene) {
    scene.list_tools();
    let [thing, count] = [scene.text_key(), scene.number_key()];
    let show = scene.tool_with(vec![(thing.clone(), Kind::Thing)]);
    let supply = scene.tool_with(vec![(thing.clone(), Kind::Thing), (count.clone(), Kind::Number)]);
    let finish = scene.tool_with(vec![(thing.clone(), Kind::Thing)]);
    let goal = scene.make(Kind::Thing);
    let (show_act, supply_act, finish_act) = (scene.act(&show), scene.act(&supply), scene.act(&finish));
    let template = scene.pick(&[
        "i want {g}: {s} to see the parts, {f} for each, and {m} at the end",
        "prepare {g}. first {s}. for every part {f}. last {m}",
        "we need {g}. parts: {s}. each part: {f}. whole: {m}",
    ]);
    let mut request = fill(
        template,
        &[("g", &goal), ("s", &show_act), ("f", &supply_act), ("m", &finish_act)],
    );
    let last = scene.last_word(&mut request);
    scene.user(&request);
    let names = [
        scene.pick(&["yields", "gives", "pieces", "produces"]),
        scene.pick(&["from", "parts", "takes", "uses", "list"]),
    ];
    let mut depth = usize::from(scene.chance(0.35));
    // What is still to do, last first: see a thing's parts, take a part, or put a thing together.
    enum Todo {
        See(String),
        Take(String, usize),
        Join(String),
    }
    let mut todo = vec![Todo::See(goal)];
    while let Some(next) = todo.pop() {
        match next {
            Todo::See(one) => {
                scene.call(&show, [(thing.clone(), Value::from(one.as_str()))]);
                let parts: Vec<_> = (0..scene.between(1, 3))
                    .map(|_| (scene.make(Kind::Thing), scene.between(1, 9)))
                    .collect();
                let list: Map<String, Value> = parts.iter().map(|(part, n)| (part.clone(), (*n).into())).collect();
                let yields = scene.between(1, 6);
                // As the result lists them, not sorted.
                let list = object(parts.iter().map(|(part, _)| (part.as_str(), list[part].clone())));
                scene.result(format!("{{\"{}\":{yields},\"{}\":{list}}}", names[0], names[1]));
                todo.push(Todo::Join(one));
                todo.extend(parts.into_iter().rev().map(|(part, n)| Todo::Take(part, n)));
            }
            Todo::Take(part, n) => {
                scene.call(
                    &supply,
                    [(thing.clone(), part.as_str().into()), (count.clone(), n.into())],
                );
                if depth > 0 && scene.chance(0.5) {
                    depth -= 1;
                    let error = scene.pick(&[
                        "error: none left",
                        "error: not at hand, see its parts",
                        "error: must be put together first",
                    ]);
                    scene.result(error);
                    todo.push(Todo::See(part));
                } else {
                    scene.ack();
                }
            }
            Todo::Join(one) => {
                scene.call(&finish, [(thing.clone(), one.into())]);
                scene.ack();
            }
        }
    }
    scene.say(last);
}
