//! Bytes of a page as text.

use super::address::Target;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use std::panic::catch_unwind;

/// Width to which HTML is laid out, in characters.
const WIDTH: usize = 100;
/// Where a page says its charset, in bytes from its beginning (the HTML standard's own bound).
const PRESCAN: usize = 1024;
/// Deepest nesting that is laid out: laying out takes the square of it, and pages of people stay far below.
const MAX_DEPTH: usize = 500;
/// Elements that have no end, or that the next of their kind ends.
const SHALLOW: [&str; 26] = [
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option", "p",
    "param", "rp", "rt", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "wbr",
];
/// Longest title that is told, in characters.
const TITLE: usize = 200;

/// A page as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Title, of HTML that has one.
    pub title: Option<String>,
    /// The text; of HTML with the addresses of its links at the end.
    pub text: String,
}

/// A media type in lower case without its parameters, and its charset if it names one.
pub fn media_type(header: &str) -> (String, Option<String>) {
    let mut parts = header.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    (kind, charset)
}

/// Whether things of that type can be read as text.
pub fn is_text(kind: &str) -> bool {
    let named = [
        "application/json",
        "application/xml",
        "application/javascript",
        "application/x-ndjson",
        "application/yaml",
    ];
    kind.starts_with("text/") || kind.ends_with("+xml") || kind.ends_with("+json") || named.contains(&kind)
}

/// Make text of what came from `from`.
///
/// # Errors
/// What is wrong with it.
pub fn page(from: &Target, kind: &str, charset: Option<&str>, bytes: &[u8]) -> Result<Page, String> {
    let html = matches!(kind, "text/html" | "application/xhtml+xml");
    let text = decoded(charset, html, bytes);
    if !html {
        return Ok(Page { title: None, text });
    }
    if depth(&text) > MAX_DEPTH {
        return Err(format!(
            "the page's HTML is nested more than {MAX_DEPTH} deep, too deep to be laid out; use another page"
        ));
    }
    // The library panics on tables whose cells span what is not there.
    let laid_out = catch_unwind(|| {
        html2text::config::plain()
            .link_footnotes(true)
            .no_link_wrapping()
            .no_table_borders()
            .allow_width_overflow()
            .string_from_read(text.as_bytes(), WIDTH)
    });
    let laid_out = match laid_out {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(format!("the page's HTML cannot be laid out ({error})")),
        Err(_) => return Err("the page's HTML cannot be laid out; use another page".to_owned()),
    };
    Ok(Page {
        title: title(&text),
        text: with_whole_links(from, &laid_out),
    })
}

/// By the mark at the beginning, the header, what the page says itself, and else UTF-8 or what stands for it (the order of the
/// Encoding Standard).
fn decoded(charset: Option<&str>, html: bool, bytes: &[u8]) -> String {
    let named = |label: &str| Encoding::for_label(label.as_bytes());
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let said = || {
        let start = &bytes[..bytes.len().min(PRESCAN)];
        let start = String::from_utf8_lossy(start).to_ascii_lowercase();
        let (_, rest) = start.split_once("charset=").filter(|_| html)?;
        let label: String = rest
            .trim_start_matches(['"', '\''])
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "-_:".contains(*c))
            .collect();
        // A page that can be read so far is not in UTF-16, whatever it says.
        named(&label).map(|encoding| {
            if encoding.is_ascii_compatible() {
                encoding
            } else {
                UTF_8
            }
        })
    };
    let usual = || {
        if std::str::from_utf8(bytes).is_ok() {
            UTF_8
        } else {
            WINDOWS_1252
        }
    };
    let encoding = marked.or_else(|| named(charset?)).or_else(said).unwrap_or_else(usual);
    encoding.decode(bytes).0.into_owned()
}

/// How many elements are open at once, at most, by counting tags.
fn depth(html: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for piece in html.split('<').skip(1) {
        let (ends, rest) = piece.strip_prefix('/').map_or((false, piece), |rest| (true, rest));
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        if name.is_empty() || SHALLOW.contains(&name.as_str()) {
            continue;
        }
        open = if ends { open.saturating_sub(1) } else { open + 1 };
        deepest = deepest.max(open);
    }
    deepest
}

fn title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    // Entities, without a decoder of our own.
    let inner: String = html[start..end].chars().take(4 * TITLE).collect();
    let plain = html2text::config::plain_no_decorate()
        .string_from_read(inner.replace('<', "&lt;").as_bytes(), 4 * TITLE)
        .ok()?;
    let words: Vec<&str> = plain.split_whitespace().collect();
    let title: String = words.join(" ").chars().take(TITLE).collect();
    (!title.is_empty()).then_some(title)
}

