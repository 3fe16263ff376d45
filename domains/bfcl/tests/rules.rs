//! Each rule, on small records.

mod common;

use common::record;
use hone_bfcl::{Answer, CRASH, Names, Record, Settings, evaluate};

fn error(record: &Record, text: &str) -> Option<&'static str> {
    evaluate(record, &Answer::Text(text.into()), Settings::default()).error_type
}

fn one(parameter_type: &str, allowed: &str) -> Record {
    record(
        "simple_python",
        &format!(r#"{{"f": [{{"p": {parameter_type}}}, []]}}"#),
        &format!(r#"[{{"f": {{"p": {allowed}}}}}]"#),
    )
}

fn check(record: &Record, cases: &[(&str, Option<&str>)]) {
    for (text, expected) in cases {
        assert_eq!(error(record, text), *expected, "{text}");
    }
}

#[test]
fn answers_are_unwrapped_before_they_are_read() {
    let r = one(r#"{"type": "integer"}"#, "[1]");
    let format = Some("ast_decoder:decoder_failed");
    check(
        &r,
        &[
            ("[f(p=1)]", None),
            ("f(p=1)", None),
            ("```\n[f(p=1)]\n``` ", None),
            ("'f(p=1)'", format),
            ("['f(p=1)']", format),
            ("[f(p=1)", None),
            ("```python\n[f(p=1)]```", format),
            ("[f(p=1)] is it", format),
            ("Sorry.", format),
            ("[1]", format),
            ("[f(p=1), x]", format),
            ("[f(p=1)\n  # done ]", format),
            ("", Some("simple_function_checker:wrong_count")),
            ("[f(p=1), f(p=1)]", Some("simple_function_checker:wrong_count")),
        ],
    );
}

#[test]
fn names_and_parameters_are_checked_in_order() {
    let r = record(
        "simple_python",
        r#"{"a.f": [{"x": {"type": "integer"}, "y": {"type": "integer"}, "z": {"type": "integer"}}, ["x"]]}"#,
        r#"[{"a.f": {"x": [1], "y": [2, ""], "w": [3]}}]"#,
    );
    check(
        &r,
        &[
            ("[f(q=1)]", Some("simple_function_checker:wrong_func_name")),
            ("[a_f(x=1)]", Some("simple_function_checker:wrong_func_name")),
            ("[a.f(q=1)]", Some("simple_function_checker:missing_required")),
            ("[a.f(1)]", Some("simple_function_checker:missing_required")),
            ("[a.f(q=1, x=2)]", Some("simple_function_checker:unexpected_param")),
            ("[a.f(x=1, z=2)]", Some("simple_function_checker:unexpected_param")),
            ("[a.f(x=1, w=3)]", Some("simple_function_checker:unexpected_param")),
            ("[a.f(x=2)]", Some("value_error:others")),
            ("[a.f(x=1, y=2)]", Some("simple_function_checker:missing_optional")),
            (
                "[a.f(**{'x': 1}, x=1)]",
                Some("simple_function_checker:unexpected_param"),
            ),
        ],
    );
    let call = Answer::Calls(vec![("a_f".into(), r#"{"x": 2}"#.into())]);
    let underscored = Settings {
        names: Names::Underscored,
        ..Settings::default()
    };
    assert_eq!(evaluate(&r, &call, underscored).error_type, Some("value_error:others"));
    assert_eq!(
        evaluate(&r, &call, Settings::default()).error_type,
        Some("simple_function_checker:wrong_func_name")
    );
}

#[test]
fn types_are_exact_but_for_int_as_float() {
    let simple = Some("type_error:simple");
    check(
        &one(r#"{"type": "integer"}"#, "[1]"),
        &[
            ("f(p=1)", None),
            ("f(p=True)", simple),
            ("f(p=1.0)", simple),
            ("f(p='1')", simple),
            ("f(p=None)", simple),
            ("f(p=2-1)", None),
            ("f(p=+1)", Some("value_error:others")),
        ],
    );
    check(
        &one(r#"{"type": "float"}"#, "[1.0]"),
        &[("f(p=1)", None), ("f(p=1.0)", None), ("f(p=True)", simple)],
    );
    check(
        &one(r#"{"type": "boolean"}"#, "[true]"),
        &[("f(p=True)", None), ("f(p=1)", simple), ("f(p=true)", simple)],
    );
    check(
        &one(r#"{"type": "tuple", "items": {"type": "float"}}"#, "[[1.0, 2]]"),
        &[
            ("f(p=(1.0, 2.0))", None),
            ("f(p=[1.0, 2.0])", None),
            ("f(p=(1.0, 2))", Some("type_error:nested")),
            ("f(p=('a', 2.0))", Some("type_error:nested")),
        ],
    );
    check(
        &one(r#"{"type": "array", "items": {"type": "string"}}"#, r#"[["a", "b"]]"#),
        &[
            ("f(p=['A', 'b.'])", None),
            ("f(p=['b', 'a'])", Some("value_error:list/tuple")),
            ("f(p=[1, 'b'])", Some("type_error:nested")),
            ("f(p=('a', 'b'))", simple),
            ("f(p='a')", simple),
            ("f(p=[])", Some("value_error:list/tuple")),
        ],
    );
    // A parameter whose gold is a text where the schema says otherwise is a variable: compared as it is.
    check(
        &one(r#"{"type": "integer"}"#, r#"["count"]"#),
        &[
            ("f(p=count)", None),
            ("f(p='count')", None),
            ("f(p='Count')", Some("value_error:others")),
            ("f(p=1)", Some("value_error:others")),
        ],
    );
}

#[test]
fn texts_are_compared_in_a_standard_form() {
    check(
        &one(r#"{"type": "string"}"#, r#"["April 1, 2024", "it's"]"#),
        &[
            ("f(p='april 1 2024')", None),
            ("f(p='APRIL-1_2024.')", None),
            ("f(p='it\"s')", None),
            ("f(p='April 1; 2024')", Some("value_error:string")),
            ("f(p='April\\n1, 2024')", Some("value_error:string")),
            ("f(p=a(1))", Some("value_error:string")),
        ],
    );
}

#[test]
fn dictionaries_are_checked_by_key() {
    let r = one(r#"{"type": "dict"}"#, r#"[{"a": ["x", "y"], "b": [1, ""]}]"#);
    check(
        &r,
        &[
            ("f(p={'a': 'X'})", None),
            ("f(p={'b': 1, 'a': 'y'})", None),
            ("f(p={'b': True, 'a': 'y'})", None),
            ("f(p={'a': 'z'})", Some("value_error:dict_value")),
            ("f(p={'b': 1})", Some("value_error:dict_key")),
            ("f(p={'a': 'x', 'c': 1})", Some("value_error:dict_key")),
            ("f(p={'b': 2})", Some("value_error:dict_key")),
            ("f(p=g(a=1))", Some("value_error:dict_key")),
        ],
    );
    let r = one(
        r#"{"type": "array", "items": {"type": "dict"}}"#,
        r#"[[{"a": [1]}, {"a": [2]}]]"#,
    );
    check(
        &r,
        &[
            ("f(p=[{'a': 1}, {'a': 2}])", None),
            ("f(p=[{'a': 2}, {'a': 1}])", Some("value_error:dict_value")),
            ("f(p=[{'a': 1}])", Some("value_error:list_dict_count")),
            ("f(p=[1, 2])", Some("type_error:nested")),
        ],
    );
}

#[test]
fn gold_of_an_unforeseen_shape_is_a_crash_as_in_the_original() {
    check(
        &one(r#"{"type": "dict"}"#, r#"[{"a": 1}]"#),
        &[("f(p={'a': 1})", Some(CRASH))],
    );
    check(&one(r#"{"type": "number"}"#, "[1]"), &[("f(p=1)", Some(CRASH))]);
    check(&one(r#"{"type": "array"}"#, "[[1]]"), &[("f(p=[1])", Some(CRASH))]);
    check(
        &one(
            r#"{"type": "array", "items": {"type": "dict"}}"#,
            r#"["", [{"a": [1]}]]"#,
        ),
        &[("f(p=[1])", Some(CRASH))],
    );
    // Dictionaries within dictionaries: the inner one is taken for a list of values.
    check(
        &one(r#"{"type": "dict"}"#, r#"[{"a": {"b": [1]}}]"#),
        &[("f(p={'a': {'b': 1}})", Some(CRASH))],
    );
}

#[test]
fn parallel_calls_match_in_any_order_and_greedily() {
    let r = record(
        "parallel",
        r#"{"f": [{"p": {"type": "integer"}}, ["p"]]}"#,
        r#"[{"f": {"p": [1, 2]}}, {"f": {"p": [1]}}]"#,
    );
    let unmatched = Some("parallel_function_checker_no_order:cannot_find_match");
    check(
        &r,
        &[
            ("[f(p=2), f(p=1)]", None),
            // The first gold call takes the first call that fits, and nothing is left for the second.
            ("[f(p=1), f(p=2)]", unmatched),
            ("[f(p=1), f(p=1)]", None),
            ("[f(p=1), f(q=1)]", unmatched),
            ("[f(p=1)]", Some("parallel_function_checker_no_order:wrong_count")),
            ("[]", Some("parallel_function_checker_no_order:wrong_count")),
        ],
    );
}

#[test]
fn multiple_functions_ask_for_the_gold_one() {
    let r = record(
        "multiple",
        r#"{"f": [{"p": {"type": "integer"}}, []], "g": [{"p": {"type": "string"}}, []]}"#,
        r#"[{"g": {"p": ["a"]}}]"#,
    );
    check(
        &r,
        &[
            ("[g(p='a')]", None),
            ("[f(p='a')]", Some("simple_function_checker:wrong_func_name")),
            ("[g(p='a'), f()]", Some("multiple_function_checker:wrong_count")),
        ],
    );
}

#[test]
fn relevance_only_asks_whether_there_is_a_call() {
    let no = record("irrelevance", "{}", "[]");
    check(
        &no,
        &[
            ("I cannot help.", None),
            ("[]", None),
            ("[{}]", None),
            ("x", None),
            ("f()", Some("irrelevance_error:decoder_success")),
            ("[f(1), g(x=2)]", Some("irrelevance_error:decoder_success")),
        ],
    );
    let yes = record("live_relevance", "{}", "[]");
    check(
        &yes,
        &[
            ("f()", None),
            ("[]", Some("relevance_error:decoder_failed")),
            ("Hm.", Some("relevance_error:decoder_failed")),
        ],
    );
}

#[test]
fn function_calls_carry_json() {
    let r = one(r#"{"type": "float"}"#, "[2]");
    let judged = |name: &str, json: &str| {
        let answer = Answer::Calls(vec![(name.into(), json.into())]);
        evaluate(
            &r,
            &answer,
            Settings {
                names: Names::Underscored,
                ..Settings::default()
            },
        )
        .error_type
    };
    assert_eq!(judged("f", r#"{"p": 2}"#), None);
    assert_eq!(judged("f", r#"{"p": "2"}"#), Some("type_error:simple"));
    assert_eq!(judged("f", r#"{"p": 2"#), Some("ast_decoder:decoder_failed"));
    assert_eq!(judged("f", "[2]"), Some("ast_decoder:decoder_wrong_output_format"));
    let said = evaluate(&r, &Answer::Said("f(p=2)".into()), Settings::default());
    assert_eq!(said.error_type, Some("ast_decoder:decoder_failed"));
}

#[test]
fn answers_are_read_from_result_files() {
    let of = |json: &str, names| Answer::of_result(&hone_python::loads(json).expect("JSON"), names);
    assert_eq!(of(r#""[f()]""#, Names::Dotted), Some(Answer::Text("[f()]".into())));
    assert_eq!(
        of(r#""Sorry.""#, Names::Underscored),
        Some(Answer::Said("Sorry.".into()))
    );
    let calls = of(r#"[{"f": "{\"p\": 1}"}]"#, Names::Underscored);
    assert_eq!(calls, Some(Answer::Calls(vec![("f".into(), r#"{"p": 1}"#.into())])));
    assert_eq!(of("[[1]]", Names::Underscored), None);
    assert_eq!(of("null", Names::Dotted), None);
}

#[test]
fn java_and_javascript_arguments_are_source() {
    let java = record(
        "simple_java",
        r#"{"Store.find": [{"count": {"type": "long"}, "name": {"type": "String"}, "ids": {"type": "ArrayList", "items": {"type": "integer"}}}, ["count"]]}"#,
        r#"[{"Store.find": {"count": [5], "name": ["a b", ""], "ids": [[1, 2], ""]}}]"#,
    );
    check(
        &java,
        &[
            ("Store.find(count=5L)", None),
            (
                "[Store.find(count = 5L, name = \"a b\", ids = new ArrayList<>(Arrays.asList(1, 2)))]",
                None,
            ),
            ("Store.find(count=5)", Some("type_error:simple")),
            (
                "Store.find(limitation)",
                Some("simple_function_checker:missing_required"),
            ),
            ("Store.find(count=5L, count=5L)", Some("ast_decoder:decoder_failed")),
            ("Store.find(count=5L, name=)", Some("ast_decoder:decoder_failed")),
            (
                "import java.util.List;",
                Some("ast_decoder:decoder_wrong_output_format"),
            ),
            ("", Some("ast_decoder:decoder_wrong_output_format")),
            // So short a source without its semicolon counts as a syntax error, in the original too.
            ("f(n=5L)", Some("ast_decoder:decoder_failed")),
        ],
    );
    let call = Answer::Calls(vec![("Store_find".into(), r#"{"count": 5}"#.into())]);
    let underscored = Settings {
        names: Names::Underscored,
        ..Settings::default()
    };
    assert_eq!(evaluate(&java, &call, underscored).error_type, Some("type_error:java"));
    let script = record(
        "simple_javascript",
        r#"{"f": [{"o": {"type": "dict"}, "b": {"type": "Boolean"}}, []]}"#,
        r#"[{"f": {"o": [{"k": [[1, 2]], "m": ["x"]}], "b": [true, ""]}}]"#,
    );
    check(
        &script,
        &[
            ("f(o={k: [1, 2], 'm': \"x\"}, b=true)", None),
            ("f(o={k: [1, 2], m: \"y\"})", Some("value_error:dict_value")),
            ("f(o={k: [1, 2], m: \"x\"}, b='true')", None),
            ("f(o=obj)", Some("type_error:simple")),
            ("x = 1", Some("ast_decoder:decoder_wrong_output_format")),
        ],
    );
}
