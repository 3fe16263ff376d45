//! A drawing of what an RL method makes of rollouts: a line per rollout, a cell per token.

use std::collections::BTreeMap;

use crate::html::{label, put};

/// Most rollouts drawn.
const MAX_ROWS: usize = 200;
/// Most tokens of a rollout drawn.
const MAX_TOKENS: u64 = 600;
/// Most rollouts listed that were left out.
const MAX_LEFT: usize = 100;
/// Cells a line before it goes on below.
const WIDTH: u64 = 60;
/// Side of a cell's place, and height of a line, in pixels.
const CELL: f64 = 14.0;
const LINE: f64 = 26.0;
const LEFT: f64 = 190.0;

/// A sampled token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenCell {
    /// Its place among all tokens of the rollout.
    pub pos: u64,
    /// Advantage: the colour.
    pub advantage: f64,
    /// Derivative of the loss with respect to its log-probability: the height.
    pub grad: f64,
    /// Whether a clip bound decided its loss.
    pub clipped: bool,
}

/// What a method made of rollouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenMap {
    /// The method.
    pub title: String,
    /// The loss.
    pub loss: f64,
    /// Rollouts that are learnt from, each with its sampled tokens.
    pub rows: Vec<(String, Vec<TokenCell>)>,
    /// What was left out, and why.
    pub left: Vec<(String, String)>,
}

impl TokenMap {
    /// The drawing as an SVG file. Text is escaped; what is too much to draw is counted.
    pub fn svg(&self) -> String {
        let cells = || self.rows.iter().flat_map(|(_, tokens)| tokens);
        let largest = |of: fn(&TokenCell) -> f64| cells().map(|cell| of(cell).abs()).fold(0.0, f64::max);
        let (advantage, grad) = (largest(|c| c.advantage), largest(|c| c.grad));
        let part = |value: f64, of: f64| if of > 0.0 { (value.abs() / of).min(1.0) } else { 0.0 };
        let mut body = String::new();
        let mut y = 58.0;
        for (name, tokens) in self.rows.iter().take(MAX_ROWS) {
            put!(
                &mut body,
                "<text x=\"12\" y=\"{:.0}\">{}</text>\n",
                y + CELL,
                label(&cut(name))
            );
            let drawn: BTreeMap<u64, &TokenCell> = tokens.iter().map(|cell| (cell.pos, cell)).collect();
            let end = drawn.keys().next_back().map_or(0, |last| last + 1).min(MAX_TOKENS);
            for pos in 0..end {
                let x = LEFT + (pos % WIDTH) as f64 * CELL;
                let top = y + (pos / WIDTH) as f64 * LINE;
                match drawn.get(&pos) {
                    None => put!(
                        &mut body,
                        "<rect class=\"seen\" x=\"{x:.0}\" y=\"{:.1}\" width=\"12\" height=\"2\"/>\n",
                        top + 16.0
                    ),
                    Some(cell) => {
                        let height = 3.0 + 15.0 * part(cell.grad, grad);
                        let class = if cell.advantage >= 0.0 { "up" } else { "down" };
                        let clip = if cell.clipped { " clipped" } else { "" };
                        put!(
                            &mut body,
                            "<rect class=\"{class}{clip}\" x=\"{x:.0}\" y=\"{:.1}\" width=\"12\" height=\"{height:.1}\" \
                             fill-opacity=\"{:.2}\"><title>token {pos}: advantage {:.4}, gradient {:.6}{}</title></rect>\n",
                            top + 18.0 - height,
                            0.15 + 0.85 * part(cell.advantage, advantage),
                            cell.advantage,
                            cell.grad,
                            if cell.clipped { ", clipped" } else { "" }
                        );
                    }
                }
            }
            let beyond = tokens.iter().filter(|cell| cell.pos >= MAX_TOKENS).count();
            y += LINE * end.div_ceil(WIDTH).max(1) as f64;
            if beyond > 0 {
                put!(
                    &mut body,
                    "<text class=\"note\" x=\"{LEFT:.0}\" y=\"{:.0}\">… {beyond} more sampled tokens</text>\n",
                    y + 6.0
                );
                y += 18.0;
            }
        }
        let rows = self.rows.len().saturating_sub(MAX_ROWS);
        if rows > 0 {
            put!(
                &mut body,
                "<text class=\"note\" x=\"12\" y=\"{:.0}\">… {rows} more rollouts</text>\n",
                y + 12.0
            );
            y += 20.0;
        }
        for (name, reason) in self.left.iter().take(MAX_LEFT) {
            put!(
                &mut body,
                "<text class=\"note\" x=\"12\" y=\"{:.0}\">{}: {}</text>\n",
                y + 14.0,
                label(&cut(name)),
                label(reason)
            );
            y += 17.0;
        }
        if self.left.len() > MAX_LEFT {
            put!(
                &mut body,
                "<text class=\"note\" x=\"12\" y=\"{:.0}\">… {} more left out</text>\n",
                y + 14.0,
                self.left.len() - MAX_LEFT
            );
            y += 17.0;
        }
        let (width, height) = (LEFT + WIDTH as f64 * CELL + 12.0, y + 16.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\">\n\
             <style>text{{font:12px sans-serif;fill:#222}}.note{{fill:#666}}.up{{fill:#1f6fb2}}.down{{fill:#c4432b}}.seen{{fill:#bbb}}\
             .clipped{{stroke:#222;stroke-dasharray:2 1}}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"12\" y=\"20\" style=\"font-weight:bold\">{}: loss {:.6}</text>\n\
             <text class=\"note\" x=\"12\" y=\"38\">A cell per token: blue is an advantage above 0, red one below, the height is the gradient, \
             a dashed edge was clipped, grey was not sampled.</text>\n{body}</svg>\n",
            label(&self.title),
            self.loss
        )
    }
}

/// A name's end, which is what tells rollouts apart.
fn cut(name: &str) -> String {
    let n = name.chars().count();
    if n <= 26 {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(n - 25).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_for_tokens_and_text_is_inert() {
        let cell = |pos, advantage, clipped| TokenCell {
            pos,
            advantage,
            grad: -advantage / 4.0,
            clipped,
        };
        let map = TokenMap {
            title: "grpo".into(),
            loss: 0.5,
            rows: vec![("<a>".into(), vec![cell(1, 1.0, false), cell(3, -0.5, true)])],
            left: vec![("b".into(), "zero variance".into())],
        };
        let svg = map.svg();
        assert!(svg.contains("&lt;a&gt;") && !svg.contains("<a>"), "{svg}");
        assert!(svg.contains("b: zero variance"));
        // Two sampled tokens; tokens 0 and 2 are only seen.
        let count = |what: &str| svg.matches(what).count();
        assert_eq!(
            (
                count("class=\"up\""),
                count("class=\"down clipped\""),
                count("class=\"seen\"")
            ),
            (1, 1, 2)
        );
        assert!(
            svg.contains("height=\"18.0\"") && svg.contains("height=\"10.5\""),
            "{svg}"
        );
    }

    #[test]
    fn too_much_is_counted() {
        let far = TokenCell {
            pos: 5000,
            advantage: f64::NAN,
            grad: f64::INFINITY,
            clipped: false,
        };
        let map = TokenMap {
            rows: vec![("x".repeat(99), vec![far]); 300],
            left: vec![("y".into(), "z".into()); 150],
            ..TokenMap::default()
        };
        let svg = map.svg();
        assert!(
            svg.contains("100 more rollouts")
                && svg.contains("50 more left out")
                && svg.contains("1 more sampled tokens")
        );
    }
}
