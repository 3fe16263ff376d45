//! Records whose gold no answer, or only a senseless one, can meet.

/// Version of [`DEFECTS`], to be raised with every change of the list.
pub const DEFECTS_VERSION: u32 = 1;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// No answer passes.
    Impossible,
    /// Only an answer passes that is wrong in fact.
    Senseless,
}

/// A record with a defect: faithful mode counts it, strict mode does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The record's id.
    pub id: &'static str,
    /// What is wrong.
    pub harm: Harm,
    /// Why.
    pub why: &'static str,
}

const fn impossible(id: &'static str, why: &'static str) -> Defect {
    Defect {
        id,
        harm: Harm::Impossible,
        why,
    }
}

/// The defects of the single-turn records of BFCL v4 (data of 2026-03-23).
pub const DEFECTS: &[Defect] = &[
    impossible(
        "simple_java_36",
        "items of type `any` are converted to text, and the gold holds 42 and true",
    ),
    impossible(
        "simple_java_65",
        "items of type `any` are converted to text, and the gold holds true",
    ),
    Defect {
        id: "simple_java_64",
        harm: Harm::Senseless,
        why: "a gold text stands where a list of values should, so that only one of its letters passes",
    },
    impossible("live_simple_106-63-0", "a required parameter has no allowed value"),
    impossible("live_simple_112-68-0", "a required parameter has no allowed value"),
    impossible(
        "live_multiple_862-181-3",
        "the gold demands a parameter that the function does not have",
    ),
    impossible("live_multiple_964-207-0", "a required parameter is not in the gold"),
];
