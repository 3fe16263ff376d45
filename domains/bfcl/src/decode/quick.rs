//! Java and JavaScript calls of names, texts and numbers, read without a syntax tree.
//!
//! The grammars stay the definition: whatever a source holds beyond this is left to [`java`](super::java) and
//! [`javascript`](super::javascript), and so is whatever they might read in another way.

use super::inner;
use super::tree::{MAX_SOURCE, TERMINATED};
use crate::check::Found;
use hone_python::Plain;

/// Arguments that are read here: each is compared with all before it.
const MAX_NAMES: usize = 64;

/// Levels of nesting that are read here.
const MAX_DEPTH: usize = 16;

/// What the decoder of Java gives for a source that is one call, if it is of names, texts, numbers and lists of those.
pub(super) fn java(source: &str) -> Option<Found<'_>> {
    TERMINATED
        .contains(&source.len())
        .then(|| Reader::new(source, true))?
        .whole()
}

/// What the decoder of JavaScript gives for such a source.
pub(super) fn javascript(source: &str) -> Option<Found<'_>> {
    (source.len() <= MAX_SOURCE && !source.contains("import."))
        .then(|| Reader::new(source, false))?
        .whole()
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    java: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, java: bool) -> Self {
        Self { source, at: 0, java }
    }

    fn peek(&self) -> u8 {
        self.source.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn next(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while self.next(b' ') {}
    }

    fn whole(mut self) -> Option<Found<'a>> {
        // The decoder of Java cuts what lies beyond ASCII in the wrong places.
        if !self.source.is_ascii() {
            return None;
        }
        let name = self.dotted()?;
        let mut arguments: Vec<(Option<&'a str>, Plain<'a>)> = Vec::with_capacity(4);
        self.all(b'(', b')', |reader| {
            let name = reader.identifier()?;
            let known = arguments.iter().any(|(known, _)| *known == Some(name));
            if known || arguments.len() == MAX_NAMES || !reader.next(b'=') {
                return None;
            }
            arguments.push((Some(name), Plain::Str(reader.argument()?.into())));
            Some(())
        })?;
        // Arguments that name nothing are read otherwise.
        (self.at == self.source.len()).then_some(Found { name, arguments })
    }

    /// Items between brackets, separated by commas.
    fn all(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if !self.next(open) {
            return None;
        }
        self.space();
        if self.next(close) {
            return Some(());
        }
        loop {
            item(self)?;
            self.space();
            if self.next(close) {
                return Some(());
            }
            if !self.next(b',') {
                return None;
            }
            self.space();
        }
    }

    fn identifier(&mut self) -> Option<&'a str> {
        let words = if self.java { JAVA } else { JAVASCRIPT };
        self.word().filter(|word| !words.contains(word))
    }

    /// What stands behind a dot.
    fn member(&mut self) -> Option<&'a str> {
        // As a member it has no other meaning in Java.
        let from = self.at;
        if self.java && self.word() == Some("open") {
            return Some("open");
        }
        self.at = from;
        self.identifier()
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.source.get(self.at..)?.as_bytes();
        let simple = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$');
        let len = rest.iter().position(|b| !simple(b)).unwrap_or(rest.len());
        if len == 0 || rest[0].is_ascii_digit() {
            return None;
        }
        let word = self.source.get(self.at..self.at + len)?;
        self.at += len;
        Some(word)
    }

    /// A name with dots.
    fn dotted(&mut self) -> Option<&'a str> {
        let from = self.at;
        self.identifier()?;
        while self.next(b'.') {
            self.member()?;
        }
        self.source.get(from..self.at)
    }

    /// The text that the decoders make of an argument.
    fn argument(&mut self) -> Option<&'a str> {
        let from = self.at;
        if matches!(self.peek(), b'"' | b'\'') {
            return self.text().map(inner);
        }
        if self.java && self.source[from..].starts_with("new ") {
            self.made()?;
        } else {
            self.value(0)?;
        }
        self.source.get(from..self.at)
    }

    /// `new Type(…)` of names, texts, numbers and calls of names with such: the decoder puts it together as it was, if its
    /// commas have one space behind them. What the calls hold it takes as it is. `new Type[]{…}` as well, but there the
    /// decoder leaves no spaces.
    fn made(&mut self) -> Option<()> {
        self.at += "new ".len();
        self.dotted()?;
        let rest = &self.source[self.at..];
        let array = rest.starts_with("[]{");
        let close = if array { b'}' } else { b')' };
        self.at += if array {
            "[]{".len()
        } else if rest.starts_with("<>(") {
            "<>(".len()
        } else if rest.starts_with('(') {
            "(".len()
        } else {
            return None;
        };
        if self.next(close) {
            return Some(());
        }
        loop {
            self.scalar(0)?;
            if self.next(close) {
                return Some(());
            }
            if !(self.next(b',') && (array || self.next(b' '))) {
                return None;
            }
        }
    }

    /// A text in quotes, without escapes.
    fn text(&mut self) -> Option<&'a str> {
        let (from, quote) = (self.at, self.peek());
        self.at += 1;
        let rest = self.source.as_bytes().get(self.at..)?;
        let len = rest.iter().position(|b| *b == quote || *b == b'\\' || *b < b' ')?;
        // Java has no empty character, and three quotes are another kind of text.
        if rest[len] != quote || (self.java && len == 0) {
            return None;
        }
        self.at += len + 1;
        self.source.get(from..self.at)
    }

    /// A text, a number, a name, a call or a reference of a method, or names and numbers with minus signs between them, as
    /// names of files are: without spaces all of it is taken as it is.
    fn scalar(&mut self, depth: usize) -> Option<()> {
        match self.peek() {
            b'"' | b'\'' => self.text().map(|_| ()),
            b'0'..=b'9' | b'-' => {
                self.number()?;
                self.subtracted()
            }
            _ => {
                let from = self.at;
                if self.dotted().is_some() {
                    return match self.peek() {
                        b'(' if depth < MAX_DEPTH => self.all(b'(', b')', |reader| reader.value(depth + 1)),
                        b':' if self.java && self.source[self.at..].starts_with("::") => {
                            self.at += "::".len();
                            self.identifier().map(|_| ())
                        }
                        _ => self.subtracted(),
                    };
                }
                if self.java && self.source[from..self.at].ends_with(".class") {
                    return Some(());
                }
                // Of the words that are no names, these are values in both languages.
                self.at = from;
                let word = ["true", "false", "null"]
                    .into_iter()
                    .find(|word| self.source[from..].starts_with(word))?;
                self.at += word.len();
                let more = self.peek();
                let longer = more.is_ascii_alphanumeric() || matches!(more, b'_' | b'$' | b'.');
                (!longer).then_some(())
            }
        }
    }

    /// What is taken from a name or a number, each with a minus sign before it.
    fn subtracted(&mut self) -> Option<()> {
        while self.next(b'-') {
            match self.peek() {
                b'0'..=b'9' => self.number()?,
                _ => self.dotted().map(|_| ())?,
            }
        }
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if self.java || depth > MAX_DEPTH {
            return self.scalar(depth);
        }
        match self.peek() {
            b'[' => self.all(b'[', b']', |reader| reader.value(depth + 1)),
            b'{' => self.all(b'{', b'}', |reader| {
                match reader.peek() {
                    b'"' | b'\'' => reader.text()?,
                    _ => reader.identifier()?,
                };
                reader.space();
                if !reader.next(b':') {
                    return None;
                }
                reader.space();
                reader.value(depth + 1)
            }),
            _ => self.scalar(depth),
        }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Option<()> {
        self.next(b'-');
        let zero = self.peek() == b'0';
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return None;
        }
        let fraction = self.next(b'.');
        if fraction && self.digits() == 0 {
            return None;
        }
        let suffixes: &[u8] = match (self.java, fraction) {
            (true, true) => b"fFdD",
            (true, false) => b"lLfFdD",
            (false, true) => b"",
            (false, false) => b"n",
        };
        if suffixes.contains(&self.peek()) {
            self.at += 1;
        }
        // What follows a number ends it.
        matches!(self.peek(), b' ' | b',' | b')' | b']' | b'}' | b'-').then_some(())
    }
}

/// Words that are, or in some places can be, something else than a name in Java.
const JAVA: &[&str] = &[
    "abstract",
    "assert",
    "boolean",
    "break",
    "byte",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "exports",
    "extends",
    "false",
    "final",
    "finally",
    "float",
    "for",
    "goto",
    "if",
    "implements",
    "import",
    "instanceof",
    "int",
    "interface",
    "long",
    "module",
    "native",
    "new",
    "non",
    "null",
    "open",
    "opens",
    "package",
    "permits",
    "private",
    "protected",
    "provides",
    "public",
    "record",
    "requires",
    "return",
    "sealed",
    "short",
    "static",
    "strictfp",
    "super",
    "switch",
    "synchronized",
    "this",
    "throw",
    "throws",
    "transient",
    "transitive",
    "true",
    "try",
    "uses",
    "var",
    "void",
    "volatile",
    "when",
    "while",
    "with",
    "yield",
    "_",
];

/// The same of JavaScript.
const JAVASCRIPT: &[&str] = &[
    "arguments",
    "as",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "from",
    "function",
    "get",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "of",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "set",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "using",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

#[cfg(test)]
mod tests;
