//! The benchmark's public data.

#![allow(dead_code)] // each test file uses its part

use hone_tau::Domains;
use std::path::PathBuf;

/// The folder with the domains' folders. Without it: fails where `CI` is set, else says so and gives `None`.
pub fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let tau2 = std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from).join("tau2");
    if tau2.is_dir() {
        return Some(tau2);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", tau2.display());
    eprintln!(
        "skipped: this test plays τ²-bench's tasks, and {} is missing",
        tau2.display()
    );
    None
}

/// The domains of the data folder, as [`folder`].
pub fn domains() -> Option<Domains> {
    let tau2 = folder()?;
    Some(Domains::load(&tau2, &tau2.join("../tau-bench/airline")))
}
