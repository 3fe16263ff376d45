//! The time of an episode, which the recipe says, and arithmetic with dates.

#[cfg(test)]
mod tests;

use crate::arguments::{READS, tool, word};
use crate::{Card, Kit};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRound, Timestamp, Unit, ZonedDateTime};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::LazyLock;

/// Longest text of a time, in characters.
const MAX_TIME: usize = 80;
/// Most of a unit that is added at once.
const MAX_COUNT: i64 = 1_000_000_000;

/// Units that can be added, from the largest.
const UNITS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "minutes", "seconds"];

fn specs(advances: bool) -> Vec<ToolSpec> {
    let time = |about: &str| {
        let forms = "such as 2024-05-01, 2024-05-01T09:30, 2024-05-01T09:30:00Z or 2024-05-01T09:30[Europe/Berlin]";
        json!({"type": "string", "minLength": 1, "maxLength": MAX_TIME, "description": format!("{about}, {forms}")})
    };
    let zone = json!({
        "type": "string", "minLength": 1, "maxLength": MAX_TIME,
        "description": "time zone, such as Europe/Berlin or UTC (default: that of the clock)",
    });
    let mut added = Map::new();
    added.insert("time".to_owned(), time("what to add to"));
    for unit in UNITS {
        let about = format!("so many {unit}; negative to go back");
        added.insert(
            unit.to_owned(),
            json!({"type": "integer", "minimum": -MAX_COUNT, "maximum": MAX_COUNT, "description": about}),
        );
    }
    let looks = match advances {
        false => READS,
        true => Annotations {
            read_only_hint: false,
            destructive_hint: false,
            idempotent_hint: false,
            open_world_hint: false,
        },
    };
    vec![
        tool(
            "current_time",
            "Tell the time, the day of the week and the time zone.",
            object_schema(json!({"zone": zone}), &["zone"]),
            looks,
        ),
        tool(
            "convert_time",
            "Tell a time in another time zone.",
            object_schema(json!({"time": time("the time"), "zone": zone}), &[]),
            READS,
        ),
        tool(
            "add_time",
            "Add years, months, days, hours and so on to a date or a time. The day is cut to the month's last (31 January plus a month).",
            object_schema(Value::Object(added), &UNITS),
            READS,
        ),
        tool(
            "time_between",
            "Tell how long it is from one date or time to another.",
            object_schema(
                json!({
                    "from": time("the start"), "to": time("the end"),
                    "unit": {"enum": UNITS, "description": "largest unit of the answer (default: days)"},
                }),
                &["unit"],
            ),
            READS,
        ),
    ]
}

static STILL: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| specs(false));
static ADVANCING: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| specs(true));

/// What the tools are, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "clock",
        about: "the time that the recipe says, and arithmetic with dates and time zones",
        settings: "`now`: the time at the start, with an offset or a zone; `zone`: the time zone (default: that of `now`); \
                   `step`: how far each `current_time` moves it on, such as \"1 minute\" (default: not at all)",
        limits: format!("times of {MAX_TIME} characters, of the years -9999 to 9999; {MAX_COUNT} of a unit at once"),
        specs: STILL.clone(),
    }
}

/// Settings of the clock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The time at the start: RFC 3339, or RFC 9557 with a zone.
    pub now: String,
    /// The time zone (default: that of `now`).
    pub zone: Option<String>,
    /// How far each look at the clock moves it on.
    pub step: Option<String>,
}

/// Why there is no answer about a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// It cannot be read.
    #[error("{text:?} is no time; write one such as 2024-05-01, 2024-05-01T09:30 or 2024-05-01T09:30[Europe/Berlin]")]
    Form {
        /// As it was given.
        text: String,
    },
    /// There is no such zone.
    #[error("there is no time zone {zone:?}; write one such as Europe/Berlin, America/New_York or UTC")]
    Zone {
        /// As it was given.
        zone: String,
    },
    /// It leads out of the calendar.
    #[error("that is outside of the years -9999 to 9999; use less")]
    Range,
    /// Nothing to add.
    #[error("nothing is added; give at least one of years, months, weeks, days, hours, minutes, seconds")]
    Nothing,
}

/// A date, or a moment in a time zone.
#[derive(Clone, Debug, PartialEq)]
enum When {
    Date(Date),
    Moment(ZonedDateTime),
}

/// The clock of an episode.
#[derive(Clone, Debug)]
pub struct Clock {
    start: ZonedDateTime,
    now: ZonedDateTime,
    step: Span,
    looks: u64,
}

