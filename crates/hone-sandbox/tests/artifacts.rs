//! Figures, tables and files that calls make.
#![cfg(target_os = "linux")]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{call, interpreter, runtime};
use hone_sandbox::{
    Artifact, ArtifactLimits, Interpreter, InterpreterSettings, Language, Limits, Outcome, Reply, Session,
    SessionSettings,
};

/// As much of matplotlib as is used: numbered figures, of which each holds what was drawn.
const PYPLOT: &str = r"
from matplotlib import _figures, Figure
def figure(number=None):
    if number is None:
        number = max(_figures, default=0) + 1
    return _figures.setdefault(number, Figure())
def plot(text):
    figure(max(_figures, default=1)).drawn.append(text)
def get_fignums():
    return sorted(_figures)
def close(number):
    del _figures[number]
def show():
    raise Exception('no display')
";
const MATPLOTLIB: &str = r"
_figures = {}
class Figure:
    def __init__(self):
        self.drawn = []
    def savefig(self, file, format, bbox_inches):
        assert format == 'png'
        file.write(('PNG ' + ' '.join(self.drawn)).encode())
";
const PANDAS: &str = r"
class DataFrame:
    def __init__(self, rows):
        self.rows, self.shape, self.iloc = rows, (len(rows), 2), self
    def __getitem__(self, part):
        return DataFrame(self.rows[part])
    def to_csv(self):
        return 'x,y\n' + ''.join(f'{x},{y}\n' for x, y in self.rows)
    def __repr__(self):
        return f'<{len(self.rows)} rows>'
class Series(DataFrame):
    pass
";

const SMALL: ArtifactLimits = ArtifactLimits {
    number: 4,
    each: 1000,
    together: 2500,
};

fn session(language: Language) -> Option<Session> {
    let settings = SessionSettings {
        artifacts: Some(SMALL),
        limits: Limits {
            wall: Duration::from_secs(2),
            ..Limits::default()
        },
        ..SessionSettings::new(language)
    };
    let mut session = interpreter()?.session(&settings).unwrap();
    for (path, code) in [
        ("matplotlib/__init__.py", MATPLOTLIB),
        ("matplotlib/pyplot.py", PYPLOT),
        ("pandas.py", PANDAS),
    ] {
        session.put(path, code.as_bytes()).unwrap();
    }
    Some(session)
}

fn names(artifacts: &[Artifact]) -> Vec<&str> {
    artifacts.iter().map(|artifact| artifact.name.as_str()).collect()
}

fn text(artifact: &Artifact) -> &str {
    std::str::from_utf8(artifact.content.as_deref().unwrap()).unwrap()
}

fn nothing(reply: &Reply) -> bool {
    reply.shown.is_empty() && reply.files.is_empty() && reply.more_files == 0
}

#[test]
fn figures_are_drawn_where_they_are_shown_or_left_open_and_then_closed() {
    let Some(mut session) = session(Language::Python) else {
        return;
    };
    assert!(nothing(&call(&mut session, "import matplotlib.pyplot as plt")));
    let shown = call(
        &mut session,
        "plt.plot('a'); plt.show(); plt.plot('b'); plt.show(block=True); plt.figure(); plt.plot('c')",
    );
    assert_eq!(shown.outcome, Outcome::Ok { status: None });
    let drawn: Vec<_> = shown
        .shown
        .iter()
        .map(|f| (f.name.as_str(), text(f), f.mime()))
        .collect();
    let png = "image/png";
    assert_eq!(
        drawn,
        [
            ("figure-2-1.png", "PNG a", png),
            ("figure-2-2.png", "PNG b", png),
            ("figure-2-3.png", "PNG c", png)
        ]
    );
    assert!(nothing(&call(&mut session, "plt.get_fignums()")));
    // Also those of a call that fails.
    let failed = call(&mut session, "plt.plot('before'); 1/0");
    assert!(matches!(&failed.outcome, Outcome::Error { kind, .. } if kind == "ZeroDivisionError"));
    assert_eq!(text(&failed.shown[0]), "PNG before");
    // So many and no more, so much and no more.
    let many = call(&mut session, "for i in range(100): plt.figure(i + 1)");
    assert_eq!(many.shown.len(), 4);
    assert_eq!(call(&mut session, "plt.get_fignums()").value.as_deref(), Some("[]"));
    let large = call(
        &mut session,
        "plt.plot('x' * 2000)\nfor i in range(2, 5): plt.figure(i).drawn.append('y' * 900)",
    );
    let kept: Vec<bool> = large.shown.iter().map(|figure| figure.content.is_some()).collect();
    assert_eq!(kept, [false, true, true, false], "1000 of each, 2500 together");
    assert_eq!(large.shown[0].about, "2004 bytes are too many");
    // A call that took too long does not take longer, and keeps its figures for the next.
    let late = call(&mut session, "plt.plot('late')\nwhile True: pass");
    assert!(
        late.outcome == Outcome::Timeout && !late.lost && late.shown.is_empty(),
        "{late:?}"
    );
    assert_eq!(text(&call(&mut session, "1").shown[0]), "PNG late");
    // One that cannot be drawn does not keep others from it.
    let broken = call(
        &mut session,
        "plt.figure().savefig = 3; plt.figure().drawn.append('fine')",
    );
    assert!(broken.shown[0].about.starts_with("TypeError"), "{:?}", broken.shown);
    assert_eq!(text(&broken.shown[1]), "PNG fine");
}

