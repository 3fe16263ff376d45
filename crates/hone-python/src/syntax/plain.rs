//! Calls whose arguments are literals and names, read in one pass, without tokens and without a tree.
//!
//! Most of what models write is of this kind. [`parse`](super::parse) stays the definition: whatever a source holds beyond
//! this, and whatever is wrong with it, is left to that.

use super::MAX_SOURCE;
use super::parse::is_keyword;
use crate::{Dict, Value};
use std::borrow::Cow;

/// Levels of nesting that are read here.
const MAX_DEPTH: usize = 32;

/// Entries of a dictionary and arguments of a call that are read here: each is compared with all before it.
const MAX_NAMES: usize = 64;

/// Dots in a name that are read here.
const MAX_DOTS: usize = 6;

/// A literal or a name, borrowed from its source.
#[derive(Clone, Debug)]
pub enum Plain<'a> {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An integer of 64 bits, with its sign.
    Int(i64),
    /// A float, with its sign.
    Float(f64),
    /// A text.
    Str(Cow<'a, str>),
    /// A name that stands for a value.
    Name(&'a str),
    /// `[…]`
    List(Vec<Plain<'a>>),
    /// `(…,)`
    Tuple(Vec<Plain<'a>>),
    /// `{key: value}`, each key once.
    Dict(Vec<(Plain<'a>, Plain<'a>)>),
    /// A value of another kind, or from elsewhere.
    Other(&'a Value),
}

/// A call of a name.
#[derive(Clone, Debug)]
pub struct PlainCall<'a> {
    /// The name, with its dots.
    pub name: &'a str,
    /// Arguments by position.
    pub args: Vec<Plain<'a>>,
    /// Arguments by name, each name once.
    pub keywords: Vec<(&'a str, Plain<'a>)>,
}

/// A source that is one call of literals and names; `None` if it is not, or not quite.
pub fn plain_call(source: &str) -> Option<PlainCall<'_>> {
    let mut reader = Reader::of(source)?;
    let call = reader.call()?;
    reader.ended().then_some(call)
}

/// A source that is a list, in square brackets, of such calls.
pub fn plain_calls(source: &str) -> Option<Vec<PlainCall<'_>>> {
    let mut reader = Reader::of(source)?;
    let mut calls = Vec::with_capacity(1);
    reader.all(b'[', b']', |reader| {
        calls.push(reader.call()?);
        Some(())
    })?;
    reader.ended().then_some(calls)
}

/// Which bytes a name consists of.
static WORD: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

/// Which bytes end a text or mean something else in it than themselves: quotes, backslashes, and what is not printed but tabs.
static SPECIAL: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        let b = byte as u8;
        table[byte] = matches!(b, b'\'' | b'"' | b'\\') || (b < b' ' && b != b'\t');
        byte += 1;
    }
    table
};

