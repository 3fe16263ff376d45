//! What is exported as Parquet is what the crate's own reader finds in the file.

use std::fs::File;

use hone_trace::{
    Episode, Filter, Lineage, Origin, Outcome, OutcomeKind, ParquetCount, SCHEMA, Span, Store, Stream, TABLE,
    export_parquet, sample,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::to_value;

/// Episodes with everything that a column must carry: missing and empty values, the largest numbers, odd text.
fn episodes() -> Vec<Episode> {
    let mut episodes: Vec<Episode> = (0..6)
        .map(|i| sample::episode(&Stream::new(3), &format!("eval/{i}/1"), 1 + i % 3))
        .collect();
    let [first, second, third, fourth, ..] = episodes.as_mut_slice() else {
        unreachable!()
    };
    first.outcome = Outcome::Ok;
    first.reward = Some(0.1);
    (first.group, first.seed) = (u64::MAX, u64::MAX - 1);
    let call = &mut first.model_calls[0];
    call.output = vec![u32::MAX, 0, 1, 2, 3, 4];
    call.logprobs = vec![-0.0, f32::MIN, f32::MIN_POSITIVE, -1.5, -0.1, -1e-30];
    (call.sampled_logprobs, call.entropies) = (Vec::new(), Vec::new());
    let origins = [Origin::Teacher, Origin::Sampled, Origin::Rendered, Origin::Forced];
    let ends = [(0, 2), (2, 3), (3, 4), (4, 6)];
    call.origins = origins.into_iter().zip(ends).map(span).collect();
    call.versions = vec![span((u64::MAX, (1, 2))), span((7, (4, 5)))];
    call.text = "„ok“ \u{0}\n😀".into();
    call.timing.start_us = u64::MAX;

    second.outcome = Outcome::InfraFailed {
        cause: "the sandbox was lost".into(),
    };
    second.reward = None;
    second.model_calls[1].retry_of = Some(0);
    second.model_calls[1].lineage = Lineage::SubAgent("search".into());
    // An answer of no token, and an episode of no call.
    let call = &mut third.model_calls[2];
    (call.output, call.text) = (Vec::new(), String::new());
    (call.prompt.new, call.logprobs, call.sampled_logprobs, call.entropies) = Default::default();
    (call.origins, call.versions) = Default::default();
    call.lineage = Lineage::Side("title".into());
    fourth.model_calls.clear();
    fourth.tool_calls.clear();
    fourth.turns.clear();
    episodes
}

fn span<T>((value, (start, end)): (T, (u32, u32))) -> Span<T> {
    Span { start, end, value }
}

fn store_with(episodes: &[Episode]) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::create(directory.path().join("run.db")).unwrap();
    store.append(episodes).unwrap();
    (directory, store)
}

/// Exports, and opens what was made.
fn exported(store: &Store, filter: &Filter) -> (ParquetCount, SerializedFileReader<File>) {
    let path = store.path().with_extension("parquet");
    let count = export_parquet(store, filter, File::create(&path).unwrap()).unwrap();
    (count, SerializedFileReader::new(File::open(&path).unwrap()).unwrap())
}

/// What a row holds in a column.
#[derive(Debug, PartialEq)]
enum Cell {
    One(Field),
    List(Vec<Field>),
}

fn found(row: &Row) -> Vec<(&str, Cell)> {
    let cell = |field: &Field| match field {
        Field::ListInternal(list) => Cell::List(list.elements().to_vec()),
        one => Cell::One(one.clone()),
    };
    row.get_column_iter()
        .map(|(name, field)| (name.as_str(), cell(field)))
        .collect()
}

