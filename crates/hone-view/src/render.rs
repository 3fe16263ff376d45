//! The page.

use crate::curve::{Panel, duration, percent};
use crate::episodes;
use crate::html::{Text, label, put};
use crate::report::{Fact, NextStep, ResultRow, Role, RunReport};
use crate::svg;
use hone_score::Rate;
use std::io::{self, Write};
use std::path::Path;

/// Most rows, panels and so on of one section.
const MAX_ROWS: usize = 40;

pub(crate) fn page(report: &RunReport) -> String {
    let footer = format!(
        "Hone · recipe <code>{}</code> · seed {}.",
        label(&report.recipe),
        report.seed
    );
    document(&report.title, &footer, |o| {
        head(o, report);
        results(o, report);
        curves(o, &report.panels);
        kinds(o, report);
        episode_pairs(o, report);
        timings(o, report);
        next(o, &report.next);
    })
}

/// A whole page around its sections; `footer` is markup.
pub(crate) fn document(title: &str, footer: &str, sections: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(256 * 1024);
    let o = &mut out;
    put!(
        o,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\
         <title>{}</title><style>{}</style></head><body><main>\n",
        label(title),
        include_str!("style.css"),
    );
    sections(o);
    put!(
        o,
        "<footer><p>{footer} This page needs no network and runs no script.</p></footer></main></body></html>\n"
    );
    out
}

