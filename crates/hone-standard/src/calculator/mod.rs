//! Exact arithmetic with units.

mod evaluate;
mod number;
mod quantity;
mod read;
mod show;
#[cfg(test)]
mod tests;
mod units;

pub use number::NumberError;
pub use quantity::CalculatorError;

use crate::arguments::{READS, count, tool, word};
use crate::{Card, Kit};
use evaluate::{Outcome, evaluate};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

/// Most digits of a rounded result.
const MAX_DIGITS: u64 = 50;
/// As many if the call does not say.
const DIGITS: u64 = 20;

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let expression = json!({
        "type": "string", "minLength": 1, "maxLength": read::MAX_CHARS,
        "description": "such as (2 + 3)^2 / 7, 19% of 250, sqrt(2) > 1.4, 100 km / 2 h in mph, 20 degC in degF",
    });
    let digits = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_DIGITS,
        "description": format!("digits of a result that must be rounded (default: {DIGITS})"),
    });
    vec![tool(
        "calculate",
        "Calculate exactly: + - * / ^ mod, percent, roots, comparisons, units of length, mass, time, temperature and data. \
         A rounded result is marked with ≈.",
        object_schema(json!({"expression": expression, "digits": digits}), &["digits"]),
        READS,
    )]
});

/// What the tool is, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "calculator",
        about: "exact fractions, decimals, roots with proved digits, comparisons, units",
        settings: "",
        limits: format!(
            "{} characters; numbers of {} bits above and below the line; roots up to the {}th; factorials up to {}!; {MAX_DIGITS} digits of a rounded result",
            read::MAX_CHARS,
            number::MAX_BITS,
            number::MAX_ROOT,
            number::MAX_FACTORIAL,
        ),
        specs: SPECS.clone(),
    }
}

/// Settings: there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// The calculator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calculator;

/// The result of a calculation as the tool gives it: `value` (a decimal, or a truth value), `exact`, and where they apply
/// `unit` and `fraction`.
///
/// # Errors
/// What is wrong with the calculation, and how to write it instead.
pub fn calculate(expression: &str, digits: u32) -> Result<Value, CalculatorError> {
    let (number, unit) = match evaluate(expression)? {
        Outcome::Truth(truth) => return Ok(json!({"value": truth, "exact": true})),
        Outcome::Number(number, unit) => (number, unit),
    };
    let shown = show::show(&number, digits)?;
    let mut result = json!({"value": shown.decimal, "exact": shown.exact});
    if !unit.is_empty() {
        result["unit"] = unit.into();
    }
    if let Some(fraction) = shown.fraction {
        result["fraction"] = fraction.into();
    }
    Ok(result)
}

impl ToolHost for Calculator {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        if tool != "calculate" {
            return Err(crate::arguments::unknown(tool));
        }
        let digits = count(arguments, "digits", DIGITS).clamp(1, MAX_DIGITS) as u32;
        let result = calculate(word(arguments, "expression"), digits);
        result
            .map(ToolOutput::json)
            .map_err(|error| ToolError::tool(error.to_string()))
    }

    fn has_hidden_state(&self) -> bool {
        false
    }
}

impl Environment for Calculator {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(*self))
    }
}

impl Kit for Calculator {
    fn name(&self) -> &'static str {
        "calculator"
    }

    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(*self))
    }
}
