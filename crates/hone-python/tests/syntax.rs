//! Expressions, well-formed and hostile.

use hone_python::{Expr, Keyword, MAX_SOURCE, constant, parse};
use proptest::prelude::*;

fn printed(source: &str) -> Option<String> {
    Some(parse(source).ok()?.unparse())
}

#[test]
fn calls_have_names_and_arguments() {
    let Ok(Expr::List(calls)) = parse("[a.b.g(x='y', z=[1, -2.5, {'k': None}], w=h(1)), f()]") else {
        panic!("a list")
    };
    let [Expr::Call(first), Expr::Call(second)] = &calls[..] else {
        panic!("two calls")
    };
    assert_eq!(
        (first.dotted_name().as_str(), second.dotted_name().as_str()),
        ("a.b.g", "f")
    );
    let names: Vec<_> = first
        .keywords
        .iter()
        .filter_map(|Keyword { name, .. }| name.as_deref())
        .collect();
    assert_eq!(names, ["x", "z", "w"]);
    assert_eq!(
        constant(&first.keywords[1].value).expect("literals").repr(),
        "[1, -2.5, {'k': None}]"
    );
}

#[test]
fn expressions_print_as_ast_unparse_does() {
    for (source, expected) in [
        ("f( 1,'a' \"b\" ,*c,k = -2 ** 3)", "f(1, 'ab', *c, k=-2 ** 3)"),
        ("(a+b)*c - (d*e)", "(a + b) * c - d * e"),
        ("a and b and (c or d)", "a and b and (c or d)"),
        ("(1).real", "1 .real"),
        ("x[1:2, ::3]", "x[1:2, ::3]"),
        ("{**a, 'b': (1,)}", "{**a, 'b': (1,)}"),
        ("a if b else c if d else e", "a if b else c if d else e"),
        ("not (a == b) in c", "not (a == b) in c"),
        ("1e400", "1e309"),
        ("(x := 1, await y)", "((x := 1), await y)"),
    ] {
        assert_eq!(printed(source).as_deref(), Some(expected), "{source}");
    }
}

#[test]
fn what_python_refuses_is_refused() {
    for source in [
        "",
        "f(",
        "f(a=1",
        "f(a=1))",
        "f(1 2)",
        "f(a=1, 2)",
        "f(**k, *a)",
        "f(if=1)",
        "0777",
        "1__0",
        "5min",
        "'a",
        "'\\x4'",
        "b'é'",
        "'a' b'b'",
        "a == not b",
        "a or lambda: 1",
        "x if y",
        "*a",
        "(*a)",
        "[*a for a in b]",
        "f\"{\"",
        "a; b",
        "a\nb",
        " a",
        "“a”",
        "f(x for x in y, 1)",
        "{a: 1, b}",
        "f(a:=1:=2)",
        "f(True=1)",
        "a := 1",
        "lambda x=1, y: 0",
    ] {
        assert!(parse(source).is_err(), "{source}");
    }
}

#[test]
fn arithmetic_is_pythons_and_bounded() {
    let result = |source: &str| constant(&parse(source).ok()?).ok().map(|value| value.repr());
    for (source, expected) in [
        ("7 // -2", "-4"),
        ("7 % -2", "-1"),
        ("-7.5 % 2", "0.5"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("1 / 3", "0.3333333333333333"),
        ("'ab' * 2 + 'c'", "'ababc'"),
        ("True + True", "2"),
    ] {
        assert_eq!(result(source).as_deref(), Some(expected), "{source}");
    }
    for source in [
        "1 / 0",
        "9 ** 9 ** 9",
        "'a' * 10 ** 9",
        "1 << 10 ** 9",
        "'a' + 1",
        "len('a') + 1",
        "a + 1",
    ] {
        assert_eq!(result(source), None, "{source}");
    }
}

#[test]
fn hostile_nesting_is_an_error_even_on_a_small_stack() {
    let run = || {
        for (open, close) in [("(", ")"), ("[", "]"), ("f(a=", ")"), ("{1: ", "}"), ("a[", "]")] {
            let nest = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
            let deep = parse(&nest(200));
            assert!(deep.is_ok(), "{open} {deep:?}");
            let _ = deep.map(|expr| expr.unparse());
            assert!(parse(&nest(201)).is_err(), "{open}");
            assert!(parse(&nest(60_000)).is_err(), "{open}");
        }
        for unit in [
            "-",
            "not ",
            "lambda: ",
            "a if b else ",
            "a**",
            "await ",
            "a+",
            "a.",
            "a()",
            "f'{",
            "a and ",
            "a<",
        ] {
            let _ = parse(&format!("{}1", unit.repeat(60_000)));
        }
        assert!(parse(&format!("a{}", "+a".repeat(900))).is_ok());
        assert!(parse(&format!("'{}'", "a".repeat(MAX_SOURCE))).is_err());
    };
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .expect("a thread");
    thread.join().expect("no overflow");
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(source in "[\\[\\](){}a-c0-9=,.:'\"*+\\-\\\\ \n#fub]{0,60}") {
        if let Ok(expr) = parse(&source) {
            let _ = constant(&expr);
            let printed = expr.unparse();
            let again = parse(&printed).expect("what is printed can be read");
            prop_assert_eq!(again.unparse(), printed);
        }
    }

    #[test]
    fn any_json_is_read_or_refused(text in "[\\[\\]{}a-e0-9:,.\"\\\\ \nut+-]{0,60}") {
        let _ = hone_python::loads(&text);
    }
}

#[test]
fn nested_braces_are_read_once_each() {
    // A second look at each level would take for ever.
    let nested = |inner: &str| format!("{}{inner}{}", "{".repeat(60), "}".repeat(60));
    assert!(hone_python::parse(&nested("1")).is_ok());
    assert!(hone_python::parse(&nested("1: 2")).is_ok());
    assert!(hone_python::parse(&nested("x for x in y")).is_ok());
    assert!(hone_python::parse(&nested("1:")).is_err());
    assert!(hone_python::parse("{1: 2, **a, 'b': {*c, d}}").is_ok());
}