struct Reader<'a> {
    source: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn of(source: &'a str) -> Option<Self> {
        let reader = Self {
            source,
            at: 0,
            depth: 0,
        };
        (source.len() <= MAX_SOURCE).then_some(reader)
    }

    fn ended(&self) -> bool {
        self.at == self.source.len()
    }

    fn peek(&self) -> u8 {
        // A null byte is in no source that is read here.
        self.source.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn next(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    /// Blanks and, as all of this stands within brackets, line breaks.
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t') {
            self.at += 1;
        }
    }

    /// Whether a value can end here.
    fn closed(&mut self) -> bool {
        self.space();
        matches!(self.peek(), b',' | b')' | b']' | b'}' | b':')
    }

    /// Items between brackets, with a comma behind each but the last. Says whether there is one behind the last, too.
    fn all(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<bool> {
        self.depth += 1;
        if self.depth > MAX_DEPTH || !self.next(open) {
            return None;
        }
        let mut comma = false;
        loop {
            self.space();
            if self.next(close) {
                break;
            }
            item(self)?;
            self.space();
            comma = self.next(b',');
            if !comma {
                if !self.next(close) {
                    return None;
                }
                break;
            }
        }
        self.depth -= 1;
        Some(comma)
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.source.get(self.at..)?.as_bytes();
        let len = rest.iter().position(|b| !WORD[usize::from(*b)]).unwrap_or(rest.len());
        if len == 0 || rest[0].is_ascii_digit() {
            return None;
        }
        let word = self.source.get(self.at..self.at + len)?;
        self.at += len;
        Some(word)
    }

    fn identifier(&mut self) -> Option<&'a str> {
        self.word().filter(|word| !is_keyword(word))
    }

    fn call(&mut self) -> Option<PlainCall<'a>> {
        let from = self.at;
        self.identifier()?;
        let mut dots = 0;
        while self.next(b'.') {
            self.identifier()?;
            dots += 1;
        }
        if dots > MAX_DOTS {
            return None;
        }
        let name = self.source.get(from..self.at)?;
        let mut call = PlainCall {
            name,
            args: vec![],
            keywords: vec![],
        };
        self.all(b'(', b')', |reader| reader.argument(&mut call))?;
        Some(call)
    }

    fn argument(&mut self, call: &mut PlainCall<'a>) -> Option<()> {
        let from = self.at;
        if let Some(name) = self.word() {
            self.space();
            if self.next(b'=') {
                let known = call.keywords.iter().any(|(known, _)| *known == name);
                if known || call.keywords.len() == MAX_NAMES || is_keyword(name) {
                    return None;
                }
                self.space();
                let value = self.value()?;
                if call.keywords.is_empty() {
                    call.keywords.reserve(4);
                }
                call.keywords.push((name, value));
                return Some(());
            }
            self.at = from;
        }
        if !call.keywords.is_empty() {
            return None;
        }
        let value = self.value()?;
        call.args.push(value);
        Some(())
    }

    fn value(&mut self) -> Option<Plain<'a>> {
        let value = match self.peek() {
            b'\'' | b'"' => Plain::Str(self.text()?),
            b'0'..=b'9' => self.number(false)?,
            b'-' => {
                self.at += 1;
                self.number(true)?
            }
            b'[' => {
                let mut items = vec![];
                self.all(b'[', b']', |reader| {
                    items.push(reader.value()?);
                    Some(())
                })?;
                Plain::List(items)
            }
            b'(' => {
                let mut items = vec![];
                let comma = self.all(b'(', b')', |reader| {
                    items.push(reader.value()?);
                    Some(())
                })?;
                // One item without a comma is in parentheses and no tuple.
                if items.len() == 1 && !comma {
                    items.swap_remove(0)
                } else {
                    Plain::Tuple(items)
                }
            }
            b'{' => {
                let mut entries: Vec<(Plain<'a>, Plain<'a>)> = vec![];
                self.all(b'{', b'}', |reader| {
                    entries.push(reader.entry(&entries)?);
                    Some(())
                })?;
                Plain::Dict(entries)
            }
            _ => match self.word()? {
                "None" => Plain::None,
                "True" => Plain::Bool(true),
                "False" => Plain::Bool(false),
                word if is_keyword(word) => return None,
                word => Plain::Name(word),
            },
        };
        self.closed().then_some(value)
    }

    /// An entry of a dictionary: its key is a text that no entry before it has.
    fn entry(&mut self, before: &[(Plain<'a>, Plain<'a>)]) -> Option<(Plain<'a>, Plain<'a>)> {
        let key = self.text()?;
        let known = |(known, _): &(Plain<'a>, Plain<'a>)| matches!(known, Plain::Str(known) if *known == key);
        if before.len() == MAX_NAMES || before.iter().any(known) {
            return None;
        }
        self.space();
        if !self.next(b':') {
            return None;
        }
        self.space();
        Some((Plain::Str(key), self.value()?))
    }

    /// A text in single or double quotes.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        let quote = self.peek();
        if !matches!(quote, b'\'' | b'"') {
            return None;
        }
        self.at += 1;
        let mut from = self.at;
        let mut unescaped: Option<String> = None;
        let end = loop {
            let rest = self.source.as_bytes().get(self.at..)?;
            let at = self.at + rest.iter().position(|b| SPECIAL[usize::from(*b)])?;
            match self.source.as_bytes()[at] {
                found if found == quote => break at,
                b'\'' | b'"' => {
                    self.at = at + 1;
                    continue;
                }
                _ => {}
            }
            let part = self.source.get(from..at)?;
            let escaped = match (self.source.as_bytes()[at], self.source.as_bytes().get(at + 1)?) {
                (b'\\', b'\\') => '\\',
                (b'\\', b'\'') => '\'',
                (b'\\', b'"') => '"',
                (b'\\', b'n') => '\n',
                (b'\\', b't') => '\t',
                _ => return None,
            };
            let text = unescaped.get_or_insert_default();
            text.push_str(part);
            text.push(escaped);
            from = at + 2;
            self.at = from;
        };
        let last = self.source.get(from..end)?;
        self.at = end + 1;
        // Three quotes are another kind of text, and texts side by side are one.
        if !self.closed() {
            return None;
        }
        Some(match unescaped {
            None => Cow::Borrowed(last),
            Some(text) => Cow::Owned(text + last),
        })
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - from
    }

    /// A decimal number, behind its sign.
    fn number(&mut self, negative: bool) -> Option<Plain<'a>> {
        let from = self.at;
        let mut whole = 0i64;
        while self.peek().is_ascii_digit() {
            // More than eighteen digits are refused below, before the number counts.
            whole = whole.wrapping_mul(10).wrapping_add(i64::from(self.peek() - b'0'));
            self.at += 1;
        }
        let digits = self.at - from;
        if digits == 0 || digits > 18 || (digits > 1 && self.source.as_bytes()[from] == b'0') {
            return None;
        }
        let mut float = self.next(b'.');
        if float && self.digits() == 0 {
            return None;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
            float = true;
        }
        if !float {
            return Some(Plain::Int(if negative { -whole } else { whole }));
        }
        let value: f64 = self.source.get(from..self.at)?.parse().ok()?;
        Some(Plain::Float(if negative { -value } else { value }))
    }
}

