//! Where output goes: results to stdout, everything that only people read to stderr.

use crate::commands::eval::gate::{self, GateFailed};
use crate::interrupt::Interrupted;
use anyhow::Context;
use hone_view::printable;
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::process::ExitCode;

/// A line on stderr. Unlike `eprintln!`, does not panic when stderr is closed.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line on stdout.
///
/// # Errors
/// When stdout is closed or full.
pub fn print(line: impl Display) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to standard output; free some space where it goes")
}

/// A value as one line of JSON on stdout.
///
/// # Errors
/// When stdout is closed or full.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(value)?)
}

/// A number of things: `1 episode`, `2 episodes`.
pub fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Widest column that is aligned. A longer cell pushes the rest of its row.
const MAX_WIDTH: usize = 120;

/// Rows with their columns aligned, made printable; the first row is the head. Cells of the last column may be long.
pub fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| one_line(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).min(MAX_WIDTH)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// Say what went wrong and give the exit status for it.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        // Whoever read the output has seen enough.
        return ExitCode::SUCCESS;
    }
    if error.is::<Interrupted>() {
        say(error);
        return ExitCode::from(130);
    }
    if error.is::<GateFailed>() {
        say(error);
        return ExitCode::from(gate::STATUS);
    }
    let mut said = error.to_string();
    say(printable(&format!("error: {said}")));
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many messages hold their cause.
        if !said.contains(&cause) {
            say(printable(&format!("  because: {cause}")));
            said = cause;
        }
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_are_inert() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["id", "what"]), row(["long/id", "a\u{1b}[2J\nb"])]);
        assert_eq!(text, "id       what\nlong/id  a␛[2J b");
        // Wider than a format's width may be.
        let long = "x".repeat(70_000);
        let text = table(&[row(["id", "what"]), row([&long, "b"])]);
        assert_eq!(text, format!("{:<120}  what\n{long}  b", "id"));
    }
}
