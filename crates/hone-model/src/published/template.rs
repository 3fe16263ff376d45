//! A model's own chat template: Jinja, as Hugging Face's `transformers` runs it.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, context, escape_formatter};
use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Longest template, in bytes.
const MAX_SOURCE: usize = 1 << 20;
/// Longest text that a template may give, in bytes.
const MAX_OUTPUT: usize = 1 << 24;
/// Steps of one rendering; every 64 bytes that it makes are one more. A template that loops, or doubles a text again and
/// again, ends here, with some 64 MB at most.
const FUEL: u64 = 1_000_000;
/// Depth of calls.
const RECURSION: usize = 64;
/// Depth of a value that is written out: more than any JSON that we read, with what stands around it.
const NESTING: usize = 160;
/// Stack of a rendering, in bytes, of which the system gives what is used: within [`FUEL`], lists can be put into lists so
/// often that giving them up recurses through tens of megabytes.
const STACK: usize = 1 << 28;
const NAME: &str = "chat_template";

/// The moment that `strftime_now` tells: Friday, 26 July 2024, 00:00, the date that Llama 3's template falls back on. A
/// clock that went on would give each run other prompts.
const NOW: [(char, &str); 14] = [
    ('Y', "2024"),
    ('y', "24"),
    ('m', "07"),
    ('d', "26"),
    ('e', "26"),
    ('B', "July"),
    ('b', "Jul"),
    ('A', "Friday"),
    ('a', "Fri"),
    ('j', "208"),
    ('H', "00"),
    ('M', "00"),
    ('S', "00"),
    ('%', "%"),
];

/// A compiled template with the names of its model's special tokens.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl Template {
    /// Compile a template.
    ///
    /// # Errors
    /// Says where it is wrong.
    pub(super) fn new(source: &str, bos: &str, eos: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("it has {} bytes; at most {MAX_SOURCE} are read", source.len()));
        }
        let mut environment = Environment::new();
        // As `transformers` sets Jinja.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| described(&error))?);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(write_out);
        environment.add_filter("tojson", to_json);
        // Python's None cannot be iterated over, this library's can.
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| strftime(&format));
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| described(&error))?;
        Ok(Self {
            environment,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
        })
    }

    /// The text of a conversation; `tools` is a list or nothing.
    ///
    /// # Errors
    /// What the template raises, or the bound that it breaks.
    pub(super) fn render(
        &self,
        messages: &(impl Serialize + Sync),
        tools: Option<&(impl Serialize + Sync)>,
        generation_prompt: bool,
    ) -> Result<String, String> {
        let here = || self.render_here(messages, tools, generation_prompt);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, here);
            let thread = thread.map_err(|error| format!("there is no thread to run it on: {error}"))?;
            thread
                .join()
                .unwrap_or_else(|_| Err("it makes the template engine fail".into()))
        })
    }

    fn render_here(
        &self,
        messages: &impl Serialize,
        tools: Option<&impl Serialize>,
        generation_prompt: bool,
    ) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| described(&error))?;
        let mut out = Bounded(Vec::new());
        template
            .render_captured_to(
                context! {
                    messages => Value::from(Serde(messages)),
                    // Python's None where there are none.
                    tools => tools.map_or(Value::from(()), |tools| Value::from(Serde(tools))),
                    add_generation_prompt => generation_prompt,
                    bos_token => &self.bos,
                    eos_token => &self.eos,
                },
                &mut out,
            )
            .map_err(|error| described(&error))?;
        String::from_utf8(out.0).map_err(|_| "it gives text that is not UTF-8".into())
    }
}

/// An error in one line, with its place.
fn described(error: &Error) -> String {
    match (error.kind(), error.line()) {
        (ErrorKind::OutOfFuel, _) => format!("it takes more than {FUEL} steps"),
        (ErrorKind::WriteFailure, _) => format!("it gives more than {MAX_OUTPUT} bytes"),
        (kind, line) => {
            let what = error.detail().map_or_else(|| kind.to_string(), str::to_owned);
            line.map_or(what.clone(), |line| format!("{what} (line {line})"))
        }
    }
}

