//! Python and bash as tools of an episode.
#![cfg(all(feature = "full", target_os = "linux"))]

use hone_env::{Environment, Task};
use hone_sandbox::Language;
use hone_standard::Kit;
use hone_standard::code::{Code, Settings};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

/// The kit, or `None` where no sandbox can be made. Where CI is set it must be there.
fn kit(language: Language, settings: Settings) -> Option<Code> {
    match Code::new(language, settings, true) {
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
    static EMPTY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    open_in(kit, EMPTY.path(), seed)
}

fn open_in(kit: &Code, folder: &Path, seed: u64) -> Box<dyn Environment> {
    let mut room = kit.open(folder).unwrap();
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
        Code::new(language, settings, true).err().unwrap()
    };
    assert_eq!(wrong(Language::Python, r#"{"seconds": 0}"#).0, "seconds");
    assert_eq!(wrong(Language::Python, r#"{"memory": 1}"#).0, "memory");
    assert_eq!(wrong(Language::Bash, r#"{"preload": ["numpy"]}"#).0, "python");
    let Some(_) = kit(Language::Python, Settings::default()) else {
        return;
    };
    // Nobody can promise that; what is not known is no demand.
    let weak = wrong(
        Language::Python,
        r#"{"demand": {"files": "enforced", "wall": "enforced"}}"#,
    );
    assert!(
        weak.0 == "demand" && weak.1.contains("wall time is watched here"),
        "{weak:?}"
    );
    assert_eq!(wrong(Language::Bash, r#"{"processors": 0}"#).0, "processors");
    assert!(serde_json::from_str::<Settings>(r#"{"demand": {"luck": "enforced"}}"#).is_err());
    let none = wrong(Language::Python, r#"{"preload": ["no_such_module"]}"#);
    assert!(none.0 == "python" && none.1.contains("no_such_module"), "{none:?}");
}

/// Stand-ins: figures are written as text.
const PYPLOT: &str = r"

open_figures = {}
def plot(text):
    open_figures[1] = text
class Figure:
    def savefig(self, file, **_):
        file.write(open_figures[1].encode())
def get_fignums():
    return list(open_figures)
def figure(number):
    return Figure()
def close(number):
    del open_figures[number]
";

#[test]
fn an_episode_begins_with_its_files_and_what_it_makes_is_kept() {
    let settings = Settings {
        keep: Some(1),
        ..Settings::default()
    };
    let Some(kit) = kit(Language::Python, settings) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("matplotlib")).unwrap();
    std::fs::write(folder.path().join("matplotlib/__init__.py"), "").unwrap();
    std::fs::write(folder.path().join("matplotlib/pyplot.py"), PYPLOT).unwrap();
    std::fs::write(folder.path().join("data.bin"), b"\xff\0").unwrap();
    let mut room = open_in(&kit, folder.path(), 1);
    let mut python = |code: &str| room.call("python", &json!({"code": code}));
    let read = python("open('data.bin', 'rb').read()").unwrap();
    assert_eq!((read.text.as_str(), read.media.len()), ("b'\\xff\\x00'", 0));

    let made = python("import matplotlib.pyplot as plt\nplt.plot('PNG')\nlen(open('out\\n.csv', 'w').write('1,2'))");
    // An error has a text alone; its files go to the next call that ends well.
    assert!(made.unwrap_err().message.contains("TypeError"));
    let made = python("print('hi'); n = open('b.txt', 'w').write('b')").unwrap();
    assert_eq!(made.text, "hi\n[file b.txt, 1 bytes]");
    let media: Vec<_> = made
        .media
        .iter()
        .map(|file| (file.name.as_str(), file.mime.as_str(), file.content.as_deref().unwrap()))
        .collect();
    assert_eq!(
        media,
        [
            ("figure-2-1.png", "image/png", &b"PNG"[..]),
            ("out\n.csv", "text/csv", b"1,2"),
            ("b.txt", "text/plain", b"b"),
        ]
    );
    let shown = python("plt.plot('PNG'); n = open('x\\u202e\\n', 'w').write('')").unwrap();
    assert_eq!(
        shown.text,
        "[figure figure-4-1.png, 3 bytes]\n[file x\\u{202e}\\n, 0 bytes]"
    );
    assert_eq!(python("plt.get_fignums()").unwrap().media, []);
    // Beyond what is kept of an episode there is the hash alone.
    let full = python("for i in range(3): n = open(f'{i}.bin', 'wb').write(bytes(400_000 + i))").unwrap();
    let kept: Vec<bool> = full.media.iter().map(|file| file.content.is_some()).collect();
    assert_eq!(kept, [true, true, false]);
    assert_eq!(full.media[2].bytes, 400_002);
    // The host's folder stays as it was.
    assert!(!folder.path().join("b.txt").exists());
    room.reset(&task(1)).unwrap();
    let again = room
        .call("python", &json!({"code": "import os; sorted(os.listdir())"}))
        .unwrap();
    assert_eq!(again.text, "['data.bin', 'matplotlib']");
}
