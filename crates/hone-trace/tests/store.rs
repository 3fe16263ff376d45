//! The store through its public face: what goes in comes out, in any order and from any thread; what is not a store is
//! refused with a word on how to mend it.

use std::path::{Path, PathBuf};

use hone_trace::{
    Episode, Filter, ForkedFrom, Media, OutcomeKind, PromptMessage, Remote, Score, Secrets, Served, Store, StoreError,
    Stream, Turn, Usage, export_jsonl, import_jsonl, run_digest, sample,
};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.db");
    (directory, path)
}

fn made(id: &str) -> Episode {
    sample::episode(&Stream::new(11), id, 3)
}

fn ids(store: &Store, filter: &Filter) -> Vec<String> {
    store
        .episodes(filter)
        .unwrap()
        .into_iter()
        .map(|episode| episode.id)
        .collect()
}

/// A whole episode with text, numbers and JSON that are as odd as they may be.
fn odd() -> impl Strategy<Value = Episode> {
    let float = any::<f64>().prop_filter("finite", |value| value.is_finite());
    let small = any::<f32>().prop_filter("finite", |value| value.is_finite());
    (
        any::<u64>(),
        0..5u32,
        any::<String>(),
        float,
        small,
        any::<u64>(),
        any::<i64>(),
    )
        .prop_map(|(seed, turns, text, float, small, whole, signed)| {
            let mut episode = sample::episode(&Stream::new(seed), &format!("p/{text}/0"), turns);
            episode.phase = text.clone();
            episode.turns.push(Turn::User { text: text.clone() });
            episode.events[0].detail =
                json!({text.clone(): [float, whole, signed, f64::from(small), null, {"": text}]});
            episode.seed = whole;
            episode.forked_from = Some(ForkedFrom {
                episode: text.clone(),
                model_call: 1,
                snapshot: text.clone(),
            });
            if let Some(call) = episode.tool_calls.first_mut() {
                call.media = vec![Media {
                    hash: text.clone(),
                    mime: "image/png".into(),
                    bytes: whole,
                    name: text.clone(),
                    content: None,
                }];
                call.snapshot = Some(text.clone());
            }
            episode.reward = Some(float);
            episode.scores[0].value = -float;
            if let Some(call) = episode.model_calls.first_mut() {
                call.logprobs[0] = -small.abs();
                call.entropies[1] = small.abs();
                call.sampling.temperature = small;
                call.output[0] = whole as u32;
                call.remote = Some(Box::new(Remote {
                    asked: vec![PromptMessage {
                        role: "user".into(),
                        text: text.clone(),
                    }],
                    reasoning: text.clone(),
                    usage: Some(Usage {
                        input: whole,
                        output: 1,
                        cached: 0,
                        reasoning: whole,
                    }),
                    cost_usd: Some(float),
                    served: Served {
                        model: text.clone(),
                        id: text.clone(),
                        attempts: whole as u32,
                    },
                }));
                call.text = text;
            }
            episode
        })
}

/// Equal, and equal in the bits of every float too.
fn assert_same(a: &Episode, b: &Episode) {
    assert_eq!(a, b);
    assert_eq!(a.digest(), b.digest());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn episodes_round_trip(episodes in prop::collection::vec(odd(), 1..4)) {
        let (_directory, path) = directory();
        let store = Store::create(&path).unwrap();
        store.append(&episodes).unwrap();
        let last = |id: &str| episodes.iter().rfind(|episode| episode.id == id).unwrap();
        for episode in &episodes {
            assert_same(&store.episode(&episode.id).unwrap().unwrap(), last(&episode.id));
            let filter = Filter::phase(&episode.phase);
            prop_assert!(ids(&store, &filter).contains(&episode.id));
        }
        // Through JSON Lines into another store.
        let mut lines = Vec::new();
        let count = export_jsonl(&store, &Filter::default(), &mut lines).unwrap();
        let other = Store::create(path.with_file_name("other.db")).unwrap();
        prop_assert_eq!(import_jsonl(&lines[..], &other).unwrap(), count);
        for episode in &episodes {
            assert_same(&other.episode(&episode.id).unwrap().unwrap(), last(&episode.id));
        }
        prop_assert_eq!(store.digest(&Filter::default()).unwrap(), other.digest(&Filter::default()).unwrap());
    }
}

