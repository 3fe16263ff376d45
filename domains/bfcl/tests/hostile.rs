//! Answers and files that nobody meant.

mod common;

use common::record;
use hone_bfcl::{Answer, Language, Settings, Suite, decode, evaluate};
use proptest::prelude::*;
use std::fs;

const LANGUAGES: [Language; 3] = [Language::Python, Language::Java, Language::JavaScript];

#[test]
fn large_and_deep_answers_are_refused_even_on_a_small_stack() {
    let run = || {
        for unit in [
            "(", "[", "{", "f(a=", "-", "!", "a.", "a+", "x=>", "new A(", "f().", "\"", "`", "/*", "a?b:", "1,", "😀",
            "\\",
        ] {
            for size in [300, 20_000, 2_000_000] {
                let text = format!("f(a={}1)", unit.repeat(size / unit.len()));
                for language in LANGUAGES {
                    let _ = decode(&Answer::Text(text.clone()), language);
                }
            }
        }
        for depth in [150, 5_000] {
            let json = format!("{{\"p\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(
                decode(&Answer::Calls(vec![("f".into(), json)]), Language::Python).is_ok(),
                depth == 150
            );
        }
    };
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn ten_thousand_calls_are_judged() {
    let r = record(
        "parallel",
        r#"{"f": [{"p": {"type": "integer"}}, []]}"#,
        r#"[{"f": {"p": [1]}}]"#,
    );
    let text = format!("[{}]", vec!["f(p=1)"; 10_000].join(", "));
    let verdict = evaluate(&r, &Answer::Text(text), Settings::default());
    assert_eq!(
        verdict.error_type,
        Some("parallel_function_checker_no_order:wrong_count")
    );
}

#[test]
fn errors_in_files_name_file_line_and_field() {
    let question = r#"{"id": "simple_python_0", "question": [[{"role": "user", "content": "?"}]], "function": [{"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}, "required": []}}]}"#;
    let gold = r#"{"id": "simple_python_0", "ground_truth": [{"f": {}}]}"#;
    let load = |question: &str, gold: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("possible_answer")).expect("a folder");
        fs::write(dir.path().join("BFCL_v4_simple_python.json"), question).expect("a file");
        fs::write(dir.path().join("possible_answer/BFCL_v4_simple_python.json"), gold).expect("a file");
        Suite::load(dir.path())
            .map(|suite| suite.records().count())
            .map_err(|e| e.to_string())
    };
    assert_eq!(load(question, gold), Ok(1));
    for (question, gold, place) in [
        (
            "{".to_owned(),
            gold.to_owned(),
            "BFCL_v4_simple_python.json:1: not JSON",
        ),
        (
            format!("{question}\n{{}}"),
            gold.to_owned(),
            ":2, field question: is missing",
        ),
        (
            question.replace("\"user\"", "1"),
            gold.to_owned(),
            ":1, field question.role: must be a text",
        ),
        (
            question.replace("\"required\": []", "\"required\": [1]"),
            gold.to_owned(),
            "function.parameters.required",
        ),
        (question.to_owned(), gold.replace("_0", "_1"), "field id: has no gold"),
        (
            question.to_owned(),
            gold.replace("{\"f\": {}}", "{}"),
            "field ground_truth: must be a list",
        ),
        (
            question.to_owned(),
            gold.replace("\"f\"", "\"g\""),
            "field function: does not offer",
        ),
    ] {
        let error = load(&question, &gold).expect_err("a defect");
        assert!(error.contains(place), "{error}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    assert!(
        Suite::load(empty.path())
            .expect_err("nothing there")
            .to_string()
            .contains("name the folder")
    );
}

proptest! {
    #[test]
    fn any_text_is_decoded_or_refused(text in "[\\[\\](){}a-c0-9=,.:;'\"`*+\\-\\\\ \nné/<>]{0,80}") {
        for language in LANGUAGES {
            let _ = decode(&Answer::Text(text.clone()), language);
        }
    }
}
