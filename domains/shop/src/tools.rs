//! The store's tools, and the environment that hosts them.

use crate::Assignment;
use crate::scenario::Scenario;
use crate::store::{Reason, Store, TOPICS};
use crate::words::COLORS;
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const READS: Annotations = Annotations {
    read_only_hint: true,
    destructive_hint: false,
    idempotent_hint: true,
    open_world_hint: false,
};
const OVERWRITES: Annotations = Annotations {
    read_only_hint: false,
    destructive_hint: true,
    idempotent_hint: true,
    open_world_hint: false,
};
const ADDS_UP: Annotations = Annotations {
    read_only_hint: false,
    destructive_hint: true,
    idempotent_hint: false,
    open_world_hint: false,
};
const APPENDS: Annotations = Annotations {
    read_only_hint: false,
    destructive_hint: false,
    idempotent_hint: false,
    open_world_hint: false,
};

fn spec(name: &str, description: &str, properties: &[(&str, Value)], annotations: Annotations) -> ToolSpec {
    let required: Vec<&str> = properties.iter().map(|(key, _)| *key).collect();
    spec_with(name, description, properties, &required, annotations)
}

/// As [`spec`], with some of the properties required.
fn spec_with(
    name: &str,
    description: &str,
    properties: &[(&str, Value)],
    required: &[&str],
    annotations: Annotations,
) -> ToolSpec {
    let properties: Map<String, Value> = properties
        .iter()
        .map(|(key, schema)| ((*key).to_owned(), schema.clone()))
        .collect();
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }),
        annotations,
        version: "1".to_owned(),
        unchecked: false,
    }
}

/// The tools. None of them enforces policy.
pub static TOOLS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let text = |about: &str| json!({"type": "string", "minLength": 1, "description": about});
    let name = ("name", text("first and last name"));
    let email = ("email", text("e-mail address"));
    let customer = ("customer", text("customer id"));
    let order = ("order", text("order id"));
    let item = ("item", text("item, one noun"));
    let color = ("color", json!({"enum": COLORS}));
    let street = ("street", text("street and number"));
    let reason = ("reason", json!({"enum": Reason::ALL.map(Reason::name)}));
    let topic = ("topic", json!({"enum": TOPICS}));
    vec![
        spec("find_customer", "Customer id of a name.", &[name], READS),
        spec("find_email", "Customer id of an e-mail address.", &[email], READS),
        spec(
            "get_customer",
            "Name and e-mail address of a customer.",
            std::slice::from_ref(&customer),
            READS,
        ),
        spec(
            "list_orders",
            "Items that a customer bought, with order ids.",
            &[customer],
            READS,
        ),
        spec_with(
            "get_order",
            "Item and status of an order, and days since it was delivered. Give the item to have it compared.",
            &[item.clone(), order.clone()],
            &["order"],
            READS,
        ),
        spec(
            "get_stock",
            "Pieces in stock of an item in a color.",
            &[color.clone(), item],
            READS,
        ),
        spec(
            "cancel_order",
            "Call an order off.",
            std::slice::from_ref(&order),
            OVERWRITES,
        ),
        spec(
            "refund_order",
            "Pay an order back to its customer.",
            std::slice::from_ref(&order),
            ADDS_UP,
        ),
        spec(
            "exchange_order",
            "Swap an order's item for another color.",
            &[color, order.clone()],
            ADDS_UP,
        ),
        spec(
            "change_address",
            "Send an order to another street.",
            &[order.clone(), street],
            OVERWRITES,
        ),
        spec(
            "note_refusal",
            "Note on an order why a request was refused.",
            &[order, reason],
            OVERWRITES,
        ),
        spec("escalate", "Hand the customer on to a person.", &[topic], APPENDS),
    ]
});

/// A store in which one task is played.
#[derive(Clone, Debug, Default)]
pub struct World {
    store: Store,
}

impl World {
    /// The state.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &TOOLS
    }

    fn inline(&self) -> bool {
        true
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        self.store.call(tool, arguments).map(ToolOutput::json)
    }

    fn state_hash(&self) -> Option<String> {
        Some(self.store.hash())
    }
}

impl Environment for World {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        let assignment = Assignment::of(task)?;
        let scenario = Scenario::generate(assignment.split, task.seed);
        if scenario.request != assignment.request {
            return Err(EnvError::Data {
                what: format!("task {} asks for something else than its seed gives", task.id),
                remedy: "take the task from this version of the shop".to_owned(),
            });
        }
        self.store = scenario.store;
        Ok(())
    }

    fn state(&self) -> Value {
        self.store.json()
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}