#[test]
fn appends_are_seen_after_reopening_and_by_readers() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    store.append(&[made("eval/0/0")]).unwrap();
    let reader = Store::open_read_only(&path).unwrap();
    store.append(&[made("eval/1/0")]).unwrap();
    assert_eq!(ids(&reader, &Filter::default()), ["eval/0/0", "eval/1/0"]);
    assert!(matches!(reader.append(&[made("x")]), Err(StoreError::ReadOnly { .. })));
    drop((store, reader));
    let store = Store::open(&path).unwrap();
    store.append(&[made("eval/2/0")]).unwrap();
    assert_eq!(ids(&store, &Filter::default()).len(), 3);
    assert_eq!(store.episode("nobody").unwrap(), None);
}

#[test]
fn appending_again_replaces() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    let mut episode = made("eval/0/0");
    store.append(&[episode.clone(), made("eval/1/0")]).unwrap();
    episode.model_calls.truncate(1);
    episode.tool_calls.clear();
    episode.turns.clear();
    episode.scores.clear();
    store.append(&[made("eval/0/0"), episode.clone()]).unwrap();
    assert_same(&store.episode("eval/0/0").unwrap().unwrap(), &episode);
    assert_eq!(ids(&store, &Filter::default()), ["eval/1/0", "eval/0/0"]);
}

#[test]
fn a_bad_episode_stores_nothing_of_its_batch() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    let mut bad = made("eval/1/0");
    bad.model_calls[0].logprobs[0] = f32::NAN;
    let error = store.append(&[made("eval/0/0"), bad]).unwrap_err();
    assert!(error.to_string().contains("`eval/1/0`") && error.to_string().contains("model_calls[0].logprobs[0]"));
    assert!(ids(&store, &Filter::default()).is_empty());
}

#[test]
fn filters() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    let names = ["rl/1/0/0", "rl/12/0/0", "rl/1/1/0", "eval/0/0", "rl/2/0/0"];
    let episodes: Vec<Episode> = names.iter().map(|id| made(id)).collect();
    store.append(&episodes).unwrap();
    assert_eq!(ids(&store, &Filter::phase("rl/1")), ["rl/1/0/0", "rl/1/1/0"]);
    assert_eq!(ids(&store, &Filter::phase("rl/")).len(), 4);
    assert_eq!(ids(&store, &Filter::phase("r")), [""; 0]);
    assert_eq!(ids(&store, &Filter::phase("")).len(), 5);
    assert_eq!(
        ids(
            &store,
            &Filter {
                limit: Some(2),
                ..Filter::default()
            }
        ),
        names[..2]
    );
    for kind in OutcomeKind::ALL {
        let filter = Filter {
            outcome: Some(kind),
            ..Filter::phase("rl")
        };
        let expected: Vec<&str> = episodes
            .iter()
            .filter(|e| e.outcome.kind() == kind && e.phase != "eval")
            .map(|e| e.id.as_str())
            .collect();
        assert_eq!(ids(&store, &filter), expected);
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let filter = Filter {
        task_kind: Some("refund".into()),
        ..Filter::default()
    };
    assert_eq!(
        ids(&store, &filter).len(),
        episodes.iter().filter(|e| e.task_kind == "refund").count()
    );
    let summary = &store.episodes(&Filter::default()).unwrap()[3];
    assert_eq!(
        (&summary.outcome, summary.end, summary.reward),
        (&episodes[3].outcome, episodes[3].end, episodes[3].reward)
    );
    assert_eq!((summary.model_calls, summary.tool_calls), (3, 2));
    assert_eq!(summary.sampled_tokens, episodes[3].sampled_tokens());
    // Streaming gives the same, and the store may be used meanwhile.
    let mut seen = Vec::new();
    let each = |episode: Episode| {
        seen.push(store.episode(&episode.id)?.expect("it is there"));
        Ok::<_, StoreError>(())
    };
    store.for_each(&Filter::default(), each).unwrap();
    assert_eq!(seen, episodes);
    assert_eq!(store.digest(&Filter::default()).unwrap(), run_digest(&episodes));
}

