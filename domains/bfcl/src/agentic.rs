//! The memory categories: questions about what was said in earlier conversations, and their checker.

use crate::data::{DataError, FETCH, Lines, Place, has};
use crate::multi_turn::{Settings, World, WorldError, calls};
use crate::{Answer, Category, Verdict};
use hone_python::{Dict, Value, text};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The scenarios, in the original's order.
pub const SCENARIOS: [&str; 5] = ["customer", "healthcare", "finance", "student", "notetaker"];

/// A question about earlier conversations.
#[derive(Clone, Debug)]
pub struct Question {
    /// Unique within the suite, without the kind of memory: `memory_0-customer-0`.
    pub id: String,
    /// The scenario, whose conversations came before.
    pub scenario: String,
    /// Messages: role and text.
    pub messages: Vec<(String, String)>,
    /// Answers of which one must stand in what the model says in the end.
    pub gold: Vec<String>,
}

/// A conversation that comes before the questions of its scenario.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Unique within the suite.
    pub id: String,
    /// What it is about.
    pub topic: String,
    /// Messages of each turn: role and text.
    pub turns: Vec<Vec<(String, String)>>,
}

/// The memory records of a data folder. Each question is asked once for each kind of memory.
#[derive(Clone, Debug, Default)]
pub struct Memories {
    /// In file order.
    pub questions: Vec<Question>,
    /// By scenario, in their order. Empty where the folder does not have them.
    pub conversations: BTreeMap<String, Vec<Conversation>>,
    /// Descriptions of the tools of each kind of memory.
    pub functions: BTreeMap<Category, Vec<Value>>,
    /// What a model has kept of a scenario's conversations, by kind of memory and scenario: the original's files
    /// `memory_snapshot/…_final.json`. Where there is none, the memory is empty when the question is asked, as in the
    /// original.
    pub snapshots: BTreeMap<(Category, String), Value>,
    /// Files that are not there.
    pub absent: Vec<String>,
    /// SHA-256 over the files that were read, as hexadecimal digits.
    pub digest: String,
}

/// The class of each kind of memory, and the file that describes its tools.
const KINDS: [(Category, &str, &str); 3] = [
    (Category::MemoryKv, "MemoryAPI_kv", "memory_kv"),
    (Category::MemoryVector, "MemoryAPI_vector", "memory_vector"),
    (Category::MemoryRecSum, "MemoryAPI_rec_sum", "memory_rec_sum"),
];