/// `{{ value }}`, if it is not nested too deeply: a namespace can even hold itself.
fn write_out(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    flat(state, value, NESTING)?;
    escape_formatter(out, state, value)
}

/// Refuses a value with more than `depth` levels. Each of its items is a step.
fn flat(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<(), Error> {
    // What has no length is not written out item by item.
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => {}
        ValueKind::Iterable if value.len().is_some() => {}
        _ => return Ok(()),
    }
    let depth = depth.checked_sub(1).ok_or_else(|| {
        let what = format!("a value is nested deeper than {NESTING}");
        Error::new(ErrorKind::InvalidOperation, what)
    })?;
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::Map => flat(state, &value.get_item(&item)?, depth)?,
            _ => flat(state, &item, depth)?,
        }
    }
    Ok(())
}

/// Output up to [`MAX_OUTPUT`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn strftime(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let directive = chars.next().unwrap_or('%');
        let known = NOW.iter().find(|(name, _)| *name == directive);
        let (_, text) = known.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("strftime_now: this version does not know %{directive}"),
            )
        })?;
        out.push_str(text);
    }
    Ok(out)
}

/// A value as Python's `json.dumps(value, ensure_ascii=False)` writes it.
pub(super) fn python_json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let layout = Python {
        item: ", ",
        key: ": ",
        indent: None,
        depth: 0,
        filled: false,
    };
    // Nothing that is shown to a model has keys that are not texts, and memory takes all bytes.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout));
    String::from_utf8(out).unwrap_or_default()
}

/// `json.dumps(value, ensure_ascii=False, …)`, which is `transformers`' `tojson`.
fn to_json(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let wrong = |what: &str| Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}"));
    let (item, key) = match separators.as_deref() {
        None => (if indent.is_some() { "," } else { ", " }, ": "),
        Some([item, key]) => (item.as_str(), key.as_str()),
        Some(_) => return Err(wrong("separators are two texts")),
    };
    let layout = Python {
        item,
        key,
        indent: indent.filter(|n| *n <= 16),
        depth: 0,
        filled: false,
    };
    let done = bounded_json(&value, layout).and_then(|text| {
        if sort_keys != Some(true) {
            return Ok(text);
        }
        // This map is sorted by itself; what was written is within the bounds.
        let sorted: serde_json::Value = serde_json::from_slice(&text)?;
        bounded_json(&sorted, layout)
    });
    let text = done.map_err(|error| wrong(&error.to_string()))?;
    let text = String::from_utf8(text).map_err(|error| wrong(&error.to_string()))?;
    Ok(Value::from_safe_string(text))
}

fn bounded_json(value: &impl Serialize, layout: Python<'_>) -> serde_json::Result<Vec<u8>> {
    let mut out = Bounded(Vec::new());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout))?;
    Ok(out.0)
}

/// Python's separators and indentation.
#[derive(Clone, Copy)]
struct Python<'a> {
    item: &'a str,
    key: &'a str,
    indent: Option<usize>,
    depth: usize,
    filled: bool,
}

impl Python<'_> {
    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        match self.indent {
            Some(n) => write!(out, "\n{:width$}", "", width = n * self.depth),
            None => Ok(()),
        }
    }

    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.depth >= NESTING {
            return Err(io::Error::other(format!("a value is nested deeper than {NESTING}")));
        }
        self.depth += 1;
        self.filled = false;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.filled = true;
        self.line(out)
    }
}

