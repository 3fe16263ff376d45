//! The primer as a training corpus.

use hone_model::Message;
use hone_primer::{Primer, Probe, probes};
use std::collections::BTreeMap;

/// Seed of the probes; they share no name with any document.
const PROBE_SEED: u64 = 7;

pub struct Generated(pub Primer);

impl hone_train::Corpus for Generated {
    fn document(&self, index: u64) -> Vec<Message> {
        self.0.document(index).messages
    }

    fn probes(&self, n: usize) -> BTreeMap<&'static str, Vec<Vec<Message>>> {
        [
            ("copy", Probe::Copy),
            ("look_up", Probe::LookUp),
            ("two_hop", Probe::TwoHop),
        ]
        .into_iter()
        .map(|(name, kind)| {
            (
                name,
                probes(kind, n, PROBE_SEED).into_iter().map(|d| d.messages).collect(),
            )
        })
        .collect()
    }
}