#[test]
fn a_roll_back_takes_the_phase_and_no_more() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    store
        .append(&["rl/1/0/0", "rl/1/1/0", "rl/12/0/0", "eval/0/0"].map(made))
        .unwrap();
    for step in [1, 12] {
        store
            .append_metrics(step, &format!("rl/{step}"), &[("loss", 0.5), ("kl", f64::NAN)])
            .unwrap();
    }
    assert_eq!(store.delete_phase("rl/1").unwrap(), 2);
    assert_eq!(ids(&store, &Filter::default()), ["rl/12/0/0", "eval/0/0"]);
    assert_eq!(store.metrics(None).unwrap().len(), 2);
    assert_eq!(store.delete_phase("rl/1").unwrap(), 0);
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        Connection::open(&path)
            .unwrap()
            .query_row(&sql, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(
        (rows("model_calls"), rows("tool_calls"), rows("scores")),
        (6, 4, 2),
        "nothing is left behind"
    );
    assert_eq!(store.delete_phase("").unwrap(), 2);
    assert_eq!(rows("model_calls"), 0);
}

#[test]
fn what_is_in_a_file_is_kept_once_until_nobody_names_it() {
    let (_directory, path) = directory();
    let mut store = Store::create(&path).unwrap();
    let mut secrets = Secrets::default();
    secrets.add("API_KEY", "sk-0123456789");
    store.hide(secrets);
    let plot = Media::new("figure-1-1.png", "image/png", b"PNG".to_vec());
    // sha256sum of `PNG`
    assert_eq!(
        plot.hash,
        "796120837694d3f3f29259cfeb25091698c2a0aa87873658d840b4993ee889b3"
    );
    let leak = Media::new("a.txt", "text/plain", b"it is sk-0123456789.".to_vec());
    let lost = Media {
        hash: "0".repeat(64),
        ..Media::default()
    };
    let with = |id: &str, media: &[&Media]| {
        let mut episode = made(id);
        episode.tool_calls[0].media = media.iter().map(|&media| media.clone()).collect();
        episode
    };
    assert_eq!(store.media(&plot.hash).unwrap(), None);
    store
        .append(&[with("rl/1/0/0", &[&plot, &leak]), with("rl/2/0/0", &[&plot, &lost])])
        .unwrap();
    assert_eq!(store.media(&plot.hash).unwrap().as_deref(), Some(&b"PNG"[..]));
    assert_eq!(store.media(&lost.hash).unwrap(), None);
    assert_eq!(store.media(&leak.hash).unwrap(), None, "a secret stands in it");
    let read = store.episode("rl/1/0/0").unwrap().unwrap();
    assert_eq!(read.tool_calls[0].media, [plot.clone(), leak]);
    assert_eq!(read.tool_calls[0].media[0].content, None);
    // What was read is written again, and nothing is lost of it; another program opens it.
    store.append(&[read]).unwrap();
    let store = Store::open(&path).unwrap();
    store.delete_phase("rl/2").unwrap();
    assert!(store.media(&plot.hash).unwrap().is_some(), "another episode names it");
    store.delete_phase("rl/1").unwrap();
    assert_eq!(store.media(&plot.hash).unwrap(), None);

    store.append(&[with("rl/1/0/0", &[&plot])]).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE media SET content = x'00'", []).unwrap();
    assert!(matches!(store.media(&plot.hash), Err(StoreError::Corrupt { .. })));
    connection
        .execute_batch("DROP TABLE media; CREATE TABLE media (x)")
        .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })));
}