fn zone(name: &str) -> Result<TimeZone, ClockError> {
    TimeZone::get(name).map_err(|_| ClockError::Zone { zone: name.to_owned() })
}

fn read(text: &str, zone: &TimeZone) -> Result<When, ClockError> {
    let form = || ClockError::Form { text: text.to_owned() };
    if text.len() > 4 * MAX_TIME {
        return Err(form());
    }
    if let Ok(zoned) = text.parse::<ZonedDateTime>() {
        return Ok(When::Moment(zoned));
    }
    // With an offset; what is told is in the clock's zone.
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(When::Moment(moment.to_zoned_datetime(zone.clone())));
    }
    // A time of day is told by its colon: a date alone would be read as midnight, too.
    if text.contains(':') {
        let civil = text.parse::<DateTime>().map_err(|_| form())?;
        return civil
            .to_zoned_datetime(zone.clone())
            .map(When::Moment)
            .map_err(|_| ClockError::Range);
    }
    text.parse::<Date>().map(When::Date).map_err(|_| form())
}

fn told(now: &ZonedDateTime) -> Value {
    json!({
        "time": now.to_string(),
        "date": now.date().to_string(),
        "weekday": now.date().strftime("%A").to_string(),
        "zone": now.time_zone().iana_name().unwrap_or("UTC"),
    })
}

fn date_told(date: Date) -> Value {
    json!({"date": date.to_string(), "weekday": date.strftime("%A").to_string()})
}

impl Clock {
    /// A clock with these settings.
    ///
    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn new(settings: &Settings) -> Result<Self, (&'static str, String)> {
        let named = settings.zone.as_deref().map(zone).transpose();
        let named = named.map_err(|error| ("zone", error.to_string()))?;
        let offset = settings.now.parse::<ZonedDateTime>().is_ok() || settings.now.parse::<Timestamp>().is_ok();
        if !offset && named.is_none() {
            let what = format!("{:?} has no offset and no zone, so it is no moment", settings.now);
            return Err(("now", what));
        }
        let fallback = named.clone().unwrap_or(TimeZone::UTC);
        let now = match read(&settings.now, &fallback).map_err(|error| ("now", error.to_string()))? {
            When::Moment(now) => now,
            When::Date(date) => {
                let midnight = date.to_zoned_datetime(fallback.clone());
                midnight.map_err(|_| ("now", ClockError::Range.to_string()))?
            }
        };
        let now = match named {
            Some(zone) => now.with_time_zone(zone),
            None => now,
        };
        let step = match &settings.step {
            Some(step) => step.parse::<Span>().map_err(|error| ("step", error.to_string()))?,
            None => Span::new(),
        };
        now.checked_add(step)
            .map_err(|_| ("step", ClockError::Range.to_string()))?;
        Ok(Self {
            start: now.clone(),
            now,
            step,
            looks: 0,
        })
    }

    fn advances(&self) -> bool {
        !self.step.is_zero()
    }

    fn current(&mut self, arguments: &Value) -> Result<Value, ClockError> {
        let now = match arguments.get("zone").and_then(Value::as_str) {
            Some(name) => self.now.with_time_zone(zone(name)?),
            None => self.now.clone(),
        };
        self.looks += 1;
        if self.advances() {
            self.now = self.now.checked_add(self.step).map_err(|_| ClockError::Range)?;
        }
        Ok(told(&now))
    }

    fn when(&self, arguments: &Value, name: &str) -> Result<When, ClockError> {
        read(word(arguments, name), self.now.time_zone())
    }

    fn convert(&self, arguments: &Value) -> Result<Value, ClockError> {
        let zone = zone(word(arguments, "zone"))?;
        match self.when(arguments, "time")? {
            When::Moment(moment) => Ok(told(&moment.with_time_zone(zone))),
            When::Date(date) => {
                let midnight = date
                    .to_zoned_datetime(self.now.time_zone().clone())
                    .map_err(|_| ClockError::Range)?;
                Ok(told(&midnight.with_time_zone(zone)))
            }
        }
    }