/// The row that the documentation promises for a call, column by column.
fn expected(episode: &Episode, call: usize) -> Vec<(&'static str, Cell)> {
    let call = &episode.model_calls[call];
    let text = |text: &str| Cell::One(Field::Str(text.into()));
    let opt = |value: Option<Field>| Cell::One(value.unwrap_or(Field::Null));
    let ids = |ids: &[u32]| Cell::List(ids.iter().map(|id| Field::UInt(*id)).collect());
    let floats = |values: &[f32]| Cell::List(values.iter().map(|value| Field::Float(*value)).collect());
    let name = |value: serde_json::Value| text(value.as_str().unwrap());
    let tokens = 0..call.output.len();
    let origins = tokens.clone().map(|token| match call.origin(token).unwrap() {
        Origin::Sampled => 's',
        Origin::Rendered => 'r',
        Origin::Teacher => 't',
        Origin::Forced => 'f',
    });
    let versions = tokens.map(|token| {
        let covers = |span: &&Span<u64>| (span.start as usize..span.end as usize).contains(&token);
        let found = call.versions.iter().find(covers);
        found.map_or(Field::Null, |span| Field::ULong(span.value))
    });
    vec![
        ("episode_id", text(&episode.id)),
        ("phase", text(&episode.phase)),
        ("taskset", text(&episode.taskset)),
        ("task_id", text(&episode.task)),
        ("task_kind", text(&episode.task_kind)),
        ("group_id", Cell::One(Field::ULong(episode.group))),
        ("sample", Cell::One(Field::UInt(episode.sample))),
        ("seed", Cell::One(Field::ULong(episode.seed))),
        ("harness", text(&episode.harness)),
        ("end_reason", name(to_value(episode.end).unwrap())),
        ("outcome", text(episode.outcome.kind().name())),
        (
            "cause",
            match &episode.outcome {
                Outcome::InfraFailed { cause } => text(cause),
                _ => Cell::One(Field::Null),
            },
        ),
        ("reward", opt(episode.reward.map(Field::Double))),
        ("call_id", Cell::One(Field::UInt(call.id))),
        ("parent_id", opt(call.parent.map(Field::UInt))),
        ("retry_of", opt(call.retry_of.map(Field::UInt))),
        ("role", text(&call.role)),
        ("policy", text(&call.policy)),
        (
            "lineage",
            match &call.lineage {
                Lineage::Main => text("main"),
                Lineage::SubAgent(name) => text(&format!("sub_agent:{name}")),
                Lineage::Side(name) => text(&format!("side:{name}")),
            },
        ),
        ("temperature", Cell::One(Field::Float(call.sampling.temperature))),
        ("top_p", Cell::One(Field::Float(call.sampling.top_p))),
        ("top_k", Cell::One(Field::UInt(call.sampling.top_k))),
        ("prompt_shared", Cell::One(Field::UInt(call.prompt.shared))),
        ("prompt_new", ids(&call.prompt.new)),
        ("output", ids(&call.output)),
        ("origins", text(&origins.collect::<String>())),
        ("logprobs", floats(&call.logprobs)),
        ("sampled_logprobs", floats(&call.sampled_logprobs)),
        ("entropies", floats(&call.entropies)),
        ("versions", Cell::List(versions.collect())),
        ("finish", name(to_value(call.finish).unwrap())),
        ("text", text(&call.text)),
        ("start_us", Cell::One(Field::ULong(call.timing.start_us))),
        ("duration_us", Cell::One(Field::ULong(call.timing.duration_us))),
    ]
}

#[test]
fn every_call_is_a_row_and_every_value_comes_back() {
    let episodes = episodes();
    let (_directory, store) = store_with(&episodes);
    let (count, reader) = exported(&store, &Filter::default());
    let rows: Vec<Row> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!((count.episodes, count.rows), (6, rows.len() as u64));

    let calls = |episode: &Episode| 0..episode.model_calls.len();
    let expected: Vec<_> = episodes
        .iter()
        .flat_map(|e| calls(e).map(|call| expected(e, call)))
        .collect();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(found(row), expected);
    }
    // Bits, where `==` cannot tell.
    let column = found(&rows[0])
        .into_iter()
        .find(|(name, _)| *name == "logprobs")
        .unwrap()
        .1;
    let Cell::List(logprobs) = column else {
        panic!("{column:?}")
    };
    assert!(matches!(logprobs[0], Field::Float(zero) if zero.to_bits() == (-0.0f32).to_bits()));
}

#[test]
fn the_file_says_its_schema_and_holds_what_was_asked_for() {
    let episodes = episodes();
    let (_directory, store) = store_with(&episodes);
    let filter = Filter {
        outcome: Some(OutcomeKind::InfraFailed),
        ..Filter::default()
    };
    let (count, reader) = exported(&store, &filter);
    let failed = episodes.iter().filter(|episode| !episode.counts());
    assert_eq!(count.episodes, failed.count() as u64);
    let facts = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let fact = |key: &str| {
        facts
            .iter()
            .find(|fact| fact.key == key)
            .and_then(|fact| fact.value.clone())
    };
    assert_eq!(fact("hone.schema"), Some(SCHEMA.to_string()));
    assert_eq!(fact("hone.table"), Some(TABLE.to_string()));

    // A file without a row is a file all the same.
    let filter = Filter::phase("nowhere");
    let (count, reader) = exported(&store, &filter);
    assert_eq!((count, reader.num_row_groups()), (ParquetCount::default(), 0));
}

#[test]
fn a_full_disk_is_said() {
    let (_directory, store) = store_with(&episodes());
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: no /dev/full");
        return;
    };
    let error = export_parquet(&store, &Filter::default(), full).unwrap_err();
    assert!(error.to_string().contains("disk has space"), "{error}");
}
