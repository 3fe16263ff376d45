//! The files, with what could lead out of the folder.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

fn on(folder: &Path) -> Box<dyn Environment> {
    let root = Some(folder.to_owned());
    Files::new(Settings { root }).open(Path::new("")).unwrap()
}

fn fails(files: &mut dyn Environment, tool: &str, arguments: Value) -> String {
    files.call(tool, &arguments).unwrap_err().message
}

#[test]
fn files_are_written_listed_read_edited_and_found() {
    let dir = TempDir::new().unwrap();
    let mut files = on(dir.path());
    for (path, text) in [("a/b.txt", "eins\nzwei\ndrei\n"), ("c.md", "zwei\n")] {
        files.call("write_file", &json!({"path": path, "text": text})).unwrap();
    }
    let list = |files: &mut dyn Environment, arguments| files.call("list_files", &arguments).unwrap().data;
    assert_eq!(
        list(&mut *files, json!({})),
        json!({"files": ["a/b.txt", "c.md"], "more": 0})
    );
    assert_eq!(
        list(&mut *files, json!({"limit": 1})),
        json!({"files": ["a/b.txt"], "more": 1})
    );
    assert_eq!(
        list(&mut *files, json!({"pattern": "**/*.txt"})),
        json!({"files": ["a/b.txt"], "more": 0})
    );

    let read = files.call("read_file", &json!({"path": "a/b.txt"})).unwrap();
    assert_eq!(read.text, "eins\nzwei\ndrei\n");
    let some = json!({"path": "a/b.txt", "first_line": 2, "max_lines": 1});
    let read = files.call("read_file", &some).unwrap();
    assert_eq!(read.text, "zwei\n[lines 2 to 2 of 3; read on with first_line = 3]");
    let past = files
        .call("read_file", &json!({"path": "c.md", "first_line": 9}))
        .unwrap();
    assert_eq!(past.text, "[the file has 1 lines]");

    let found = files.call("find_in_files", &json!({"text": "zwei"})).unwrap().data;
    let expected = json!([
        {"path": "a/b.txt", "line": 2, "text": "zwei"},
        {"path": "c.md", "line": 1, "text": "zwei"},
    ]);
    assert_eq!(found, json!({"matches": expected, "more": false}));

    files
        .call("edit_file", &json!({"path": "a/b.txt", "old": "zwei", "new": "2"}))
        .unwrap();
    let message = fails(
        &mut *files,
        "edit_file",
        json!({"path": "a/b.txt", "old": "ei", "new": "x"}),
    );
    assert!(message.contains("stands in a/b.txt 2 times"), "{message}");
    let all = json!({"path": "a/b.txt", "old": "ei", "new": "x", "all": true});
    assert_eq!(files.call("edit_file", &all).unwrap().data["replaced"], 2);
    assert_eq!(files.state(), json!({"a/b.txt": "xns\n2\ndrx\n", "c.md": "zwei\n"}));
    let message = fails(
        &mut *files,
        "edit_file",
        json!({"path": "c.md", "old": "drei", "new": ""}),
    );
    assert!(message.contains("does not stand in c.md; read_file"), "{message}");
    let message = fails(&mut *files, "read_file", json!({"path": "no"}));
    assert_eq!(message, "there is no file no; list_files shows what is there");
}