#[test]
fn metrics_scores_and_meta() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    store
        .append_metrics(1, "rl", &[("loss", 0.25), ("entropy", f64::NAN), ("kl", f64::INFINITY)])
        .unwrap();
    store.append_metrics(2, "rl", &[("loss", 0.5)]).unwrap();
    store.append_metrics(2, "rl", &[("loss", 0.125)]).unwrap();
    let loss: Vec<_> = store
        .metrics(Some("loss"))
        .unwrap()
        .into_iter()
        .map(|m| (m.step, m.value))
        .collect();
    assert_eq!(loss, [(1, 0.25), (2, 0.125)]);
    let all = store.metrics(None).unwrap();
    assert!(all[1].value.is_nan() && all[2].value == f64::INFINITY);
    assert_eq!(store.delete_metrics("", 2).unwrap(), 1);
    assert_eq!(store.delete_metrics("rl", 0).unwrap(), 3);

    let mut episode = made("eval/0/0");
    store.append(std::slice::from_ref(&episode)).unwrap();
    let score = |version: &str, value| Score {
        scorer: "exact".into(),
        version: version.into(),
        hash: "5e".into(),
        value,
        parts: vec![],
    };
    store
        .add_scores("eval/0/0", &[score("2", 0.5), score("1", 0.75)])
        .unwrap();
    episode.scores = vec![score("1", 0.75), score("2", 0.5)];
    assert_same(&store.episode("eval/0/0").unwrap().unwrap(), &episode);
    assert!(matches!(store.add_scores("x", &[]), Err(StoreError::NoEpisode { .. })));
    assert!(matches!(
        store.add_scores("eval/0/0", &[score("1", f64::NAN)]),
        Err(StoreError::Invalid { .. })
    ));

    assert_eq!(store.get_meta("recipe").unwrap(), None);
    store.set_meta("recipe", &json!({"seed": 7})).unwrap();
    store.set_meta("recipe", &json!({"seed": 8})).unwrap();
    assert_eq!(store.get_meta("recipe").unwrap(), Some(json!({"seed": 8})));
}

#[test]
fn threads_share_a_store() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for index in 0..10 {
                    store.append(&[made(&format!("rl/{thread}/{index}"))]).unwrap();
                }
            });
        }
    });
    assert_eq!(ids(&store, &Filter::default()).len(), 40);
}

