//! What tokens cost.

use crate::{Usage, shown};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Prices of models, by the longest beginning of their names. Text form (TOML):
///
/// ```toml
/// [[price]]
/// model = "some-model"     # the beginning of the model's name
/// input = 3.0              # USD per million tokens of input
/// cached_input = 0.3       # … that were read from a cache; left out: as `input`
/// cache_write = 3.75       # … that were written to a cache; left out: as `input`
/// output = 15.0            # USD per million tokens of output, reasoning included
/// date = "2026-01-31"      # when it was looked up
/// source = "https://…"     # where
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices(BTreeMap<String, Price>);

/// One model's prices in USD per million tokens.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Beginning of the model's name.
    pub model: String,
    /// Input.
    pub input: f64,
    /// Input that was read from a cache; `None`: as `input`.
    pub cached_input: Option<f64>,
    /// Input that was written to a cache; `None`: as `input`.
    pub cache_write: Option<f64>,
    /// Output.
    pub output: f64,
    /// When it was looked up.
    pub date: String,
    /// Where it was looked up.
    pub source: String,
}

/// A price table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("price table {name}: {why}")]
pub struct PriceError {
    /// Which table.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    price: Vec<Price>,
}

impl Prices {
    /// The table that comes with the program. It is empty: prices change, and a wrong one is worse than none.
    ///
    /// # Errors
    /// None in a program that passed its tests.
    pub fn builtin() -> Result<Self, PriceError> {
        Self::parse("prices.toml", include_str!("../data/prices.toml"))
    }

    /// A table from its text; `name` is for the error.
    ///
    /// # Errors
    /// When the text is no such table, a price is no number from 0 up, or a model is named twice or not at all.
    pub fn parse(name: &str, text: &str) -> Result<Self, PriceError> {
        let fail = |why: String| PriceError {
            name: name.to_owned(),
            why,
        };
        let table: Table = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
        let mut prices = BTreeMap::new();
        for price in table.price {
            let model = shown(&price.model, 80);
            let numbers = [
                Some(price.input),
                price.cached_input,
                price.cache_write,
                Some(price.output),
            ];
            if numbers.into_iter().flatten().any(|usd| !usd.is_finite() || usd < 0.0) {
                return Err(fail(format!("the prices of `{model}` must be numbers from 0 up")));
            }
            if price.model.is_empty() {
                return Err(fail("`model` must not be empty".to_owned()));
            }
            if prices.insert(price.model.clone(), price).is_some() {
                return Err(fail(format!("`{model}` is there twice; leave one of them out")));
            }
        }
        Ok(Self(prices))
    }

    /// Adds a table, whose entries replace those of the same name.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The price of a model: the entry with the longest name that the model's name begins with.
    pub fn of(&self, model: &str) -> Option<&Price> {
        let beginnings = model.char_indices().map(|(at, c)| &model[..at + c.len_utf8()]);
        beginnings.rev().find_map(|beginning| self.0.get(beginning))
    }

    /// What that usage of the model costs, in USD; `None` for a model without a price, never 0.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<f64> {
        self.of(model).map(|price| price.cost(usage))
    }
}

impl Price {
    /// What that usage costs, in USD.
    pub fn cost(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_input.unwrap_or(0).min(usage.input);
        let written = usage.cache_write.unwrap_or(0).min(usage.input - cached);
        let plain = usage.input - cached - written;
        let parts = [
            (plain, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (usage.output, self.output),
        ];
        parts.iter().map(|(tokens, usd)| *tokens as f64 * usd / 1e6).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [[price]]
        model = "m"
        input = 2.0
        output = 8.0
        date = "2026-01-01"
        source = "made up"
        [[price]]
        model = "m-large"
        input = 3.0
        cached_input = 0.3
        cache_write = 3.75
        output = 15.0
        date = "2026-01-01"
        source = "made up"
    "#;

    #[test]
    fn the_longest_beginning_counts_and_the_unknown_has_no_price() {
        let prices = Prices::parse("test", TABLE).expect("a table");
        let usage = Usage {
            input: 1_000_000,
            output: 100_000,
            cached_input: Some(400_000),
            cache_write: Some(100_000),
            reasoning: Some(50_000),
        };
        let cost = |model| prices.cost(model, &usage).map(|usd| (usd * 1e6).round() / 1e6);
        assert_eq!(cost("m-large-2026"), Some(1.5 + 0.12 + 0.375 + 1.5));
        assert_eq!(cost("m-tiny"), Some(2.8));
        assert_eq!(cost("x"), None);
        assert_eq!(cost(""), None);
        assert_eq!(prices.cost("m", &Usage::default()), Some(0.0));
        assert_eq!(Prices::builtin().expect("the builtin table").cost("m", &usage), None);
    }

    #[test]
    fn a_users_table_replaces_and_adds() {
        let mut prices = Prices::parse("test", TABLE).expect("a table");
        let own = TABLE
            .replace("\"m-large\"", "\"own\"")
            .replace("input = 2.0", "input = 0.0");
        prices.extend(Prices::parse("own", &own).expect("a table"));
        assert_eq!(prices.of("m").map(|p| p.input), Some(0.0));
        assert!(prices.of("own-1").is_some() && prices.of("m-large").is_some());
    }

    #[test]
    fn bad_tables_are_refused() {
        for (from, to, why) in [
            ("input = 2.0", "input = -2.0", "from 0 up"),
            ("output = 8.0", "output = nan", "from 0 up"),
            ("output = 8.0", "", "missing field `output`"),
            ("output = 8.0", "output = 8.0\nouput = 1.0", "unknown field `ouput`"),
            ("\"m-large\"", "\"m\"", "there twice"),
            ("\"m-large\"", "\"\"", "must not be empty"),
        ] {
            let error = Prices::parse("test", &TABLE.replace(from, to)).expect_err("refused");
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(Prices::parse("test", "[prices]").is_err());
    }
}
