//! `arc_agi`: a grid of numbers.

use super::{Acts, Server, Verdict, json};
use crate::pattern::{Pattern, group};
use crate::response::Response;
use hone_python::Value;

/// The server.
pub const SERVER: Server = Server {
    name: "arc_agi",
    about: "the first grid that can be read, from a box if there is one, equals the expected one",
    verify: |row, response, _| {
        let said = grid(&response.assistant_lines());
        let right = said.is_some() && said.as_ref() == row.get("expected_output");
        Ok(Verdict::pass(
            right,
            if said.is_some() {
                "a grid was read"
            } else {
                "there is no grid"
            },
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| Some(Response::text(format!("\\boxed{{{}}}", row.get("expected_output")?))),
};

static BOXED: Pattern = Pattern::new(r"(?s)\\boxed\{(\[\s*\[[\d\s,\[\]]+\]\s*\])\}");
static BARE: Pattern = Pattern::new(r"(?s)(\[\s*\[[\d\s,\[\]]+\]\s*\])");
static SPACE: Pattern = Pattern::new(r"\s+");

fn grid(text: &str) -> Option<Value> {
    let mut found = BOXED.all(text);
    if found.is_empty() {
        found = BARE.all(text);
    }
    let whole = |cell: &Value| matches!(cell, Value::Int(_) | Value::Bool(_));
    found.iter().find_map(|found| {
        let grid = json(&SPACE.replaced(group(found, 1), ""))?;
        let rows = grid.as_list()?;
        let regular = rows
            .iter()
            .all(|row| row.as_list().is_some_and(|row| row.iter().all(whole)));
        (regular && !rows.first()?.as_list()?.is_empty()).then_some(grid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_readable_grid_counts() {
        let read = |text: &str| grid(text).map(|grid| grid.to_string());
        assert_eq!(read("[[1, 2],\n [3, 4]] or \\boxed{[[5]]}").as_deref(), Some("[[5]]"));
        assert_eq!(read("[[1, 2],\n [3, 4]]").as_deref(), Some("[[1, 2], [3, 4]]"));
        assert_eq!(read("[[1, 2], 3]"), None);
        assert_eq!(read("[[1 2]]").as_deref(), Some("[[12]]"));
        assert_eq!(read("none"), None);
    }
}
