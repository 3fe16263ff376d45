//! Tables of records: a small store that is given as JSON.

use super::{Scene, Source};
use crate::TaskLine;
use crate::tasks::merge;
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Most records that a search shows.
const FOUND: usize = 50;

/// `builtin = "records"`: `{table: {id: {field: value}}}`, with tools to find, get, set and delete.
#[derive(Debug)]
pub struct Records {
    name: String,
    tables: Value,
    specs: Arc<Vec<ToolSpec>>,
}

impl Records {
    /// A store that each episode starts with.
    ///
    /// # Errors
    /// What is wrong with its shape.
    pub fn new(name: String, tables: Value) -> Result<Self, String> {
        check(&tables)?;
        let known: Vec<&String> = tables.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        let table = json!({"enum": known, "description": "the table"});
        let id = json!({"type": "string", "description": "the record's id"});
        let spec = |name: &str, description: &str, input_schema: Value, annotations: Annotations| ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema,
            annotations,
            version: "1".to_owned(),
            unchecked: false,
        };
        let reads = Annotations {
            read_only_hint: true,
            idempotent_hint: true,
            ..Annotations::default()
        };
        let writes = Annotations {
            destructive_hint: true,
            idempotent_hint: true,
            ..Annotations::default()
        };
        let fields = |about: &str| json!({"type": "object", "description": about});
        let specs = vec![
            spec(
                "find_records",
                "Find the records of a table whose fields have these values; all of them without `where`.",
                object_schema(
                    json!({"table": table, "where": fields("field values that must be equal")}),
                    &["where"],
                ),
                reads,
            ),
            spec(
                "get_record",
                "Read a record.",
                object_schema(json!({"table": table, "id": id}), &[]),
                reads,
            ),
            spec(
                "set_record",
                "Change fields of a record, or make a new record. Fields that are not named stay as they are.",
                object_schema(
                    json!({"table": table, "id": id, "fields": fields("the new values")}),
                    &[],
                ),
                writes,
            ),
            spec(
                "delete_record",
                "Delete a record.",
                object_schema(json!({"table": table, "id": id}), &[]),
                writes,
            ),
        ];
        Ok(Self {
            name,
            tables,
            specs: Arc::new(specs),
        })
    }

    /// The store of a task: these tables with its changes.
    ///
    /// # Errors
    /// What is wrong with its shape.
    pub fn tables_of(&self, changes: &Value) -> Result<Value, String> {
        let mut tables = self.tables.clone();
        if !changes.is_null() {
            merge(&mut tables, changes);
        }
        check(&tables)?;
        Ok(tables)
    }
}

fn check(tables: &Value) -> Result<(), String> {
    let tables = tables
        .as_object()
        .ok_or("the records must be an object of tables: {\"table\": {\"id\": {\"field\": …}}}")?;
    for (table, records) in tables {
        let records = records
            .as_object()
            .ok_or_else(|| format!("table `{table}` must be an object of records by id"))?;
        if let Some((id, _)) = records.iter().find(|(_, record)| !record.is_object()) {
            return Err(format!("record `{id}` of table `{table}` must be an object of fields"));
        }
    }
    Ok(())
}

impl Source for Records {
    fn name(&self) -> &str {
        &self.name
    }

    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn open(&self, scene: &Scene<'_>) -> Result<Box<dyn Environment>, EnvError> {
        let tables = self.tables_of(&scene.line.records).map_err(|what| EnvError::Data {
            what,
            remedy: "mend `records` of the task".to_owned(),
        })?;
        Ok(Box::new(Store {
            specs: self.specs.clone(),
            tables,
        }))
    }

    fn accepts(&self, line: &TaskLine) -> Result<(), (&'static str, String)> {
        let tables = self.tables_of(&line.records);
        tables.map(|_| ()).map_err(|what| ("records", what))
    }

    fn inline(&self) -> bool {
        true
    }
}

/// The store of one episode.
#[derive(Clone, Debug)]
struct Store {
    specs: Arc<Vec<ToolSpec>>,
    tables: Value,
}

impl Store {
    fn table(&mut self, arguments: &Value) -> Result<(&str, &mut Map<String, Value>), ToolError> {
        let table = self.tables.as_object_mut().and_then(|tables| {
            let name = arguments.get("table")?.as_str()?;
            let (name, records) = tables.iter_mut().find(|(table, _)| *table == name)?;
            Some((name.as_str(), records.as_object_mut()?))
        });
        table.ok_or_else(|| ToolError::tool("there is no such table"))
    }
}

fn id_of(arguments: &Value) -> &str {
    arguments.get("id").and_then(Value::as_str).unwrap_or_default()
}

