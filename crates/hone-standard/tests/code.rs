//! Python and bash as tools of an episode.
#![cfg(all(feature = "full", target_os = "linux"))]

use hone_env::{Environment, Task};
use hone_sandbox::Language;
use hone_standard::Kit;
use hone_standard::code::{Code, Settings};
use serde_json::{Value, json};
use std::path::Path;

/// The kit, or `None` where no sandbox can be made. Where CI is set it must be there.
fn kit(language: Language, settings: Settings) -> Option<Code> {
    match Code::new(language, settings) {
        Ok(kit) => Some(kit),
        Err(("", what, remedy)) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {what}; {remedy}");
            None
        }
        Err(wrong) => panic!("{wrong:?}"),
    }
}

fn task(seed: u64) -> Task {
    Task {
        id: "test/0".into(),
        kind: "test".into(),
        system: None,
        instruction: String::new(),
        seed,
        data: Value::Null,
    }
}

fn open(kit: &Code, seed: u64) -> Box<dyn Environment> {
    let mut room = kit.open(Path::new(".")).unwrap();
    room.reset(&task(seed)).unwrap();
    room
}

fn run(room: &mut dyn Environment, tool: &str, code: &str) -> Result<String, String> {
    let result = room.call(tool, &json!({"code": code}));
    result.map(|output| output.text).map_err(|error| error.message)
}

#[test]
fn python_is_told_as_a_notebook_shows_it() {
    let Some(kit) = kit(
        Language::Python,
        Settings {
            seconds: Some(1),
            ..Settings::default()
        },
    ) else {
        return;
    };
    let mut room = open(&kit, 1);
    let mut python = |code: &str| run(&mut *room, "python", code);
    assert_eq!(python("x = 2"), Ok("[no output]".into()));
    assert_eq!(python("print('a', end=''); x + 1"), Ok("a\n3".into()));
    let error = python("print('before'); 1/0").unwrap_err();
    assert!(
        error.starts_with("before\nTraceback") && error.ends_with("ZeroDivisionError: division by zero"),
        "{error}"
    );
    assert_eq!(python("while True: pass"), Err("[the call was ended after 1 s]".into()));
    assert_eq!(python("x"), Ok("2".into()));
    let lost = python("open('f', 'w').write('kept'); import os; os._exit(3)").unwrap_err();
    assert!(
        lost.contains("status 3") && lost.contains("variables are gone"),
        "{lost}"
    );
    assert_eq!(python("open('f').read()"), Ok("'kept'".into()));
    assert!(room.call("bash", &json!({"code": "x"})).is_err());
}

#[test]
fn an_episode_is_its_seeds() {
    let Some(kit) = kit(Language::Python, Settings::default()) else {
        return;
    };
    let code = "import random, time, uuid; (random.random(), time.time(), uuid.uuid4(), hash('x'))";
    let of = |seed| run(&mut *open(&kit, seed), "python", code).unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    // The room of one episode knows nothing of another's.
    let mut room = open(&kit, 1);
    run(&mut *room, "python", "x = 1").unwrap();
    room.reset(&task(1)).unwrap();
    assert!(run(&mut *room, "python", "x").unwrap_err().contains("NameError"));
}

#[test]
fn bash_shows_its_status() {
    let Some(kit) = kit(Language::Bash, Settings::default()) else {
        return;
    };
    let mut room = open(&kit, 1);
    let mut bash = |code: &str| run(&mut *room, "bash", code);
    assert_eq!(bash("mkdir d; cd d; x=1; echo out"), Ok("out\n".into()));
    assert_eq!(
        bash("basename $PWD; echo err >&2; false"),
        Err("d\nerr\n[status 1]".into())
    );
    let lost = bash("exit 4").unwrap_err();
    assert!(lost.contains("status 4") && lost.contains("begins anew"), "{lost}");
}

#[test]
fn settings_are_checked_first() {
    let wrong = |language, settings: &str| {
        let settings = serde_json::from_str(settings).unwrap();
        Code::new(language, settings).err().unwrap()
    };
    assert_eq!(wrong(Language::Python, r#"{"seconds": 0}"#).0, "seconds");
    assert_eq!(wrong(Language::Python, r#"{"memory": 1}"#).0, "memory");
    assert_eq!(wrong(Language::Bash, r#"{"preload": ["numpy"]}"#).0, "python");
    let Some(_) = kit(Language::Python, Settings::default()) else {
        return;
    };
    let none = wrong(Language::Python, r#"{"preload": ["no_such_module"]}"#);
    assert!(none.0 == "python" && none.1.contains("no_such_module"), "{none:?}");
}
