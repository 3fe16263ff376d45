//! What a report says, as plain data.

use crate::curve::Panel;
use hone_score::Rate;
use hone_trace::Episode;
use std::io;
use std::path::Path;

/// What a row of the results is, in the story of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model before any training.
    Start,
    /// A stage on the way.
    Stage,
    /// What the run made.
    Result,
    /// The same effort spent in the plain way: what the result must beat.
    Control,
    /// The most that is possible here.
    Bound,
    /// A script to compare with.
    Baseline,
}

/// One agent's success on the held-out tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Name, as people read it: `before training`.
    pub name: String,
    /// One sentence on what it is.
    pub about: String,
    /// Its part in the story.
    pub role: Role,
    /// Greedy decoding, or the only way a script plays.
    pub greedy: Option<Rate>,
    /// Sampled at temperature 1.
    pub sampled: Option<Rate>,
}

/// One fact about the run: `peak memory`, `1.3 GB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub name: String,
    /// How much, with its unit.
    pub value: String,
}

/// Success on one kind of task.
#[derive(Clone, Debug, PartialEq)]
pub struct KindRow {
    /// Kind.
    pub kind: String,
    /// Held-out tasks of this kind.
    pub tasks: u64,
    /// Success before training, as a fraction.
    pub before: Option<f64>,
    /// Success after training, as a fraction.
    pub after: Option<f64>,
}

/// The same held-out task before and after training.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodePair {
    /// Before training.
    pub before: Option<Episode>,
    /// After training.
    pub after: Option<Episode>,
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseTime {
    /// Phase.
    pub phase: String,
    /// Wall-clock duration.
    pub seconds: f64,
}

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Why one would.
    pub what: String,
    /// The command.
    pub command: String,
}

/// A training run, told to a person. [`RunReport::to_html`] makes the page.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// Title: `A shop agent from a nano base`.
    pub title: String,
    /// Name of the taskset, for the sentences.
    pub taskset: String,
    /// Recipe.
    pub recipe: String,
    /// Seed.
    pub seed: u64,
    /// Number of held-out tasks.
    pub heldout: u64,
    /// Facts in a row under the headline (about six).
    pub facts: Vec<Fact>,
    /// What a reader should know before believing the numbers; one sentence each.
    pub notes: Vec<String>,
    /// Results, in the order in which to show them.
    pub results: Vec<ResultRow>,
    /// Learning curves, the most telling first.
    pub panels: Vec<Panel>,
    /// Success by kind of task.
    pub kinds: Vec<KindRow>,
    /// Held-out episodes before and after.
    pub episodes: Vec<EpisodePair>,
    /// Where the time went.
    pub timings: Vec<PhaseTime>,
    /// What to do next.
    pub next: Vec<NextStep>,
}

impl RunReport {
    /// The report as one self-contained page: no network, no scripts, light and dark.
    ///
    /// Its size is bounded (a few MB) whatever the run holds; what was left out is said on the page.
    pub fn to_html(&self) -> String {
        crate::render::page(self)
    }

    /// Write the page, replacing `path` in one step.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        crate::render::replace(path, &self.to_html())
    }

    /// The first row of a role.
    pub(crate) fn row(&self, role: Role) -> Option<&ResultRow> {
        self.results.iter().find(|r| r.role == role)
    }
}