#[test]
fn a_table_comes_as_text_and_as_a_file() {
    let Some(mut session) = session(Language::Python) else {
        return;
    };
    let table = call(&mut session, "import pandas\npandas.DataFrame([(1, 2), (3, 4)])");
    assert_eq!(table.value.as_deref(), Some("<2 rows>"));
    let [file] = &table.shown[..] else {
        panic!("{:?}", table.shown)
    };
    assert_eq!(
        (file.name.as_str(), file.about.as_str(), text(file), file.mime()),
        ("table-1.csv", "2 rows, 2 columns", "x,y\n1,2\n3,4\n", "text/csv")
    );
    // Not one that is not shown.
    assert!(nothing(&call(&mut session, "t = pandas.Series([(1, 1)]); None")));
    let long = call(&mut session, "pandas.DataFrame([(1, 2)] * 30000)");
    assert_eq!(
        (long.shown[0].name.as_str(), &long.shown[0].content),
        ("table-3.csv", &None)
    );
    let broken = call(&mut session, "del pandas.DataFrame.to_csv; t");
    assert!(
        broken.shown[0].about.starts_with("AttributeError"),
        "{:?}",
        broken.shown
    );
}

#[test]
fn files_that_a_call_wrote_are_listed_with_what_is_in_them() {
    for language in [Language::Python, Language::Bash] {
        let Some(mut session) = session(language) else { return };
        let mut bash = |script: &str| match language {
            Language::Bash => call(&mut session, script),
            Language::Python => call(
                &mut session,
                &format!("import subprocess\nr = subprocess.run(['bash', '-c', {script:?}])"),
            ),
        };
        // What Hone put there, programs' own files, and what is no file.
        assert!(nothing(&bash(
            "mkdir d .cache; touch .hidden .cache/x; mkfifo pipe; ln -s /etc/passwd link"
        )));
        let wrote = bash("echo 1 > d/b.csv; echo 22 > a");
        let files: Vec<_> = wrote
            .files
            .iter()
            .map(|f| (f.name.as_str(), f.size, text(f), f.mime()))
            .collect();
        let plain = "application/octet-stream";
        assert_eq!(files, [("a", 3, "22\n", plain), ("d/b.csv", 2, "1\n", "text/csv")]);
        assert!(nothing(&bash("cat a")));
        // At once and as long as before.
        for text_of in ["33\n", "44\n", "55\n", "66\n"] {
            let again = bash(&format!("printf '{text_of}' > a"));
            assert_eq!((names(&again.files), text(&again.files[0])), (vec!["a"], text_of));
        }
        let large = bash("head -c 2000 /dev/zero > large; truncate -s 30M sparse");
        let sizes: Vec<_> = large
            .files
            .iter()
            .map(|f| (f.name.as_str(), f.size, f.content.is_some()))
            .collect();
        assert_eq!(sizes, [("large", 2000, false), ("sparse", 30 << 20, false)]);
        let many = bash("for i in $(seq 100); do echo > n$i; done; rm a");
        assert_eq!((many.files.len(), many.more_files), (4, 96));
        // Also of a call that ends its interpreter.
        let died = bash("echo x > last; kill -9 $PPID $$");
        assert_eq!(names(&died.files), ["last"], "{died:?}");
    }
}

