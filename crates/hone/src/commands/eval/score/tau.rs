//! Recorded runs of τ-bench and τ²-bench.

use super::judged::Recorder;
use super::{Args, Scored};
use hone_tau::evaluate::Judge;
use hone_tau::{Domains, Summary, rescore, rescore_v1, responses, telecom, v1};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Of a domain of τ²-bench.
pub fn tau2(args: &Args, domain: &str) -> anyhow::Result<Scored> {
    let folder = args.folder("tau2")?;
    let domains = Domains::load(&folder.join("tau2"), &airline(&folder));
    let fresh = domains.world(domain)?;
    let mut tasks = domains.tasks(domain)?;
    if domain == "telecom" {
        tasks.extend(telecom::generate(&tasks)?);
    }
    let responses = responses(&args.responses)?;
    let mut judge = Recorder::new(&args.judges, &args.suite, args.out.as_deref())?;
    let asked = judge.as_mut().map(|judge| judge as &mut dyn Judge);
    let summary = Summary::of(rescore(&*fresh, &tasks, &responses, asked));
    let mut scored = told(args, &summary)?;
    if let Some(judge) = judge {
        let dir = judge.dir().display();
        scored.report["judged_in"] = json!(dir.to_string());
        scored.notes.push(format!(
            "what the judges said is in {dir}; --judge replay:{dir} says it again"
        ));
    }
    Ok(scored)
}

/// Of a domain of τ-bench.
pub fn tau(args: &Args, domain: &str) -> anyhow::Result<Scored> {
    let folder = args.folder("tau-bench")?.join("tau-bench").join(domain);
    let fresh = v1::World::load(domain, &folder)?;
    let responses = responses(&args.responses)?;
    // Files of the original bring their tasks.
    let brought = !responses.v1_tasks.is_empty() && responses.v1_tasks.iter().all(Option::is_some);
    let tasks = if brought { vec![] } else { v1::tasks(domain, &folder)? };
    told(args, &Summary::of(rescore_v1(&fresh, &tasks, &responses)))
}

fn airline(folder: &Path) -> PathBuf {
    folder.join("tau-bench").join("airline")
}

fn told(args: &Args, summary: &Summary) -> anyhow::Result<Scored> {
    let mut report = serde_json::to_value(summary)?;
    report["suite"] = json!(args.suite);
    let success = summary
        .success
        .map_or("unknown".to_owned(), |s| format!("{:.1} %", 100.0 * s));
    let row = |name: &str, value: String| [name.to_owned(), value];
    let lists = [
        ("needs a judge", &summary.needs_judge),
        ("cannot be scored", &summary.unscored),
        ("another reward than recorded", &summary.different),
    ];
    Ok(Scored {
        report,
        rows: vec![
            row("runs", summary.runs.to_string()),
            row("scored", summary.scored.to_string()),
            row("success", success),
            row("compared", summary.compared.to_string()),
            row("different", summary.different.len().to_string()),
        ],
        notes: lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect(),
        failure: (!summary.different.is_empty()).then(|| {
            let (different, compared) = (summary.different.len(), summary.compared);
            format!("{different} of {compared} runs have another reward here than was recorded; see which above")
        }),
    })
}
