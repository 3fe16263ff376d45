//! Writes a report and metric files from made-up data, to look at and to read with other tools:
//! `cargo run --release -p hone-view --example sample_report -- DIR`

mod data;

use hone_view::{Look, MetricLog, chart};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("say where to write: sample_report DIR")?);
    std::fs::create_dir_all(&dir)?;
    let report = data::report();
    report.write(&dir.join("report.html"))?;
    data::evaluation().write(&dir.join("evaluation.html"))?;
    let mut log = MetricLog::open(&dir)?;
    for panel in &report.panels {
        for curve in &panel.curves {
            for (step, value) in &curve.points {
                let name = format!("{}/{}", panel.title, curve.name);
                log.log("rl", *step as u64, [(name.as_str(), *value)])?;
            }
        }
    }
    for panel in report.panels.iter().take(2) {
        eprintln!("{}", chart(panel, 60, 10, Look::of_stderr()));
    }
    Ok(())
}
