//! MySQL's values, functions and statements on SQLite.

mod aggregates;
pub mod collation;
mod date;
pub mod datum;
pub mod functions;
mod operators;
mod text;
pub mod translate;

pub use aggregates::GROUP_CONCAT_MAX;
pub use text::md5;

/// Offer MySQL's functions and its collation to a connection.
///
/// # Errors
/// Those of SQLite.
pub fn register(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    connection.create_collation(collation::COLLATION, collation::compare)?;
    functions::register(connection)?;
    aggregates::register(connection)
}
