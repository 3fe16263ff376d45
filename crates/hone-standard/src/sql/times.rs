//! SQLite's functions of date and time without the clock.
//!
//! The originals take `now`, and read the clock where they get no time at all; `localtime` and `utc` read the machine's zone.
//! What an answer is must not depend on either, so these stand in their place: they refuse that and let SQLite do the rest.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, params_from_iter};
use std::sync::{Arc, Mutex, PoisonError};

/// The functions, with how many arguments they have before the time.
const FUNCTIONS: [(&str, usize); 7] = [
    ("date", 0),
    ("time", 0),
    ("datetime", 0),
    ("julianday", 0),
    ("unixepoch", 0),
    ("strftime", 1),
    ("timediff", 1),
];

/// What an argument must not be.
const CLOCKS: [&str; 3] = ["now", "localtime", "utc"];

/// Put them in the place of SQLite's.
pub fn replace(connection: &Connection) -> rusqlite::Result<()> {
    // A connection of its own, on which the originals are.
    let originals = Arc::new(Mutex::new(Connection::open_in_memory()?));
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, before) in FUNCTIONS {
        let originals = originals.clone();
        connection.create_scalar_function(name, -1, flags, move |context| {
            let connection = originals.lock().unwrap_or_else(PoisonError::into_inner);
            call(&connection, name, before, context)
        })?;
    }
    Ok(())
}

fn call(originals: &Connection, name: &str, before: usize, context: &Context<'_>) -> rusqlite::Result<Value> {
    let refused = |what: String| Err(Error::UserFunctionError(what.into()));
    if context.len() <= before {
        return refused(format!("{name} without a time reads the clock; write the time"));
    }
    let mut arguments = Vec::with_capacity(context.len());
    for index in 0..context.len() {
        let value = context.get_raw(index);
        if let ValueRef::Text(text) = value
            && let Some(clock) = CLOCKS.iter().find(|clock| text.eq_ignore_ascii_case(clock.as_bytes()))
        {
            return refused(format!(
                "`{clock}` reads the clock or the machine's time zone; write the time"
            ));
        }
        arguments.push(Value::try_from(value).map_err(|error| Error::UserFunctionError(error.into()))?);
    }
    let places = vec!["?"; arguments.len()].join(",");
    let mut statement = originals.prepare_cached(&format!("SELECT {name}({places})"))?;
    statement.query_row(params_from_iter(arguments), |row| row.get(0))
}
