//! A published suite's baseline beside what it scores in the original.

use serde::Serialize;
use std::time::Instant;

/// A baseline over a set of records: reference solutions, inaction, a database's hash.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conformance {
    /// `SUITE/PART/BASELINE`.
    pub set: String,
    /// Records.
    pub records: usize,
    /// Those that pass here.
    pub passed: usize,
    /// How many pass in the original.
    pub expected: usize,
    /// Whether the two are the same.
    pub ok: bool,
    /// Wall-clock seconds that scoring took.
    pub seconds: f64,
}

impl Conformance {
    /// Count and time how many of `records` pass.
    ///
    /// # Errors
    /// Those of `passed`.
    pub fn measure<E>(
        set: impl Into<String>,
        records: usize,
        expected: usize,
        passed: impl FnOnce() -> Result<usize, E>,
    ) -> Result<Self, E> {
        let start = Instant::now();
        let passed = passed()?;
        Ok(Self {
            set: set.into(),
            records,
            passed,
            expected,
            ok: passed == expected,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ok_only_where_both_agree() {
        let line = |passed| Conformance::measure("s/p/gold", 3, 2, || Ok::<_, ()>(passed)).unwrap();
        assert!(line(2).ok && !line(3).ok && !line(1).ok);
        assert_eq!(Conformance::measure("s", 1, 1, || Err("broken")), Err("broken"));
    }
}
