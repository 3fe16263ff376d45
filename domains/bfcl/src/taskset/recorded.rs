//! What others recorded: lines of the original's result files, and conversations as OpenAI messages.

use super::{Bfcl, Entry};
use crate::data::{DataError, Lines};
use crate::multi_turn::{Lexical, calls, judge};
use crate::{Answer, Category, DEFECTS, Names, Verdict, evaluate, judge_answers};
use hone_env::EnvError;
use hone_python::{Value, dumps};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Scores recorded answers of any category by the id of their record.
pub struct Recorded {
    suite: Bfcl,
    names: Names,
    by_id: HashMap<String, usize>,
    /// Gold of the web-search questions, where the folder has it. Their answers are judged like those of memory.
    web: HashMap<String, Vec<String>>,
}

/// A line that was scored.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The record.
    pub id: String,
    /// Its category.
    pub category: Category,
    /// The original's verdict; `counts` says whether it also counts where defects of the records are corrected.
    pub verdict: Verdict,
}

/// What a model did for a record.
enum Given {
    /// One answer.
    Answer(Answer),
    /// Answers by turn and step.
    Turns(Vec<Vec<Answer>>),
    /// Something else, such as the text of an error where turns are expected.
    Other,
}

impl Recorded {
    /// For answers with these names, to the records of a folder as [`Bfcl::load`] reads it.
    ///
    /// # Errors
    /// When a file is malformed, or there are no records.
    pub fn load(names: Names, dir: &Path) -> Result<Self, EnvError> {
        let suite = Bfcl::load(
            match names {
                Names::Dotted => "bfcl-prompt:all",
                Names::Underscored => "bfcl:all",
            },
            dir,
            Arc::new(Lexical),
        )?;
        let by_id = suite.entries.iter().enumerate().map(|(i, entry)| (entry.id(), i));
        Ok(Self {
            by_id: by_id.collect(),
            web: web(dir).map_err(|error| EnvError::Data {
                what: format!("{}{}: {}", error.file, error.place, error.what),
                remedy: error.remedy.to_owned(),
            })?,
            suite,
            names,
        })
    }

    /// The categories as a taskset, for its aggregate.
    pub fn suite(&self) -> &Bfcl {
        &self.suite
    }

    /// Score a line: `{"id", "result"}` as the original writes it, or `{"id" or "task_id", "messages"}` with OpenAI messages.
    ///
    /// # Errors
    /// Why it has no score, in a sentence.
    pub fn score(&self, line: &Value) -> Result<Scored, String> {
        let id = ["id", "task_id"].iter().find_map(|name| line.get(name)?.as_str());
        let id = id.ok_or("there is neither an id nor a task_id; write the record's id")?;
        let scored = |category, verdict| Scored {
            id: id.to_owned(),
            category,
            verdict,
        };
        if let Some(gold) = self.web.get(id) {
            let category = Category::of(id.rsplit_once('_').map_or(id, |(name, _)| name));
            let category = category.ok_or_else(|| format!("{id}: no category has that name"))?;
            return Ok(scored(category, agentic(&self.given(line, None)?, gold)));
        }
        let entry = self.by_id.get(id).and_then(|index| self.suite.entries.get(*index));
        let entry = entry.ok_or_else(|| format!("there is no record {id} in the data"))?;
        let verdict = self.verdict(entry, &self.given(line, Some(entry))?)?;
        let counts = !DEFECTS.iter().any(|defect| defect.id == id);
        Ok(scored(entry.category(), Verdict { counts, ..verdict }))
    }

    fn verdict(&self, entry: &Entry, given: &Given) -> Result<Verdict, String> {
        Ok(match (entry, given) {
            (Entry::Single(record), Given::Answer(answer)) => {
                let settings = crate::Settings {
                    names: self.names,
                    ..crate::Settings::default()
                };
                evaluate(record, answer, settings)
            }
            (Entry::Single(record), _) => {
                return Err(format!("{}: there are turns where one answer is due", record.id));
            }
            (Entry::Turns(task), Given::Turns(turns)) => {
                let decoded = |steps: &Vec<Answer>| steps.iter().filter_map(calls).collect();
                let turns: Vec<Vec<Vec<String>>> = turns.iter().map(decoded).collect();
                let judged = judge(task, &turns, &self.suite.shared.worlds);
                judged.map_err(|error| format!("{}: {error}", task.id))?.verdict
            }
            (Entry::Turns(_), _) => Verdict::wrong("multi_turn:inference_error", "there is no list of turns".into()),
            (Entry::Memory(question, _), given) => agentic(given, &question.gold),
            (Entry::Before(prior), _) => return Err(format!("{} asks nothing", prior.conversation.id)),
        })
    }

    fn given(&self, line: &Value, entry: Option<&Entry>) -> Result<Given, String> {
        let single = matches!(entry, Some(Entry::Single(_)));
        if let Some(messages) = line.get("messages").and_then(Value::as_list) {
            let expected = match entry {
                Some(Entry::Turns(task)) => task.turns.iter().map(|turn| turn.len().max(1)).collect(),
                _ => vec![],
            };
            return Ok(match single {
                true => Given::Answer(first_answer(messages, self.names)),
                false => Given::Turns(by_turn(messages, &expected, self.names)),
            });
        }
        let result = line.get("result").ok_or("there is neither a result nor messages")?;
        if single {
            return Ok(Given::Answer(
                Answer::of_result(result, self.names).unwrap_or_else(unreadable),
            ));
        }
        let Some(turns) = result.as_list() else {
            return Ok(Given::Other);
        };
        let steps = |turn: &Value| {
            turn.as_list()
                .map(|steps| steps.iter().map(|step| self.step(step)).collect())
        };
        Ok(turns
            .iter()
            .map(steps)
            .collect::<Option<_>>()
            .map_or(Given::Other, Given::Turns))
    }