fn unknown(table: &str, id: &str) -> ToolError {
    ToolError::tool(format!(
        "{table} has no record `{id}`; find_records shows those that it has"
    ))
}

/// A record with its id.
fn shown(id: &str, record: &Value) -> Value {
    let mut shown = json!({"id": id});
    merge(&mut shown, record);
    shown
}

impl ToolHost for Store {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let (table, records) = self.table(arguments)?;
        let id = id_of(arguments);
        match tool {
            "find_records" => {
                let wanted = arguments.get("where").and_then(Value::as_object);
                let fits = |record: &Value| {
                    let mut wanted = wanted.into_iter().flatten();
                    wanted.all(|(field, value)| record.get(field) == Some(value))
                };
                let found: Vec<Value> = records
                    .iter()
                    .filter(|(_, record)| fits(record))
                    .map(|(id, record)| shown(id, record))
                    .collect();
                let more = found.len().saturating_sub(FOUND);
                let mut result =
                    json!({"found": found.len(), "records": found.into_iter().take(FOUND).collect::<Vec<_>>()});
                if more > 0 {
                    result["not_shown"] = more.into();
                }
                Ok(ToolOutput::json(result))
            }
            "get_record" => match records.get(id) {
                Some(record) => Ok(ToolOutput::json(shown(id, record))),
                None => Err(unknown(table, id)),
            },
            "set_record" => {
                let fields = arguments.get("fields").and_then(Value::as_object);
                let record = records.entry(id).or_insert_with(|| json!({}));
                for (field, value) in fields.into_iter().flatten() {
                    record[field] = value.clone();
                }
                Ok(ToolOutput::json(shown(id, record)))
            }
            "delete_record" => match records.remove(id) {
                Some(_) => Ok(ToolOutput::json(json!({"deleted": id}))),
                None => Err(unknown(table, id)),
            },
            _ => Err(ToolError::tool(format!("there is no tool `{tool}`"))),
        }
    }

    fn inline(&self) -> bool {
        true
    }

    /// The world's own state holds it.
    fn has_hidden_state(&self) -> bool {
        false
    }
}

impl Environment for Store {
    /// The store was made for its task.
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        self.tables.clone()
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let tables = json!({"tickets": {"T1": {"status": "open", "owner": "C1"}, "T2": {"status": "closed"}}});
        let records = Records::new("records".into(), tables.clone()).unwrap();
        Store {
            specs: records.specs.clone(),
            tables,
        }
    }

    #[test]
    fn records_are_found_read_changed_and_deleted() {
        let mut store = store();
        let mut call = |tool: &str, arguments: Value| {
            hone_tool::Toolset::compile(&store.specs)
                .unwrap()
                .check(tool, &arguments)
                .unwrap();
            store
                .call(tool, &arguments)
                .map(|output| output.data)
                .map_err(|error| error.message)
        };
        let found = call("find_records", json!({"table": "tickets", "where": {"status": "open"}})).unwrap();
        let first = json!({"id": "T1", "status": "open", "owner": "C1"});
        assert_eq!(found, json!({"found": 1, "records": [first]}));
        assert_eq!(call("find_records", json!({"table": "tickets"})).unwrap()["found"], 2);
        let changed = call(
            "set_record",
            json!({"table": "tickets", "id": "T1", "fields": {"status": "closed", "note": null}}),
        );
        assert_eq!(changed.unwrap(), json!({"id": "T1", "status": "closed", "owner": "C1"}));
        call(
            "set_record",
            json!({"table": "tickets", "id": "T3", "fields": {"status": "open"}}),
        )
        .unwrap();
        call("delete_record", json!({"table": "tickets", "id": "T2"})).unwrap();
        let gone = call("get_record", json!({"table": "tickets", "id": "T2"})).unwrap_err();
        assert_eq!(gone, "tickets has no record `T2`; find_records shows those that it has");
        assert!(call("delete_record", json!({"table": "tickets", "id": "T2"})).is_err());
        let state =
            json!({"tickets": {"T1": {"status": "closed", "owner": "C1", "note": null}, "T3": {"status": "open"}}});
        assert_eq!(store.state(), state);
    }

    #[test]
    fn only_tables_of_records_are_taken() {
        for wrong in [json!([]), json!({"t": 1}), json!({"t": {"a": 1}})] {
            assert!(Records::new("r".into(), wrong).is_err());
        }
        let records = Records::new("r".into(), json!({"t": {"a": {"x": 1}}})).unwrap();
        assert_eq!(
            records.tables_of(&json!({"t": {"a": null, "b": {}}})).unwrap(),
            json!({"t": {"b": {}}})
        );
        assert!(records.tables_of(&json!({"t": 7})).is_err());
    }
}