/// Write a page, replacing `path` in one step.
pub(crate) fn replace(path: &Path, page: &str) -> io::Result<()> {
    let draft = path.with_extension("html.part");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(page.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

fn head(o: &mut String, report: &RunReport) {
    put!(
        o,
        "<header><p class=\"eyebrow\"><code>{}</code> <span>seed {}</span></p><h1>{}</h1>",
        label(&report.recipe),
        report.seed,
        label(&report.title)
    );
    headline(o, report);
    facts(o, &report.facts);
    o.push_str("</header>\n");
}

pub(crate) fn facts(o: &mut String, facts: &[Fact]) {
    if facts.is_empty() {
        return;
    }
    o.push_str("<dl class=\"facts\">");
    for fact in facts.iter().take(12) {
        put!(
            o,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            label(&fact.name),
            label(&fact.value)
        );
    }
    o.push_str("</dl>");
}

pub(crate) fn notes(o: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    o.push_str("<ul class=\"notes\">");
    for note in notes.iter().take(MAX_ROWS) {
        put!(o, "<li>{}</li>", Text(note, 600));
    }
    o.push_str("</ul>");
}

/// The main finding: before and after as large figures, and what they amount to in a sentence or two.
fn headline(o: &mut String, report: &RunReport) {
    let rate = |role| report.row(role).and_then(main_rate);
    let (Some(before), Some(after)) = (rate(Role::Start), rate(Role::Result)) else {
        o.push_str("<p class=\"finding\">This run has no evaluation before and after training to compare.</p>");
        return;
    };
    put!(
        o,
        "<p class=\"hero\"><span class=\"from\"><b>{}</b><small>before</small></span>\
         <span class=\"arrow\" aria-label=\"to\">→</span>\
         <span class=\"to\"><b>{}</b><small>after training</small></span></p>",
        whole(before.value),
        whole(after.value)
    );
    let unchanged = !after.apart(&before);
    let verb = match after.value - before.value {
        _ if unchanged => "did not change beyond chance",
        d if d > 0.0 => "rose",
        _ => "fell",
    };
    put!(
        o,
        "<p class=\"finding\">Success on {} held-out tasks of {} {verb}: {} before, {} after (95 % interval {} to {}).",
        report.heldout,
        label(&report.taskset),
        whole(before.value),
        whole(after.value),
        whole(after.lo),
        whole(after.hi)
    );
    if let (Some(row), Some(control)) = (report.row(Role::Control), rate(Role::Control)) {
        let gain = after.value - control.value;
        let certain = if after.apart(&control) {
            ""
        } else {
            ", a difference within chance"
        };
        put!(
            o,
            " That is <b>{} points {}</b> {} ({}){certain}.",
            points(gain.abs()),
            if gain < 0.0 { "below" } else { "above" },
            label(&row.name),
            whole(control.value)
        );
    }
    o.push_str("</p>");
}

/// A percentage that no line break cuts.
pub(crate) fn whole(fraction: f64) -> String {
    percent(fraction).replace(' ', "&nbsp;")
}

/// The rate to quote for an agent: greedy decoding, where there is one.
fn main_rate(row: &ResultRow) -> Option<Rate> {
    row.greedy.or(row.sampled)
}

fn points(difference: f64) -> String {
    percent(difference).trim_end_matches(" %").to_owned()
}

fn results(o: &mut String, report: &RunReport) {
    if report.results.is_empty() {
        return;
    }
    put!(
        o,
        "<section><h2>Results</h2><div class=\"scroll\"><table class=\"results\"><caption>Share of {} held-out tasks \
         solved, with 95 % intervals. <span class=\"key\"><i class=\"full\"></i> greedy</span> \
         <span class=\"key\"><i class=\"ring\"></i> sampled at temperature 1</span></caption>\
         <thead><tr><th scope=\"col\">Agent</th><th scope=\"col\" class=\"num\">Greedy</th>\
         <th scope=\"col\" class=\"num\">T = 1</th>\
         <th scope=\"col\" class=\"scale\" aria-hidden=\"true\"><span>0 %</span><span>50 %</span><span>100 %</span></th>\
         </tr></thead>",
        report.heldout
    );
    let is_model = |row: &&ResultRow| !matches!(row.role, Role::Bound | Role::Baseline);
    let (model, scripts): (Vec<_>, Vec<_>) = report.results.iter().take(MAX_ROWS).partition(is_model);
    for (heading, rows) in [("The model", model), ("To compare with", scripts)] {
        if rows.is_empty() {
            continue;
        }
        put!(
            o,
            "<tbody><tr class=\"group\"><th colspan=\"4\" scope=\"rowgroup\">{heading}</th></tr>"
        );
        for row in rows {
            result_row(o, row);
        }
        o.push_str("</tbody>");
    }
    o.push_str("</table></div>");
    notes(o, &report.notes);
    o.push_str("</section>\n");
}

fn result_row(o: &mut String, row: &ResultRow) {
    let class = match row.role {
        Role::Result => "result",
        Role::Control => "control",
        Role::Stage => "stage",
        Role::Start => "start",
        Role::Bound | Role::Baseline => "script",
    };
    put!(
        o,
        "<tr class=\"{class}\"><th scope=\"row\">{}<small>{}</small></th>",
        label(&row.name),
        label(&row.about)
    );
    for rate in [&row.greedy, &row.sampled] {
        // A script plays in one way only: it has nothing to miss in the other column.
        let text = if rate.is_none() && class == "script" {
            String::new()
        } else {
            interval(rate.as_ref())
        };
        put!(o, "<td class=\"num\">{text}</td>");
    }
    put!(
        o,
        "<td class=\"where\">{}</td></tr>",
        svg::rate_strip(row.greedy.as_ref(), row.sampled.as_ref(), class)
    );
}

fn interval(rate: Option<&Rate>) -> String {
    let Some(rate) = rate else {
        return "<span class=\"quiet\">–</span>".into();
    };
    let end = |v: f64| format!("{:.0}", v * 100.0);
    format!(
        "{}<small>{} to {}</small>",
        percent(rate.value),
        end(rate.lo),
        end(rate.hi)
    )
}

pub(crate) fn curves(o: &mut String, panels: &[Panel]) {
    let drawn: Vec<_> = panels
        .iter()
        .take(MAX_ROWS)
        .enumerate()
        .filter_map(|(id, panel)| Some((panel, svg::panel(panel, id)?)))
        .collect();
    if drawn.is_empty() {
        return;
    }
    o.push_str("<section><h2>Learning curves</h2>");
    if drawn.iter().any(|(panel, _)| svg::is_smoothed(panel)) {
        o.push_str("<p class=\"lead\">Faint lines are single steps, strong lines their running mean. Point at a plot to read its values.</p>");
    }
    o.push_str("<div class=\"panels\">");
    for (panel, drawing) in drawn {
        put!(
            o,
            "<figure class=\"panel\"><figcaption><h3>{}</h3><p>{}</p></figcaption>{drawing}<p class=\"legend\">",
            label(&panel.title),
            label(&panel.about)
        );
        for (index, curve) in panel.curves.iter().take(svg::MAX_CURVES).enumerate() {
            if let Some(last) = curve.last() {
                put!(
                    o,
                    "<span><i class=\"k{index}\"></i>{} <b>{}</b></span>",
                    label(&curve.name),
                    label(&panel.unit.show(last))
                );
            }
        }
        o.push_str("</p></figure>\n");
    }
    o.push_str("</div></section>\n");
}

fn kinds(o: &mut String, report: &RunReport) {
    if report.kinds.is_empty() {
        return;
    }
    o.push_str(
        "<section><h2>By kind of task</h2><div class=\"scroll\"><table class=\"kinds\"><caption>Held-out success, the \
         weakest kinds after training first. <span class=\"key\"><i class=\"before\"></i> before</span> \
         <span class=\"key\"><i class=\"after\"></i> after</span></caption><thead><tr><th scope=\"col\">Kind</th>\
         <th scope=\"col\" class=\"num\">Tasks</th><th scope=\"col\" class=\"num\">Before</th>\
         <th scope=\"col\" class=\"num\">After</th><th aria-hidden=\"true\"></th></tr></thead><tbody>",
    );
    let mut rows: Vec<_> = report.kinds.iter().collect();
    rows.sort_by(|a, b| {
        let key = |v: Option<f64>| v.unwrap_or(f64::INFINITY);
        key(a.after).total_cmp(&key(b.after)).then_with(|| a.kind.cmp(&b.kind))
    });
    let show = |v: Option<f64>| v.map_or("–".into(), percent);
    for row in rows.iter().take(MAX_ROWS) {
        put!(
            o,
            "<tr><th scope=\"row\">{}</th><td class=\"num quiet\">{}</td><td class=\"num\">{}</td>\
             <td class=\"num strong\">{}</td><td class=\"where\">{}</td></tr>",
            label(&row.kind),
            row.tasks,
            show(row.before),
            show(row.after),
            svg::bar_pair(row.before, row.after)
        );
    }
    o.push_str("</tbody></table></div>");
    left_out(o, rows.len(), MAX_ROWS, "kinds");
    o.push_str("</section>\n");
}

pub(crate) fn left_out(o: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        put!(
            o,
            "<p class=\"quiet\">{} more {what} are in the run's record.</p>",
            all - shown
        );
    }
}

fn episode_pairs(o: &mut String, report: &RunReport) {
    if report.episodes.is_empty() {
        return;
    }
    o.push_str(
        "<section><h2>Held-out episodes, before and after</h2><p class=\"lead\">The same task, played by the untrained \
         and by the trained model: every tool call with what came back.</p>",
    );
    let shown = episodes::pairs(o, &report.episodes);
    left_out(o, report.episodes.len(), shown, "episodes");
    o.push_str("</section>\n");
}

fn timings(o: &mut String, report: &RunReport) {
    let known: Vec<_> = report
        .timings
        .iter()
        .filter(|t| t.seconds.is_finite() && t.seconds >= 0.0)
        .take(MAX_ROWS)
        .collect();
    if known.is_empty() {
        return;
    }
    let total: f64 = known.iter().map(|t| t.seconds).sum();
    let parts: Vec<(String, f64)> = known
        .iter()
        .map(|t| (format!("{}: {}", t.phase, duration(t.seconds)), t.seconds))
        .collect();
    put!(
        o,
        "<section><h2>Where the time went</h2><p class=\"lead\">{} in all.</p>{}<ul class=\"times\">",
        duration(total),
        svg::stacked(&parts, "Time by phase")
    );
    for (index, time) in known.iter().enumerate() {
        put!(
            o,
            "<li><i class=\"k{}\"></i>{} <b>{}</b></li>",
            index % svg::MAX_CURVES,
            label(&time.phase),
            duration(time.seconds)
        );
    }
    o.push_str("</ul></section>\n");
}

pub(crate) fn next(o: &mut String, steps: &[NextStep]) {
    if steps.is_empty() {
        return;
    }
    o.push_str("<section><h2>Next</h2><ul class=\"next\">");
    for step in steps.iter().take(MAX_ROWS) {
        put!(
            o,
            "<li><span>{}</span><code>{}</code></li>",
            label(&step.what),
            label(&step.command)
        );
    }
    o.push_str("</ul></section>\n");
}
