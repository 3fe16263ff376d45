//! Drawings for the page. They hold no script: what appears on hovering is there from the start and shown by style.

use crate::curve::{Axis, Panel, downsample, percent, running_mean, short};
use crate::html::{label, put};
use hone_score::Rate;

/// Size of a panel's drawing, and of the plot within.
const SIZE: (f64, f64) = (360.0, 208.0);
const PLOT: Rect = Rect {
    left: 46.0,
    top: 22.0,
    right: 350.0,
    bottom: 176.0,
};
/// Most curves in a panel: as many as there are colours.
pub(crate) const MAX_CURVES: usize = 5;
/// Buckets of a curve; each keeps two points at most.
const BUCKETS: usize = 180;
/// Most places on the x axis that answer to hovering.
const MAX_BANDS: usize = 60;
/// With more points than this, a curve is drawn as its running mean over the faint original.
const NOISY: usize = 48;

struct Rect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

/// Whether any curve of the panel is drawn as a running mean.
pub(crate) fn is_smoothed(panel: &Panel) -> bool {
    panel.curves.iter().take(MAX_CURVES).any(|c| c.points.len() > NOISY)
}

/// The drawing of a panel; `id` makes its ids unique on the page. `None` when there is nothing to draw.
pub(crate) fn panel(panel: &Panel, id: usize) -> Option<String> {
    let (x_lo, x_hi) = panel.x_range()?;
    let x = Axis::within(x_lo, x_hi, 5);
    let y = panel.y_axis(4)?;
    let at = |(px, py): (f64, f64)| {
        let left = PLOT.left + x.place(px) * (PLOT.right - PLOT.left);
        let top = PLOT.bottom - y.place(py) * (PLOT.bottom - PLOT.top);
        (left, top)
    };
    let mut out = String::new();
    let o = &mut out;
    put!(
        o,
        "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"p{id}t p{id}d\">\
         <title id=\"p{id}t\">{}</title><desc id=\"p{id}d\">{}</desc>",
        SIZE.0,
        SIZE.1,
        label(&panel.title),
        label(&describe(panel)),
    );
    for tick in &y.ticks {
        let (_, top) = at((x.lo, *tick));
        put!(
            o,
            "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{top:.1}\" y2=\"{top:.1}\"/>",
            PLOT.left,
            PLOT.right
        );
        let text = if matches!(panel.unit, crate::curve::Unit::Fraction) {
            percent(*tick)
        } else {
            short(*tick)
        };
        put!(
            o,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            PLOT.left - 7.0,
            top + 3.5
        );
    }
    put!(
        o,
        "<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>",
        PLOT.left,
        PLOT.right,
        PLOT.bottom
    );
    for tick in &x.ticks {
        let (left, _) = at((*tick, y.lo));
        put!(
            o,
            "<line class=\"axis\" x1=\"{left:.1}\" x2=\"{left:.1}\" y1=\"{}\" y2=\"{}\"/>",
            PLOT.bottom,
            PLOT.bottom + 4.0
        );
        let anchor = if left > PLOT.right - 12.0 { "end" } else { "middle" };
        let left = if anchor == "end" { left + 6.0 } else { left };
        put!(
            o,
            "<text class=\"tick\" x=\"{left:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            PLOT.bottom + 17.0,
            short(*tick)
        );
    }
    put!(
        o,
        "<text class=\"tick name\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        (PLOT.left + PLOT.right) / 2.0,
        SIZE.1 - 2.0,
        label(&panel.x)
    );
    for (index, curve) in panel.curves.iter().take(MAX_CURVES).enumerate().rev() {
        if let Some(area) = area(&curve.band, at) {
            put!(o, "<path class=\"spread c{index}\" d=\"{area}\"/>");
        }
    }
    // The most important curve comes first and lies on top.
    for (index, curve) in panel.curves.iter().take(MAX_CURVES).enumerate().rev() {
        let points = downsample(&curve.points, BUCKETS);
        if curve.points.len() > NOISY {
            put!(o, "<path class=\"raw c{index}\" d=\"{}\"/>", path(&points, at));
            let mean = running_mean(&curve.points, (curve.points.len() / 40).max(2));
            put!(
                o,
                "<path class=\"line c{index}\" d=\"{}\"/>",
                path(&downsample(&mean, BUCKETS), at)
            );
            continue;
        }
        put!(o, "<path class=\"line c{index}\" d=\"{}\"/>", path(&points, at));
        for point in points.iter().filter(|p| p.1.is_finite()).filter(|_| points.len() <= 24) {
            let (left, top) = at(*point);
            put!(
                o,
                "<circle class=\"dot c{index}\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"2.6\"/>"
            );
        }
    }
    bands(o, panel, at);
    out.push_str("</svg>");
    Some(out)
}

