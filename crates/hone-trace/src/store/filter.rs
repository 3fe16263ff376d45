//! Which episodes of a store are meant.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::Value;

use crate::Outcome;

/// The kind of an [`Outcome`], without its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeKind {
    /// See [`Outcome::Ok`].
    Ok,
    /// See [`Outcome::PolicyFailed`].
    PolicyFailed,
    /// See [`Outcome::InfraFailed`].
    InfraFailed,
}

impl OutcomeKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ok, Self::PolicyFailed, Self::InfraFailed];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::PolicyFailed => "policy_failed",
            Self::InfraFailed => "infra_failed",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OutcomeKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("`{name}` is no outcome. Use ok, policy_failed or infra_failed."))
    }
}

impl Outcome {
    /// The kind.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Ok => OutcomeKind::Ok,
            Self::PolicyFailed => OutcomeKind::PolicyFailed,
            Self::InfraFailed { .. } => OutcomeKind::InfraFailed,
        }
    }
}

/// Which episodes: those that satisfy every part that is set. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A phase and those below it: `rl` covers `rl` and `rl/12`; `rl/1` does not cover `rl/12`. Empty covers all.
    pub phase: Option<String>,
    /// The outcome.
    pub outcome: Option<OutcomeKind>,
    /// The kind of task.
    pub task_kind: Option<String>,
    /// The first that many, in the order of writing.
    pub limit: Option<u64>,
}

impl Filter {
    /// The episodes of a phase and of those below it.
    pub fn phase(phase: impl Into<String>) -> Self {
        Self {
            phase: Some(phase.into()),
            ..Self::default()
        }
    }

    /// The `WHERE` clause (empty for all) and the values of its parameters.
    pub(super) fn condition(&self) -> (String, Vec<Value>) {
        let mut conditions = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        if let Some(phase) = self
            .phase
            .as_deref()
            .map(|phase| phase.trim_end_matches('/'))
            .filter(|p| !p.is_empty())
        {
            // `0` is the character after `/`, so the range holds exactly what begins with `phase/`.
            conditions.push("(phase = ?1 OR (phase >= ?2 AND phase < ?3))".into());
            values.extend([phase.to_string(), format!("{phase}/"), format!("{phase}0")].map(Value::from));
        }
        let outcome = self.outcome.map(|kind| kind.name().to_string());
        for (column, value) in [("outcome", outcome), ("task_kind", self.task_kind.clone())] {
            if let Some(value) = value {
                values.push(value.into());
                conditions.push(format!("{column} = ?{}", values.len()));
            }
        }
        let clause = if conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", conditions.join(" AND "))
        };
        (clause, values)
    }

    /// Everything after `FROM episodes`.
    pub(super) fn sql(&self) -> (String, Vec<Value>) {
        let (mut clause, mut values) = self.condition();
        clause.push_str(" ORDER BY key");
        if let Some(limit) = self.limit {
            values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
            clause.push_str(&format!(" LIMIT ?{}", values.len()));
        }
        (clause, values)
    }
}
