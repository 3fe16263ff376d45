//! What a model is told: messages and tools. The words are ours.

use super::memory::Prior;
use super::{Entry, Shared};
use crate::multi_turn::{World, WorldError};
use crate::schema::{documents, tool, tools};
use crate::{Category, Language};
use hone_env::EnvError;
use hone_python::{DumpOptions, Value, dumps};
use hone_tool::{Annotations, ToolSpec, Toolset};

const ONE_TURN: &str = "\
You answer requests by calling functions. The functions are listed below as JSON.

Write nothing but calls, in one list, each with its arguments by name:
[name(parameter=value, other='text'), second_name(parameter=[1, 2])]
Call as many functions as the request needs. If none of them fits, or the request does not say what a required parameter \
should be, say so in a sentence instead and call nothing.";

const SEVERAL_TURNS: &str = "\
You do what a user asks by calling functions. The functions are listed below as JSON.

To call functions, write nothing but calls, in one list, each with its arguments by name:
[name(parameter=value, other='text'), second_name(parameter=[1, 2])]
You are then told their results and may call further ones. When nothing is left to call for what the user has asked so far, \
or it cannot be done with these functions, say so in a sentence; the user then goes on.";

const ANSWER_FORM: &str = "\
Give your final answer in this form: {'answer': the answer itself, short and exact, 'context': how you know it}. If you do \
not know it, let the answer be 'I do not know'; if the question cannot be answered, let it be 'I cannot answer this question' \
and say in the context why.";

const TWO_MEMORIES: &str = "\
You have a memory that outlasts this conversation, in two parts: core memory, which is small and always in view, and archival \
memory, which is large and read with its tools. Keep both in order: write down what matters for later conversations, correct \
what has changed, and look things up before you answer.

Your core memory from earlier conversations:";

const ONE_MEMORY: &str = "\
You have a memory that outlasts this conversation: a text that you keep yourself. Keep it in order: write down what matters for \
later conversations, and correct what has changed.

Your memory from earlier conversations:";

/// Who the model is in a scenario of the memory categories.
fn role(scenario: &str) -> &'static str {
    match scenario {
        "student" => "You support a student, in their studies and in what surrounds them.",
        "customer" => "You serve the customers of an online shop and remember what they told you.",
        "finance" => "You assist a senior finance professional, at work and around it.",
        "healthcare" => "You assist a patient from one appointment to the next.",
        "notetaker" => "You keep a person's notes and tasks.",
        _ => "You assist a person over many conversations.",
    }
}

/// Who the model is, and what it has kept.
fn remembering(scenario: &str, category: Category, world: &World) -> String {
    let about = match category {
        Category::MemoryRecSum => ONE_MEMORY,
        _ => TWO_MEMORIES,
    };
    let held = world.in_context().unwrap_or_default();
    format!("{}\n\n{about}\n{held}", role(scenario))
}

/// The system message and the first message of the user.
pub(super) fn messages(entry: &Entry, shared: &Shared) -> Result<(Option<String>, String), EnvError> {
    let broken = |error: WorldError| EnvError::Data {
        what: format!("record {}: {error}", entry.id()),
        remedy: "take the data from the package bfcl-eval unchanged".into(),
    };
    let (turn, mut system) = match entry {
        Entry::Single(record) => (record.messages.clone(), vec![]),
        Entry::Turns(task) => (task.messages(0, shared.prompted), vec![]),
        Entry::Memory(question, category) => {
            let world = shared.memories.world(question, *category, &shared.worlds);
            let memory = remembering(&question.scenario, *category, &world.map_err(broken)?);
            (question.messages.clone(), vec![memory, ANSWER_FORM.to_owned()])
        }
        Entry::Before(prior) => {
            let Prior {
                conversation,
                scenario,
                category,
            } = &**prior;
            let world = shared
                .memories
                .memory(&conversation.id, scenario, *category, &shared.worlds);
            let first = conversation.turns.first().cloned().unwrap_or_default();
            (first, vec![remembering(scenario, *category, &world.map_err(broken)?)])
        }
    };
    if shared.prompted {
        let (about, functions) = match entry {
            Entry::Single(record) => (ONE_TURN, documents(record)),
            Entry::Turns(task) => (SEVERAL_TURNS, task.offered(0).into_iter().cloned().collect()),
            Entry::Memory(..) | Entry::Before(_) => (
                SEVERAL_TURNS,
                shared
                    .memories
                    .functions
                    .get(&entry.category())
                    .cloned()
                    .unwrap_or_default(),
            ),
        };
        let options = DumpOptions {
            ensure_ascii: false,
            ..DumpOptions::default()
        };
        let listed: Vec<_> = functions
            .iter()
            .map(|f| dumps(f, &options).unwrap_or_default())
            .collect();
        system.insert(0, format!("{about}\n\n{}", listed.join("\n")));
    }
    let (own, said): (Vec<_>, Vec<_>) = turn.into_iter().partition(|(role, _)| role == "system");
    system.extend(own.into_iter().map(|(_, text)| text));
    let system = (!system.is_empty()).then(|| system.join("\n\n"));
    Ok((system, joined(&said)))
}

/// The messages of a turn as one: a few records quote a conversation.
pub(super) fn joined(messages: &[(String, String)]) -> String {
    match messages {
        [(_, text)] => text.clone(),
        several => {
            let quoted: Vec<_> = several.iter().map(|(role, text)| format!("{role}: {text}")).collect();
            quoted.join("\n\n")
        }
    }
}

/// Results of a prompted model's calls.
pub(super) fn results(calls: &[String], results: &[String]) -> String {
    let lines: Vec<_> = calls
        .iter()
        .zip(results)
        .map(|(call, result)| format!("{call}: {result}"))
        .collect();
    lines.join("\n")
}

/// The tools of a turn; none for a prompted model.
pub(super) fn specs(entry: &Entry, turn: usize, shared: &Shared) -> Vec<ToolSpec> {
    if shared.prompted {
        return vec![];
    }
    let described: Vec<Value> = match entry {
        Entry::Single(record) => tools(record),
        Entry::Turns(task) => task
            .offered(turn)
            .into_iter()
            .map(|raw| tool(raw, Language::Python))
            .collect(),
        Entry::Memory(..) | Entry::Before(_) => {
            let functions = shared.memories.functions.get(&entry.category());
            functions
                .into_iter()
                .flatten()
                .map(|raw| tool(raw, Language::Python))
                .collect()
        }
    };
    let mut specs: Vec<ToolSpec> = vec![];
    for spec in described.iter().map(spec) {
        // Of two tools of one name, calls reach the one that comes last.
        specs.retain(|other| other.name != spec.name);
        specs.push(spec);
    }
    specs
}

fn spec(tool: &Value) -> ToolSpec {
    let function = tool.get("function").unwrap_or(&Value::None);
    let text = |name| {
        function
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let schema = function
        .get("parameters")
        .and_then(|schema| serde_json::to_value(schema).ok());
    let mut spec = ToolSpec {
        name: text("name"),
        description: text("description"),
        input_schema: schema.unwrap_or_else(|| serde_json::json!({"type": "object"})),
        annotations: Annotations::default(),
        version: String::new(),
        // What is wrong with arguments, the scorer says; the original runs any.
        unchecked: true,
    };
    // A few schemas of the data are none. The model reads them all the same.
    if Toolset::compile(std::slice::from_ref(&spec)).is_err() {
        spec.description = format!("{} Parameters: {}", spec.description, spec.input_schema);
        spec.input_schema = serde_json::json!({"type": "object"});
    }
    spec
}
