//! The quick reader beside the grammars.

use super::*;
use crate::decode::{Decoded, java, javascript};
use hone_python::Value;
use proptest::prelude::*;

/// What is read here, the grammars read the same. Says whether it was read here.
fn agrees(source: &str) -> bool {
    let mut any = false;
    let pairs = [
        (super::java(source), java::decode(source)),
        (super::javascript(source), javascript::decode(source)),
    ];
    for (quick, whole) in pairs {
        let Some(found) = quick else { continue };
        any = true;
        let arguments = found.arguments.into_iter();
        let arguments = arguments.map(|(name, value)| (name.unwrap_or("None").to_owned(), value.into_value()));
        let quick = Decoded::Calls(vec![(Value::from(found.name), arguments.collect())]);
        assert_eq!(whole, Ok(quick), "{source:?}");
    }
    any
}

#[test]
fn plain_calls_are_read_here_as_the_grammars_read_them() {
    for source in [
        "Controller.create(parent=mapArea, level=5, name=\"a b\", fast=true)",
        "someFunctionName(ids=new ArrayList<>(Arrays.asList(101L, \"x, y\", 3.5f)), size=2)",
        "someFunctionName(address=new InetSocketAddress(\"192.168.1.10\", 8080), size=1, type=Element.class)",
        "someFunctionName(path=new ShardPath(Paths.get('/a/b', 0), x), from=new a.Point(), to=\"c\")",
        "someFunctionName(params='new HashMap<>() {{ put(\"a\", \"b\"); }}', count=-5)",
        "format( first=System.out.x , second='it' , third=null )",
        "f(a=[1, {x: 'y', \"z\": [true]}], b={}, c=5n, d=2.5)",
        "someFunctionName(file=gc-analysis.log, count=a.b-5-c, from=ByteBuffer.allocate(1024, Type.class))",
        "someFunctionName(at=FSDirectory.open(Paths.get('/a/b', x-y), 2.5), by=A.Builder::getIt, to=now())",
        "someFunctionName(all=new Object[]{verbose,\"a b\",f( x , 1 )}, none=new a.B[]{}, only=new a.B[]{c})",
        "f(context=React.createContext(), hooks={use: make([1, 'a'], {}), name: utf-8})",
    ] {
        assert!(agrees(source), "{source}");
    }
}

#[test]
fn words_with_a_meaning_are_left_to_the_grammars_or_read_alike() {
    let more = [
        "Infinity", "NaN", "target", "meta", "to", "print", "self", "Object", "String", "a$", "$", "__",
    ];
    for word in JAVA.iter().chain(JAVASCRIPT).chain(&more) {
        agrees(&format!("{word}(someArgument=someValue, more=1)"));
        agrees(&format!("object.{word}(someArgument=someValue, more=1)"));
        agrees(&format!("someFunctionName({word}=someValue, more=1)"));
        agrees(&format!("someFunctionName(someArgument={word}, more=1)"));
        agrees(&format!("someFunctionName(someArgument=value.{word}, more=1)"));
        agrees(&format!("someFunctionName(someArgument=[{word}], more={{{word}: 1}})"));
    }
}

proptest! {
    #[test]
    fn whatever_is_read_here_the_grammars_read_the_same(
        parts in prop::collection::vec(prop::sample::select(PARTS), 1..24)
    ) {
        agrees(&parts.concat());
        agrees(&format!("someFunction.name(argument={})", parts.concat()));
    }
}

const PARTS: &[&str] = &[
    "f(",
    "a.b(",
    "a=",
    "b=",
    "c=",
    "x",
    "name",
    "\"text\"",
    "'t'",
    "\"\"",
    "''",
    "\"",
    "'",
    "1",
    "-",
    "0",
    "07",
    "2.5",
    ".",
    "5L",
    "5n",
    "1e3",
    "true",
    "null",
    "new ",
    "<>",
    ".class",
    "Arrays.asList(",
    "Object[]{",
    "::",
    "-x",
    "-8",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    ", ",
    ":",
    ": ",
    " ",
    "=",
    "<",
    ">",
    "/",
    "//",
    "/*",
    "*/",
    "\\",
    "\n",
    ";",
    "é",
    "$",
    "_",
    "`",
    "import.",
    "=>",
    "...",
    "in ",
    "of ",
    "<!--",
    "-->",
];
