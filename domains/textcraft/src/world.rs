//! The world of an episode: an inventory, and the four tools that act on it.

use crate::Goal;
use crate::book::{Book, Item, STACK, hex};
use crate::plan::{Inventory, ordered};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::ToolErrorClass;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let item = json!({ "type": "string", "description": "Name of an item, such as \"oak planks\".", "maxLength": 64 });
    let number = json!({ "type": "integer", "description": "How many.", "minimum": 1, "maximum": STACK });
    let spec = |name: &str, description: &str, properties: Value, required: Value, annotations| ToolSpec {
        name: name.into(),
        description: description.into(),
        input_schema: json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        }),
        annotations,
        version: "1".into(),
        unchecked: false,
    };
    let reads = Annotations {
        read_only_hint: true,
        idempotent_hint: true,
        ..Annotations::default()
    };
    vec![
        spec(
            "get",
            "Take raw items (those without a recipe) from the world into the inventory.",
            json!({ "item": item, "n": number }),
            json!(["item", "n"]),
            Annotations::default(),
        ),
        spec(
            "craft",
            "Craft one batch of an item. Uses up the ingredients, which must be in the inventory.",
            json!({ "item": item }),
            json!(["item"]),
            Annotations {
                destructive_hint: true,
                ..Annotations::default()
            },
        ),
        spec(
            "inventory",
            "Show what is in the inventory.",
            json!({}),
            json!([]),
            reads,
        ),
        spec(
            "lookup",
            "Show how one batch of an item is made: how many it makes, the raw ingredients to get, the ingredients to \
             craft first. Or that the item is raw.",
            json!({ "item": item }),
            json!(["item"]),
            reads,
        ),
    ]
});

/// The environment of TextCraft.
#[derive(Clone)]
pub(crate) struct World {
    /// The taskset's recipes.
    real: Arc<Book>,
    /// The recipes of this episode.
    book: Arc<Book>,
    inventory: Inventory,
}

impl World {
    pub fn new(book: Arc<Book>) -> Self {
        Self {
            real: Arc::clone(&book),
            book,
            inventory: Inventory::new(),
        }
    }

    fn item(&self, arguments: &Value) -> Result<Item, ToolError> {
        let name = arguments
            .get("item")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid("`item` must be a name"))?;
        self.book.item(name).ok_or_else(|| {
            let start: String = name.chars().take(64).collect();
            ToolError::tool(format!("no item {start}"))
        })
    }

    fn get(&mut self, item: Item, n: u32) -> Result<String, ToolError> {
        if self.book.recipe(item).is_some() {
            return Err(ToolError::tool(format!(
                "{} is not raw: craft it",
                self.book.name(item)
            )));
        }
        self.add(item, n);
        Ok(self.listing([(item, n)]))
    }

    fn craft(&mut self, item: Item) -> Result<String, ToolError> {
        let book = Arc::clone(&self.book);
        let name = book.name(item);
        let recipe = book
            .recipe(item)
            .ok_or_else(|| ToolError::tool(format!("{name} is raw: get it")))?;
        let has = |need: &Item| self.inventory.get(need).copied().unwrap_or(0);
        let lacks = ordered(&book, item).into_iter().filter(|(need, n)| has(need) < *n);
        let lacks: Vec<(Item, u32)> = lacks.map(|(need, n)| (need, n - has(&need))).collect();
        if !lacks.is_empty() {
            return Err(ToolError::tool(format!("missing {}", self.listing(lacks))));
        }
        for (need, n) in &recipe.needs {
            self.inventory.entry(*need).and_modify(|held| *held -= n);
        }
        self.inventory.retain(|_, held| *held > 0);
        self.add(item, recipe.makes);
        Ok(self.listing([(item, recipe.makes)]))
    }

    fn lookup(&self, item: Item) -> String {
        let Some(recipe) = self.book.recipe(item) else {
            return r#"{"raw":true}"#.into();
        };
        let mut text = format!(r#"{{"makes":{}"#, recipe.makes);
        for (key, raw) in [("get", true), ("craft", false)] {
            let part = recipe
                .needs
                .iter()
                .copied()
                .filter(|(need, _)| self.book.recipe(*need).is_none() == raw);
            let part = self.listing(part);
            if part != "{}" {
                let _ = write!(text, r#","{key}":{part}"#);
            }
        }
        text.push('}');
        text
    }

    fn add(&mut self, item: Item, n: u32) {
        let held = self.inventory.entry(item).or_default();
        *held = held.saturating_add(n);
    }

    /// `{"stick":2,"coal":1}` in the given order. Names consist of lower-case letters, digits and spaces.
    fn listing(&self, items: impl IntoIterator<Item = (Item, u32)>) -> String {
        let items: Vec<String> = items
            .into_iter()
            .map(|(item, n)| format!(r#""{}":{n}"#, self.book.name(item)))
            .collect();
        format!("{{{}}}", items.join(","))
    }
}

fn invalid(message: &str) -> ToolError {
    ToolError {
        class: ToolErrorClass::InvalidArguments,
        message: message.into(),
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn inline(&self) -> bool {
        true
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let text = match tool {
            "get" => {
                let n = arguments
                    .get("n")
                    .and_then(Value::as_u64)
                    .and_then(|n| u32::try_from(n).ok());
                let n = n
                    .filter(|n| (1..=STACK).contains(n))
                    .ok_or_else(|| invalid("`n` must be 1 to 64"))?;
                self.get(self.item(arguments)?, n)?
            }
            "craft" => self.craft(self.item(arguments)?)?,
            "lookup" => self.lookup(self.item(arguments)?),
            "inventory" => self.listing(self.inventory.iter().map(|(item, n)| (*item, *n))),
            _ => {
                return Err(ToolError {
                    class: ToolErrorClass::UnknownTool,
                    message: format!("no tool {tool}"),
                });
            }
        };
        let data = serde_json::from_str(&text).expect("the tools write JSON");
        Ok(ToolOutput {
            data,
            text,
            ..ToolOutput::default()
        })
    }

    /// SHA-256 over name length, name and number of each held item, in order of name.
    fn state_hash(&self) -> Option<String> {
        let mut hash = Sha256::new();
        for (item, n) in &self.inventory {
            let name = self.book.name(*item);
            hash.update((name.len() as u32).to_le_bytes());
            hash.update(name);
            hash.update(n.to_le_bytes());
        }
        Some(hex(&hash.finalize()))
    }
}

impl Environment for World {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        let goal = Goal::read(&self.real, task)?;
        (self.book, self.inventory) = (goal.book, goal.held);
        Ok(())
    }

    fn state(&self) -> Value {
        let held = self
            .inventory
            .iter()
            .map(|(item, n)| (self.book.name(*item).to_owned(), json!(n)));
        json!({ "inventory": held.collect::<serde_json::Map<_, _>>() })
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}