#[test]
fn nobody_gets_figures_and_files_who_did_not_ask() {
    let Some(interpreter) = interpreter() else { return };
    let mut session = interpreter.session(&SessionSettings::new(Language::Python)).unwrap();
    session.put("matplotlib/__init__.py", MATPLOTLIB.as_bytes()).unwrap();
    session.put("matplotlib/pyplot.py", PYPLOT.as_bytes()).unwrap();
    let reply = call(
        &mut session,
        "import matplotlib.pyplot as p; p.plot('a'); open('f', 'w').write('x')",
    );
    assert!(
        nothing(&reply) && reply.outcome == Outcome::Ok { status: None },
        "{reply:?}"
    );
    let too_much = SessionSettings {
        artifacts: Some(ArtifactLimits {
            together: 1 << 30,
            ..SMALL
        }),
        ..SessionSettings::new(Language::Python)
    };
    assert!(interpreter.session(&too_much).is_err());
}

/// What code can do to the machinery, and that the session goes on after it.
#[test]
fn code_that_forges_hangs_or_floods_harms_itself_alone() {
    let forge = |header: &str, body: &str| {
        format!(
            "import os, struct, time\nh, b = {header}, {body}\n\
             os.write(100, struct.pack('>II', len(h), len(b)) + h + b)\ntime.sleep(60)"
        )
    };
    let header = |shown: &str| format!(r#"b'{{"outcome": "ok", "shown": {shown}}}'"#);
    let wrong = |outcome: &Outcome| matches!(outcome, Outcome::Protocol);
    let late = |outcome: &Outcome| matches!(outcome, Outcome::Timeout);
    let died = |outcome: &Outcome| matches!(outcome, Outcome::Died { .. } | Outcome::Protocol | Outcome::Ok { .. });
    let fine = |outcome: &Outcome| matches!(outcome, Outcome::Ok { .. });
    type Fits<'a> = &'a dyn Fn(&Outcome) -> bool;
    let cases: Vec<(&str, String, Fits<'_>)> = vec![
        ("more bytes than said", forge(&header(r#"[["a", "", 1]]"#), "b'xx'"), &wrong),
        ("fewer bytes than said", forge(&header(r#"[["a", "", 3]]"#), "b'xx'"), &wrong),
        ("a negative length", forge(&header(r#"[["a", "", -2], ["b", "", 4]]"#), "b'xx'"), &wrong),
        ("a truth as length", forge(&header(r#"[["a", "", true]]"#), "b'x'"), &wrong),
        ("a list that is none", forge(&header("3"), "b''"), &wrong),
        ("rows that are none", forge(&header("[3]"), "b''"), &wrong),
        ("too many", forge(&header(r#"[["", "", null],["", "", null],["", "", null],["", "", null],["", "", null]]"#), "b''"), &wrong),
        ("too much", forge(&header(r#"[["a", "", 3000]]"#), "b'x' * 3000"), &wrong),
        ("a long name", forge(r#"b'{"outcome": "ok", "shown": [["' + b'../' * 9000 + b'", "", 2]]}'"#, "b'xx'"), &fine),
        ("half a surrogate pair", forge(&header(r#"[["\\ud800/\\u0000", "", 2]]"#), "b'xx'"), &fine),
        (
            "figures without end",
            "import itertools, matplotlib.pyplot as p\np.get_fignums, p.close = itertools.count, id".to_owned(),
            &late,
        ),
        (
            "a figure that takes for ever",
            "import matplotlib, matplotlib.pyplot as p\ndef s(*a, **k):\n while True:\n  pass\n\
             matplotlib.Figure.savefig = s\np.figure()"
                .to_owned(),
            &late,
        ),
        (
            "a figure that ends the interpreter",
            "import os, matplotlib, matplotlib.pyplot as p\nmatplotlib.Figure.savefig = lambda *a, **k: os._exit(3)\np.figure()"
                .to_owned(),
            &died,
        ),
        (
            "a figure that exits",
            "import sys, matplotlib, matplotlib.pyplot as p\nmatplotlib.Figure.savefig = lambda *a, **k: sys.exit(3)\np.figure()"
                .to_owned(),
            &fine,
        ),
        (
            "a module in its place",
            "import sys\nclass M:\n def __getattr__(s, n): raise KeyError(n)\n\
             sys.modules['matplotlib.pyplot'] = sys.modules['pandas'] = M()\n3"
                .to_owned(),
            &fine,
        ),
        ("names in no alphabet", "import os\nopen(b'\\xff\\n\\x1b[31m', 'w').write('x')".to_owned(), &fine),
        (
            "a deep folder",
            "import os\nfor i in range(3000):\n os.mkdir('d'); os.chdir('d')\nopen('f', 'w').write('x')\nos.chdir('/work')".to_owned(),
            &fine,
        ),
        (
            "files in the thousands",
            "import os\nos.mkdir('many')\nfor i in range(20000): open(f'many/{i}', 'w')".to_owned(),
            &fine,
        ),
        (
            "links and pipes in a file's place",
            "import os\nos.mkfifo('fifo'); os.symlink('/proc/self/environ', 'env'); os.symlink('/dev/zero', 'zero')".to_owned(),
            &fine,
        ),
        (
            "a file that changes all the time",
            "import os, threading\nif os.fork() == 0:\n while True:\n  open('x', 'w').write('y' * 900); os.unlink('x'); os.mkfifo('x'); os.unlink('x')".to_owned(),
            &fine,
        ),
        ("a closed folder", "import os\nos.mkdir('shut'); open('shut/f', 'w'); os.chmod('shut', 0)".to_owned(), &fine),
        ("no folder to be in", "import os, shutil\nos.chmod('/work', 0)".to_owned(), &fine),
    ];
    for (name, code, fits) in cases {
        let Some(mut session) = session(Language::Python) else {
            return;
        };
        let reply = call(&mut session, &code);
        assert!(fits(&reply.outcome), "{name}: {reply:?}");
        for artifact in reply.shown.iter().chain(&reply.files) {
            assert!(artifact.name.chars().count() <= 500, "{name}: {artifact:?}");
        }
        assert!(reply.shown.len() <= 4 && reply.files.len() <= 4, "{name}: {reply:?}");
        // What code did to its own interpreter may spoil its next calls too, until that is replaced.
        let right = (0..2).any(|_| {
            let right = call(&mut session, "6 * 7").value.as_deref() == Some("42");
            right || call(&mut session, "import os; os._exit(0)").value.is_some()
        });
        assert!(right, "{name}: the session does not go on");
    }
}

/// Where they are installed: in the Python that HONE_PYTHON names, or in `python3`.
#[test]
fn matplotlib_and_pandas_themselves_are_shown() {
    let Some(runtime) = runtime() else { return };
    let python = std::env::var_os("HONE_PYTHON").unwrap_or_else(|| "python3".into());
    let there = Command::new(&python).args(["-c", "import matplotlib, pandas"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: matplotlib and pandas are not installed; name a Python that has them with HONE_PYTHON");
        return;
    }
    for preload in [vec![], vec!["matplotlib.pyplot".to_owned(), "pandas".to_owned()]] {
        let settings = InterpreterSettings {
            python: Some(python.clone().into()),
            preload,
        };
        let interpreter = Interpreter::start(runtime, &settings).unwrap();
        let mut session = interpreter
            .session(&SessionSettings {
                artifacts: Some(ArtifactLimits::default()),
                limits: Limits {
                    memory: 1 << 30,
                    ..Limits::default()
                },
                ..SessionSettings::new(Language::Python)
            })
            .unwrap();
        let reply = call(
            &mut session,
            "import matplotlib.pyplot as plt\nimport pandas as pd\n\
             plt.plot([1, 2, 3]); plt.title('first'); plt.show()\nplt.bar(['a', 'b'], [1, 2])\n\
             pd.DataFrame({'x': [1, 2], 'y': ['a,b', 'ü']})",
        );
        assert_eq!(reply.output.text(), "", "{reply:?}");
        assert_eq!(
            names(&reply.shown),
            ["figure-1-1.png", "figure-1-2.png", "table-1.csv"],
            "{reply:?}"
        );
        for figure in &reply.shown[..2] {
            let content = figure.content.as_deref().unwrap();
            // Signature and first chunk of a PNG (RFC 2083), and a width that was drawn.
            assert!(content.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "{figure:?}");
            let width = u32::from_be_bytes(content[16..20].try_into().unwrap());
            assert!((300..1000).contains(&width), "{width}");
        }
        assert_ne!(reply.shown[0].content, reply.shown[1].content);
        assert_eq!(text(&reply.shown[2]), ",x,y\n0,1,\"a,b\"\n1,2,ü\n");
        assert!(reply.value.is_some_and(|value| value.contains("a,b")));
    }
}
