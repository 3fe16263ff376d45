//! What the baselines must score on the published tasks.

use crate::evaluate::{EvaluateError, Run, evaluate, gold_messages, idle_messages};
use crate::task::{Component, DataError, Task};
use crate::toolkit::Side;
use crate::world::World;
use crate::{DOMAINS, Domains, telecom};
use hone_score::Conformance;

/// SHA-256 of each domain's databases as the reference loads them, agent's and user's.
const HASHES: [(&str, Side, &str); 4] = [
    (
        "mock",
        Side::Assistant,
        "107f83a70b7bf4f616e283b0b0b8451346fe7681173398d4498a1ec15c5fdfc6",
    ),
    (
        "retail",
        Side::Assistant,
        "b25c9cb211f5efcaee5dd646054a73c4a9f43f4f5acc32c10713cd9f9ac20e9c",
    ),
    (
        "telecom",
        Side::Assistant,
        "304cf5ef059852e117ea801ab9a5efc24c9713ec887679dc2e30acceb4b6742d",
    ),
    (
        "telecom",
        Side::User,
        "e1f3a8637388808221228ff3f87294444e6b64caf721f5eb243a85d0a9380b28",
    ),
];

/// Retail tasks whose reference solution changes nothing, so that inaction passes.
const RETAIL_UNCHANGED: [&str; 11] = ["10", "12", "24", "25", "50", "57", "62", "65", "67", "68", "105"];
/// Airline tasks that inaction passes: nothing to be written and nothing to be said.
const AIRLINE_IDLE: [&str; 23] = [
    "0", "1", "2", "4", "5", "6", "9", "10", "13", "26", "27", "28", "31", "34", "36", "38", "41", "43", "45", "46",
    "47", "48", "49",
];
/// Mock tasks that the reference solution alone does not pass: they assert what only a conversation brings about.
const MOCK_NOT_GOLD: usize = 3;

/// A domain's lines, or why it has none.
pub type Lines = Result<Vec<Conformance>, ConformanceError>;

/// Why a domain was not checked.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// Its data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A task cannot be judged.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// Database hashes, reference solutions and inaction over the domains that the folder holds; assertions in words are left
/// out, since they need a judge.
pub fn conformance(domains: &Domains) -> impl Iterator<Item = (&'static str, Lines)> {
    DOMAINS.iter().map(|&domain| (domain, lines(domains, domain)))
}

fn lines(domains: &Domains, domain: &'static str) -> Lines {
    let fresh = domains.world(domain)?;
    let tasks = domains.tasks(domain)?;
    let known: Vec<_> = HASHES.iter().filter(|(name, ..)| *name == domain).collect();
    let set = |name: &str| format!("tau2/{domain}/{name}");
    let mut lines = vec![];
    if !known.is_empty() {
        let equal = || {
            let equal = known
                .iter()
                .filter(|(_, side, hash)| fresh.hash(*side).as_deref() == Some(*hash));
            Ok::<_, ConformanceError>(equal.count())
        };
        lines.push(Conformance::measure(
            set("database_hash"),
            known.len(),
            known.len(),
            equal,
        )?);
    }
    let mut over = |name: &str, tasks: &[Task], gold: bool, expected: usize| {
        let line = Conformance::measure(set(name), tasks.len(), expected, || passed(&*fresh, tasks, gold))?;
        lines.push(line);
        Ok::<_, ConformanceError>(())
    };
    let of = |ids: &[&str]| tasks.iter().filter(|task| ids.contains(&task.id.as_str())).count();
    let all = tasks.len();
    let (gold, idle) = match domain {
        "retail" => (all, Some(of(&RETAIL_UNCHANGED))),
        "airline" => (
            all - tasks.iter().filter(|task| says(task)).count(),
            Some(of(&AIRLINE_IDLE)),
        ),
        "telecom" => (all, Some(0)),
        _ => (all - MOCK_NOT_GOLD.min(all), None),
    };
    over("gold", &tasks, true, gold)?;
    if let Some(idle) = idle {
        over("do_nothing", &tasks, false, idle)?;
    }
    if domain == "telecom" {
        let generated = telecom::generate(&tasks)?;
        over("generated/gold", &generated, true, generated.len())?;
        over("generated/do_nothing", &generated, false, 0)?;
    }
    Ok(lines)
}

/// Whether something must be said, which a reference solution does not do.
fn says(task: &Task) -> bool {
    task.evaluation_criteria.as_ref().is_some_and(|c| {
        c.reward_basis.contains(&Component::Communicate) && c.communicate_info.iter().flatten().next().is_some()
    })
}

fn passed(fresh: &dyn World, tasks: &[Task], gold: bool) -> Result<usize, ConformanceError> {
    let mut passed = 0;
    for task in tasks {
        let mut task = task.clone();
        if let Some(criteria) = &mut task.evaluation_criteria {
            criteria
                .reward_basis
                .retain(|component| *component != Component::NlAssertion);
        }
        let messages = match gold {
            true => gold_messages(fresh, &task).map_err(EvaluateError::from)?,
            false => idle_messages(&task),
        };
        passed += match evaluate(fresh, &task, &Run::ended(&messages), None) {
            Ok(found) => usize::from(found.reward == 1.0),
            // It asserts over something that only a conversation makes.
            Err(EvaluateError::Assertion { .. }) => 0,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(passed)
}