    /// What the original's `decode_execute` is given: a text, or calls as `{name: arguments}`, of which an object may hold
    /// several.
    fn step(&self, step: &Value) -> Answer {
        let listed = match step {
            Value::Dict(_) => std::slice::from_ref(step),
            Value::List(calls) => calls,
            _ => return Answer::of_result(step, self.names).unwrap_or_else(unreadable),
        };
        let mut made = vec![];
        for call in listed {
            let Some(call) = call.as_dict() else {
                return unreadable();
            };
            for (name, arguments) in call.iter() {
                let arguments = match arguments {
                    Value::Str(json) => json.clone(),
                    other => dumps(other, &Default::default()).unwrap_or_default(),
                };
                made.push((name.to_string(), arguments));
            }
        }
        Answer::Calls(made)
    }
}

/// An answer that does not decode.
fn unreadable() -> Answer {
    Answer::Calls(vec![(String::new(), String::new())])
}

/// A question's only turn.
fn agentic(given: &Given, gold: &[String]) -> Verdict {
    match given {
        Given::Turns(turns) if turns.len() == 1 => judge_answers(&turns[0], gold),
        _ => Verdict::wrong("agentic:inference_error", "there is no list of one turn".into()),
    }
}

fn web(dir: &Path) -> Result<HashMap<String, Vec<String>>, DataError> {
    let inner = dir.join("bfcl");
    let dir = if inner.is_dir() { &inner } else { dir };
    let path = dir.join("possible_answer").join("BFCL_v4_web_search.json");
    let mut gold = HashMap::new();
    if !path.is_file() {
        return Ok(gold);
    }
    for line in Lines::read(&path, &mut Sha256::new())? {
        let (place, value) = line?;
        let id = place.text(&value, "id")?;
        let texts = place.list(&value, "ground_truth")?.iter().map(ToString::to_string);
        let texts: Vec<String> = texts.collect();
        for category in [Category::WebSearchBase, Category::WebSearchNoSnippet] {
            gold.insert(id.replacen("web_search", category.name(), 1), texts.clone());
        }
    }
    Ok(gold)
}

/// A message of an assistant.
fn answer(message: &Value, names: Names) -> Answer {
    let called = message.get("tool_calls").and_then(Value::as_list).unwrap_or_default();
    if called.is_empty() {
        let said = text(message.get("content"));
        return match names {
            Names::Dotted => Answer::Text(said),
            Names::Underscored => Answer::Said(said),
        };
    }
    let call = |call: &Value| {
        let function = call.get("function")?;
        let arguments = function.get("arguments")?.as_str()?;
        Some((function.get("name")?.as_str()?.to_owned(), arguments.to_owned()))
    };
    let calls: Option<_> = called.iter().map(call).collect();
    calls.map_or_else(unreadable, Answer::Calls)
}

/// A content: a text, or parts with texts.
fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::Str(text)) => text.clone(),
        Some(Value::List(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// The first answer after the question, which may quote a conversation.
fn first_answer(messages: &[Value], names: Names) -> Answer {
    let last = messages.iter().rposition(|message| role(message) == "user");
    let after = messages.get(last.map_or(0, |at| at + 1)..).unwrap_or_default();
    let found = after.iter().find(|message| role(message) == "assistant");
    found.map_or_else(|| Answer::Said(String::new()), |message| answer(message, names))
}

/// Answers by turn. A turn ends with an answer that calls nothing: a user's message before that tells results, as prompted
/// models get them. `expected` says how many messages open a turn; one, where it is silent.
fn by_turn(messages: &[Value], expected: &[usize], names: Names) -> Vec<Vec<Answer>> {
    let mut turns: Vec<Vec<Answer>> = vec![];
    // Messages of the user that opened the turn; whether the model is amid its calls.
    let (mut opened, mut amid) = (0, false);
    for message in messages {
        match role(message) {
            "user" if !amid => {
                let open = turns.last().is_some_and(Vec::is_empty);
                let due = turns.len().checked_sub(1).and_then(|turn| expected.get(turn)).copied();
                if open && opened < due.unwrap_or(1) {
                    opened += 1;
                } else {
                    turns.push(vec![]);
                    opened = 1;
                }
            }
            "assistant" => {
                let said = answer(message, names);
                amid = calls(&said).is_some();
                if turns.is_empty() {
                    turns.push(vec![]);
                }
                if let Some(turn) = turns.last_mut() {
                    turn.push(said);
                }
            }
            _ => {}
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn messages(json: &str) -> Vec<Value> {
        loads(json).expect("JSON").as_list().expect("a list").to_vec()
    }

    #[test]
    fn turns_end_with_answers_that_call_nothing() {
        let told = messages(
            r#"[{"role": "system", "content": "s"}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "x"}, {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "No."}]"#,
        );
        let turns = by_turn(&told, &[1, 2], Names::Underscored);
        assert_eq!(turns.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(turns[0][0], Answer::Calls(vec![("f".into(), "{}".into())]));
        // Two messages where one opens a turn: the model said nothing to the first.
        assert_eq!(by_turn(&told, &[], Names::Underscored).len(), 3);
        let prompted = messages(
            r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "[f(x=1)]"},
            {"role": "user", "content": "result: 1"}, {"role": "assistant", "content": [{"type": "text", "text": "Done."}]}]"#,
        );
        let turns = by_turn(&prompted, &[], Names::Dotted);
        assert_eq!(turns, [[Answer::Text("[f(x=1)]".into()), Answer::Text("Done.".into())]]);
        assert_eq!(first_answer(&prompted, Names::Dotted), Answer::Text("Done.".into()));
    }
}
