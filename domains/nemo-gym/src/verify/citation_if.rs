//! `citation_if`: citations in the form asked for, of the right sources, and no stray ones.

use super::{Acts, Broken, Server, Verdict};
use crate::pattern::{Pattern, compile, group};
use crate::response::{Item, Response};
use crate::row::Row;
use hone_python::Value;
use hone_python::text::{int, is_alnum, strip};
use std::ops::Range;

/// The server.
pub const SERVER: Server = Server {
    name: "citation_if",
    about: "an answer with citations in the form asked for: enough of them, only of sources that were shown, all that are expected, and no identifier outside of one; or none at all",
    verify: |row, response, _| verify(row, response),
    acts: Acts::Once,
    gold,
};

/// How a citation is written.
struct Form {
    name: &'static str,
    /// What stands before and after the identifiers, as patterns and as text.
    around: [&'static str; 2],
    written: [&'static str; 2],
    /// Whether one holds several identifiers, separated by commas.
    several: bool,
    /// Whether it wraps the claim, which is its second group.
    claim: bool,
    /// Whether it is a tag, which must be as often opened as closed.
    tag: bool,
}

const fn form(name: &'static str, around: [&'static str; 2], written: [&'static str; 2]) -> Form {
    Form {
        name,
        around,
        written,
        several: false,
        claim: false,
        tag: false,
    }
}

const FORMS: &[Form] = &[
    Form {
        several: true,
        tag: true,
        ..form("cite_xml", ["<cite>", "</cite>"], ["<cite>", "</cite>"])
    },
    Form {
        several: true,
        claim: true,
        tag: true,
        ..form(
            "claim_wrap_xml",
            [r#"<cite index=""#, r#"">((?s:.*?))</cite>"#],
            [r#"<cite index=""#, r#"">It is so.</cite>"#],
        )
    },
    // Links of Markdown are no citations.
    form("ascii_brackets", [r"\[", r"\](?!\()"], ["[", "]"]),
    form("fullwidth_brackets", ["【", "】"], ["【", "】"]),
    form("ref_colon", [r"\[ref:", r"\]"], ["[ref:", "]"]),
    form("double_angle", ["<<", ">>"], ["<<", ">>"]),
    form("web_brackets", [r"\[web:", r"\]"], ["[web:", "]"]),
    form("paren_part", [r"\(", r"\)"], ["(", ")"]),
    form("markdown_footnote", [r"\[\^", r"\]"], ["[^", "]"]),
    form("curly_double", [r"\{\{", r"\}\}"], ["{{", "}}"]),
    form("angle_pipe", [r"<ref\|", ">"], ["<ref|", ">"]),
];

// Python takes the dotted capital I and the dotless small one for an `i` of any case.
static ATTEMPT: Pattern = Pattern::new(r"(?i)c[iİı]tat[iİı]on_[A-Za-z0-9_:İı]+");
static OPEN: Pattern = Pattern::new(r"(?i)<c[iİı]te\b");
static CLOSE: Pattern = Pattern::new(r"(?i)</c[iİı]te\s*>");

/// A citation: where it stands, what it cites, and where the claim stands that it wraps.
struct Citation {
    place: Range<usize>,
    ids: Vec<String>,
    claim: Option<Range<usize>>,
}

fn citations(text: &str, form: &Form, id: &str) -> Result<Vec<Citation>, Broken> {
    let ids = match form.several {
        true => format!("(?:{id})(?:,(?:{id}))*"),
        false => format!("(?:{id})"),
    };
    let [before, after] = form.around;
    let regex = compile(&format!("{before}({ids}){after}")).map_err(Broken)?;
    let mut citations = vec![];
    for found in regex.captures_iter(text) {
        let found = found.map_err(|error| Broken(format!("the row's pattern takes too long: {error}")))?;
        if form.claim && strip(group(&found, 2)).is_empty() {
            continue;
        }
        citations.push(Citation {
            place: found.get(0).map_or(0..0, |all| all.range()),
            ids: group(&found, 1).split(',').map(str::to_owned).collect(),
            claim: found.get(2).filter(|_| form.claim).map(|claim| claim.range()),
        });
    }
    Ok(citations)
}

/// The text with these places blank.
fn blank(text: &str, places: impl Iterator<Item = Range<usize>>) -> String {
    let (mut kept, mut at) = (String::new(), 0);
    for place in places {
        kept.push_str(text.get(at..place.start).unwrap_or_default());
        kept.extend(text.get(place.clone()).unwrap_or_default().chars().map(|_| ' '));
        at = place.end;
    }
    kept + text.get(at..).unwrap_or_default()
}

/// What the row asks for.
struct Wanted<'r> {
    form: &'static Form,
    id: &'r str,
    valid: Vec<&'r str>,
    expected: Option<Vec<&'r str>>,
    least: i64,
    slack: i64,
    none: bool,
}

impl<'r> Wanted<'r> {
    /// `None` for a form that the server does not know.
    fn of(row: &'r Row) -> Result<Option<Self>, Broken> {
        let verifier = row
            .get("verifier")
            .filter(|verifier| verifier.as_dict().is_some())
            .ok_or_else(|| Broken::field("verifier"))?;
        let field = |key: &str| verifier.get(key).filter(|value| !value.is_none());
        let text = |key: &str| field(key).and_then(Value::as_str);
        let texts = |value: &'r Value| -> Result<Vec<&'r str>, Broken> {
            let list = value.as_list().ok_or_else(|| Broken::field("verifier"))?;
            list.iter()
                .map(|id| id.as_str().ok_or_else(|| Broken::field("verifier")))
                .collect()
        };
        // `int(…)`, whose default counts only where the key is missing.
        let number = |key: &str| match verifier.get(key) {
            None => Ok(1),
            Some(Value::Str(text)) => int(text)
                .and_then(|n| n.to_i64())
                .ok_or_else(|| Broken::field("verifier")),
            Some(value) => (value.as_i64())
                .or_else(|| value.as_bool().map(i64::from))
                .or_else(|| value.as_f64().filter(|x| x.is_finite()).map(|x| x as i64))
                .ok_or_else(|| Broken::field("verifier")),
        };
        let (least, name) = (number("min_valid_citations")?, text("grammar").unwrap_or_default());
        let Some(form) = FORMS.iter().find(|form| form.name == name) else {
            return Ok(None);
        };
        let kind = text("id_kind").unwrap_or("full_source");
        let expected = field("expected_ids").map(texts).transpose()?;
        let slack = if expected.is_some() {
            number("expected_slack")?
        } else {
            0
        };
        Ok(Some(Self {
            form,
            id: text("id_regex").filter(|id| !id.is_empty()).unwrap_or(match kind {
                "snippet" => "citation_[0-9]+:snippet_[0-9]+",
                _ => "citation_[0-9]+",
            }),
            valid: field("valid_id_set").map(texts).transpose()?.unwrap_or_default(),
            expected,
            least,
            slack,
            none: text("mode") == Some("no_cite"),
        }))
    }
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let Some(wanted) = Wanted::of(row)? else {
        return Ok(Verdict::pass(false, "the row asks for a form that there is not"));
    };
    let texts = response.items.iter().flat_map(|item| match item {
        Item::Message { role, texts } if role == "assistant" => texts.as_slice(),
        _ => &[],
    });
    let texts: Vec<&str> = texts.map(String::as_str).filter(|text| !text.is_empty()).collect();
    let joined = texts.join("\n");
    let text = strip(&joined);
    let fail = |why: &str| Ok(Verdict::pass(false, why));
    let citations = citations(text, wanted.form, wanted.id)?;
    if text.is_empty() || response.calls().next().is_some() {
        return fail("no text, or a call");
    }
    let mut cited: Vec<&str> = vec![];
    for id in citations.iter().flat_map(|citation| &citation.ids) {
        if !cited.contains(&id.as_str()) {
            cited.push(id);
        }
    }
    if wanted.none {
        let any = ATTEMPT.is_match(text) || !citations.is_empty() || (wanted.form.tag && OPEN.is_match(text));
        return Ok(Verdict::pass(!any, if any { "it cites" } else { "it cites nothing" }));
    }
    let markup = citations.iter().flat_map(|citation| {
        let all = &citation.place;
        let claim = citation.claim.clone().unwrap_or(all.end..all.end);
        [all.start..claim.start, claim.end..all.end]
    });
    if !blank(text, markup).chars().any(|c| is_alnum(c) || c == '_') {
        return fail("citations without an answer");
    }
    let rest = blank(text, citations.iter().map(|citation| citation.place.clone()));
    let tags = [OPEN.all(text).len(), CLOSE.all(text).len()];
    if ATTEMPT.is_match(&rest) || (wanted.form.tag && tags != [citations.len(); 2]) {
        return fail("an identifier outside of a citation, or a tag that is not closed");
    }
    let valid = cited.iter().filter(|id| wanted.valid.contains(*id)).count() as i64;
    if valid < wanted.least {
        return fail("too few citations of sources that were shown");
    }
    if valid < cited.len() as i64 {
        return fail("it cites a source that was not shown");
    }
    if let Some(expected) = &wanted.expected {
        if !expected.iter().all(|id| cited.contains(id)) {
            return fail("an expected source is not cited");
        }
        let mut distinct = expected.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if valid > (distinct.len() as i64).saturating_add(wanted.slack) {
            return fail("too many sources are cited");
        }
    }
    Ok(Verdict::pass(true, "cited as asked for"))
}

fn gold(row: &Row) -> Option<Response> {
    let wanted = Wanted::of(row).ok()??;
    if wanted.none {
        return Some(Response::text("It is so."));
    }
    let least = usize::try_from(wanted.least).ok()?;
    let ids = match wanted.expected.clone().filter(|expected| expected.len() >= least) {
        Some(expected) => expected,
        None => wanted.valid.get(..least)?.to_vec(),
    };
    let [before, after] = wanted.form.written;
    let cite = |id: &str| format!(" {before}{id}{after}");
    Some(Response::text(
        ids.into_iter()
            .fold("It is so.".to_owned(), |text, id| text + &cite(id)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(form: &str, more: &str, text: &str) -> f64 {
        let verifier = format!(
            r#"{{"verifier": {{"grammar": "{form}", "id_regex": "citation_[a-z]+", "valid_id_set": ["citation_a", "citation_b"]{more}}}}}"#
        );
        let row = Row {
            index: 0,
            fields: loads(&verifier).unwrap(),
        };
        verify(&row, &Response::text(text)).unwrap().reward
    }

    #[test]
    fn a_citation_wants_an_answer_and_its_form() {
        for (text, expected) in [
            ("It is. [citation_a]", 1.0),
            ("[citation_a] [citation_b]", 0.0),
            ("It is.", 0.0),
            ("It is (citation_a)", 0.0),
            ("It is. [citation_a] Sources: citation_b", 0.0),
            ("It is. [citation_a](http://x)", 0.0),
            ("It is. [citation_a] CİTATION_b", 0.0),
            ("It is. [citation_a] [citation_z]", 0.0),
            ("", 0.0),
        ] {
            assert_eq!(reward("ascii_brackets", "", text), expected, "{text}");
        }
    }

    #[test]
    fn tags_are_counted_and_claims_are_answers() {
        assert_eq!(reward("cite_xml", "", "So <cite>citation_a,citation_b</cite>"), 1.0);
        assert_eq!(reward("cite_xml", "", "So <cite>citation_a, citation_b</cite>"), 0.0);
        assert_eq!(reward("cite_xml", "", "So <cite>citation_a</cite> <cite>"), 0.0);
        // What is wrapped is the answer.
        assert_eq!(
            reward("claim_wrap_xml", "", r#"<cite index="citation_a">So</cite>"#),
            1.0
        );
        assert_eq!(
            reward("claim_wrap_xml", "", r#"<cite index="citation_a"> </cite> So"#),
            0.0
        );
    }

    #[test]
    fn sources_are_expected_or_none_at_all() {
        let expected = r#", "expected_ids": ["citation_a"], "expected_slack": 0"#;
        assert_eq!(reward("double_angle", expected, "So <<citation_a>>"), 1.0);
        assert_eq!(reward("double_angle", expected, "So <<citation_b>>"), 0.0);
        assert_eq!(
            reward("double_angle", expected, "So <<citation_a>> <<citation_b>>"),
            0.0
        );
        let none = r#", "mode": "no_cite""#;
        assert_eq!(reward("cite_xml", none, "So"), 1.0);
        assert_eq!(reward("cite_xml", none, "So <cite "), 0.0);
        assert_eq!(reward("paren_part", none, "So citation_q"), 0.0);
        assert_eq!(reward("unknown", "", "So"), 0.0);
    }
}