impl Plain<'_> {
    /// As `type(value).__name__`; a name counts as a text.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) | Self::Name(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Other(value) => value.type_name(),
        }
    }

    /// A text, or the text of a name.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Name(name) => Some(name),
            Self::Other(value) => value.as_str(),
            _ => None,
        }
    }

    /// Whether a name stands here or within.
    pub fn has_name(&self) -> bool {
        match self {
            Self::Name(_) => true,
            Self::List(items) | Self::Tuple(items) => items.iter().any(Self::has_name),
            Self::Dict(entries) => entries.iter().any(|(key, value)| key.has_name() || value.has_name()),
            _ => false,
        }
    }

    /// As a value of its own; a name becomes a text.
    pub fn into_value(self) -> Value {
        let all = |items: Vec<Self>| items.into_iter().map(Self::into_value).collect();
        match self {
            Self::None => Value::None,
            Self::Bool(b) => b.into(),
            Self::Int(n) => n.into(),
            Self::Float(x) => x.into(),
            Self::Str(text) => text.into_owned().into(),
            Self::Name(name) => name.into(),
            Self::List(items) => Value::List(all(items)),
            Self::Tuple(items) => Value::Tuple(all(items)),
            Self::Dict(entries) => {
                let mut dict = Dict::new();
                for (key, value) in entries {
                    // The keys are texts, or were keys before.
                    let _ = dict.insert(key.into_value(), value.into_value());
                }
                dict.into()
            }
            Self::Other(value) => value.clone(),
        }
    }

    /// As `repr(value)`; that of a name is that of a text.
    pub fn repr(&self) -> String {
        self.clone().into_value().repr()
    }
}

impl<'a> From<&'a Value> for Plain<'a> {
    fn from(value: &'a Value) -> Self {
        let all = |items: &'a [Value]| items.iter().map(Self::from).collect();
        match value {
            Value::None => Self::None,
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(n) => n.to_i64().map_or(Self::Other(value), Self::Int),
            Value::Float(x) => Self::Float(*x),
            Value::Str(text) => Self::Str(Cow::Borrowed(text)),
            Value::List(items) => Self::List(all(items)),
            Value::Tuple(items) => Self::Tuple(all(items)),
            Value::Dict(dict) => Self::Dict(
                dict.iter()
                    .map(|(key, value)| (Self::from(key), Self::from(value)))
                    .collect(),
            ),
            Value::Opaque(_) => Self::Other(value),
        }
    }
}

/// Python's `==`; a name is compared as a text.
impl PartialEq<Value> for Plain<'_> {
    fn eq(&self, other: &Value) -> bool {
        let all = |a: &[Self], b: &[Value]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b);
        match (self, other) {
            (Self::Str(a), Value::Str(b)) => a == b,
            (Self::Name(a), Value::Str(b)) => a == b,
            (Self::Str(_) | Self::Name(_), _) | (_, Value::Str(_)) if !matches!(self, Self::Other(_)) => false,
            (Self::List(a), Value::List(b)) | (Self::Tuple(a), Value::Tuple(b)) => all(a, b),
            (Self::Dict(a), Value::Dict(b)) => {
                let found = |key: &Self| match key.as_str() {
                    Some(key) => b.get(key),
                    None => b.lookup(&key.clone().into_value()).ok().flatten(),
                };
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, value)| found(key).is_some_and(|found| value == found))
            }
            (Self::List(_) | Self::Tuple(_) | Self::Dict(_), _) => false,
            (Self::Other(a), b) => *a == b,
            // Numbers are compared by value, and take no room.
            (Self::None, b) => b.is_none(),
            (Self::Bool(a), b) => Value::Bool(*a) == *b,
            (Self::Int(a), b) => Value::from(*a) == *b,
            (Self::Float(a), b) => Value::Float(*a) == *b,
            _ => false,
        }
    }
}
