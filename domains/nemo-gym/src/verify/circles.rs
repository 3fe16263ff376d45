//! `circle_click`, `circle_count` and `gui_coordinate`: places and numbers of things in an image.

use super::{Acts, Broken, Server, Verdict, json, text_field};
use crate::pattern::{Pattern, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::Value;
use hone_python::text::{float, int};

/// Click on the circle of a color.
pub const CLICK: Server = Server {
    name: "circle_click",
    about: "the first `click` lies in the first circle of the color",
    verify: |row, response, _| {
        let clicked = response
            .calls()
            .find(|(name, _)| *name == "click")
            .and_then(|(_, arguments)| {
                let arguments = json(arguments)?;
                Some((whole(arguments.get("x")?)?, whole(arguments.get("y")?)?))
            });
        let Some(circle) = of_color(row).next() else {
            return Ok(Verdict::pass(false, "there is no circle of the color"));
        };
        let [x, y, radius] = measures(circle)?;
        let hit = clicked.is_some_and(|(px, py)| ((px - x).powi(2) + (py - y).powi(2)).sqrt() <= radius);
        Ok(Verdict::pass(
            hit,
            clicked.map_or("nothing was clicked".into(), |(x, y)| format!("clicked at {x}, {y}")),
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let [x, y, _] = measures(of_color(row).next()?).ok()?;
        Some(Response::call("click", format!(r#"{{"x": {x}, "y": {y}}}"#)))
    },
};

/// Count the circles of a color.
pub const COUNT: Server = Server {
    name: "circle_count",
    about: "the number in the first box is that of the circles of the color",
    verify: |row, response, _| {
        let text = response.output_text();
        let said = BOX.captures(&text).and_then(|found| int(group(&found, 1)));
        let count = of_color(row).count();
        let right = said.is_some_and(|said| said.to_i64() == Some(count as i64));
        Ok(Verdict::pass(right, format!("wanted {count}")))
    },
    acts: Acts::UntilAnswer,
    gold: |row| Some(Response::text(format!("\\boxed{{{}}}", of_color(row).count()))),
};

/// Point at something on a screen.
pub const GUI_COORDINATE: Server = Server {
    name: "gui_coordinate",
    about: "the square of one minus the distance of the first `<point>(x, y)</point>` over the greatest allowed",
    verify: |row, response, _| {
        let text = response.assistant_lines();
        let Some((x, y)) = target(text_field(row, "expected_answer")?) else {
            return Ok(Verdict::of(0.0, "there is no place to point at"));
        };
        let pointed = POINT
            .captures(&text)
            .and_then(|found| Some((float(group(&found, 1))? / 1000.0, float(group(&found, 2))? / 1000.0)));
        let Some((px, py)) = pointed else {
            return Ok(Verdict::of(0.0, "there is no point"));
        };
        let most = row
            .get("max_dist")
            .map_or(Some(0.15), Value::as_f64)
            .ok_or_else(|| Broken::field("max_dist"))?;
        let distance: f64 = ((px - x).powi(2) + (py - y).powi(2)).sqrt();
        let reward = if distance >= most {
            0.0
        } else {
            (1.0 - distance / most).powi(2)
        };
        Ok(Verdict {
            reward,
            parts: vec![("distance", distance)],
            why: format!("{distance:.4} away, at most {most}"),
        })
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let (x, y) = target(row.str("expected_answer")?)?;
        Some(Response::text(format!(
            "<point>({:.0}, {:.0})</point>",
            x * 1000.0,
            y * 1000.0
        )))
    },
};

static BOX: Pattern = Pattern::new(r"\\boxed\{(\d+)\}");
static POINT: Pattern = Pattern::new(r"<point>\s*\[?\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)\s*\]?\s*</point>");

fn of_color(row: &Row) -> impl Iterator<Item = &Value> {
    let color = row.get("target_color").cloned().unwrap_or_default();
    row.list("circles")
        .iter()
        .filter(move |circle| circle.get("color") == Some(&color))
}

fn measures(circle: &Value) -> Result<[f64; 3], Broken> {
    let number = |key: &str| {
        circle
            .get(key)
            .and_then(Value::as_f64)
            .ok_or_else(|| Broken::field("circles"))
    };
    Ok([number("x")?, number("y")?, number("radius")?])
}

/// `int(value)`.
fn whole(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => int(text).map(|n| n.to_f64()),
        Value::Float(x) if x.is_finite() => Some(x.trunc()),
        other => other.integer().map(|n| n.to_f64()),
    }
}

fn target(text: &str) -> Option<(f64, f64)> {
    let (x, y) = text.split_once(',')?;
    Some((float(x)?, float(y)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    #[test]
    fn clicks_counts_and_points() {
        let circles = r#"{"target_color": "red", "circles": [{"color": "blue", "x": 1, "y": 1, "radius": 2}, {"color": "red", "x": 10, "y": 10, "radius": 5},
            {"color": "red", "x": 50, "y": 50, "radius": 9}]}"#;
        let row = Row {
            index: 0,
            fields: loads(circles).unwrap(),
        };
        let none = serde_json::Value::Null;
        let click = |arguments: &str| {
            (CLICK.verify)(&row, &Response::call("click", arguments), &none)
                .unwrap()
                .reward
        };
        let clicks = [
            r#"{"x": 13, "y": 14}"#,
            r#"{"x": "13", "y": 14.9}"#,
            r#"{"x": 14, "y": 14}"#,
            r#"{"x": 50, "y": 50}"#,
            r#"{"x": 13}"#,
        ];
        assert_eq!(clicks.map(click), [1.0, 1.0, 0.0, 0.0, 0.0]);
        let count = |text: &str| (COUNT.verify)(&row, &Response::text(text), &none).unwrap().reward;
        assert_eq!([r"\boxed{2}", r"\boxed{3} \boxed{2}", "2"].map(count), [1.0, 0.0, 0.0]);
        let row = Row {
            index: 0,
            fields: loads(r#"{"expected_answer": "0.5,0.5", "max_dist": 0.1}"#).unwrap(),
        };
        let point = |text: &str| {
            (GUI_COORDINATE.verify)(&row, &Response::text(text), &none)
                .unwrap()
                .reward
        };
        assert_eq!(
            [
                point("<point>(500, 500)</point>"),
                point("<point>[(700,500)]</point>"),
                point("(500, 500)")
            ],
            [1.0, 0.0, 0.0]
        );
        assert!((point("<point>(550,500)</point>") - 0.25).abs() < 1e-12);
    }
}
