//! Who may call what.

use crate::ToolSpec;
use hone_trace::Approval;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which valid calls may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalPolicy {
    /// All of them.
    #[default]
    AllowAll,
    /// All but those of tools that declare themselves destructive.
    DenyDestructive,
    /// Only those of the named tools.
    AllowOnly(BTreeSet<String>),
}

impl ApprovalPolicy {
    /// The decision on a call of `tool`.
    pub fn decide(&self, tool: &ToolSpec) -> Approval {
        let allowed = match self {
            Self::AllowAll => true,
            Self::DenyDestructive => !tool.annotations.destructive_hint || tool.annotations.read_only_hint,
            Self::AllowOnly(names) => names.contains(&tool.name),
        };
        if allowed { Approval::Allowed } else { Approval::Denied }
    }

    /// Why a call of `tool` was denied and what to do instead, for the model.
    pub(crate) fn denial(&self, tool: &str) -> String {
        match self {
            Self::DenyDestructive => {
                format!("{tool} is not allowed here, because it may delete or overwrite; use another tool")
            }
            _ => format!("{tool} is not allowed here; use another tool"),
        }
    }
}
