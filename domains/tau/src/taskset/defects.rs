//! What is known to be wrong with the published tasks.

/// Version of [`DEFECTS`].
pub const DEFECTS_VERSION: &str = "1 (tau2-bench a2c0247)";

/// What is wrong with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefectKind {
    /// An agent that does nothing passes: nothing has to change, nothing has to be said.
    InactionPasses,
    /// The reference solution does not pass: it is judged by what only a conversation brings about.
    GoldFails,
    /// What passes is what the domain's policy forbids.
    AgainstPolicy,
}

impl DefectKind {
    /// Name of the score part that marks such a task.
    pub fn name(self) -> &'static str {
        match self {
            Self::InactionPasses => "defect_inaction_passes",
            Self::GoldFails => "defect_gold_fails",
            Self::AgainstPolicy => "defect_against_policy",
        }
    }
}

/// A defect that tasks share.
#[derive(Clone, Copy, Debug)]
pub struct Defect {
    /// The domain.
    pub domain: &'static str,
    /// The tasks.
    pub tasks: &'static [&'static str],
    /// What is wrong.
    pub kind: DefectKind,
    /// In a sentence, with the source.
    pub why: &'static str,
}

/// The known defects. Those of inaction and of the reference solution are checked by tests on the data.
pub const DEFECTS: &[Defect] = &[
    Defect {
        domain: "airline",
        tasks: &[
            "0", "1", "2", "4", "5", "6", "9", "10", "13", "26", "27", "28", "31", "34", "36", "38", "41", "43", "45",
            "46", "47", "48", "49",
        ],
        kind: DefectKind::InactionPasses,
        why: "nothing has to be written or said, and what the assertions in words ask is not scored \
              (sierra-research/tau2-bench#384)",
    },
    Defect {
        domain: "airline",
        tasks: &["9"],
        kind: DefectKind::AgainstPolicy,
        why: "the reward asks for an act that the policy forbids (sierra-research/tau2-bench#156)",
    },
    Defect {
        domain: "retail",
        tasks: &["10", "12", "24", "25", "50", "57", "62", "65", "67", "68", "105"],
        kind: DefectKind::InactionPasses,
        why: "the reference solution changes nothing; where there are assertions in words, only they tell",
    },
    Defect {
        domain: "mock",
        tasks: &[
            "update_task_with_history_and_env_assertions",
            "update_task_with_user_tools",
        ],
        kind: DefectKind::GoldFails,
        why: "it asserts over what only a conversation brings about",
    },
];

/// The defects of a task. `suite` is the taskset's name, such as `tau2:airline:split`.
pub fn defects(suite: &str, task: &str) -> impl Iterator<Item = &'static Defect> {
    let domain = suite.split(':').nth(1).unwrap_or_default().to_owned();
    let task = task.to_owned();
    DEFECTS
        .iter()
        .filter(move |defect| defect.domain == domain && defect.tasks.contains(&task.as_str()))
}
