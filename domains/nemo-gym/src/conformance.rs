//! What right responses and silence must score.

use crate::response::Response;
use crate::row::Row;
use crate::taskset::play;
use crate::verify::{SERVERS, Server};
use hone_score::Conformance;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

/// Servers whose verifier rewards silence in these cases, by its own rules.
fn idle(server: &Server, row: &Row) -> bool {
    match server.name {
        "example_single_tool_call" => true,
        "ragtruth" => !row.get("is_halu").is_some_and(hone_python::Value::truthy),
        "math_advanced_calculations" => row.str("ground_truth") == Some("[]"),
        "example_session_state_mgmt" => row.get("expected_count") == row.get("initial_count"),
        "xlam_fc" => row.list("expected_answers").is_empty(),
        "example_multi_step" => row.list("expected_synonym_values").is_empty(),
        _ => false,
    }
}

/// Over the rows of each server whose file is there: right responses, where rows say what is right, and silence. The names of
/// servers without a file come second.
pub fn conformance(data: &Path) -> (Vec<Conformance>, Vec<String>) {
    let (mut lines, mut absent) = (vec![], vec![]);
    for server in SERVERS {
        let rows = match crate::row::load(data, server.name) {
            Ok(rows) => Arc::new(rows),
            Err(error) => {
                absent.push(format!("nemo-gym/{} ({error})", server.name));
                continue;
            }
        };
        let full = if server.name == "example_tool_call_multireward" {
            3.0
        } else {
            1.0
        };
        let mut line = |name: &str, rows_of: &[usize], expected: usize, response: &dyn Fn(&Row) -> Option<Response>| {
            let passes = |row: &&usize| {
                response(&rows[**row]).is_some_and(|response| {
                    play(server, &rows, **row, &response).is_ok_and(|verdict| verdict.reward >= full)
                })
            };
            let count = || Ok::<_, Infallible>(rows_of.iter().filter(passes).count());
            let Ok(line) = Conformance::measure(
                format!("nemo-gym/{}/{name}", server.name),
                rows_of.len(),
                expected,
                count,
            );
            lines.push(line);
        };
        let known: Vec<usize> = (0..rows.len())
            .filter(|row| (server.gold)(&rows[*row]).is_some())
            .collect();
        let all: Vec<usize> = (0..rows.len()).collect();
        if !known.is_empty() {
            line("gold", &known, known.len(), &|row| (server.gold)(row));
        }
        line(
            "do_nothing",
            &all,
            rows.iter().filter(|row| idle(server, row)).count(),
            &|_| Some(Response::default()),
        );
    }
    (lines, absent)
}
