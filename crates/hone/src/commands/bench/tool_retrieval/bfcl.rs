//! BFCL as queries for tools.

use hone_bfcl::multi_turn::Tasks;
use hone_bfcl::{Memories, Suite};
use hone_python::Value;
use hone_tool::{Annotations, ToolSpec};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// All functions, and all requests whose functions are known.
pub struct Pool {
    /// Each description of a function once, in the order of the files.
    pub specs: Vec<ToolSpec>,
    /// The requests, each once.
    pub queries: Vec<Query>,
    /// SHA-256 of the files.
    pub digest: String,
}

/// A request.
pub struct Query {
    /// BFCL's category.
    pub category: &'static str,
    /// What the user says.
    pub text: String,
    /// Names of the functions that the gold answer calls.
    pub gold: BTreeSet<String>,
}

impl Pool {
    /// Read the suite's folder.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let (suite, tasks) = (Suite::load(folder)?, Tasks::load(folder)?);
        let mut pool = Self {
            specs: Vec::new(),
            queries: Vec::new(),
            digest: format!("{}/{}", suite.digest, tasks.digest),
        };
        let mut described = HashSet::new();
        let mut asked = HashSet::new();
        for record in suite.records() {
            for function in &record.functions {
                pool.offer(&function.raw, &mut described);
            }
            let gold = record.gold.iter().map(|call| call.name.clone()).collect();
            pool.ask(record.category.name(), &record.messages, gold, &mut asked);
        }
        for task in tasks.tasks() {
            let mut later: Vec<_> = task.withheld.iter().collect();
            later.sort_by_key(|(turn, _)| **turn);
            for raw in task
                .functions
                .iter()
                .chain(later.into_iter().flat_map(|(_, functions)| functions))
            {
                pool.offer(raw, &mut described);
            }
            for (messages, calls) in task.turns.iter().zip(&task.gold) {
                let names = calls.iter().filter_map(|call| call.split_once('('));
                let gold = names.map(|(name, _)| name.trim().to_owned()).collect();
                pool.ask(task.category.name(), messages, gold, &mut asked);
            }
        }
        // They have no gold calls: only their functions are here.
        if let Ok(memories) = Memories::load(folder) {
            for raw in memories.functions.values().flatten() {
                pool.offer(raw, &mut described);
            }
        }
        Ok(pool)
    }

    /// How many names there are.
    pub fn names(&self) -> usize {
        let names: HashSet<&str> = self.specs.iter().map(|spec| spec.name.as_str()).collect();
        names.len()
    }

    fn offer(&mut self, raw: &Value, described: &mut HashSet<String>) {
        let text = |name| raw.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let schema = raw
            .get("parameters")
            .and_then(|schema| serde_json::to_value(schema).ok());
        let spec = ToolSpec {
            name: text("name"),
            description: text("description"),
            input_schema: schema.unwrap_or_default(),
            annotations: Annotations::default(),
            version: String::new(),
            unchecked: true,
        };
        if described.insert(format!("{}\n{}\n{}", spec.name, spec.description, spec.input_schema)) {
            self.specs.push(spec);
        }
    }

    fn ask(
        &mut self,
        category: &'static str,
        messages: &[(String, String)],
        gold: BTreeSet<String>,
        asked: &mut HashSet<(String, BTreeSet<String>)>,
    ) {
        let said = messages
            .iter()
            .filter(|(role, _)| role == "user")
            .map(|(_, text)| text.as_str());
        let text = said.collect::<Vec<_>>().join("\n");
        // Categories share records; a turn may say or call nothing.
        if !text.is_empty() && !gold.is_empty() && asked.insert((text.clone(), gold.clone())) {
            self.queries.push(Query { category, text, gold });
        }
    }
}
