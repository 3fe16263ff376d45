//! A panel of curves as characters.

use crate::curve::{Axis, Panel, short};
use crate::html::put;
use std::io::IsTerminal;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Characters beyond ASCII.
    pub unicode: bool,
    /// ANSI colours.
    pub color: bool,
}

impl Look {
    /// ASCII without colour.
    pub const PLAIN: Self = Self {
        unicode: false,
        color: false,
    };

    /// What stderr can show: characters by the locale (`LC_ALL`, `LC_CTYPE`, `LANG`), colour on a terminal unless
    /// `NO_COLOR` is set or `TERM` is `dumb`.
    pub fn of_stderr() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self::from(var, std::io::stderr().is_terminal())
    }

    fn from(var: impl Fn(&str) -> Option<String>, terminal: bool) -> Self {
        let dumb = var("TERM").is_some_and(|t| t == "dumb");
        let locale = var("LC_ALL")
            .or_else(|| var("LC_CTYPE"))
            .or_else(|| var("LANG"))
            .unwrap_or_default();
        let utf8 = ["utf-8", "utf8"]
            .iter()
            .any(|name| locale.to_lowercase().contains(name));
        Self {
            unicode: utf8 && !dumb,
            color: terminal && !dumb && var("NO_COLOR").is_none(),
        }
    }
}

/// ANSI colours by curve: cyan, yellow, magenta, green.
const COLORS: [&str; 4] = ["36", "33", "35", "32"];
/// ASCII marks by curve.
const MARKS: [char; 4] = ['*', 'o', '+', 'x'];
/// Bits of a braille cell, by row and column of its 4 x 2 dots (Unicode block U+2800).
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Draw a panel in `width` x `height` characters for the plot itself, plus axes, title and legend around it. Curves are
/// lines of braille dots, or marks in ASCII. At most four curves are drawn; empty panels give an empty string.
pub fn chart(panel: &Panel, width: usize, height: usize, look: Look) -> String {
    let (width, height) = (width.clamp(8, 400), height.clamp(2, 100));
    let (Some((x_lo, x_hi)), Some(y)) = (panel.x_range(), panel.y_axis(height.div_ceil(3))) else {
        return String::new();
    };
    let x = Axis::within(x_lo, x_hi, 4);
    let (dots_x, dots_y) = if look.unicode { (2, 4) } else { (1, 1) };
    let (columns, rows) = (width * dots_x, height * dots_y);
    // Per character cell: the braille bits, and the last curve that touched it.
    let mut cells = vec![(0u8, 0usize); width * height];
    for (curve, line) in panel.curves.iter().take(MARKS.len()).enumerate().rev() {
        let place = |(px, py): (f64, f64)| {
            let column = (x.place(px) * (columns - 1) as f64).round() as usize;
            let row = ((1.0 - y.place(py)) * (rows - 1) as f64).round() as usize;
            (column as i64, row as i64)
        };
        let mut previous = None;
        for &point in &line.points {
            if !(point.0.is_finite() && point.1.is_finite()) {
                previous = None;
                continue;
            }
            let to = place(point);
            for (column, row) in line_between(previous.unwrap_or(to), to) {
                let cell = &mut cells[row / dots_y * width + column / dots_x];
                cell.0 |= DOTS[row % dots_y][column % dots_x];
                cell.1 = curve;
            }
            previous = Some(to);
        }
    }
    let paint = |text: String, curve: usize| {
        if look.color {
            format!("\x1b[{}m{text}\x1b[0m", COLORS[curve])
        } else {
            text
        }
    };
    // A tick goes to the row that its value falls into.
    let mut labels = vec![String::new(); height];
    for tick in &y.ticks {
        labels[((1.0 - y.place(*tick)) * (height - 1) as f64).round() as usize] = panel.unit.show(*tick);
    }
    let margin = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let (bar, corner, dash) = if look.unicode {
        ('│', '└', "─")
    } else {
        ('|', '+', "-")
    };
    let mut out = String::new();
    put!(&mut out, "{}\n", panel.title);
    for (row, label) in labels.iter().enumerate() {
        put!(&mut out, "{label:>margin$} {bar}");
        let line = &cells[row * width..(row + 1) * width];
        let used = line.iter().rposition(|c| c.0 != 0).map_or(0, |last| last + 1);
        for &(bits, curve) in &line[..used] {
            match (bits, look.unicode) {
                (0, _) => out.push(' '),
                (bits, true) => {
                    out += &paint(
                        char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ').to_string(),
                        curve,
                    )
                }
                (_, false) => out += &paint(MARKS[curve].to_string(), curve),
            }
        }
        out.push('\n');
    }
    put!(&mut out, "{:margin$} {corner}{}\n", "", dash.repeat(width));
    put!(&mut out, "{:margin$}  {}\n", "", x_labels(&x, width, &panel.x));
    let legend: Vec<String> = panel
        .curves
        .iter()
        .take(MARKS.len())
        .enumerate()
        .filter_map(|(i, c)| {
            let mark = if look.unicode { '●' } else { MARKS[i] };
            Some(format!(
                "{} {} {}",
                paint(mark.to_string(), i),
                c.name,
                panel.unit.show(c.last()?)
            ))
        })
        .collect();
    put!(&mut out, "{:margin$}  {}\n", "", legend.join("   "));
    out
}