impl Formatter for Python<'_> {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str) -> Result<String, String> {
        let messages = json!([{"role": "user", "content": " Hi <b> "}]);
        let tools = json!([{"a": {"b": [1, 2.5, "é\"\n"], "c": []}, "d": null}]);
        Template::new(source, "<s>", "</s>")?.render(&messages, Some(&tools), true)
    }

    /// The right-hand sides are what `transformers` 5.24 gives.
    #[test]
    fn templates_say_what_they_say_in_python() {
        for (source, want) in [
            ("{{ bos_token }}{{ messages[0]['content'] | trim }}", "<s>Hi <b>"),
            (
                "{{ tools | tojson }}",
                r#"[{"a": {"b": [1, 2.5, "é\"\n"], "c": []}, "d": null}]"#,
            ),
            (
                "{{ tools[0].a | tojson(indent=2) }}",
                "{\n  \"b\": [\n    1,\n    2.5,\n    \"é\\\"\\n\"\n  ],\n  \"c\": []\n}",
            ),
            (
                "{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}",
                r#"{"a":2,"b":1}"#,
            ),
            ("{{ {'b': 1, 'a': 2} | tojson }}", r#"{"b": 1, "a": 2}"#),
            ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
            (
                "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
                "01",
            ),
            ("{{ ' a-b '.strip().split('-')[-1].upper() }}", "B"),
            (
                "{%- set ns = namespace(n=1) %}\n{%- for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}\n  {{- ns.n }}",
                "2",
            ),
            (
                "{{ 'yes' if tools is not none and 'x' not in messages[0].content }}",
                "yes",
            ),
            ("{% if add_generation_prompt %}\n  go\n{% endif %}", "  go\n"),
            ("{{ messages[0].tool_calls }}|{{ eos_token }}", "|</s>"),
            (
                "{{ 'a' if none is iterable }}{{ 'b' if [] is iterable }}{{ 'c' if 'x' is iterable }}{{ 'd' if 1 is iterable }}",
                "bc",
            ),
            ("{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f(1) }}", "[1]"),
            ("{{ messages[::-1][0].role }}{{ messages[1:] | length }}", "user0"),
        ] {
            assert_eq!(render(source).as_deref(), Ok(want), "{source}");
        }
    }

    #[test]
    fn a_bad_template_is_an_error_with_its_place() {
        for (source, word) in [
            ("{{ raise_exception('no such role') }}", "no such role (line 1)"),
            ("\n{% for %}", "line 2"),
            ("{{ nothing.at.all }}", "undefined"),
            ("{{ strftime_now('%Q') }}", "%Q"),
            ("{{ 1 | tojson(separators=[1]) }}", ""),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                "steps",
            ),
            ("{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}", "bytes"),
            ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
            ("{{ 'x' * 99999999999 }}", "steps"),
            (
                "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                "steps",
            ),
            (
                "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set t %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = t %}{% endfor %}",
                "steps",
            ),
        ] {
            let error = render(source).unwrap_err();
            assert!(error.contains(word), "{source}: {error}");
        }
        assert!(render(&" ".repeat(MAX_SOURCE + 1)).unwrap_err().contains("bytes"));
    }

    #[test]
    fn values_within_values_stay_within_bounds() {
        let own = "{% set ns = namespace() %}{% set ns.a = ns %}";
        let twice = "{% set ns = namespace(l=[]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}";
        for (source, word) in [
            (format!("{own}{{{{ ns | tojson }}}}"), "nested deeper"),
            (format!("{own}{{{{ ns | tojson(sort_keys=true) }}}}"), "nested deeper"),
            (format!("{own}{{{{ ns }}}}"), "nested deeper"),
            (format!("{own}{{{{ [{{'b': ns}}] }}}}"), "nested deeper"),
            (format!("{twice}{{{{ ns.l | tojson }}}}"), "too long"),
            (format!("{twice}{{{{ ns.l | tojson(sort_keys=true) }}}}"), "too long"),
            (format!("{twice}{{{{ ns.l }}}}"), "steps"),
            // 16 MB each, and all are kept.
            (
                "{% set ns = namespace(l=[], s='x' * 9999999) %}{% for i in range(9999) %}{% set ns.l = ns.l + [ns.s | tojson] %}{% endfor %}".into(),
                "steps",
            ),
            // As deep as the steps allow, and it is given up without a word.
            (
                "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% for j in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{% endfor %}".into(),
                "steps",
            ),
            (
                "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l ~ '' }}{{ ns.l }}".into(),
                "nested deeper",
            ),
        ] {
            let error = render(&source).unwrap_err();
            assert!(error.contains(word), "{source}: {error}");
        }
        let fifty = format!("{{{{ {}{} | tojson | length }}}}", "[".repeat(50), "]".repeat(50));
        assert_eq!(render(&fifty).as_deref(), Ok("100"));
    }
}
