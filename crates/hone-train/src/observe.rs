//! How training tells what it does.

/// One step of a phase.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Phase: `pretrain`, `sft`, `rl`, …
    pub phase: &'a str,
    /// Number of the step, from 0.
    pub step: u64,
    /// How many there will be (0: unknown).
    pub steps: u64,
    /// Figures by name.
    pub metrics: &'a [(&'a str, f64)],
}

/// Somebody who watches a run: progress, metric files.
pub trait Observer {
    /// A phase begins.
    fn phase(&mut self, name: &str);
    /// A step is done.
    fn step(&mut self, step: &Step<'_>);
    /// Of the episodes that are being played, `done` of `wanted` have ended.
    fn played(&mut self, done: u64, wanted: u64);
    /// Something worth a line.
    fn note(&mut self, line: &str);
}
