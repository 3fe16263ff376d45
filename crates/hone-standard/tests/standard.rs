//! Several kits in one environment, and their settings.

use hone_env::{Environment, Fork};
use hone_standard::{Place, Standard};
use hone_tool::ToolHost;
use serde_json::{Map, Value, json};
use std::path::Path;
use tempfile::TempDir;

fn made(settings: Value, confined: bool, folder: &Path) -> Result<Standard, String> {
    let Value::Object(settings) = settings else {
        panic!("no object")
    };
    Standard::new(&settings, &Place { folder, confined }).map_err(|wrong| wrong.to_string())
}

#[test]
fn kits_act_side_by_side() {
    let dir = TempDir::new().unwrap();
    let settings = json!({"calculator": {}, "memory": {"notes": {"a": "x"}}, "finish": {}});
    let standard = made(settings, true, dir.path()).unwrap();
    let mut set = standard.open(dir.path()).unwrap();
    assert!(!set.inline(), "calculations may take milliseconds");
    assert_eq!(
        set.call("calculate", &json!({"expression": "1/4"})).unwrap().data["value"],
        "0.25"
    );
    assert_eq!(set.state(), json!({"memory": {"a": "x"}}));
    let before = set.state_hash();
    assert_eq!(set.fork_kind(), Fork::Native);
    let mut copy = set.fork().unwrap();
    copy.call("remember", &json!({"key": "b", "text": "y"})).unwrap();
    assert!(copy.call("finish", &json!({"answer": "done"})).unwrap().terminal);
    assert_eq!(
        copy.state(),
        json!({"memory": {"a": "x", "b": "y"}, "finish": {"answer": "done"}})
    );
    assert_eq!(set.state_hash(), before, "the copy is its own");
    assert_ne!(copy.state_hash(), before);
    assert!(
        set.call("list_files", &json!({}))
            .unwrap_err()
            .message
            .contains("no tool")
    );
    assert!(made(json!({"finish": {}}), true, dir.path()).unwrap().inline());
}

#[test]
fn files_are_those_of_the_episode_or_of_a_root() {
    let (project, episode) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let standard = made(json!({"files": {}}), true, project.path()).unwrap();
    let mut set = standard.open(episode.path()).unwrap();
    set.call("write_file", &json!({"path": "a", "text": "x"})).unwrap();
    assert_eq!(std::fs::read_to_string(episode.path().join("a")).unwrap(), "x");
    assert_eq!(
        (set.state(), set.fork_kind()),
        (Value::Null, Fork::Replay),
        "told by whose folder it is"
    );
    let standard = made(json!({"files": {"root": episode.path()}}), false, project.path()).unwrap();
    let set = standard.open(Path::new("")).unwrap();
    assert_eq!(
        (set.state(), set.fork_kind()),
        (json!({"files": {"a": "x"}}), Fork::None)
    );
}

#[test]
fn mistakes_in_settings_name_their_key() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("notes.txt"), "no database, but text").unwrap();
    for (settings, says) in [
        (
            json!({"calculater": {}}),
            "`calculater`: there are no standard tools of that name; there are: ",
        ),
        (
            json!({"calculator": {"digits": 3}}),
            "`calculator`: unknown field `digits`",
        ),
        (json!({"sql": {}}), "`sql`: missing field `file`"),
        (
            json!({"sql": {"file": "../shop.db"}}),
            "`sql.file`: `../shop.db` is no path below",
        ),
        (
            json!({"sql": {"file": "/etc/passwd"}}),
            "`sql.file`: `/etc/passwd` is no path below",
        ),
        (json!({"sql": {"file": "shop.db"}}), "`sql.file`: "),
        (json!({"sql": {"file": "notes.txt"}}), "no SQLite database"),
        (json!({"files": {"root": "/"}}), "`files.root`: a project has none"),
        (
            json!({"finish": {"schema": {"type": "nothing"}}}),
            "`finish.schema`: it is no self-contained JSON Schema",
        ),
        (
            json!({"memory": {"notes": {"": "x"}}}),
            "`memory.notes`: the key is empty",
        ),
        #[cfg(feature = "full")]
        (json!({"clock": {}}), "`clock`: missing field `now`"),
        #[cfg(feature = "full")]
        (json!({"clock": {"now": "today"}}), "`clock.now`: "),
        #[cfg(feature = "full")]
        (json!({"fetch": {"allow": []}}), "`fetch.allow`: it is empty"),
        #[cfg(feature = "full")]
        (json!({"search": {"corpus": "nowhere"}}), "`search.corpus`: "),
        #[cfg(feature = "full")]
        (json!({"search": {"corpus": "../x"}}), "no path below"),
        #[cfg(feature = "full")]
        (
            json!({"memory": {"embedder": ["no-such-program-of-ours"]}}),
            "`memory.embedder`: ",
        ),
        #[cfg(not(feature = "full"))]
        (
            json!({"clock": {}}),
            "`clock`: this build has no such tools; build one that has",
        ),
    ] {
        let error = made(settings.clone(), true, dir.path()).err().unwrap();
        assert!(error.starts_with('`') && error.contains(says), "{settings}: {error}");
    }
    let none = Standard::new(
        &Map::new(),
        &Place {
            folder: dir.path(),
            confined: true,
        },
    )
    .unwrap();
    assert!(none.specs().is_empty());
}