/// The links below the text, `[1]: /path`, as whole addresses that can be fetched.
fn with_whole_links(from: &Target, text: &str) -> String {
    let lines = text.lines().map(|line| {
        let link = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        match link.filter(|(number, _)| number.parse::<u32>().is_ok()) {
            Some((number, reference)) => match from.absolute(reference) {
                Some(whole) => format!("[{number}]: {whole}"),
                None => line.to_owned(),
            },
            None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn html(text: &str) -> Page {
        let from = Target::parse("http://example.org/a/b").unwrap();
        page(&from, "text/html", Some("utf-8"), text.as_bytes()).unwrap()
    }

    #[test]
    fn html_becomes_text_with_links() {
        let page = html(
            "<html><head><title>A &amp; B\n C</title><style>p {}</style><script>alert(1)</script></head><body><h1>Head</h1>\
             <p>Some <b>words</b> &euro; and <a href='../c?x=1'>a link</a>.</p><ul><li>one<li>two</ul>\
             <table><tr><td>left</td><td>right</td></tr></table></body></html>",
        );
        assert_eq!(page.title.as_deref(), Some("A & B C"));
        for part in [
            "# Head",
            "€ and [a link][1].",
            "* one",
            "left",
            "right",
            "[1]: http://example.org/c?x=1",
        ] {
            assert!(page.text.contains(part), "{part:?} is not in {:?}", page.text);
        }
        assert!(
            !page.text.contains("alert") && !page.text.contains("p {}"),
            "{}",
            page.text
        );
    }

    #[test]
    fn charsets_are_found() {
        let from = Target::parse("http://example.org/").unwrap();
        let read = |kind: &str, charset: Option<&str>, bytes: &[u8]| page(&from, kind, charset, bytes).unwrap().text;
        assert_eq!(read("text/plain", Some("iso-8859-1"), b"gr\xfc\xdfe"), "grüße");
        assert_eq!(read("text/plain", Some("shift_jis"), b"\x93\xfa\x96\x7b"), "日本");
        assert_eq!(read("text/plain", Some("no-such-charset"), "grüße".as_bytes()), "grüße");
        assert_eq!(
            read("text/plain", None, b"gr\xfc\xdfe"),
            "grüße",
            "what is no UTF-8 is Windows' Latin"
        );
        assert_eq!(
            read("text/plain", Some("latin1"), b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe"),
            "grüße",
            "the mark wins"
        );
        assert_eq!(read("text/plain", None, b"\xff\xfea\x00b\x00"), "ab");
        assert_eq!(read("text/html", None, b"<meta charset=windows-1251>\xef\xf0"), "пр");
        assert_eq!(read("text/html", None, "<meta charset=\"utf-16\">ä".as_bytes()), "ä");
        assert_eq!(
            media_type("Text/HTML; Charset=\"UTF-8\""),
            ("text/html".to_owned(), Some("UTF-8".to_owned()))
        );
    }

    #[test]
    fn hostile_html_ends_soon() {
        let deep = |tag: &str, times: usize| format!("<{tag}>").repeat(times) + "x";
        for (name, text) in [
            ("divs", deep("div", 100_000)),
            ("bolds", deep("b", 20_000)),
            ("links", deep("a href=x", 20_000)),
            ("lists", deep("ul><li", 20_000)),
            ("quotes", deep("blockquote", 20_000)),
            ("tables", deep("table><tr><td", 5_000)),
            ("cells", format!("<table><tr>{}</table>", "<td>x".repeat(100_000))),
            (
                "spans",
                "<table><tr><td colspan=4294967295>x<td rowspan=99999999>y</table>".repeat(100),
            ),
            ("unclosed", "<".repeat(500_000)),
            ("entities", "&".repeat(500_000)),
            ("attributes", format!("<p {}>x", "a=b ".repeat(200_000))),
            ("titles", "<title>".repeat(100_000)),
            ("long word", "x".repeat(1_000_000)),
            ("nothing", "\0".repeat(1000)),
        ] {
            let started = Instant::now();
            let from = Target::parse("http://example.org/").unwrap();
            let _ = page(&from, "text/html", None, text.as_bytes());
            assert!(started.elapsed().as_secs() < 20, "{name} took {:?}", started.elapsed());
        }
    }
}
