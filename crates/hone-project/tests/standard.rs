//! Standard tools in a project.

use hone_env::{Split, Taskset};
use hone_project::Project;
use serde_json::{Value, json};
use tempfile::TempDir;

fn load(tools: &str, task: Value) -> Result<(TempDir, Project), String> {
    let dir = TempDir::new().unwrap();
    let recipe = format!("name = \"p\"\ntasks = \"t.jsonl\"\n\n{tools}\n\n[checkers.a]\nkind = \"exact\"\n");
    std::fs::write(dir.path().join("hone.toml"), recipe).unwrap();
    std::fs::write(dir.path().join("t.jsonl"), task.to_string()).unwrap();
    std::fs::create_dir(dir.path().join("start")).unwrap();
    std::fs::write(dir.path().join("start/note.txt"), "zwei\n").unwrap();
    let project = Project::load(dir.path(), &|_| Err("no models here".into()));
    project.map(|project| (dir, project)).map_err(|error| error.to_string())
}

fn task() -> Value {
    json!({"prompt": "go", "expected": {"a": "4"}, "gold": {"calls": [{"name": "calculate", "arguments": {"expression": "2+2"}}]}})
}

#[test]
fn kits_are_tools_with_state_beside_other_sources() {
    let tools = "[[tools]]\nstandard = { calculator = {}, memory = { notes = { a = \"x\" } } }\n\n\
                 [[tools]]\nbuiltin = \"files\"\nfolder = \"start\"\n\n[[tools]]\nname = \"end\"\nstandard = [\"finish\"]";
    let (_dir, project) = load(tools, task()).unwrap();
    let task = project.task(Split::Test, 0).unwrap();
    let mut world = project.environment(&task);
    world.reset(&task).unwrap();
    assert_eq!(
        world.call("calculate", &json!({"expression": "1/8"})).unwrap().data["value"],
        "0.125"
    );
    world.call("remember", &json!({"key": "b", "text": "y"})).unwrap();
    world
        .call("edit_file", &json!({"path": "note.txt", "old": "zwei", "new": "2"}))
        .unwrap();
    let before = world.state_hash();
    assert!(world.call("finish", &json!({"answer": "4"})).unwrap().terminal);
    assert_ne!(world.state_hash(), before);
    assert_eq!(
        world.state(),
        json!({"files": {"note.txt": "2\n"}, "standard": {"memory": {"a": "x", "b": "y"}}, "end": {"finish": {"answer": "4"}}})
    );
    world.reset(&task).unwrap();
    assert_eq!(
        world.state(),
        json!({"files": {"note.txt": "zwei\n"}, "standard": {"memory": {"a": "x"}}})
    );
}

#[test]
fn tools_that_need_no_folder_run_in_line() {
    let (_dir, project) = load(
        "[[tools]]\nstandard = [\"finish\"]",
        json!({"prompt": "go", "expected": {"a": 1}}),
    )
    .unwrap();
    let task = project.task(Split::Test, 0).unwrap();
    assert!(project.environment(&task).inline());
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_key() {
    for (tools, says) in [
        (
            "[[tools]]\nstandard = \"calculator\"",
            "hone.toml:5: `tools.0.standard`: write a list of names, or a table",
        ),
        (
            "[[tools]]\nstandard = [1]",
            "hone.toml:5: `tools.0.standard`: write a list of names",
        ),
        (
            "[[tools]]\nstandard = { memory = 1 }",
            "the settings of `memory` must be a table",
        ),
        (
            "[[tools]]\nstandard = [\"calculater\"]",
            "hone.toml:5: `tools.0.standard.calculater`: there are no standard tools of that name; there are: ",
        ),
        (
            "[[tools]]\nstandard = { sql = {} }",
            "hone.toml:5: `tools.0.standard.sql`: missing field `file`",
        ),
        (
            "[[tools]]\nbuiltin = \"files\"\n\n[tools.standard]\n",
            "it must name one source of tools",
        ),
        ("[tools.0]\n", "invalid type"),
        (
            "[[tools]]\n[tools.standard.sql]\n\nfile = \"../shop.db\"",
            "hone.toml:7: `tools.0.standard.sql.file`: `../shop.db` is no path below the project's folder",
        ),
        (
            "[[tools]]\nstandard = { files = { root = \"/\" } }",
            "`tools.0.standard.files.root`: a project has none",
        ),
        (
            "[[tools]]\nstandard = [\"calculator\"]\nfolder = \"start\"",
            "`tools.0.folder`: only",
        ),
        (
            "[[tools]]\nstandard = [\"files\"]\n\n[[tools]]\nbuiltin = \"files\"",
            "an earlier source has a tool `list_files` too",
        ),
        (
            "[[tools]]\nstandard = [\"memory\"]\nonly = [\"remembr\"]",
            "it has no tool `remembr`",
        ),
    ] {
        let error = load(tools, task()).err().unwrap_or_else(|| panic!("{tools} was taken"));
        assert!(error.contains(says), "{tools}: {error}");
    }
}
