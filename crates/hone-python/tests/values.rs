//! Values against what CPython 3.11 says; `tests/parity/python_values.py` compares far more of them.

use hone_python::{Dict, DumpOptions, Value, constant, dumps, float_repr, loads, parse, text};

fn value(source: &str) -> Value {
    constant(&parse(source).expect("an expression")).expect("a literal")
}

#[test]
fn floats_print_as_in_python() {
    for (x, shown) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (0.1 + 0.2, "0.30000000000000004"),
        // A tie between two shortest texts.
        (8_294_281_370_615_961.0 / 4.0, "2073570342653990.2"),
        (f64::INFINITY, "inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(float_repr(x), shown);
    }
}

#[test]
fn equality_is_pythons() {
    for (a, b, equal) in [
        ("1", "1.0", true),
        ("True", "1.0", true),
        ("1", "'1'", false),
        ("[1, 2]", "(1, 2)", false),
        ("[1, True]", "[1.0, 1]", true),
        ("{'a': 1, 'b': 2}", "{'b': 2.0, 'a': True}", true),
        ("{1: 'x'}", "{True: 'x'}", true),
        ("9007199254740993", "9007199254740992.0", false),
        ("1e309 - 1e309", "1e309 - 1e309", false),
        ("None", "False", false),
    ] {
        assert_eq!(value(a) == value(b), equal, "{a} == {b}");
    }
}

#[test]
fn keys_that_are_equal_are_one_key() {
    let dict = value("{1: 'a', 1.0: 'b', True: 'c'}");
    assert_eq!(dict.repr(), "{1: 'c'}");
    assert!(constant(&parse("{[]: 1}").expect("an expression")).is_err());
}

#[test]
fn texts_are_quoted_as_in_python() {
    for source in [
        r#"'a'"#,
        r#""it's""#,
        r#"'"'"#,
        r#"'\'"'"#,
        r"'\n\t\\\x00\x7f\xa0\u200b'",
        "'é中😀'",
    ] {
        assert_eq!(value(source).repr(), source);
    }
}

#[test]
fn json_is_written_as_in_python() {
    let options = DumpOptions::default();
    let source = "{'b': [1, 1.0, None, True], 2: 'é😀\"\\n\\x7f', None: (), 1.5: 1e16}";
    let json = dumps(&value(source), &options).expect("JSON");
    assert_eq!(
        json,
        r#"{"b": [1, 1.0, null, true], "2": "\u00e9\ud83d\ude00\"\n\u007f", "null": [], "1.5": 1e+16}"#
    );
    assert!(dumps(&value("{(1, 2): 3}"), &options).is_err());
    assert!(dumps(&value("b'x'"), &options).is_err());
    let sorted = DumpOptions {
        sort_keys: true,
        ..options
    };
    assert_eq!(
        dumps(&value("{'b': 1, 'a': {'d': 2, 'c': 3}}"), &sorted).expect("JSON"),
        r#"{"a": {"c": 3, "d": 2}, "b": 1}"#
    );
    assert!(dumps(&value("{'b': 1, 2: 3}"), &sorted).is_err());
}

#[test]
fn json_is_read_as_in_python() {
    let read = |text: &str| loads(text).map(|value| value.repr()).ok();
    assert_eq!(read("[1, 1.0, 1e2, -0]").as_deref(), Some("[1, 1.0, 100.0, 0]"));
    assert_eq!(
        read("123456789012345678901234567890").as_deref(),
        Some("123456789012345678901234567890")
    );
    assert_eq!(read("[NaN, -Infinity]").as_deref(), Some("[nan, -inf]"));
    assert_eq!(read(r#"{"b": 1, "a": 2, "b": 3}"#).as_deref(), Some("{'b': 3, 'a': 2}"));
    assert_eq!(read(r#""\ud83d\ude00\/""#).as_deref(), Some("'😀/'"));
    for bad in ["", "01", "[1,]", "{'a': 1}", "\"\n\"", "1.", "+1", "nul", "[1] 2"] {
        assert_eq!(read(bad), None, "{bad}");
    }
    assert!(loads(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn serde_keeps_order_and_kinds_of_numbers() {
    let value: Value =
        serde_json::from_str(r#"{"z": 1, "a": [1.0, -2, null, true], "m": 18446744073709551615}"#).expect("JSON");
    assert_eq!(
        value.repr(),
        "{'z': 1, 'a': [1.0, -2, None, True], 'm': 18446744073709551615}"
    );
    assert_eq!(
        serde_json::to_string(&value).expect("JSON"),
        r#"{"z":1,"a":[1.0,-2,null,true],"m":18446744073709551615}"#
    );
}

#[test]
fn numbers_are_read_as_in_python() {
    assert_eq!(text::int(" -1_000\n").map(|n| n.to_string()).as_deref(), Some("-1000"));
    assert_eq!(text::int("٣٤").map(|n| n.to_string()).as_deref(), Some("34"));
    assert!(
        ["", "1__0", "_1", "1.0", "0x1", "+-1"]
            .into_iter()
            .all(|text| text::int(text).is_none())
    );
    assert_eq!(text::float(" 1_0.5e1 "), Some(105.0));
    assert_eq!(text::float("-Infinity"), Some(f64::NEG_INFINITY));
    assert!(
        ["", "infinit", "0x1", "1e", "."]
            .into_iter()
            .all(|text| text::float(text).is_none())
    );
}

#[test]
fn dictionaries_keep_their_order() {
    let mut dict: Dict = [("b", 1i64), ("a", 2), ("c", 3)].into_iter().collect();
    dict.set("b", 4i64);
    dict.remove("a");
    dict.set("a", 5i64);
    assert_eq!(Value::from(dict).repr(), "{'b': 4, 'c': 3, 'a': 5}");
}
