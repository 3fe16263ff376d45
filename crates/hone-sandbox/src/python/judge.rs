//! Programs against tests, as in programming contests: input in, output compared.
//!
//! The comparison is made here, outside the sandbox, and each case has an interpreter of its own: a program cannot
//! declare itself right. (Tests that are code in the program's own interpreter can always be tricked by it.)

use super::{Call, Interpreter, Outcome, SessionSettings};
use crate::Error;

/// One test.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub stdin: &'a str,
    pub expected: &'a str,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Accepted,
    /// It ended well and printed this.
    WrongAnswer(String),
    /// It did not end well.
    Failed(Outcome),
}

/// Runs `code` on each case. Ends at the first case that is not accepted unless `all` is set.
pub fn judge(
    interpreter: &Interpreter,
    settings: &SessionSettings,
    code: &str,
    cases: &[Case<'_>],
    all: bool,
) -> Result<Vec<Verdict>, Error> {
    let settings = SessionSettings {
        stderr: false,
        ..*settings
    };
    let mut verdicts = Vec::new();
    for case in cases {
        let mut session = interpreter.session(&settings)?;
        let reply = session.call(&Call {
            code,
            stdin: Some(case.stdin),
            wall: None,
        })?;
        let verdict = match reply.outcome {
            Outcome::Ok { .. } | Outcome::Exit { status: 0 } => {
                let printed = reply.output.text();
                let right = reply.output.dropped == 0 && same(&printed, case.expected);
                if right {
                    Verdict::Accepted
                } else {
                    Verdict::WrongAnswer(printed)
                }
            }
            outcome => Verdict::Failed(outcome),
        };
        let go_on = all || verdict == Verdict::Accepted;
        verdicts.push(verdict);
        if !go_on {
            break;
        }
    }
    Ok(verdicts)
}

/// Whether two outputs agree but for white space at the ends of lines and empty lines at the end, as judges have it.
fn same(got: &str, expected: &str) -> bool {
    got.trim_end()
        .lines()
        .map(str::trim_end)
        .eq(expected.trim_end().lines().map(str::trim_end))
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn outputs_agree_but_for_space_at_the_ends_of_lines() {
        assert!(same("1 2 \n3\n\n", "1 2\n3"));
        assert!(same("", "\n"));
        assert!(!same("1\n\n2", "1\n2"));
        assert!(!same(" 1", "1"));
        assert!(!same("", "1"));
    }
}
