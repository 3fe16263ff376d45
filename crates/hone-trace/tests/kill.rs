//! `kill -9` at any moment loses only what was not yet durable.
//!
//! The test runs itself as a child that appends batches and prints each id once its append has returned; kills it at a
//! random moment; and looks for what was promised.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hone_trace::{Episode, Filter, Store, StoreError, Stream, sample};

const STORE: &str = "HONE_TEST_KILLED_STORE";
const ROUND: &str = "HONE_TEST_KILLED_ROUND";
const BATCH: usize = 16;

fn made(id: &str) -> Episode {
    sample::episode(&Stream::new(4), id, 4)
}

/// Not a test: what the child does. Ends only by being killed.
#[test]
fn child() {
    let (Ok(path), Ok(round)) = (std::env::var(STORE), std::env::var(ROUND)) else {
        return;
    };
    let store = Store::open(path).unwrap();
    for batch in 0.. {
        let episodes: Vec<Episode> = (0..BATCH).map(|i| made(&format!("rl/{round}/{batch}/{i}"))).collect();
        store.append(&episodes).unwrap();
        store
            .append_metrics(batch, &format!("rl/{round}"), &[("batch", batch as f64)])
            .unwrap();
        let lines: String = episodes
            .iter()
            .map(|episode| format!("durable {}\n", episode.id))
            .collect();
        let mut out = std::io::stdout().lock();
        out.write_all(lines.as_bytes()).and_then(|()| out.flush()).unwrap();
    }
}

/// Runs the child for a while, kills it, and returns the ids that it had called durable.
fn run_and_kill(path: &Path, round: usize, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        // libtest's own words stand before the first id, on the same line.
        let id = |line: String| line.split_once("durable ").map(|(_, id)| id.to_string());
        lines.map_while(Result::ok).filter_map(id).collect::<Vec<_>>()
    });
    std::thread::sleep(after);
    // SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    let mut ids = reader.join().unwrap();
    // The last line may be cut in the middle of an id; a whole batch is printed at once, so only a whole one counts.
    ids.truncate(ids.len() / BATCH * BATCH);
    ids
}

#[test]
fn a_killed_run_keeps_all_that_was_durable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.db");
    drop(Store::create(&path).unwrap());
    let moments = Stream::new(9).named("kill");
    let mut durable = Vec::new();
    for round in 0..8 {
        let after = Duration::from_millis(40 + (moments.uniform(round as u64) * 160.0) as u64);
        durable.extend(run_and_kill(&path, round, after));

        let store = Store::open(&path).expect("opens after a kill");
        for id in &durable {
            let stored = store
                .episode(id)
                .unwrap()
                .unwrap_or_else(|| panic!("{id} was durable and is gone"));
            assert_eq!(stored, made(id));
        }
        // Nothing is half there: every episode is whole, and so is every batch.
        let mut count = 0;
        let each = |episode: Episode| {
            count += 1;
            assert_eq!(episode, made(&episode.id));
            Ok::<_, StoreError>(())
        };
        store.for_each(&Filter::default(), each).unwrap();
        assert_eq!(count % BATCH, 0, "a batch is all or nothing");
        assert!(count >= durable.len());
    }
    assert!(
        durable.len() > 4 * BATCH,
        "only {} were written: the test has seen nothing",
        durable.len()
    );
    let check: String = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