/// Invisible columns over the plot; the one under the pointer shows a guide and the values there.
fn bands(o: &mut String, panel: &Panel, at: impl Fn((f64, f64)) -> (f64, f64)) {
    let curves = &panel.curves[..panel.curves.len().min(MAX_CURVES)];
    let Some(longest) = curves.iter().max_by_key(|c| c.points.len()) else {
        return;
    };
    let finite: Vec<(f64, f64)> = longest.points.iter().copied().filter(|p| p.0.is_finite()).collect();
    let count = finite.len().min(MAX_BANDS);
    let stops: Vec<f64> = (0..count)
        .map(|i| finite[i * (finite.len() - 1) / (count - 1).max(1)].0)
        .collect();
    let places: Vec<f64> = stops.iter().map(|x| at((*x, 0.0)).0).collect();
    for (i, (stop, place)) in stops.iter().zip(&places).enumerate() {
        let from = if i == 0 {
            PLOT.left
        } else {
            (places[i - 1] + place) / 2.0
        };
        let to = if i + 1 == count {
            PLOT.right
        } else {
            (place + places[i + 1]) / 2.0
        };
        if to - from < 0.05 {
            continue;
        }
        let mut said = format!("{} {}", panel.x, short(*stop));
        for curve in curves {
            // The value at or last before this x.
            let seen = curve.points.partition_point(|p| p.0 <= *stop);
            let known = curve.points[..seen].iter().rev().find(|p| p.1.is_finite());
            if let Some((_, value)) = known {
                let name = if curves.len() > 1 { curve.name.as_str() } else { "" };
                put!(
                    &mut said,
                    " · {name}{}{}",
                    if name.is_empty() { "" } else { " " },
                    panel.unit.show(*value)
                );
            }
        }
        put!(
            o,
            "<g class=\"band\"><rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{}\"/>\
             <line x1=\"{place:.1}\" x2=\"{place:.1}\" y1=\"{}\" y2=\"{}\"/>\
             <text x=\"{right}\" y=\"12\" text-anchor=\"end\">{said}</text><title>{said}</title></g>",
            to - from,
            PLOT.bottom,
            PLOT.top,
            PLOT.bottom,
            right = PLOT.right,
            said = label(&said),
        );
    }
}

/// A path through the points; a point that is not finite lifts the pen.
fn path(points: &[(f64, f64)], at: impl Fn((f64, f64)) -> (f64, f64)) -> String {
    let mut d = String::new();
    let mut pen = 'M';
    for point in points {
        if !(point.0.is_finite() && point.1.is_finite()) {
            pen = 'M';
            continue;
        }
        let (left, top) = at(*point);
        put!(&mut d, "{pen}{left:.1} {top:.1}");
        pen = 'L';
    }
    d
}

/// The outline of a band: along its upper ends and back along the lower ones. `None` for fewer than two places.
fn area(band: &[(f64, f64, f64)], at: impl Fn((f64, f64)) -> (f64, f64)) -> Option<String> {
    let known = |(x, low, high): &&(f64, f64, f64)| x.is_finite() && low.is_finite() && high.is_finite();
    let kept: Vec<_> = band.iter().filter(known).collect();
    let step = kept.len().div_ceil(BUCKETS).max(1);
    let kept: Vec<_> = kept.into_iter().step_by(step).collect();
    if kept.len() < 2 {
        return None;
    }
    let upper = kept.iter().map(|(x, _, high)| (*x, *high));
    let lower = kept.iter().rev().map(|(x, low, _)| (*x, *low));
    let all: Vec<_> = upper.chain(lower).collect();
    Some(path(&all, at) + "Z")
}