#[test]
fn no_path_leads_out() {
    let dir = TempDir::new().unwrap();
    let (inside, secret) = (dir.path().join("in"), dir.path().join("secret"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(&secret, "key").unwrap();
    symlink(&secret, inside.join("link")).unwrap();
    symlink(dir.path(), inside.join("up")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    let mut files = on(&inside);
    let absolute = secret.to_str().unwrap();
    let deep = "a/".repeat(MAX_DEPTH) + "b";
    let long = "x".repeat(MAX_PATH_BYTES + 1);
    for path in [
        "../secret",
        "a/../../secret",
        absolute,
        "link",
        "up/secret",
        "loop",
        "",
        ".",
        "/",
        "..",
        "\0",
        "a\0b",
        &deep,
        &long,
        "./x/../../secret",
    ] {
        for (tool, arguments) in [
            ("read_file", json!({"path": path})),
            ("write_file", json!({"path": path, "text": "x"})),
            ("edit_file", json!({"path": path, "old": "key", "new": "x"})),
        ] {
            let message = fails(&mut *files, tool, arguments);
            assert!(
                message.len() < 400 && message.contains("; "),
                "{tool} {path}: {message}"
            );
        }
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "key");
    assert_eq!(files.state(), json!({}), "links are passed over");
    let found = files.call("find_in_files", &json!({"text": "key"})).unwrap();
    assert_eq!(found.data["matches"], json!([]));
}

#[test]
fn hard_links_are_neither_read_nor_written_through() {
    let dir = TempDir::new().unwrap();
    let (inside, secret) = (dir.path().join("in"), dir.path().join("secret"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(&secret, "key").unwrap();
    std::fs::hard_link(&secret, inside.join("twin")).unwrap();
    let mut files = on(&inside);
    let message = fails(&mut *files, "read_file", json!({"path": "twin"}));
    assert!(message.contains("several names"), "{message}");
    let found = files.call("find_in_files", &json!({"text": "key"})).unwrap();
    assert_eq!(found.data["matches"], json!([]));
    files
        .call("write_file", &json!({"path": "twin", "text": "mine"}))
        .unwrap();
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "key");
    assert_eq!(std::fs::read_to_string(inside.join("twin")).unwrap(), "mine");
}

#[test]
fn pipes_and_folders_are_no_files() {
    let dir = TempDir::new().unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let mut files = on(dir.path());
    for path in ["pipe", "folder", "socket"] {
        let started = std::time::Instant::now();
        let read = fails(&mut *files, "read_file", json!({"path": path}));
        let written = fails(&mut *files, "write_file", json!({"path": path, "text": "x"}));
        assert!(started.elapsed().as_secs() < 5, "{path} kept us waiting");
        assert!(read.contains(" is ") && written.contains(" is "), "{read}; {written}");
    }
    assert_eq!(files.state(), json!({}));
}

#[test]
fn what_is_too_much_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut files = on(dir.path());
    std::fs::write(dir.path().join("raw"), [0xff, 0]).unwrap();
    std::fs::write(dir.path().join("big"), "x".repeat(MAX_FILE_BYTES + 1)).unwrap();
    assert!(fails(&mut *files, "read_file", json!({"path": "raw"})).contains("no text"));
    assert!(fails(&mut *files, "read_file", json!({"path": "big"})).contains("longer than"));
    let text = "x".repeat(MAX_FILE_BYTES + 1);
    assert!(fails(&mut *files, "write_file", json!({"path": "a", "text": text})).contains("longer than"));
    // Growing by replacement is bounded before it takes memory.
    std::fs::write(dir.path().join("seed"), "a".repeat(MAX_FILE_BYTES)).unwrap();
    let blow = json!({"path": "seed", "old": "a", "new": "b".repeat(1000), "all": true});
    assert!(fails(&mut *files, "edit_file", blow).contains("longer than"));
    // The folder as a whole.
    let sparse = std::fs::File::create(dir.path().join("sparse")).unwrap();
    sparse.set_len(MAX_BYTES).unwrap();
    assert!(fails(&mut *files, "write_file", json!({"path": "b", "text": "x"})).contains("would hold more"));
    assert!(!dir.path().join("b").exists());
}

#[test]
fn a_write_keeps_permissions_and_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let script = dir.path().join("run.sh");
    std::fs::write(&script, "old").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::write(dir.path().join(".hone-unfinished"), "of a killed process").unwrap();
    let mut files = on(dir.path());
    files
        .call("write_file", &json!({"path": "run.sh", "text": "new"}))
        .unwrap();
    assert_eq!(std::fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let data = Folder::open(dir.path()).unwrap().snapshot().unwrap();
    assert_eq!(data["run.sh"], "new");
}

/// Somebody swaps a folder for a link that leads out, again and again, while files in it are read and written.
#[test]
fn a_race_does_not_lead_out() {
    let dir = TempDir::new().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    for folder in [inside.join("real"), outside.clone()] {
        std::fs::create_dir_all(&folder).unwrap();
    }
    std::fs::write(inside.join("real/file"), "fine").unwrap();
    std::fs::write(outside.join("file"), "key").unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, inside, outside) = (stop.clone(), inside.clone(), outside.clone());
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::rename(inside.join("real"), inside.join("kept"));
                let _ = symlink(&outside, inside.join("real"));
                let _ = std::fs::remove_file(inside.join("real"));
                let _ = std::fs::rename(inside.join("kept"), inside.join("real"));
            }
        }
    });
    let mut files = on(&inside);
    let mut reads = 0;
    for _ in 0..2000 {
        if let Ok(read) = files.call("read_file", &json!({"path": "real/file"})) {
            assert_ne!(read.text, "key");
            reads += 1;
        }
        let _ = files.call("write_file", &json!({"path": "real/file", "text": "fine"}));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(reads > 0);
    assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "key");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}
