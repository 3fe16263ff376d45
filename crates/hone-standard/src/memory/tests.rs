//! The memory and its bounds.

use super::*;
use proptest::prelude::*;

fn empty() -> Memory {
    Memory::new(Settings::default(), Path::new(".")).unwrap()
}

fn made(notes: BTreeMap<String, String>) -> Memory {
    let settings = Settings {
        notes,
        #[cfg(feature = "full")]
        embedder: None,
    };
    Memory::new(settings, Path::new(".")).unwrap()
}

fn keep(memory: &mut Memory, key: &str, text: &str) -> Result<ToolOutput, ToolError> {
    memory.call("remember", &json!({"key": key, "text": text}))
}

#[test]
fn notes_are_kept_read_listed_and_forgotten() {
    let mut memory = empty();
    let before = memory.state_hash();
    keep(&mut memory, "b/2", "zwei").unwrap();
    keep(&mut memory, "b/1", "eins").unwrap();
    keep(&mut memory, "a", "x").unwrap();
    let list = memory
        .call("list_notes", &json!({"prefix": "b/", "limit": 1}))
        .unwrap()
        .data;
    assert_eq!(
        list,
        json!({"notes": [{"key": "b/1", "begins": "eins", "characters": 4}], "more": 1})
    );
    assert_eq!(
        memory.call("recall", &json!({"key": "b/2"})).unwrap().data["text"],
        "zwei"
    );
    let mut copy = memory.fork().unwrap();
    for key in ["a", "b/1", "b/2"] {
        memory.call("forget", &json!({"key": key})).unwrap();
    }
    assert_eq!((memory.state(), memory.state_hash()), (json!({}), before));
    assert_eq!(
        copy.call("recall", &json!({"key": "a"})).unwrap().data["text"],
        "x",
        "a copy is its own"
    );
    let error = memory.call("recall", &json!({"key": "a"})).unwrap_err();
    assert_eq!(error.message, "there is no note `a`; list_notes shows the keys");
}

#[test]
fn the_bounds_hold() {
    let mut memory = empty();
    let long = keep(&mut memory, &"k".repeat(MAX_KEY + 1), "").unwrap_err();
    assert!(long.message.contains("the key has 201 characters"), "{long}");
    assert!(keep(&mut memory, "k", &"ä".repeat(MAX_TEXT + 1)).is_err());
    assert!(keep(&mut memory, "", "x").is_err());
    for i in 0..MAX_NOTES {
        keep(&mut memory, &format!("{i}"), "x").unwrap();
    }
    assert!(keep(&mut memory, "one more", "x").unwrap_err().message.contains("full"));
    keep(&mut memory, "7", "another").unwrap();
    let mut memory = empty();
    let big = "x".repeat(MAX_TEXT);
    let kept = (0..MAX_NOTES)
        .take_while(|i| keep(&mut memory, &format!("{i}"), &big).is_ok())
        .count();
    assert_eq!(kept, MAX_BYTES / (MAX_TEXT + 2), "keys of one and two letters");
}

#[test]
fn a_reset_brings_the_first_notes_back() {
    let notes = BTreeMap::from([("user".to_owned(), "Ada".to_owned())]);
    let mut memory = made(notes);
    let start = (memory.state(), memory.state_hash());
    memory.call("forget", &json!({"key": "user"})).unwrap();
    let task = Task {
        id: "t".into(),
        kind: String::new(),
        system: None,
        instruction: String::new(),
        seed: 0,
        data: Value::Null,
    };
    memory.reset(&task).unwrap();
    assert_eq!((memory.state(), memory.state_hash()), start);
}

#[cfg(feature = "full")]
#[test]
fn notes_are_found_by_likeness() {
    let mut memory = empty();
    for (key, text) in [
        ("a", "The customer lives in Berlin."),
        ("b", "Parcels leave on Monday."),
        ("c", "Berlin, Berlin"),
    ] {
        keep(&mut memory, key, text).unwrap();
    }
    let find = |memory: &mut dyn Environment, query: &str| -> Vec<String> {
        let found = memory.call("search_notes", &json!({"query": query})).unwrap().data;
        found["notes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|note| note["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        find(&mut memory, "where do custmers live")[0],
        "a",
        "pieces of words are enough"
    );
    assert!(find(&mut memory, "berlin").starts_with(&["c".to_owned(), "a".to_owned()]));
    assert_eq!(find(&mut memory, "?!"), Vec::<String>::new());
    let mut copy = memory.fork().unwrap();
    memory.call("forget", &json!({"key": "c"})).unwrap();
    keep(&mut memory, "a", "Nothing of note.").unwrap();
    assert!(!find(&mut memory, "berlin").contains(&"c".to_owned()));
    assert_eq!(find(&mut *copy, "berlin")[0], "c");
    let task = Task {
        id: "t".into(),
        kind: String::new(),
        system: None,
        instruction: String::new(),
        seed: 0,
        data: Value::Null,
    };
    memory.reset(&task).unwrap();
    assert_eq!(find(&mut memory, "berlin"), Vec::<String>::new());
    let command = vec!["no-such-program-of-ours".to_owned()];
    let settings = Settings {
        embedder: Some(command),
        ..Settings::default()
    };
    assert!(
        Memory::new(settings, Path::new("."))
            .unwrap_err()
            .to_string()
            .contains("no-such-program-of-ours")
    );
}

proptest! {
    /// Whatever is called, the count of bytes is that of the notes, and equal notes have equal hashes.
    #[test]
    fn counts_and_hashes_are_those_of_the_notes(calls in prop::collection::vec((0..2, "[abc]{0,2}", "[xy]{0,5}"), 0..40)) {
        let mut memory = empty();
        for (what, key, text) in calls {
            let _ = match what {
                0 => keep(&mut memory, &key, &text),
                _ => memory.call("forget", &json!({"key": key})),
            };
        }
        let bytes: usize = memory.notes.iter().map(|(key, text)| key.len() + text.len()).sum();
        prop_assert_eq!(memory.bytes, bytes);
        let fresh = made(memory.notes.clone());
        prop_assert_eq!(fresh.state_hash(), memory.state_hash());
    }
}