/// The dots of a straight line, both ends included (Bresenham).
fn line_between((x0, y0): (i64, i64), (x1, y1): (i64, i64)) -> impl Iterator<Item = (usize, usize)> {
    let steps = (x1 - x0).abs().max((y1 - y0).abs());
    (0..=steps).map(move |i| {
        let along = |a: i64, b: i64| (a + ((b - a) * i * 2 + steps * (b - a).signum()) / (2 * steps).max(1)) as usize;
        (along(x0, x1), along(y0, y1))
    })
}

/// Tick labels under the axis, each starting below its place, with the axis's name at the end.
fn x_labels(x: &Axis, width: usize, name: &str) -> String {
    let mut line = String::new();
    for tick in &x.ticks {
        let at = (x.place(*tick) * (width - 1) as f64).round() as usize;
        let length = line.chars().count();
        if line.is_empty() || at > length {
            line += &" ".repeat(at - length.min(at));
            line += &short(*tick);
        }
    }
    format!("{line} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Curve, Unit};

    fn panel() -> Panel {
        let rising = (0..=20).map(|i| (f64::from(i), f64::from(i) / 20.0)).collect();
        Panel {
            title: "success".into(),
            about: String::new(),
            x: "step".into(),
            unit: Unit::Fraction,
            curves: vec![
                Curve::new("held-out", rising),
                Curve::new("flat", vec![(0.0, 0.5), (20.0, 0.5)]),
            ],
        }
    }

    #[test]
    fn ascii_golden() {
        let expected = "\
success
100 % |                  ***
 75 % |             *****
 50 % |oooooooo*****oooooooo
 25 % |   *****
  0 % |***
      +---------------------
       0    5    10   15   20 step
       * held-out 100 %   o flat 50 %
";
        let drawn = chart(&panel(), 21, 5, Look::PLAIN);
        assert!(drawn.is_ascii());
        assert_eq!(drawn, expected, "\n{drawn}");
    }

    #[test]
    fn braille_fills_its_cells() {
        let drawn = chart(
            &panel(),
            20,
            4,
            Look {
                unicode: true,
                color: false,
            },
        );
        // The rising line starts in the lowest left dot and ends in the highest right one.
        let rows: Vec<Vec<char>> = drawn.lines().skip(1).take(4).map(|l| l.chars().collect()).collect();
        let bits = |c: char| c as u32 - 0x2800;
        assert_ne!(bits(rows[3][7]) & 0x40, 0, "{drawn}");
        assert_ne!(bits(*rows[0].last().unwrap()) & 0x08, 0, "{drawn}");
        assert!(!drawn.contains('\x1b'));
        assert!(
            chart(
                &panel(),
                20,
                4,
                Look {
                    unicode: true,
                    color: true
                }
            )
            .contains("\x1b[36m")
        );
    }

    #[test]
    fn odd_input_is_drawn_or_left_out() {
        let mut p = panel();
        p.curves = vec![Curve::new(
            "gap",
            vec![(0.0, f64::NAN), (1.0, 0.3), (2.0, f64::INFINITY), (3.0, 0.9)],
        )];
        assert!(chart(&p, 10, 4, Look::PLAIN).contains("gap 90 %"));
        p.curves = vec![Curve::new("none", vec![(0.0, f64::NAN)])];
        assert_eq!(chart(&p, 10, 4, Look::PLAIN), "");
        p.curves = vec![Curve::new("one", vec![(5.0, 0.4)])];
        assert!(chart(&p, 0, 0, Look::PLAIN).contains('*'));
    }

    #[test]
    fn look_follows_the_environment() {
        let look = |vars: &[(&str, &str)], terminal| {
            Look::from(|n| vars.iter().find(|v| v.0 == n).map(|v| v.1.to_owned()), terminal)
        };
        assert_eq!(
            look(&[("LANG", "en_US.UTF-8")], true),
            Look {
                unicode: true,
                color: true
            }
        );
        assert_eq!(
            look(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], true),
            Look {
                unicode: false,
                color: true
            }
        );
        assert_eq!(
            look(&[("LANG", "C.utf8"), ("NO_COLOR", "1")], true),
            Look {
                unicode: true,
                color: false
            }
        );
        assert_eq!(look(&[("LANG", "C.utf8"), ("TERM", "dumb")], true), Look::PLAIN);
        assert_eq!(look(&[], false), Look::PLAIN);
    }
}
