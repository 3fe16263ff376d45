//! The tasks, out of the reference's Python files or out of recorded runs.

use super::Task;
use crate::py::Value;
use crate::task::{DataError, read};
use hone_python::{Call, Expr, constant, parse};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Recorded {
    task_id: usize,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    task: Task,
}

/// The test tasks of a domain's folder: `tasks_test.py`, or those that a file of recorded runs brings
/// (`gpt-4o-airline.json`).
///
/// # Errors
/// When neither is there or can be read.
pub fn tasks(domain: &str, folder: &Path) -> Result<Vec<Task>, DataError> {
    let source = folder.join("tasks_test.py");
    if source.is_file() {
        return split(folder, "test");
    }
    let runs = folder.join(format!("gpt-4o-{domain}.json"));
    let recorded: Vec<Recorded> =
        serde_json::from_str(&read(&runs)?).map_err(|error| wrong(&runs, error.to_string()))?;
    let tasks: BTreeMap<usize, Task> = recorded.into_iter().map(|run| (run.task_id, run.info.task)).collect();
    Ok(tasks.into_values().collect())
}

fn wrong(file: &Path, what: String) -> DataError {
    DataError {
        file: file.display().to_string(),
        what,
        remedy: "take the file of tau-bench as it is",
    }
}

/// The tasks of a split that the folder has: `tasks_SPLIT.py`; none without it.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn split(folder: &Path, name: &str) -> Result<Vec<Task>, DataError> {
    let source = folder.join(format!("tasks_{name}.py"));
    match source.is_file() {
        true => listed(&read(&source)?).map_err(|what| wrong(&source, what)),
        false => Ok(vec![]),
    }
}

/// The tasks of a Python file with `TASKS = [Task(…), …]`.
fn listed(source: &str) -> Result<Vec<Task>, String> {
    let (_, list) = source.split_once("TASKS").ok_or("there is no list TASKS")?;
    let at = list.find('[').ok_or("TASKS is no list")?;
    let Expr::List(items) = parse(&list[at..]).map_err(|error| error.to_string())? else {
        return Err("TASKS is no list".to_owned());
    };
    items.iter().map(task).collect()
}

fn task(expr: &Expr) -> Result<Task, String> {
    let fields = keywords(expr, "Task")?;
    let field = |name: &str| fields.get(name).copied().ok_or(format!("a task lacks {name}"));
    let value = |name: &str| constant(field(name)?).map_err(|error| format!("{name}: {error}"));
    let string = |value: Value, name: &str| value.as_str().map(str::to_owned).ok_or(format!("{name} is no text"));
    let Expr::List(actions) = field("actions")? else {
        return Err("actions is no list".to_owned());
    };
    let action = |expr: &Expr| {
        let fields = keywords(expr, "Action")?;
        let field = |name: &str| {
            let found = fields.get(name).ok_or(format!("an action lacks {name}"))?;
            constant(found).map_err(|error| format!("{name}: {error}"))
        };
        Ok::<_, String>(super::Action {
            name: string(field("name")?, "name")?,
            kwargs: field("kwargs")?,
        })
    };
    let outputs = value("outputs")?;
    let outputs = outputs.as_list().ok_or("outputs is no list")?;
    Ok(Task {
        user_id: string(value("user_id")?, "user_id")?,
        instruction: string(value("instruction")?, "instruction")?,
        actions: actions.iter().map(action).collect::<Result<_, _>>()?,
        outputs: outputs
            .iter()
            .map(|output| string(output.clone(), "output"))
            .collect::<Result<_, _>>()?,
    })
}

fn keywords<'a>(expr: &'a Expr, class: &str) -> Result<BTreeMap<&'a str, &'a Expr>, String> {
    match expr {
        Expr::Call(call @ Call { keywords, .. }) if call.dotted_name() == class => Ok(keywords
            .iter()
            .filter_map(|keyword| Some((keyword.name.as_deref()?, &keyword.value)))
            .collect()),
        _ => Err(format!("there is something else than a {class}(…)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_from_python() {
        let source = "from x import Action, Task\n\nTASKS = [\n    Task(\n        annotator=\"0\",\n        user_id=\"a\",\n        \
                      instruction=\"It's\" \" so\",\n        actions=[Action(name=\"f\", kwargs={\"n\": [1, -2.5, True, None]})],\n        \
                      outputs=[\"10\"],\n    ),\n]\n";
        let tasks = listed(source).unwrap();
        assert_eq!(tasks[0].instruction, "It's so");
        assert_eq!(tasks[0].actions[0].kwargs.repr(), "{'n': [1, -2.5, True, None]}");
        assert_eq!(tasks[0].outputs, ["10"]);
        for wrong in ["", "TASKS = 1", "TASKS = [f()]", "TASKS = [Task(user_id=1)]"] {
            assert!(listed(wrong).is_err(), "{wrong}");
        }
    }
}
