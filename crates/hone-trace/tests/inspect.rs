//! Inspect's eval logs: ours come back as they were, others' become episodes, hostile ones become errors.

use hone_trace::inspect::{InspectError, InspectRun, export_inspect, import_inspect};
use hone_trace::{
    EndReason, Episode, Filter, FinishReason, Outcome, Store, StoreError, Stream, ToolErrorClass, Turn, sample,
};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;

fn store(dir: &Path, name: &str) -> Store {
    Store::create(dir.join(name)).unwrap()
}

fn all(store: &Store) -> Vec<Episode> {
    let mut found = Vec::new();
    store
        .for_each(&Filter::default(), |episode| {
            found.push(episode);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    found
}

fn export(store: &Store, path: &Path) {
    let run = InspectRun {
        name: "run-1".into(),
        dataset: "test".into(),
    };
    let json = path.extension().is_some_and(|ext| ext == "json");
    let mut to = BufWriter::new(File::create(path).unwrap());
    export_inspect(store, &Filter::default(), &run, json, &mut to).unwrap();
}

fn entry(path: &Path, name: &str) -> Value {
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_we_write_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::new(9);
    let first = store(dir.path(), "a.db");
    let mut episodes: Vec<Episode> = (0..20)
        .map(|i| sample::episode(&stream, &format!("eval/{i}/0"), 4))
        .collect();
    for (i, episode) in episodes.iter_mut().enumerate() {
        // Two tries of each task; one id that is no name of a file.
        episode.task = format!("test/{}", i / 2);
        episode.sample = (i % 2) as u32;
    }
    episodes[3].task = "../../etc/passwd".into();
    first.append(&episodes).unwrap();
    for name in ["log.eval", "log.json"] {
        let path = dir.path().join(name);
        export(&first, &path);
        let second = store(dir.path(), &format!("{name}.db"));
        assert_eq!(import_inspect(&path, &second).unwrap(), 20);
        assert_eq!(all(&second), episodes, "{name}");
    }
    let path = dir.path().join("log.eval");
    let header = entry(&path, "header.json");
    assert_eq!((&header["version"], &header["status"]), (&json!(2), &json!("success")));
    assert_eq!(header["results"]["total_samples"], 20);
    let names = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    assert!(names.file_names().all(|name| !name.unwrap().contains("..")));
    // The conversation stands once, whatever the number of calls.
    let sample = entry(&path, "samples/test/0_epoch_1.json");
    let models: Vec<&Value> = sample["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["event"] == "model")
        .collect();
    assert_eq!(models[3]["input_refs"], json!([[0, 8]]));
    assert_eq!(models[3]["input"], json!([]));
    assert_eq!(sample["events_data"]["messages"].as_array().unwrap().len(), 9);
}

/// A ZIP of these entries: name, method, packed bytes, unpacked bytes.
fn zip_of(entries: &[(&str, u16, Vec<u8>, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, method, packed, plain) in entries {
        let at = file.len() as u32;
        let mut common = Vec::new();
        common.extend(20u16.to_le_bytes());
        common.extend(0u16.to_le_bytes());
        common.extend(method.to_le_bytes());
        common.extend([0, 0, 0x21, 0x5a]);
        common.extend(crc32fast::hash(plain).to_le_bytes());
        common.extend((packed.len() as u32).to_le_bytes());
        common.extend((plain.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(packed);
        directory.extend(b"PK\x01\x02");
        directory.extend(20u16.to_le_bytes());
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, length, n) = (file.len() as u32, directory.len() as u32, entries.len() as u16);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(n.to_le_bytes());
    file.extend(n.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend(0u16.to_le_bytes());
    file
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A sample as Inspect writes it: attachments, pooled input, a number that JSON does not have.
fn foreign() -> String {
    json!({
        "id": 7, "epoch": 2, "input": "q", "target": "a",
        "messages": [
            {"id": "s", "role": "system", "content": "attachment://abc"},
            {"id": "u", "role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}, {"type": "image", "image": "x"}]},
            {"id": "a1", "role": "assistant", "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Let me see."}],
             "tool_calls": [
                {"id": "c1", "function": "add", "arguments": {"x": 2, "y": 2}, "type": "function"},
                {"id": "c2", "function": "add", "arguments": {"raw": "{"}, "parse_error": "no JSON: {", "type": "function"}
             ]},
            {"role": "tool", "content": "4", "tool_call_id": "c1", "function": "add"},
            {"role": "tool", "content": "", "tool_call_id": "c2", "function": "add", "error": {"type": "parsing", "message": "no JSON"}},
            {"id": "a2", "role": "assistant", "content": "4"}
        ],
        "scores": {"match": {"value": "C", "answer": "4"}, "other": {"value": "NOT-A-NUMBER"}},
        "metadata": {"kind": "sums"},
        "events": [
            {"event": "model", "timestamp": "2026-08-22T16:01:19+00:00", "model": "openai/x", "input": [], "input_refs": [[0, 2]],
             "tools": [], "tool_choice": "auto", "config": {"temperature": 0.5, "max_tokens": 9},
             "output": {"model": "x", "time": 1.5, "choices": [{"message": {"id": "a1", "role": "assistant", "content": ""}, "stop_reason": "max_tokens"}],
                "usage": {"input_tokens": 10, "output_tokens": 5, "input_tokens_cache_read": 3, "total_tokens": 18}}},
            {"event": "tool", "id": "c1", "function": "add", "arguments": {}, "timestamp": "2026-08-22T16:01:21+00:00", "working_time": 0.25},
            {"event": "some_new_event", "anything": [1, 2]}
        ],
        "attachments": {"abc": "You add numbers."},
        "started_at": "2026-08-22T16:01:18+00:00", "total_time": 4.0,
        "limit": {"type": "turn", "limit": 2}
    })
    .to_string()
    .replace("\"NOT-A-NUMBER\"", "NaN")
}

const HEADER: &[u8] =
    br#"{"version": 2, "status": "success", "eval": {"task": "sums", "model": "openai/x", "solver": "react"}}"#;

#[test]
fn logs_of_inspect_become_episodes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.eval");
    let sample = foreign();
    // Two frames, as a streaming writer may leave them.
    let (a, b) = sample.as_bytes().split_at(100);
    let packed = [zstd(a), zstd(b)].concat();
    std::fs::write(
        &path,
        zip_of(&[
            ("header.json", 93, zstd(HEADER), HEADER),
            ("samples/7_epoch_2.json", 93, packed, sample.as_bytes()),
        ]),
    )
    .unwrap();
    let from_zip = store(dir.path(), "a.db");
    assert_eq!(import_inspect(&path, &from_zip).unwrap(), 1);
    let [episode] = &all(&from_zip)[..] else { panic!() };
    assert_eq!(
        (episode.id.as_str(), episode.task.as_str(), episode.task_kind.as_str()),
        ("eval/0/1", "7", "sums")
    );
    assert_eq!(
        (
            episode.taskset.as_str(),
            episode.policy.as_str(),
            episode.harness.as_str()
        ),
        ("sums", "openai/x", "react")
    );
    assert_eq!(
        episode.turns[0],
        Turn::System {
            text: "You add numbers.".into()
        }
    );
    assert_eq!(
        episode.turns[1],
        Turn::User {
            text: "What is 2 + 2?\n[image]".into()
        }
    );
    assert_eq!(
        (episode.turns.len(), episode.model_calls.len(), episode.tool_calls.len()),
        (6, 2, 2)
    );
    let call = &episode.model_calls[0];
    assert_eq!(
        (call.text.as_str(), call.finish, call.policy.as_str()),
        ("Let me see.", FinishReason::Length, "openai/x")
    );
    assert_eq!((call.tokens(), call.timing.duration_us), ((13, 5), 1_500_000));
    let remote = call.remote.as_ref().unwrap();
    assert_eq!(
        (
            remote.reasoning.as_str(),
            remote.asked.len(),
            remote.usage.unwrap().cached
        ),
        ("hm", 2, 3)
    );
    let [good, bad] = &episode.tool_calls[..] else { panic!() };
    assert_eq!(
        (&good.arguments, good.shown.as_str(), good.timing.duration_us),
        (&json!({"x": 2, "y": 2}), "4", 250_000)
    );
    assert_eq!(
        (bad.error.as_ref().unwrap().class, bad.raw.as_str()),
        (ToolErrorClass::Malformed, "no JSON: {")
    );
    assert_eq!(
        (&episode.outcome, episode.end, episode.reward),
        (&Outcome::Ok, EndReason::MaxTurns, Some(1.0))
    );
    assert_eq!(episode.scores.len(), 1, "what is no number is no score");
    assert_eq!(episode.timing.start_us, 1_787_414_478_000_000);
    // The same as one file of JSON.
    let json = dir.path().join("log.json");
    let mut whole: Value = serde_json::from_slice(HEADER).unwrap();
    whole["samples"] = json!(["SAMPLE"]);
    std::fs::write(&json, whole.to_string().replace("\"SAMPLE\"", &sample)).unwrap();
    let from_json = store(dir.path(), "b.db");
    assert_eq!(import_inspect(&json, &from_json).unwrap(), 1);
    assert_eq!(all(&from_json), all(&from_zip));
}

#[test]
fn a_conversation_can_be_in_the_pool_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.json");
    let log = json!({"eval": {}, "samples": [{
        "id": "x",
        "events_data": {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "?"}, {"role": "user", "content": "bye"}], "calls": []},
        "events": [{"event": "model", "input_refs": [[0, 1], [0, 3], [2, 900]], "output": {"choices": [{"message": {"role": "assistant", "content": "bye"}}]}}],
        "error": {"message": "sandbox lost"},
    }]});
    std::fs::write(&path, log.to_string()).unwrap();
    let to = store(dir.path(), "a.db");
    import_inspect(&path, &to).unwrap();
    let [episode] = &all(&to)[..] else { panic!() };
    assert_eq!(episode.turns.len(), 4, "ranges that overlap count once");
    assert_eq!(
        episode.outcome,
        Outcome::InfraFailed {
            cause: "sandbox lost".into()
        }
    );
}

#[test]
fn hostile_logs_are_errors_that_name_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    let import = |bytes: &[u8]| {
        let path = dir.path().join("log.eval");
        std::fs::write(&path, bytes).unwrap();
        let _ = std::fs::remove_file(dir.path().join("h.db"));
        import_inspect(&path, &store(dir.path(), "h.db")).unwrap_err()
    };
    let stored = |name, plain: &'static [u8]| (name, 0u16, plain.to_vec(), plain);
    // A kilobyte that unpacks to more than a gigabyte, whatever the directory says of its size.
    let zeros = vec![b' '; 64 << 20];
    let bomb = zstd(&zeros).repeat(20);
    let small = zip_of(&[
        stored("header.json", HEADER),
        ("samples/a_epoch_1.json", 93, bomb, b"tiny"),
    ]);
    assert!(matches!(import(&small), InspectError::TooLarge { place, .. } if place == "samples/a_epoch_1.json"));
    let newer = zip_of(&[stored("header.json", br#"{"version": 3, "eval": {}}"#)]);
    assert!(matches!(import(&newer), InspectError::Newer { found: 3 }));
    let headless = zip_of(&[stored("samples/a_epoch_1.json", b"{}")]);
    assert!(import(&headless).to_string().contains("no header.json"));
    let field = zip_of(&[
        stored("header.json", HEADER),
        stored("samples/a.json", br#"{"id": "a", "messages": [{"role": 7}]}"#),
    ]);
    let said = import(&field).to_string();
    assert!(
        said.starts_with("samples/a.json: `messages[0].role`: invalid type"),
        "{said}"
    );
    let mut cut = small.clone();
    cut.truncate(small.len() / 2);
    let mut wrong = zip_of(&[("header.json", 93, zstd(HEADER), &HEADER[1..])]);
    assert!(import(&wrong).to_string().contains("checksum"));
    wrong[60..].fill(0xff);
    for bytes in [
        &cut[..],
        &wrong,
        b"PK\x03\x04",
        b"",
        b"{",
        b"[[[[",
        "[".repeat(1 << 20).as_bytes(),
    ] {
        let said = import(bytes).to_string();
        assert!(said.contains("Check that the file is whole"), "{said}");
    }
    // One attachment in many places.
    let text = "x".repeat(1 << 20);
    let messages: Vec<Value> = (0..400)
        .map(|_| json!({"role": "user", "content": "attachment://h"}))
        .collect();
    let sample = json!({"id": "a", "messages": messages, "attachments": {"h": text}}).to_string();
    let path = dir.path().join("many.json");
    std::fs::write(&path, format!("{{\"eval\": {{}}, \"samples\": [{sample}]}}")).unwrap();
    let error = import_inspect(&path, &store(dir.path(), "m.db")).unwrap_err();
    assert!(matches!(error, InspectError::TooLarge { .. }), "{error}");
}
