//! The page of an evaluation: how well one model does, beside what scripts reach, and why it fails.

use crate::curve::percent;
use crate::episodes;
use crate::html::{Text, label, put};
use crate::render::{document, facts, left_out, next, notes, replace, whole};
use crate::report::{Fact, NextStep};
use crate::svg;
use hone_score::{Failure, Rate};
use hone_trace::Episode;
use std::io;
use std::path::Path;

/// Most rows of one table.
const MAX_ROWS: usize = 60;
/// Most episodes on the page.
pub const MAX_EPISODES: usize = 24;

/// A row with a success rate: the model, a script, a kind of task.
#[derive(Clone, Debug, PartialEq)]
pub struct RateRow {
    /// Name.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// Its success.
    pub rate: Rate,
}

/// A part of a whole: a reason for an end, a class of failures.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareRow {
    /// Name.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// How many.
    pub n: u64,
}

/// A number and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberRow {
    /// Name, as in results.
    pub name: String,
    /// Value with its unit.
    pub value: String,
    /// How it is computed.
    pub formula: String,
}

/// An episode with what is known of its failure.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedEpisode {
    /// The episode.
    pub episode: Episode,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// An evaluation, told to a person. [`EvalReport::to_html`] makes the page.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalReport {
    /// Taskset.
    pub taskset: String,
    /// Who played.
    pub model: String,
    /// Seed.
    pub seed: u64,
    /// Success; `None` if no episode counts.
    pub success: Option<Rate>,
    /// Facts in a row under the headline (about six).
    pub facts: Vec<Fact>,
    /// Why the result should not be believed as it stands.
    pub alarms: Vec<String>,
    /// What a reader should know; one sentence each.
    pub notes: Vec<String>,
    /// What scripts reach on the same tasks.
    pub baselines: Vec<RateRow>,
    /// Success by kind of task.
    pub kinds: Vec<RateRow>,
    /// Failed episodes by class of failure.
    pub failures: Vec<ShareRow>,
    /// Counted episodes by reason for their end.
    pub ends: Vec<ShareRow>,
    /// Everything else that was measured.
    pub numbers: Vec<NumberRow>,
    /// Episodes to look at, in the order in which to show them.
    pub episodes: Vec<JudgedEpisode>,
    /// How many episodes there are in all.
    pub recorded: u64,
    /// What to do next.
    pub next: Vec<NextStep>,
}