impl Memories {
    /// Read the memory categories of a folder: the original's `bfcl_eval/data`, or one that holds it as `bfcl`.
    ///
    /// # Errors
    /// When a file is malformed, or there are no questions.
    pub fn load(dir: &Path) -> Result<Self, DataError> {
        let inner = dir.join("bfcl");
        let dir = if inner.is_dir() { &inner } else { dir };
        let mut memories = Self::default();
        let mut hash = Sha256::new();
        let name = "BFCL_v4_memory.json";
        let (questions, answers) = (dir.join(name), dir.join("possible_answer").join(name));
        if !questions.is_file() || !answers.is_file() {
            return Err(DataError::none(
                dir,
                "there is no BFCL_v4_memory.json with its possible_answer",
            ));
        }
        let mut gold = HashMap::new();
        for line in Lines::read(&answers, &mut hash)? {
            let (place, value) = line?;
            let texts = place
                .list(&value, "ground_truth")?
                .iter()
                .map(|text| text.as_str().map(str::to_owned));
            let texts: Option<Vec<_>> = texts.collect();
            let texts = texts.ok_or_else(|| place.error("ground_truth", "must be a list of texts", FETCH))?;
            gold.insert(place.text(&value, "id")?.to_owned(), texts);
        }
        for line in Lines::read(&questions, &mut hash)? {
            let (place, value) = line?;
            let id = place.text(&value, "id")?.to_owned();
            let mut turns = turns(&place, &value)?;
            let (Some(messages), true) = (turns.pop(), turns.is_empty()) else {
                return Err(place.error("question", "must hold one turn", FETCH));
            };
            memories.questions.push(Question {
                scenario: place.text(&value, "scenario")?.to_owned(),
                messages,
                gold: gold
                    .remove(&id)
                    .ok_or_else(|| place.error("id", "has no gold in possible_answer", FETCH))?,
                id,
            });
        }
        for scenario in SCENARIOS {
            let name = format!("memory_prereq_conversation/memory_{scenario}.json");
            if !dir.join(&name).is_file() {
                memories.absent.push(name);
                continue;
            }
            let mut all = vec![];
            for line in Lines::read(&dir.join(&name), &mut hash)? {
                let (place, value) = line?;
                all.push(Conversation {
                    id: place.text(&value, "id")?.to_owned(),
                    topic: place.text(&value, "topic")?.to_owned(),
                    turns: turns(&place, &value)?,
                });
            }
            memories.conversations.insert(scenario.to_owned(), all);
        }
        for (category, _, file) in KINDS {
            let name = format!("multi_turn_func_doc/{file}.json");
            if !dir.join(&name).is_file() {
                memories.absent.push(name);
                continue;
            }
            let all = Lines::read(&dir.join(&name), &mut hash)?.map(|line| line.map(|(_, value)| value));
            memories.functions.insert(category, all.collect::<Result<_, _>>()?);
            for scenario in SCENARIOS {
                let name = format!("memory_snapshot/{}/{scenario}_final.json", category.name());
                if dir.join(&name).is_file() {
                    let (_, snapshot) = Lines::whole(&dir.join(&name), &mut hash)?;
                    memories.snapshots.insert((category, scenario.to_owned()), snapshot);
                }
            }
        }
        memories.digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(memories)
    }

    /// Whether a folder has the questions.
    pub(crate) fn is_in(dir: &Path) -> bool {
        has(dir, "memory")
    }

    /// The world that a question is asked in: a memory with what was kept of the conversations before, if that is known.
    ///
    /// # Errors
    /// When the category is none of memory, or the snapshot does not load.
    pub fn world(&self, question: &Question, category: Category, settings: &Settings) -> Result<World, WorldError> {
        self.memory(&question.id, &question.scenario, category, settings)
    }

    /// The memory of a scenario as it is now, in a world of its own for the record of that id.
    ///
    /// # Errors
    /// As [`Memories::world`].
    pub fn memory(
        &self,
        id: &str,
        scenario: &str,
        category: Category,
        settings: &Settings,
    ) -> Result<World, WorldError> {
        let kind = KINDS.iter().find(|(known, ..)| *known == category);
        let Some((_, class, _)) = kind else {
            return Err(WorldError::Class(category.name().to_owned()));
        };
        let saved = self.snapshots.get(&(category, scenario.to_owned()));
        let config: Dict = [(*class, saved.cloned().unwrap_or_else(|| Dict::new().into()))]
            .into_iter()
            .collect();
        let id = id.replacen("memory", category.name(), 1);
        World::new(&id, &config.into(), &[(*class).to_owned()], false, "", settings)
    }
}

fn turns(place: &Place, value: &Value) -> Result<Vec<Vec<(String, String)>>, DataError> {
    let text = |message: &Value, field| place.text(message, field).map(str::to_owned);
    let pair = |message: &Value| Ok((text(message, "question.role")?, text(message, "question.content")?));
    let messages = |turn: &Value| match turn.as_list() {
        Some(messages) => messages.iter().map(pair).collect(),
        None => Err(place.error("question", "must be a list of turns", FETCH)),
    };
    place.list(value, "question")?.iter().map(messages).collect()
}