#[test]
fn what_is_not_a_store_is_refused() {
    let (directory, path) = directory();
    let refused = |path: &Path| {
        let [a, b] = [Store::open(path), Store::open_read_only(path)].map(|opened| opened.unwrap_err().to_string());
        assert_eq!(a, b);
        a.replace(&directory.path().display().to_string(), "DIR")
    };
    let other = |name: &str| directory.path().join(name);
    std::fs::write(other("empty.db"), "").unwrap();
    std::fs::write(
        other("text.db"),
        "not a database, though it is long enough to look for a header in it. ".repeat(40),
    )
    .unwrap();
    Connection::open(other("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    drop(Store::create(&path).unwrap());
    let variant = |name: &str, sql: &str| {
        std::fs::copy(&path, other(name)).unwrap();
        Connection::open(other(name)).unwrap().execute_batch(sql).unwrap();
        other(name)
    };
    let newer = variant("newer.db", "PRAGMA user_version = 2");
    let never = variant("never.db", "PRAGMA user_version = 0");
    let trigger = variant(
        "trigger.db",
        "CREATE TRIGGER t AFTER INSERT ON episodes BEGIN DELETE FROM episodes; END",
    );
    let view = variant(
        "view.db",
        "DROP TABLE scores; CREATE VIEW scores AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n",
    );
    let tables = variant("tables.db", "ALTER TABLE metrics ADD COLUMN more");
    let messages = [
        refused(&other("none.db")),
        refused(directory.path()),
        Store::open_read_only(other("empty.db"))
            .unwrap_err()
            .to_string()
            .replace(&directory.path().display().to_string(), "DIR"),
        refused(&other("text.db")),
        refused(&other("other.db")),
        refused(&newer),
        refused(&never),
        refused(&trigger),
        refused(&view),
        refused(&tables),
        Store::create(&path)
            .unwrap_err()
            .to_string()
            .replace(&directory.path().display().to_string(), "DIR"),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r##"
    "DIR/none.db" does not exist. Check the path; a run's database is `run.db` in its directory.
    "DIR" is not a Hone run: it is not a file. Give the `run.db` of a run directory.
    "DIR/empty.db" is not a Hone run: it is empty. Give the `run.db` of a run directory.
    "DIR/text.db" is not a Hone run: it is not an SQLite file. Give the `run.db` of a run directory.
    "DIR/other.db" is not a Hone run: it is another program's SQLite file. Give the `run.db` of a run directory.
    "DIR/newer.db" has schema 2, but this program knows only up to 1. Update Hone to read it.
    "DIR/never.db" is not a Hone run: it says that its schema is 0, which never was. Give the `run.db` of a run directory.
    "DIR/trigger.db" is not a Hone run: it has triggers. Give the `run.db` of a run directory.
    "DIR/view.db" is not a Hone run: `scores` is missing or not what schema 1 says. Give the `run.db` of a run directory.
    "DIR/tables.db" is not a Hone run: `metrics` is missing or not what schema 1 says. Give the `run.db` of a run directory.
    "DIR/run.db" exists already. Choose another run directory, or resume the run that is there.
    "##);
    // An empty file is what is left when a process is killed while it makes a store.
    let whole = Store::open(other("empty.db")).unwrap();
    whole.append(&[made("demo/0/0")]).unwrap();
    drop(whole);
    assert_eq!(Store::open_read_only(other("empty.db")).unwrap().count().unwrap(), 1);
    assert!(matches!(
        Store::create(other("no/such/run.db")),
        Err(StoreError::Unreachable { .. })
    ));
}

/// Reads everything that there is to read; errors are welcome, panics are not.
fn read_all(path: &Path) -> Result<(), StoreError> {
    let store = Store::open_read_only(path)?;
    store.episodes(&Filter::default())?;
    store.metrics(None)?;
    store.get_meta("recipe")?;
    store.digest(&Filter::default()).map(drop)
}

#[test]
fn a_cut_or_scribbled_file_is_an_error_and_never_a_panic() {
    let (directory, path) = directory();
    let store = Store::create(&path).unwrap();
    store
        .append(&(0..8).map(|i| made(&format!("eval/{i}/0"))).collect::<Vec<_>>())
        .unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    read_all(&path).unwrap();
    let broken = directory.path().join("broken.db");
    let mut errors = 0;
    for cut in (0..whole.len()).step_by(whole.len() / 40) {
        std::fs::write(&broken, &whole[..cut]).unwrap();
        let error = read_all(&broken).expect_err("cut off");
        let (foreign, corrupt) = (
            matches!(error, StoreError::Foreign { .. }),
            matches!(error, StoreError::Corrupt { .. } | StoreError::Damaged { .. }),
        );
        assert!(if cut == 0 { foreign } else { foreign || corrupt }, "{cut}: {error}");
    }
    for seed in 0..150 {
        let mut bytes = whole.clone();
        let stream = Stream::new(seed);
        for position in 0..8 {
            let at = (stream.uniform(2 * position) * bytes.len() as f64) as usize;
            bytes[at] = (stream.uniform(2 * position + 1) * 256.0) as u8;
        }
        std::fs::write(&broken, &bytes).unwrap();
        errors += u32::from(read_all(&broken).is_err());
    }
    assert!(errors > 50, "{errors}");
}

#[test]
fn a_hostile_row_names_its_episode() {
    let (_directory, path) = directory();
    let store = Store::create(&path).unwrap();
    let attacks = [
        "UPDATE model_calls SET output = x'010203'",
        "UPDATE model_calls SET output = x'01020304'",
        "UPDATE model_calls SET logprobs = 'text'",
        "UPDATE model_calls SET logprobs = zeroblob(20000000)",
        "UPDATE model_calls SET record = '{'",
        "UPDATE model_calls SET record = replace(record, '\"parent\":0', '\"parent\":4000000000')",
        "UPDATE model_calls SET record = replace(record, '\"shared\":', '\"shared\":9')",
        "UPDATE model_calls SET id = id + 10",
        "DELETE FROM model_calls WHERE id = 1",
        "UPDATE tool_calls SET record = x'ff'",
        "UPDATE scores SET record = printf('%.*c', 1000000, '[')",
        "UPDATE episodes SET record = replace(record, 'eval/0/0', 'eval/9/9')",
        "UPDATE episodes SET record = 7",
    ];
    let connection = Connection::open(&path).unwrap();
    let mut messages = Vec::new();
    for sql in attacks {
        store.append(&[made("eval/0/0")]).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
        match store.episode("eval/0/0") {
            Err(StoreError::Damaged { episode, what, .. }) => {
                assert_eq!(episode, "eval/0/0");
                messages.push(format!("{sql}\n    {what}"));
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    insta::assert_snapshot!(messages.join("\n"), @r##"
    UPDATE model_calls SET output = x'010203'
        model_calls[0]: output: 3 bytes are no whole number of 4-byte values
    UPDATE model_calls SET output = x'01020304'
        `model_calls[0].origins[0]` is 0..29, out of order or beyond 1 output tokens
    UPDATE model_calls SET logprobs = 'text'
        model_calls[0]: logprobs: Invalid type
    UPDATE model_calls SET logprobs = zeroblob(20000000)
        `model_calls[0].logprobs` has 5000000 values for 29 output tokens
    UPDATE model_calls SET record = '{'
        model_calls[0]: record: EOF while parsing an object at line 1 column 1
    UPDATE model_calls SET record = replace(record, '"parent":0', '"parent":4000000000')
        `model_calls[1].parent` refers to no earlier call
    UPDATE model_calls SET record = replace(record, '"shared":', '"shared":9')
        `model_calls[0].prompt.shared` is longer than the parent's sequence of 0 tokens
    UPDATE model_calls SET id = id + 10
        model_calls[0] is missing
    DELETE FROM model_calls WHERE id = 1
        model_calls[1] is missing
    UPDATE tool_calls SET record = x'ff'
        tool_calls[0]: column 4 holds Blob instead of text
    UPDATE scores SET record = printf('%.*c', 1000000, '[')
        scores[0]: record: invalid type: sequence, expected a string at line 1 column 1
    UPDATE episodes SET record = replace(record, 'eval/0/0', 'eval/9/9')
        its record says that it is `eval/9/9`
    UPDATE episodes SET record = 7
        record: invalid type: integer `7`, expected struct Episode at line 1 column 1
    "##);
    store.append(&[made("eval/0/0")]).unwrap();
    for sql in [
        "UPDATE episodes SET outcome = 'x'",
        "UPDATE episodes SET outcome = 'ok', \"end\" = x'ff'",
    ] {
        connection.execute(sql, []).unwrap();
        assert!(matches!(
            store.episodes(&Filter::default()),
            Err(StoreError::Corrupt { .. })
        ));
    }
}

#[test]
fn the_schema_page_names_every_field() {
    let page = include_str!("../../../docs/trace-schema.md");
    fn fields(tree: &serde_json::Value, found: &mut Vec<String>) {
        match tree {
            serde_json::Value::Object(object) => object.iter().for_each(|(name, field)| {
                found.push(name.clone());
                // What these hold is the user's.
                if !["detail", "arguments", "result"].contains(&name.as_str()) {
                    fields(field, found);
                }
            }),
            serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for seed in 0..20 {
        let episode = sample::episode(&Stream::new(seed), "eval/0/0", 6);
        fields(&serde_json::to_value(episode).unwrap(), &mut found);
    }
    for field in found {
        let named = [format!("`{field}`"), format!("\"{field}\"")];
        assert!(
            named.iter().any(|name| page.contains(name)),
            "docs/trace-schema.md does not name `{field}`"
        );
    }
}

#[test]
fn secrets_never_reach_the_file() {
    let (_directory, path) = directory();
    let mut store = Store::create(&path).unwrap();
    let mut secrets = Secrets::default();
    secrets.add("API_KEY", "sk-0123456789");
    store.hide(secrets);
    let mut leaky = made("eval/0/0");
    leaky.tool_calls[0].shown = "the header was `Bearer sk-0123456789`".into();
    store.append(&[leaky, made("eval/1/0")]).unwrap();
    assert_eq!(
        store.episode("eval/0/0").unwrap().unwrap().tool_calls[0].shown,
        "the header was `Bearer [API_KEY]`"
    );
    assert_eq!(store.episode("eval/1/0").unwrap(), Some(made("eval/1/0")));
    drop(store);
    let holds = |path: &Path| {
        std::fs::read(path)
            .unwrap()
            .windows(13)
            .any(|bytes| bytes == b"sk-0123456789")
    };
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert!(files.into_iter().all(|file| !holds(&file.unwrap().path())));
}

#[test]
fn the_digest_leaves_out_what_an_endpoint_calls_its_answer() {
    let mut first = made("eval/0/0");
    first.model_calls[0].remote = Some(Box::default());
    let mut again = first.clone();
    again.model_calls[0].remote = Some(Box::new(Remote {
        served: Served {
            model: "m-2026".into(),
            id: "chatcmpl-7".into(),
            attempts: 3,
        },
        ..Remote::default()
    }));
    assert_eq!(first.digest(), again.digest());
    assert_ne!(first.digest(), made("eval/0/0").digest());
    first.clear_timing();
    again.clear_timing();
    assert_eq!(first, again);
}
