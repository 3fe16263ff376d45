//! Java and JavaScript source as values, against what the original's converters give (`conversions.jsonl`: language,
//! source, type, type of items, `repr` of the value or the exception's name).

use hone_bfcl::{java_value, javascript_value};

type Case = (String, String, String, Option<String>, String);

#[test]
fn sources_are_converted_as_in_the_original() {
    let mut n = 0;
    for line in include_str!("conversions.jsonl").lines() {
        let (language, source, declared, nested, expected): Case = serde_json::from_str(line).expect("a case");
        let convert = if language == "java" {
            java_value
        } else {
            javascript_value
        };
        let shown =
            convert(&source, &declared, nested.as_deref()).map_or_else(|e| e.0.to_owned(), |value| value.repr());
        assert_eq!(shown, expected, "{line}");
        n += 1;
    }
    assert!(n > 100);
}
