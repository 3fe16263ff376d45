use super::*;
use crate::dispatch::failure;
use serde_json::json;

fn answer(text: &str) -> Answer {
    Answer {
        result: Ok(ToolOutput {
            data: json!({"said": text}),
            text: text.to_owned(),
            ..ToolOutput::default()
        }),
        state_before: Some("s".into()),
        state_after: Some("t".into()),
    }
}

fn open(folder: &Path) -> ToolCache {
    ToolCache::open(folder, Secrets::default(), ToolCache::DEFAULT_BYTES).unwrap()
}

fn text(answer: Option<Answer>) -> Option<String> {
    Some(answer?.result.unwrap().text)
}

fn key(cache: &ToolCache, n: usize) -> Key {
    cache.key("find", "1", &json!({"n": n}), "s".into())
}

#[test]
fn results_come_back_by_tool_version_arguments_and_state_and_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path());
    let call = key(&cache, 1);
    assert!(cache.find(&call).unwrap().is_none());
    cache.keep(&call, &answer("one"));
    let refusal = Answer::failed(failure(ToolErrorClass::Tool, "no such order"));
    cache.keep(&key(&cache, 2), &refusal);
    drop(cache);
    let cache = open(folder.path());
    assert_eq!(text(cache.find(&call).unwrap()), Some("one".into()));
    let again = cache.find(&key(&cache, 2)).unwrap().unwrap();
    assert_eq!(again.result, refusal.result);
    for other in [
        cache.key("find", "2", &json!({"n": 1}), "s".into()),
        cache.key("find", "1", &json!({"n": 1}), "t".into()),
        cache.key("fetch", "1", &json!({"n": 1}), "s".into()),
    ] {
        assert!(cache.find(&other).unwrap().is_none(), "{other:?}");
    }
    let CacheCounts { hits, misses, .. } = cache.counts();
    assert_eq!((hits, misses), (2, 3));
}

#[test]
fn failures_that_are_not_the_calls_own_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path());
    use ToolErrorClass::{Denied, Infrastructure, Panic, Timeout, TooLarge};
    for (n, class) in [Timeout, Panic, Infrastructure, Denied, TooLarge]
        .into_iter()
        .enumerate()
    {
        cache.keep(&key(&cache, n), &Answer::failed(failure(class, "x")));
        assert!(cache.find(&key(&cache, n)).unwrap().is_none(), "{class:?}");
    }
}

#[test]
fn no_byte_of_a_secret_reaches_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "sk-very-secret-0123456789";
    let mut secrets = Secrets::default();
    secrets.add("API_KEY", secret);
    let cache = ToolCache::open(folder.path(), secrets, ToolCache::DEFAULT_BYTES).unwrap();
    let arguments = json!({"key": secret, secret: [secret]});
    let call = cache.key("find", "1", &arguments, "s".into());
    let mut leaky = answer(&format!("your key is {secret}"));
    if let Ok(output) = &mut leaky.result {
        output.data = json!({"echo": arguments});
    }
    cache.keep(&call, &leaky);
    // Before the log is merged and after.
    for _ in 0..2 {
        let mut files = 0;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            files += 1;
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
            assert!(!bytes.windows(14).any(|window| window == b"sk-very-secret"));
        }
        assert!(files >= 1);
        cache
            .connection()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
    }
    assert_eq!(text(cache.find(&call).unwrap()), Some("your key is [API_KEY]".into()));
    // Another key of the same name finds it: the entry does not depend on the secret.
    let mut other = Secrets::default();
    other.add("API_KEY", "sk-another-9876543210");
    let later = ToolCache::open(folder.path(), other, ToolCache::DEFAULT_BYTES).unwrap();
    let arguments = json!({"key": "sk-another-9876543210", "sk-another-9876543210": ["sk-another-9876543210"]});
    let call = later.key("find", "1", &arguments, "s".into());
    assert!(later.find(&call).unwrap().is_some());
}

#[test]
fn beyond_its_bound_the_least_recently_used_go() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ToolCache::open(folder.path(), Secrets::default(), 200_000).unwrap();
    let long = "x".repeat(2_000);
    for n in 0..100 {
        cache.keep(&key(&cache, n), &answer(&long));
    }
    let size: i64 = cache
        .connection()
        .query_row("SELECT bytes FROM size", [], |row| row.get(0))
        .unwrap();
    let counted: i64 = cache
        .connection()
        .query_row("SELECT sum(bytes) FROM calls", [], |row| row.get(0))
        .unwrap();
    assert_eq!(size, counted);
    assert!((50_000..=200_000).contains(&size), "{size}");
    assert!(cache.find(&key(&cache, 0)).unwrap().is_none());
    assert!(cache.find(&key(&cache, 99)).unwrap().is_some());
    // One that would take most of the room is not kept at all.
    cache.keep(&key(&cache, 200), &answer(&"y".repeat(60_000)));
    assert!(cache.find(&key(&cache, 200)).unwrap().is_none());
    assert_eq!(cache.counts().failed, 1);
}

#[test]
fn damaged_entries_are_none_and_other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path());
    cache.keep(&key(&cache, 1), &answer("one"));
    cache
        .connection()
        .execute("UPDATE calls SET answer = replace(answer, 'one', 'two')", [])
        .unwrap();
    assert!(cache.find(&key(&cache, 1)).unwrap().is_none());

    let other = tempfile::tempdir().unwrap();
    let path = other.path().join(FILE);
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    let refused = ToolCache::open(other.path(), Secrets::default(), 1);
    assert!(matches!(refused, Err(CacheError::Foreign { .. })));
    std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
    let refused = ToolCache::open(other.path(), Secrets::default(), 1);
    assert!(matches!(refused, Err(CacheError::Sql { .. })));
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = folder.path();
            scope.spawn(move || {
                // A handle of its own, as another process has it.
                let cache = open(path);
                for n in 0..25 {
                    cache.keep(&key(&cache, writer * 100 + n), &answer("x"));
                    cache.keep(&key(&cache, n), &answer("shared"));
                }
                assert_eq!(cache.counts().failed, 0);
            });
        }
    });
    let cache = open(folder.path());
    for writer in 0..4 {
        for n in 0..25 {
            assert!(cache.find(&key(&cache, writer * 100 + n)).unwrap().is_some());
        }
    }
}
