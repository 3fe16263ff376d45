//! `json.loads`.
//!
//! Not serde_json, because Python reads what it does not: integers of any size, `NaN` and `Infinity`, floats to the last
//! bit, keys in order without a feature that would change serde_json for the whole program.

use crate::text::MAX_INT_DIGITS;
use crate::{Dict, MAX_NESTING, Value, text};

/// A text that is not JSON, as Python reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: {what}")]
pub struct JsonError {
    /// Where, in bytes from the start.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// As `json.loads(text)`.
///
/// # Errors
/// Where Python raises `JSONDecodeError`, and for nesting deeper than [`MAX_NESTING`].
pub fn loads(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("extra data"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, what: &'static str) -> JsonError {
        JsonError { at: self.at, what }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > MAX_NESTING {
            return Err(self.error("nested too deeply"));
        }
        match self.peek() {
            Some(b'"') => Ok(Value::Str(self.string()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            _ if self.word("null") => Ok(Value::None),
            _ if self.word("true") => Ok(Value::Bool(true)),
            _ if self.word("false") => Ok(Value::Bool(false)),
            _ if self.word("NaN") => Ok(Value::Float(f64::NAN)),
            _ if self.word("Infinity") => Ok(Value::Float(f64::INFINITY)),
            _ if self.word("-Infinity") => Ok(Value::Float(f64::NEG_INFINITY)),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        self.space();
        let mut items = vec![];
        if self.word("]") {
            return Ok(Value::List(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            if self.word("]") {
                return Ok(Value::List(items));
            }
            if !self.word(",") {
                return Err(self.error("expecting ',' or ']'"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        self.space();
        let mut dict = Dict::new();
        if self.word("}") {
            return Ok(Value::Dict(dict));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("expecting a key in double quotes"));
            }
            let key = self.string()?;
            self.space();
            if !self.word(":") {
                return Err(self.error("expecting ':'"));
            }
            self.space();
            let value = self.value(depth + 1)?;
            dict.set(key, value);
            self.space();
            if self.word("}") {
                return Ok(Value::Dict(dict));
            }
            if !self.word(",") {
                return Err(self.error("expecting ',' or '}'"));
            }
        }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let from = self.at;
        self.word("-");
        let first = self.peek();
        if first == Some(b'0') {
            self.at += 1;
        } else if self.digits() == 0 {
            self.at = from;
            return Err(self.error("expecting a value"));
        }
        let whole = self.at;
        let mut float = false;
        // A point or an exponent counts only with digits behind it; else it is left for the next to refuse.
        if self.word(".") {
            if self.digits() > 0 {
                float = true;
            } else {
                self.at = whole;
            }
        }
        let before = self.at;
        if self.word("e") || self.word("E") {
            let _ = self.word("+") || self.word("-");
            if self.digits() > 0 {
                float = true;
            } else {
                self.at = before;
            }
        }
        let number = self.text.get(from..self.at).unwrap_or_default();
        if float {
            number
                .parse()
                .map(Value::Float)
                .map_err(|_| self.error("expecting a number"))
        } else if number.len() > MAX_INT_DIGITS + usize::from(number.starts_with('-')) {
            Err(self.error("an integer of too many digits"))
        } else {
            text::int(number)
                .map(Value::Int)
                .ok_or_else(|| self.error("expecting a number"))
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ');
            let Some(plain) = plain else {
                return Err(self.error("a string without end"));
            };
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.error("a control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let c = self.peek().ok_or_else(|| self.error("a string without end"))?;
        let simple = match c {
            b'"' | b'\\' | b'/' => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error("an unknown escape")),
        };
        self.at += 1;
        Ok(simple)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let unit = self.unit()?;
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
            let back = self.at;
            self.at += 1;
            if let Ok(low @ 0xdc00..0xe000) = self.unit() {
                let n = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `uXXXX`, from the `u` on.
    fn unit(&mut self) -> Result<u32, JsonError> {
        let digits = self
            .text
            .get(self.at + 1..self.at + 5)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        let unit = unit.ok_or_else(|| self.error("expecting four hexadecimal digits"))?;
        self.at += 5;
        Ok(unit)
    }
}
