//! `math_advanced_calculations`: arithmetic in a world where each operation is a little off.

use super::{Acts, Broken, Server, Verdict, json, text_field};
use crate::response::Item;
use hone_python::text::float;
use hone_python::{Value, float_repr};

/// The server.
pub const SERVER: Server = Server {
    name: "math_advanced_calculations",
    about: "each number of the solution is the result of some call; the tools compute by laws of their own",
    verify: |row, response, _| {
        let truth = json(text_field(row, "ground_truth")?).ok_or_else(|| Broken::field("ground_truth"))?;
        let truth = truth.as_list().ok_or_else(|| Broken::field("ground_truth"))?;
        let results: Vec<Value> = response
            .items
            .iter()
            .filter_map(|item| {
                if let Item::Output(text) = item {
                    solution(text)
                } else {
                    None
                }
            })
            .collect();
        let met = truth.iter().filter(|number| results.contains(number)).count();
        Ok(Verdict::pass(
            met == truth.len(),
            format!("{met} of {} numbers", truth.len()),
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let truth = json(row.str("ground_truth")?)?;
        let output = |number: &Value| Item::Output(format!(r#"{{"solution": {number}}}"#));
        Some(truth.as_list()?.iter().map(output).collect::<Vec<_>>().into())
    },
};

/// `float(json.loads(text)["solution"])`.
fn solution(text: &str) -> Option<Value> {
    match json(text)?.get("solution")? {
        Value::Str(text) => float(text).map(Value::Float),
        number => number.as_f64().map(Value::Float),
    }
}

/// What a tool answers: a number, or why there is none (as the server's error).
///
/// # Errors
/// The server's message.
pub fn calculate(tool: &str, arguments: &serde_json::Value) -> Result<String, String> {
    let given = |name: &str| arguments.get(name).and_then(serde_json::Value::as_f64);
    let need =
        |name: &str| given(name).ok_or_else(|| format!("{tool}() missing 1 required positional argument: '{name}'"));
    let value = match tool {
        "multiply" => 1.1 * need("a")? * need("b")?,
        "divide" => match (need("a")?, need("b")?) {
            (_, 0.0) => return Err("float division by zero".into()),
            (a, b) => 0.5 * a / b,
        },
        "add" => need("a")? + need("b")? + 1.2,
        "subtract" => need("a")? - need("b")? - 3.0,
        "return_constant" | "negate" => need("a")?,
        "sin" => need("radians")?.cos(),
        "cos" => need("radians")?.sin(),
        "power" => power(need("a")?, need("b")? + 2.0)?,
        "log" => log(need("a")?, (need("base")? + 1.5).abs())?,
        "pi" => std::f64::consts::E,
        _ => return Err("Function not found".into()),
    };
    Ok(format!(r#"{{"solution":{}}}"#, float_repr(value)))
}

fn power(a: f64, b: f64) -> Result<f64, String> {
    let value = a.powf(b);
    if a == 0.0 && b < 0.0 {
        return Err("zero to a negative power".into());
    }
    // Python's result would be complex, which the server's answer cannot hold.
    if value.is_nan() && !a.is_nan() && !b.is_nan() {
        return Err("Input should be a valid number".into());
    }
    if value.is_infinite() && a.is_finite() && b.is_finite() {
        return Err("(34, 'Numerical result out of range')".into());
    }
    Ok(value)
}

fn log(a: f64, base: f64) -> Result<f64, String> {
    if a <= 0.0 || base <= 0.0 {
        return Err("math domain error".into());
    }
    match base.ln() {
        0.0 => Err("float division by zero".into()),
        divisor => Ok(a.ln() / divisor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use hone_python::loads;
    use serde_json::json;

    #[test]
    fn the_laws_of_that_world() {
        let of = |tool, arguments| calculate(tool, &arguments).unwrap();
        // From Python 3.11.
        assert_eq!(
            of("multiply", json!({"a": 2, "b": 3})),
            r#"{"solution":6.6000000000000005}"#
        );
        assert_eq!(of("subtract", json!({"a": 2, "b": 3})), r#"{"solution":-4.0}"#);
        assert_eq!(of("sin", json!({"radians": 0})), r#"{"solution":1.0}"#);
        assert_eq!(of("power", json!({"a": 2, "b": 1})), r#"{"solution":8.0}"#);
        assert_eq!(of("log", json!({"a": 8, "base": 0.5})), r#"{"solution":3.0}"#);
        assert_eq!(of("pi", json!({})), r#"{"solution":2.718281828459045}"#);
        assert!(calculate("divide", &json!({"a": 1, "b": 0})).is_err());
        assert!(calculate("add", &json!({"a": 1})).unwrap_err().contains("'b'"));
        assert!(calculate("eval", &json!({})).is_err());
    }

    #[test]
    fn results_of_calls_count() {
        let row = Row {
            index: 0,
            fields: loads(r#"{"ground_truth": "[6.0, 7]"}"#).unwrap(),
        };
        let reward = |outputs: &[&str]| {
            let items: Vec<_> = outputs.iter().map(|text| Item::Output((*text).into())).collect();
            (SERVER.verify)(&row, &items.into(), &serde_json::Value::Null)
                .unwrap()
                .reward
        };
        assert_eq!(reward(&[r#"{"solution": 7}"#, "error", r#"{"solution": "6"}"#]), 1.0);
        assert_eq!(reward(&[r#"{"solution": 7}"#]), 0.0);
    }
}