/// Judge the answers of the turn in which a question was asked, in their order: the last that calls nothing must hold one
/// of the gold answers.
pub fn judge_answers(answers: &[Answer], gold: &[String]) -> Verdict {
    let last = answers.iter().rev().find(|answer| calls(answer).is_none());
    let said = match last {
        Some(Answer::Text(said) | Answer::Said(said)) if !said.is_empty() => Cow::Borrowed(said.as_str()),
        // Calls that cannot be read count as what was said last: the first of them, printed.
        Some(Answer::Calls(calls)) if !calls.is_empty() => {
            let first = calls.iter().take(1).map(|(name, json)| (name.as_str(), json.as_str()));
            Cow::Owned(Value::Dict(first.collect()).repr())
        }
        _ => {
            let why = "nothing is said that calls no tool".to_owned();
            return Verdict::wrong("agentic:no_last_message", why);
        }
    };
    if holds(&said, gold) {
        return Verdict::right();
    }
    Verdict::wrong(
        "agentic:answer_not_found",
        format!("none of {gold:?} is in what was said"),
    )
}

/// Whether one of the answers stands in a text as whole words, both without `,./-_*^()`, in lower case, with double
/// quotes for single ones.
pub fn holds(said: &str, answers: &[String]) -> bool {
    let said: Vec<char> = standardized(said).collect();
    answers
        .iter()
        .any(|answer| stands(&said, &standardized(answer).collect::<Vec<_>>()))
}

fn standardized(text: &str) -> impl Iterator<Item = char> + use<> {
    let kept: String = text
        .chars()
        .filter(|c| !matches!(c, ',' | '.' | '/' | '-' | '_' | '*' | '^' | '(' | ')'))
        .collect();
    let lower: Vec<char> = kept.to_lowercase().chars().collect();
    lower.into_iter().map(|c| if c == '\'' { '"' } else { c })
}

/// `re.search(rf"\b{re.escape(answer)}\b", said)`
fn stands(said: &[char], answer: &[char]) -> bool {
    let word = |at: Option<&char>| at.is_some_and(|c| *c == '_' || text::is_alnum(*c));
    let boundary = |at: usize| word(at.checked_sub(1).and_then(|at| said.get(at))) != word(said.get(at));
    let Some(last) = said.len().checked_sub(answer.len()) else {
        return false;
    };
    (0..=last).any(|at| said[at..].starts_with(answer) && boundary(at) && boundary(at + answer.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(said: &str, answer: &str) -> bool {
        holds(said, &[answer.to_owned()])
    }

    #[test]
    fn answers_stand_as_whole_words() {
        assert!(found("{'answer': '35', 'context': ''}", "35"));
        assert!(found("It is Thirty-Five.", "thirtyfive"));
        assert!(!found("135", "35"));
        assert!(!found("35th", "35"));
        assert!(found("it costs 49.99", "49.99"));
        // The boundary before `$` is between a word and it.
        assert!(!found("it costs $49.99", "$49.99"));
        assert!(found("US$49.99", "$49.99"));
        assert!(found("don't", "DON\"T"));
        assert!(!found("naïveté", "naïvet"));
        assert!(found("a, b", ""));
        assert!(!found("", ""));
    }

    #[test]
    fn the_last_answer_that_calls_nothing_counts() {
        let gold = ["Seattle".to_owned()];
        let call = Answer::Text("[memory_retrieve()]".into());
        let said = |text: &str| Answer::Text(text.into());
        let verdict = |answers: &[Answer]| judge_answers(answers, &gold).error_type;
        assert_eq!(verdict(&[call.clone(), said("In Seattle.")]), None);
        assert_eq!(verdict(&[said("In Seattle."), call.clone()]), None);
        assert_eq!(
            verdict(&[said("In Seattle."), said("Or not.")]),
            Some("agentic:answer_not_found")
        );
        assert_eq!(verdict(&[call]), Some("agentic:no_last_message"));
        assert_eq!(verdict(&[said("")]), Some("agentic:no_last_message"));
    }
}
