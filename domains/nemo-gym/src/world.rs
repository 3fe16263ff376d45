//! A row as a Hone environment: its tools, with what they keep.

use crate::row::Row;
use crate::verify::{math_advanced_calculation, mcp_weather};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_python::Value as Python;
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Longest text that a tool takes, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Calls that are kept.
const MAX_CALLS: usize = 1_000;

/// A world for the rows of one server.
#[derive(Clone)]
pub struct World {
    server: &'static str,
    rows: Arc<Vec<Row>>,
    row: usize,
    tools: Vec<ToolSpec>,
    /// The counter of `example_session_state_mgmt`.
    count: i64,
    /// The cities that `example_mcp_weather` was asked for.
    cities: Vec<String>,
    /// Questions of `example_multi_turn_gymnasium` that were asked.
    asked: usize,
}

impl World {
    /// A world, at its first row.
    pub fn new(server: &'static str, rows: Arc<Vec<Row>>) -> Self {
        let mut world = Self {
            server,
            rows,
            row: 0,
            tools: vec![],
            count: 0,
            cities: vec![],
            asked: 0,
        };
        world.begin(0);
        world
    }

    /// Begin a row.
    pub fn begin(&mut self, row: usize) {
        self.row = row;
        self.asked = 0;
        self.cities.clear();
        let row = self.rows.get(row);
        self.tools = row.map(Row::tools).unwrap_or_default();
        if self.server == "example_mcp_weather" && self.tools.is_empty() {
            // The original offers it over MCP.
            self.tools.push(ToolSpec {
                name: "get_weather".into(),
                description: "Get a deterministic weather report for a city.".into(),
                input_schema: json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
                annotations: Annotations { read_only_hint: true, idempotent_hint: true, ..Annotations::default() },
                version: env!("CARGO_PKG_VERSION").into(),
                unchecked: true,
            });
        }
        self.count = row
            .and_then(|row| row.get("initial_count"))
            .and_then(Python::as_i64)
            .unwrap_or(0);
    }

    /// What a tool answers, as the server's JSON.
    fn answer(&mut self, tool: &str, arguments: &Value) -> Result<String, String> {
        let missing = |name: &str| format!("Field required: {name}");
        let text = |name: &str| {
            let text = arguments
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| missing(name))?;
            if text.len() > MAX_TEXT {
                Err(format!("{name} is too long"))
            } else {
                Ok(text)
            }
        };
        let weather = |how: &str| {
            let city = text("city")?;
            Ok(json!({"city": city, "weather_description": format!("The weather in {city} is {how}.")}).to_string())
        };
        match (self.server, tool) {
            ("example_session_state_mgmt", "increment_counter") => {
                let more = arguments
                    .get("count")
                    .and_then(Value::as_i64)
                    .ok_or_else(|| missing("count"))?;
                self.count = self.count.checked_add(more).ok_or("the counter is full")?;
                Ok(json!({"success": true}).to_string())
            }
            ("example_session_state_mgmt", "get_counter_value") => Ok(json!({"count": self.count}).to_string()),
            ("example_multi_step", "get_synonym_value") => {
                let value: u64 = text("synonym")?.chars().map(|c| u64::from(u32::from(c))).sum();
                Ok(json!({"synonym_value": value}).to_string())
            }
            ("example_multi_step", "extract_synonym_values") => {
                let values = arguments
                    .get("synonym_values")
                    .and_then(Value::as_array)
                    .ok_or_else(|| missing("synonym_values"))?;
                if values.iter().all(Value::is_i64) {
                    Ok(json!({"success": true}).to_string())
                } else {
                    Err("Input should be a valid integer".into())
                }
            }
            ("example_mcp_weather", "get_weather") => {
                let weather = mcp_weather(text("city")?);
                if self.cities.len() >= MAX_CALLS {
                    return Err("there were too many calls".into());
                }
                self.cities.push(text("city")?.to_owned());
                Ok(json!({"weather": weather}).to_string())
            }
            ("example_single_tool_call", "get_weather") => weather("cold"),
            ("example_tool_call_multireward", "get_weather") => weather("sunny"),
            ("circle_click", "click") => match (arguments.get("x"), arguments.get("y")) {
                (Some(x), Some(y)) => Ok(json!({"x": x, "y": y}).to_string()),
                _ => Err(missing("x, y")),
            },
            ("math_advanced_calculations", tool) => math_advanced_calculation(tool, arguments),
            // The agent's turn is over, and nobody answers.
            _ => Ok(String::new()),
        }
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &self.tools
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        // The server's errors are answers like others to the agent.
        let text = self
            .answer(tool, arguments)
            .unwrap_or_else(|detail| json!({"detail": detail}).to_string());
        let data = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(ToolOutput {
            data,
            text,
            ..ToolOutput::default()
        })
    }

    fn state_hash(&self) -> Option<String> {
        let state = format!(
            "{}/{}/{}/{}/{:?}",
            self.server, self.row, self.count, self.asked, self.cities
        );
        Some(Sha256::digest(state).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for World {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        let row = task
            .data
            .get("row")
            .and_then(Value::as_u64)
            .and_then(|row| usize::try_from(row).ok());
        match row.filter(|row| *row < self.rows.len()) {
            Some(row) => {
                self.begin(row);
                Ok(())
            }
            None => Err(EnvError::Data {
                what: format!("task {} names no row of {}", task.id, self.server),
                remedy: "take the task from this taskset".into(),
            }),
        }
    }

    fn state(&self) -> Value {
        json!({"row": self.row, "count": self.count, "cities": self.cities, "asked": self.asked})
    }

    fn user(&mut self, _: &str) -> Result<Option<String>, EnvError> {
        let row = self.rows.get(self.row);
        let question = row.and_then(|row| row.list("follow_ups").get(self.asked)?.as_str());
        self.asked += usize::from(question.is_some());
        Ok(question.map(str::to_owned))
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}
