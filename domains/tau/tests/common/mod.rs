//! The benchmark's public data.

#![allow(dead_code)] // each test file uses its part

use hone_tau::Domains;
use std::path::PathBuf;

/// The domains of the data folder. Without them: fails where `CI` is set, else says so and gives `None`.
pub fn domains() -> Option<Domains> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from);
    let tau2 = dir.join("tau2");
    if tau2.is_dir() {
        return Some(Domains::load(&tau2, &dir.join("tau-bench").join("airline")));
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", tau2.display());
    eprintln!(
        "skipped: this test plays τ²-bench's tasks, and {} is missing",
        tau2.display()
    );
    None
}