/// A panel in words, for those who hear the page.
fn describe(panel: &Panel) -> String {
    let mut words = Vec::new();
    for curve in panel.curves.iter().take(MAX_CURVES) {
        let finite: Vec<f64> = curve.points.iter().map(|p| p.1).filter(|y| y.is_finite()).collect();
        if let (Some(first), Some(last)) = (finite.first(), finite.last()) {
            let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
            let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let show = |v| panel.unit.show(v);
            words.push(format!(
                "{}: from {} to {}, lowest {}, highest {}",
                curve.name,
                show(*first),
                show(*last),
                show(low),
                show(high)
            ));
        }
    }
    words.join("; ")
}

/// Where a fraction lies on a strip that is as wide as its cell, in percent; the ends leave room for a dot.
fn across(fraction: f64) -> f64 {
    3.0 + 94.0 * fraction.clamp(0.0, 1.0)
}

/// Success rates with their intervals on a 0 to 100 % strip: greedy above as a full dot, sampled below as a ring.
pub(crate) fn rate_strip(greedy: Option<&Rate>, sampled: Option<&Rate>, class: &str) -> String {
    let mut out = String::from("<svg class=\"strip\" height=\"30\" width=\"100%\" aria-hidden=\"true\">");
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        put!(
            &mut out,
            "<line class=\"grid\" x1=\"{0:.2}%\" x2=\"{0:.2}%\" y1=\"0\" y2=\"30\"/>",
            across(tick)
        );
    }
    let rows = match (greedy, sampled) {
        (Some(g), Some(s)) => vec![(g, 10, "full"), (s, 21, "ring")],
        (Some(g), None) => vec![(g, 15, "full")],
        (None, Some(s)) => vec![(s, 15, "ring")],
        (None, None) => Vec::new(),
    };
    for (rate, top, mark) in rows {
        put!(
            &mut out,
            "<g class=\"{class}\"><line class=\"reach\" x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"{top}\" y2=\"{top}\"/>\
             <circle class=\"{mark}\" cx=\"{:.2}%\" cy=\"{top}\" r=\"4.5\"/></g>",
            across(rate.lo),
            across(rate.hi),
            across(rate.value)
        );
    }
    out.push_str("</svg>");
    out
}

/// Two bars, before above after, on a 0 to 100 % strip.
pub(crate) fn bar_pair(before: Option<f64>, after: Option<f64>) -> String {
    let mut out = String::from("<svg class=\"strip\" height=\"22\" width=\"100%\" aria-hidden=\"true\">");
    out.push_str("<rect class=\"track\" x=\"0\" y=\"2\" width=\"100%\" height=\"18\" rx=\"2\"/>");
    for (value, top, class) in [(before, 3, "before"), (after, 11, "after")] {
        if let Some(value) = value {
            let width = value.clamp(0.0, 1.0) * 100.0;
            put!(
                &mut out,
                "<rect class=\"{class}\" x=\"0\" y=\"{top}\" width=\"{width:.2}%\" height=\"8\" rx=\"1.5\"/>"
            );
        }
    }
    out.push_str("</svg>");
    out
}

/// One bar of that share of the width.
pub(crate) fn bar(share: f64) -> String {
    let width = share.clamp(0.0, 1.0) * 100.0;
    format!(
        "<svg class=\"strip\" height=\"16\" width=\"100%\" aria-hidden=\"true\"><rect class=\"track\" x=\"0\" y=\"2\" \
         width=\"100%\" height=\"12\" rx=\"2\"/><rect class=\"after\" x=\"0\" y=\"2\" width=\"{width:.2}%\" height=\"12\" \
         rx=\"2\"/></svg>"
    )
}

