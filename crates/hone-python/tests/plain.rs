//! Calls of literals: read in one pass as the parser reads them.

use hone_python::{Call, Dict, Expr, Literal, Plain, UnaryOp, Value, constant, parse, plain_call, plain_calls};
use proptest::prelude::*;

/// What the parser's tree says of an argument; a name is a text.
fn value(tree: &Expr) -> Value {
    let all = |items: &[Expr]| items.iter().map(value).collect();
    match tree {
        Expr::Name(name) => name.as_str().into(),
        Expr::List(items) => Value::List(all(items)),
        Expr::Tuple(items) => Value::Tuple(all(items)),
        Expr::Dict(entries) => {
            let mut dict = Dict::new();
            for (key, item) in entries {
                let key = value(key.as_ref().expect("an entry with a key"));
                dict.insert(key, value(item)).expect("a hashable key");
            }
            dict.into()
        }
        Expr::Literal(Literal::Value(value)) => value.clone(),
        Expr::Unary(UnaryOp::Minus, _) => constant(tree).expect("a number"),
        other => panic!("{other:?} is no literal"),
    }
}

fn same(read: Vec<hone_python::PlainCall<'_>>, trees: &[Expr]) {
    assert_eq!(read.len(), trees.len());
    for (call, tree) in read.into_iter().zip(trees) {
        let Expr::Call(tree) = tree else {
            panic!("{tree:?} is no call")
        };
        let Call { args, keywords, .. } = tree;
        assert_eq!(call.name, tree.dotted_name());
        let found: Vec<Value> = call.args.into_iter().map(Plain::into_value).collect();
        let wanted: Vec<Value> = args.iter().map(value).collect();
        assert!(Value::List(found).identical(&Value::List(wanted)));
        assert_eq!(call.keywords.len(), keywords.len());
        for ((name, found), keyword) in call.keywords.into_iter().zip(keywords) {
            assert_eq!(Some(name), keyword.name.as_deref());
            let wanted = value(&keyword.value);
            assert!(found == wanted && found.type_name() == wanted.type_name(), "{wanted:?}");
            let plain = Plain::from(&wanted);
            assert!(plain == wanted);
            assert!(found.into_value().identical(&wanted));
        }
    }
}

fn agrees(source: &str) -> bool {
    let mut any = false;
    if let Some(read) = plain_calls(source) {
        let Ok(Expr::List(trees)) = parse(source) else {
            panic!("{source:?} is no list")
        };
        same(read, &trees);
        any = true;
    }
    if let Some(read) = plain_call(source) {
        same(vec![read], &[parse(source).expect(source)]);
        any = true;
    }
    any
}

#[test]
fn literals_are_read_as_the_parser_reads_them() {
    for source in [
        "[]",
        "f()",
        "f(x=1e3, y=-2.5E-07, z=1e400)",
        "f(x='a \"b\"', y=\"it's\")",
        "a.b.f(x=1, y=-2.5, z='it\\'s', w=\"a\\nb\")",
        "[f(1, 'two', [3, (4,), ()], {'five': {'six': None}}), g(x=True, y=name,),]",
        "f(x=(1), y=-0, z=-0.0, w='é, ß')",
        "[ f( x = 1 ,\n y = [ ] ) , g() ]",
    ] {
        assert!(agrees(source), "{source}");
    }
}

#[test]
fn the_rest_is_left_to_the_parser() {
    for source in [
        "",
        "f",
        "f(",
        "f(x=1, x=2)",
        "f(x=1, 2)",
        "f(x=007)",
        "f(x=1_0)",
        "f(x=1e)",
        "f(x=1e+)",
        "f(x=1.e3)",
        "f(x=b'a')",
        "f(x='a' 'b')",
        "f(x='''a''')",
        "f(x=g())",
        "f(x=1+1)",
        "f(x=lambda: 1)",
        "f(None=1)",
        "f(x={1: 2})",
        "f(x={'a': 1, 'a': 2})",
        "f(x='\\x41')",
        "f(x=[1 for a in b])",
        "f(*x)",
        "f(x='a\0')",
        "f(,)",
        "f(x=1) ",
        " f(x=1)",
        "f(x=1.)",
        "é(x=1)",
        "f(x=12345678901234567890)",
        "f(x='a\nb')",
        "f(x=a.b)",
        "f(x=1)(y=2)",
        "for(x=1)",
    ] {
        assert!(plain_call(source).is_none(), "{source}");
    }
    let deep = format!("f(x={}{})", "[".repeat(40), "]".repeat(40));
    assert!(plain_call(&deep).is_none());
}

#[test]
fn a_copy_of_a_dictionary_is_a_dictionary_of_its_own() {
    let mut first: Dict = [("a", 1i64), ("b", 2)].into_iter().collect();
    let second = first.clone();
    assert_eq!(first, second);
    first.set("a", 3i64);
    first.remove("b");
    assert_eq!(Value::from(first.clone()).repr(), "{'a': 3}");
    assert_eq!(Value::from(second.clone()).repr(), "{'a': 1, 'b': 2}");
    let mut third = second.clone();
    for (_, value) in third.iter_mut() {
        *value = Value::None;
    }
    assert_eq!(third.get_mut("c"), None);
    assert_eq!(second.get("b"), Some(&2i64.into()));
    let mut empty = Dict::new();
    assert_eq!((empty.remove("a"), empty.len()), (None, 0));
    assert_eq!(empty.get_mut("a"), None);
    assert_eq!(empty.iter_mut().count(), 0);
    assert_eq!(empty, Dict::new());
}

#[test]
fn identical_values_have_the_same_types_and_bits() {
    let read = |text: &str| constant(&parse(text).expect(text)).expect(text);
    let one = "{'a': [1, (2.5, None)], 'b': 'x'}";
    assert!(read(one).identical(&read("{'b': 'x', 'a': [1, (2.5, None)]}")));
    for (a, b) in [
        ("1", "1.0"),
        ("1", "True"),
        ("0.0", "-0.0"),
        ("[1]", "(1,)"),
        ("{1: 2}", "{1.0: 2}"),
        ("{}", "{'a': 1}"),
    ] {
        assert!(!read(a).identical(&read(b)), "{a} {b}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_in_one_pass_the_parser_reads_the_same(
        parts in prop::collection::vec(prop::sample::select(PARTS), 1..24)
    ) {
        agrees(&parts.concat());
        agrees(&format!("[f(x={})]", parts.concat()));
    }
}

const PARTS: &[&str] = &[
    "f(", "g.h(", "x=", "y=", "z", "'a'", "\"b\"", "'", "\"", "\\", "\\n", "1", "-", "0", "07", "2.5", ".", "1e3", "e",
    "E-", "+", "5j", "_", "True", "None", "not ", "for ", "in ", "[", "]", "{", "}", "(", ")", ",", ", ", ":", ": ",
    " ", "\n", "=", "==", "*", "+", "#", "é", "b", "r'", "...", "lambda", ";", "\t", "\r", "\0",
];