    fn add(&self, arguments: &Value) -> Result<Value, ClockError> {
        let mut span = Span::new();
        for (unit, name) in units() {
            let count = arguments.get(name).and_then(Value::as_i64).unwrap_or_default();
            let added = match unit {
                Unit::Year => span.try_years(count),
                Unit::Month => span.try_months(count),
                Unit::Week => span.try_weeks(count),
                Unit::Day => span.try_days(count),
                Unit::Hour => span.try_hours(count),
                Unit::Minute => span.try_minutes(count),
                _ => span.try_seconds(count),
            };
            span = added.map_err(|_| ClockError::Range)?;
        }
        if !UNITS.iter().any(|name| arguments.get(name).is_some()) {
            return Err(ClockError::Nothing);
        }
        let clock_time = ["hours", "minutes", "seconds"]
            .iter()
            .any(|name| arguments.get(name).is_some());
        let range = |_| ClockError::Range;
        Ok(match self.when(arguments, "time")? {
            When::Moment(moment) => told(&moment.checked_add(span).map_err(range)?),
            When::Date(date) if clock_time => {
                let midnight = date.to_zoned_datetime(self.now.time_zone().clone()).map_err(range)?;
                told(&midnight.checked_add(span).map_err(range)?)
            }
            When::Date(date) => date_told(date.checked_add(span).map_err(range)?),
        })
    }

    fn between(&self, arguments: &Value) -> Result<Value, ClockError> {
        let name = arguments.get("unit").and_then(Value::as_str).unwrap_or("days");
        let unit = units()
            .find(|(_, known)| *known == name)
            .map_or(Unit::Day, |(unit, _)| unit);
        let range = |_| ClockError::Range;
        let (from, to) = (self.when(arguments, "from")?, self.when(arguments, "to")?);
        let (span, seconds) = match (&from, &to) {
            (When::Date(from), When::Date(to)) => {
                let days = i64::from((*to - *from).get_days());
                let span = from.until((unit.max(Unit::Day), *to)).map_err(range)?;
                // A day of the calendar has no fixed length, but dates alone have nothing else.
                let span = match unit < Unit::Day {
                    true => Span::new().try_seconds(days * 86_400).map_err(range)?,
                    false => span,
                };
                (span, days * 86_400)
            }
            _ => {
                let moment = |when: &When| match when {
                    When::Moment(moment) => Ok(moment.clone()),
                    When::Date(date) => date.to_zoned_datetime(self.now.time_zone().clone()).map_err(range),
                };
                let from = moment(&from)?;
                let to = moment(&to)?.with_time_zone(from.time_zone().clone());
                let span = from.until((unit, &to)).map_err(range)?;
                (span, to.timestamp().as_second() - from.timestamp().as_second())
            }
        };
        let span = match unit < Unit::Day {
            true => span.round(SpanRound::new().largest(unit)).map_err(range)?,
            false => span,
        };
        let mut parts = Map::new();
        for (unit, name) in units() {
            let count = match unit {
                Unit::Year => i64::from(span.get_years()),
                Unit::Month => i64::from(span.get_months()),
                Unit::Week => i64::from(span.get_weeks()),
                Unit::Day => i64::from(span.get_days()),
                Unit::Hour => i64::from(span.get_hours()),
                Unit::Minute => span.get_minutes(),
                _ => span.get_seconds(),
            };
            if count != 0 {
                parts.insert(name.to_owned(), count.into());
            }
        }
        if parts.is_empty() {
            parts.insert(name.to_owned(), 0.into());
        }
        Ok(json!({"between": parts, "total_seconds": seconds}))
    }
}

fn units() -> impl Iterator<Item = (Unit, &'static str)> {
    let units = [
        Unit::Year,
        Unit::Month,
        Unit::Week,
        Unit::Day,
        Unit::Hour,
        Unit::Minute,
        Unit::Second,
    ];
    units.into_iter().zip(UNITS)
}

impl ToolHost for Clock {
    fn specs(&self) -> &[ToolSpec] {
        if self.advances() { &ADVANCING } else { &STILL }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let told = match tool {
            "current_time" => self.current(arguments),
            "convert_time" => self.convert(arguments),
            "add_time" => self.add(arguments),
            "time_between" => self.between(arguments),
            _ => return Err(crate::arguments::unknown(tool)),
        };
        told.map(ToolOutput::json)
            .map_err(|error| ToolError::tool(error.to_string()))
    }

    fn state_hash(&self) -> Option<String> {
        Some(format!("{} {}", self.now, self.looks))
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Clock {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        self.now = self.start.clone();
        self.looks = 0;
        Ok(())
    }

    /// The time, and how often it was asked for.
    fn state(&self) -> Value {
        json!({"now": self.now.to_string(), "looks": self.looks})
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}

impl Kit for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn specs(&self) -> &[ToolSpec] {
        ToolHost::specs(self)
    }

    fn open(&self, _folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(self.clone()))
    }

    fn inline(&self) -> bool {
        true
    }
}
