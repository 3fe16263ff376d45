//! What a runtime enforces on this system, and what callers can demand.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What a sandbox keeps code from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Seeing or changing the host's files.
    Files,
    /// Reaching any network.
    Network,
    /// Seeing, signalling or tracing other processes.
    Processes,
    /// System calls that programs do not need.
    SystemCalls,
    /// Gaining rights, for example by programs that are set-uid.
    Privileges,
    /// Memory of all processes together.
    Memory,
    /// Processor time.
    Cpu,
    /// The number of processes and threads.
    ProcessCount,
    /// Open files.
    OpenFiles,
    /// The size of files, and of all files together.
    Disk,
    /// Output.
    Output,
    /// Time by the clock.
    Wall,
}

/// How well a property holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Not at all.
    None,
    /// Looked at in short intervals: an overrun is ended, but happens.
    Watched,
    /// The kernel refuses an overrun.
    Enforced,
}

/// What holds on this system.
#[derive(Debug, Clone, Serialize)]
pub struct Guarantees {
    /// The runtime's name.
    pub runtime: &'static str,
    /// Who the code is on the host, in words.
    pub identity: String,
    /// Why sandboxes have no control groups (cgroup v2), where they have none.
    pub without_groups: Option<String>,
    pub properties: Vec<Guarantee>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Guarantee {
    pub property: Property,
    pub level: Level,
    /// The mechanism, and where it ends.
    pub how: &'static str,
}

impl Guarantees {
    pub fn level(&self, property: Property) -> Level {
        self.properties
            .iter()
            .find(|g| g.property == property)
            .map_or(Level::None, |g| g.level)
    }

    /// What is less than enforced, in a line for who starts a run; `None` if there is nothing.
    pub fn weak(&self) -> Option<String> {
        let at = |level| {
            let rows = self.properties.iter().filter(|row| row.level == level);
            rows.map(|row| row.property.to_string()).collect::<Vec<_>>().join(", ")
        };
        let parts = [Level::None, Level::Watched].map(|level| (at(level), level));
        let parts = parts.iter().filter(|(names, _)| !names.is_empty());
        let said = parts
            .map(|(names, level)| format!("{level}: {names}"))
            .collect::<Vec<_>>();
        let why = self
            .without_groups
            .iter()
            .map(|why| format!(" (no control groups: {why})"));
        match said.is_empty() {
            true => None,
            false => Some(format!(
                "sandbox bounds that the system does not enforce here: {}{}; see `hone doctor`",
                said.join("; "),
                why.collect::<String>()
            )),
        }
    }

    /// Refuses where a property holds less well than demanded.
    pub fn require(&self, minimum: &[(Property, Level)]) -> Result<(), Error> {
        for &(property, level) in minimum {
            let here = self.level(property);
            if here < level {
                return Err(Error::TooWeak {
                    what: format!("{property} is {here} here, {level} is demanded"),
                    remedy: "run on a system that can, or demand less".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Network => "network",
            Self::Processes => "processes",
            Self::SystemCalls => "system calls",
            Self::Privileges => "privileges",
            Self::Memory => "memory",
            Self::Cpu => "processor time",
            Self::ProcessCount => "process count",
            Self::OpenFiles => "open files",
            Self::Disk => "disk",
            Self::Output => "output",
            Self::Wall => "wall time",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "not enforced",
            Self::Watched => "watched",
            Self::Enforced => "enforced",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_than_demanded_is_refused() {
        let here = Guarantees {
            runtime: "test",
            identity: String::new(),
            without_groups: None,
            properties: vec![Guarantee {
                property: Property::Memory,
                level: Level::Watched,
                how: "",
            }],
        };
        here.require(&[(Property::Memory, Level::Watched)]).unwrap();
        let error = here
            .require(&[(Property::Memory, Level::Enforced)])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("memory is watched here, enforced is demanded"),
            "{error}"
        );
        assert!(here.require(&[(Property::Network, Level::Watched)]).is_err());
        let said = here.weak().unwrap();
        assert!(
            said.contains("watched: memory") && !said.contains("control groups"),
            "{said}"
        );
    }
}