impl EvalReport {
    /// The report as one self-contained page: no network, no scripts, light and dark.
    ///
    /// Its size is bounded (a few MB) whatever the run holds; what was left out is said on the page.
    pub fn to_html(&self) -> String {
        let title = format!("{} on {}", self.model, self.taskset);
        let footer = format!(
            "Hone · taskset <code>{}</code> · seed {}.",
            label(&self.taskset),
            self.seed
        );
        document(&title, &footer, |o| {
            self.head(o, &title);
            self.results(o);
            shares(
                o,
                "Why it failed",
                "Failed episodes by class, one class each, decided by rules from the record.",
                &self.failures,
            );
            rates(
                o,
                "By kind of task",
                "Success, the weakest kinds first.",
                "Kind",
                &self.kinds,
            );
            shares(o, "How episodes ended", "All episodes that count.", &self.ends);
            self.numbers(o);
            self.episodes(o);
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

    fn head(&self, o: &mut String, title: &str) {
        put!(
            o,
            "<header><p class=\"eyebrow\"><code>{}</code> <span>seed {}</span></p><h1>{}</h1>",
            label(&self.taskset),
            self.seed,
            label(title)
        );
        match self.success {
            Some(rate) => put!(
                o,
                "<p class=\"hero\"><span class=\"to\"><b>{}</b><small>of {} episodes succeeded</small></span></p>\
                 <p class=\"finding\">The 95 % interval is {} to {}.</p>",
                whole(rate.value),
                rate.n,
                whole(rate.lo),
                whole(rate.hi)
            ),
            None => o.push_str("<p class=\"finding\">No episode counts, so nothing was measured.</p>"),
        }
        for alarm in self.alarms.iter().take(MAX_ROWS) {
            put!(
                o,
                "<p class=\"alarm\" role=\"alert\"><b>Alarm:</b> {}</p>",
                Text(alarm, 600)
            );
        }
        facts(o, &self.facts);
        o.push_str("</header>\n");
    }

    fn results(&self, o: &mut String) {
        let Some(rate) = self.success else { return };
        put!(
            o,
            "<section><h2>Beside the scripts</h2><div class=\"scroll\"><table class=\"results\"><caption>Share of the same \
             tasks solved, with 95 % intervals.</caption>{}",
            scale("Player")
        );
        let model = RateRow {
            name: self.model.clone(),
            about: "the model".into(),
            rate,
        };
        rate_row(o, &model, "result");
        for row in self.baselines.iter().take(MAX_ROWS) {
            rate_row(o, row, "script");
        }
        o.push_str("</tbody></table></div>");
        notes(o, &self.notes);
        o.push_str("</section>\n");
    }

    fn numbers(&self, o: &mut String) {
        if self.numbers.is_empty() {
            return;
        }
        o.push_str(
            "<section><h2>Numbers</h2><div class=\"scroll\"><table class=\"numbers\"><caption><code>hone metrics</code> \
             says what each is over, and where it comes from.</caption><thead><tr><th scope=\"col\">Number</th>\
             <th scope=\"col\" class=\"num\">Value</th><th scope=\"col\">How it is computed</th></tr></thead><tbody>",
        );
        for row in self.numbers.iter().take(MAX_ROWS) {
            put!(
                o,
                "<tr><th scope=\"row\"><code>{}</code></th><td class=\"num strong\">{}</td><td class=\"quiet\">{}</td></tr>",
                label(&row.name),
                label(&row.value),
                label(&row.formula)
            );
        }
        o.push_str("</tbody></table></div>");
        left_out(o, self.numbers.len(), MAX_ROWS, "numbers");
        o.push_str("</section>\n");
    }

    fn episodes(&self, o: &mut String) {
        if self.episodes.is_empty() {
            return;
        }
        o.push_str(
            "<section><h2>Episodes</h2><p class=\"lead\">Failed ones first, of each class of failure and kind of task some: \
             every tool call with what came back.</p>",
        );
        let shown = episodes::judged(o, &self.episodes);
        left_out(o, self.recorded as usize, shown, "episodes");
        o.push_str("</section>\n");
    }
}

fn scale(first: &str) -> String {
    format!(
        "<thead><tr><th scope=\"col\">{first}</th><th scope=\"col\" class=\"num\">Episodes</th>\
         <th scope=\"col\" class=\"num\">Success</th><th scope=\"col\" class=\"scale\" aria-hidden=\"true\"><span>0 %</span>\
         <span>50 %</span><span>100 %</span></th></tr></thead><tbody>"
    )
}

fn rate_row(o: &mut String, row: &RateRow, class: &str) {
    put!(
        o,
        "<tr class=\"{class}\"><th scope=\"row\">{}<small>{}</small></th><td class=\"num quiet\">{}</td>\
         <td class=\"num\">{}<small>{:.0} to {:.0}</small></td><td class=\"where\">{}</td></tr>",
        label(&row.name),
        label(&row.about),
        row.rate.n,
        percent(row.rate.value),
        100.0 * row.rate.lo,
        100.0 * row.rate.hi,
        svg::rate_strip(Some(&row.rate), None, class)
    );
}

fn rates(o: &mut String, title: &str, about: &str, first: &str, rows: &[RateRow]) {
    if rows.is_empty() {
        return;
    }
    put!(
        o,
        "<section><h2>{title}</h2><div class=\"scroll\"><table class=\"results kinds\"><caption>{about}</caption>{}",
        scale(first)
    );
    let mut rows: Vec<&RateRow> = rows.iter().collect();
    rows.sort_by(|a, b| a.rate.value.total_cmp(&b.rate.value).then_with(|| a.name.cmp(&b.name)));
    for row in rows.iter().take(MAX_ROWS) {
        rate_row(o, row, "plain");
    }
    o.push_str("</tbody></table></div>");
    left_out(o, rows.len(), MAX_ROWS, "kinds");
    o.push_str("</section>\n");
}

fn shares(o: &mut String, title: &str, about: &str, rows: &[ShareRow]) {
    if rows.is_empty() {
        return;
    }
    put!(
        o,
        "<section><h2>{title}</h2><div class=\"scroll\"><table class=\"shares\"><caption>{about}</caption><thead><tr>\
         <th scope=\"col\">What</th><th scope=\"col\" class=\"num\">Episodes</th><th scope=\"col\" class=\"num\">Share</th>\
         <th aria-hidden=\"true\"></th></tr></thead><tbody>"
    );
    let all: u64 = rows.iter().map(|row| row.n).sum();
    for row in rows.iter().take(MAX_ROWS) {
        let share = row.n as f64 / all.max(1) as f64;
        put!(
            o,
            "<tr><th scope=\"row\">{}<small>{}</small></th><td class=\"num quiet\">{}</td><td class=\"num strong\">{}</td>\
             <td class=\"where\">{}</td></tr>",
            label(&row.name),
            label(&row.about),
            row.n,
            percent(share),
            svg::bar(share)
        );
    }
    o.push_str("</tbody></table></div></section>\n");
}
