//! The page of several methods side by side: what each reached, what is claimed of it, and how it went.

use crate::curve::Panel;
use crate::html::{Text, label, put};
use crate::render::{curves, document, facts, next, notes, replace};
use crate::report::{Fact, NextStep};
use std::io;
use std::path::Path;

/// Most rows of one table.
const MAX_ROWS: usize = 60;

/// A method's numbers, one for each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodRow {
    /// Name.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Value and interval of each column, as people read them; empty where there is none.
    pub cells: Vec<(String, String)>,
}

/// What is claimed of a method, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    /// The method.
    pub method: String,
    /// The claim in words.
    pub says: String,
    /// `yes`, `no`, `unclear`, or why there is no answer.
    pub answer: String,
    /// The numbers behind it.
    pub why: String,
}

/// Several methods from the same start on the same budget, told to a person.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodsReport {
    /// Title.
    pub title: String,
    /// Facts in a row under the headline.
    pub facts: Vec<Fact>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The methods.
    pub rows: Vec<MethodRow>,
    /// What a reader should know; one sentence each.
    pub notes: Vec<String>,
    /// The claims.
    pub claims: Vec<ClaimRow>,
    /// Curves, the most telling first.
    pub panels: Vec<Panel>,
    /// What to do next.
    pub next: Vec<NextStep>,
}

impl MethodsReport {
    /// The report as one self-contained page of bounded size: no network, no scripts, light and dark.
    pub fn to_html(&self) -> String {
        document(&self.title, "Hone · methods side by side.", |o| {
            put!(o, "<header><h1>{}</h1>", label(&self.title));
            facts(o, &self.facts);
            o.push_str("</header>\n");
            self.table(o);
            self.claims(o);
            curves(o, &self.panels);
            next(o, &self.next);
        })
    }

    /// Write the page, replacing `path` in one step.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &self.to_html())
    }

    fn table(&self, o: &mut String) {
        o.push_str(
            "<section><h2>Results</h2><div class=\"scroll\"><table class=\"kinds methods\"><caption>Means over seeds, with Student's \
             95 % intervals.</caption><thead><tr><th scope=\"col\">Method</th>",
        );
        for column in &self.columns {
            put!(o, "<th scope=\"col\" class=\"num\">{}</th>", label(column));
        }
        o.push_str("</tr></thead><tbody>");
        for row in self.rows.iter().take(MAX_ROWS) {
            put!(
                o,
                "<tr><th scope=\"row\">{}<small>{}</small></th>",
                label(&row.name),
                label(&row.about)
            );
            for (value, interval) in row.cells.iter().take(self.columns.len()) {
                put!(
                    o,
                    "<td class=\"num\">{}<small>{}</small></td>",
                    label(value),
                    label(interval)
                );
            }
            o.push_str("</tr>");
        }
        o.push_str("</tbody></table></div>");
        notes(o, &self.notes);
        o.push_str("</section>\n");
    }

    fn claims(&self, o: &mut String) {
        if self.claims.is_empty() {
            return;
        }
        o.push_str(
            "<section><h2>Claims</h2><p class=\"lead\">What each method is said to do, answered by paired differences over \
             seeds.</p><div class=\"scroll\"><table class=\"kinds\"><thead><tr><th scope=\"col\">Method</th>\
             <th scope=\"col\">Claim</th><th scope=\"col\">Answer</th><th scope=\"col\">Why</th></tr></thead><tbody>",
        );
        for row in self.claims.iter().take(MAX_ROWS) {
            put!(
                o,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"strong\">{}</td><td>{}</td></tr>",
                label(&row.method),
                label(&row.says),
                label(&row.answer),
                Text(&row.why, 600)
            );
        }
        o.push_str("</tbody></table></div></section>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Curve, Unit};

    #[test]
    fn a_page_holds_its_tables_and_curves_and_no_markup_of_others() {
        let curve = Curve::new("<b>", vec![(0.0, 0.1), (1.0, 0.9)]).within(vec![(0.0, 0.0, 0.2), (1.0, 0.8, 1.0)]);
        let report = MethodsReport {
            title: "Methods on <i>shop</i>".into(),
            facts: Vec::new(),
            columns: vec!["success".into()],
            rows: vec![MethodRow {
                name: "grpo".into(),
                about: "a & b".into(),
                cells: vec![("91 %".into(), "88 to 94".into())],
            }],
            notes: vec!["note".into()],
            claims: vec![ClaimRow {
                method: "hdpo".into(),
                says: "fewer calls".into(),
                answer: "unclear".into(),
                why: "-0.1".into(),
            }],
            panels: vec![Panel {
                title: "Success".into(),
                about: String::new(),
                x: "tokens".into(),
                unit: Unit::Fraction,
                curves: vec![curve],
            }],
            next: Vec::new(),
        };
        let page = report.to_html();
        for part in ["88 to 94", "fewer calls", "unclear", "spread c0", "a &amp; b"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("<i>shop") && !page.contains("<b></"));
    }
}