/// One bar cut into shares of a whole.
pub(crate) fn stacked(parts: &[(String, f64)], title: &str) -> String {
    let total: f64 = parts.iter().map(|p| p.1).sum();
    let mut out = String::new();
    put!(
        &mut out,
        "<svg class=\"stack\" height=\"18\" width=\"100%\" role=\"img\"><title>{}</title>",
        label(title)
    );
    let mut left = 0.0;
    for (index, (name, value)) in parts.iter().enumerate() {
        let share = if total > 0.0 { value / total * 100.0 } else { 0.0 };
        put!(
            &mut out,
            "<rect class=\"f{}\" x=\"{left:.2}%\" y=\"0\" width=\"{share:.2}%\" height=\"18\"><title>{}</title></rect>",
            index % MAX_CURVES,
            label(name)
        );
        left += share;
    }
    out.push_str("</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Curve, Unit};

    fn with(points: Vec<(f64, f64)>) -> Panel {
        let curves = vec![Curve::new("<b>", points)];
        Panel {
            title: "a < b".into(),
            about: String::new(),
            x: "step".into(),
            unit: Unit::Number("nats"),
            curves,
        }
    }

    #[test]
    fn a_panel_says_its_values() {
        let drawn = panel(&with(vec![(0.0, 3.0), (10.0, 1.0), (20.0, 0.5)]), 7).unwrap();
        assert!(drawn.contains("<title id=\"p7t\">a &lt; b</title>"));
        assert!(drawn.contains("from 3 nats to 0.5 nats, lowest 0.5 nats, highest 3 nats"));
        assert!(drawn.contains("<title>step 10 · 1 nats</title>"), "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 3);
        assert!(!drawn.contains("<b>"));
    }

    #[test]
    fn a_gap_lifts_the_pen_and_nothing_gives_nothing() {
        let d = path(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 2.0), (3.0, 3.0)], |p| p);
        assert_eq!(d, "M0.0 1.0M2.0 2.0L3.0 3.0");
        assert_eq!(panel(&with(vec![]), 0), None);
        assert_eq!(panel(&with(vec![(0.0, f64::NAN)]), 0), None);
        assert!(!panel(&with(vec![(1.0, 1.0)]), 0).unwrap().contains("NaN"));
    }

    #[test]
    fn a_band_is_drawn_around_its_curve() {
        let mut banded = with(vec![(0.0, 1.0), (1.0, 2.0)]);
        banded.curves[0].band = vec![(0.0, 0.5, 1.5), (0.5, f64::NAN, 2.0), (1.0, 1.0, 4.0)];
        let drawn = panel(&banded, 0).unwrap();
        assert_eq!(drawn.matches("class=\"spread c0\"").count(), 1);
        assert_eq!(
            area(&banded.curves[0].band, |p| p).unwrap(),
            "M0.0 1.5L1.0 4.0L1.0 1.0L0.0 0.5Z"
        );
        // The axis holds the band, too.
        assert!(drawn.contains(">4</text>"), "{drawn}");
        assert_eq!(area(&[(0.0, 1.0, 2.0)], |p| p), None);
    }

    #[test]
    fn size_does_not_grow_with_the_run() {
        let long = |n: u32| {
            panel(&with((0..n).map(|i| (f64::from(i), f64::from(i % 97))).collect()), 0)
                .unwrap()
                .len()
        };
        assert!(long(1_000_000) < 40_000, "{}", long(1_000_000));
    }

    #[test]
    fn strips_place_their_rates() {
        let rate = Rate {
            value: 0.5,
            lo: 0.0,
            hi: 1.0,
            n: 10,
        };
        let strip = rate_strip(Some(&rate), None, "result");
        assert!(strip.contains("x1=\"3.00%\" x2=\"97.00%\"") && strip.contains("cx=\"50.00%\""));
        assert!(bar_pair(Some(0.25), Some(2.0)).contains("width=\"100.00%\""));
        let parts = [("a".to_owned(), 1.0), ("b".to_owned(), 3.0)];
        assert!(stacked(&parts, "time").contains("x=\"25.00%\" y=\"0\" width=\"75.00%\""));
    }
}
