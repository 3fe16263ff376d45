//! `hone eval judges`: how far the judges of a run can be trusted.

use super::settings::PHASE;
use crate::commands::run::greedy_or;
use crate::console::{counted, print, print_json, say, table};
use crate::interrupt::{self, Interrupted};
use crate::models::{self, ModelSpec};
use crate::users::PATIENCE;
use anyhow::{Context, bail};
use hone_env::{Finding, Question, findings};
use hone_score::judge::{Judge, Panel, Polarity, cohen_kappa};
use hone_trace::{Filter, Secrets, Store, Stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Say how far judges agree, with each other and with people, and whether a judge listens to what it is asked.
///
/// Reads what judges voted in a recorded run. Agreement is given beyond chance: Cohen's kappa for two raters, Fleiss' for a
/// panel; 1 is full agreement, 0 is what chance gives. With --labels, verdicts of people are held against the panel's.
/// With --lint, a model is asked about statements of the run and about their negations: a judge that says the same to
/// both has not judged.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run directory of an evaluation with judges
    run: PathBuf,
    /// Phase of the run: eval, or one of a training run, such as eval/sft/greedy
    #[arg(long, default_value = PHASE)]
    phase: String,
    /// Verdicts of people, a JSON object a line: {"episode": "eval/3/0", "statement": "…", "pass": true}; the statement
    /// may be left out where an episode has one
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Ask this model about statements and their negations
    #[arg(long, value_name = "MODEL")]
    lint: Option<ModelSpec>,
    /// How many statements to ask about
    #[arg(long, default_value_t = 50, requires = "lint", value_parser = clap::value_parser!(u64).range(1..))]
    n: u64,
}

const EXAMPLES: &str = "\
Examples:
  hone eval judges runs/eval-my-nano-001
  hone eval judges runs/eval-my-nano-001 --labels people.jsonl --json | jq .panels
  hone eval judges runs/eval-my-nano-001 --lint openai:MODEL --n 20";

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report {
    run: String,
    phase: String,
    panels: Vec<PanelReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lint: Option<Lint>,
}

/// Findings of the same judges.
#[derive(Serialize)]
struct PanelReport {
    judges: Vec<String>,
    findings: usize,
    pass: f64,
    unanimous: f64,
    fleiss_kappa: Option<f64>,
    each: Vec<One>,
    pairs: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<People>,
}

#[derive(Serialize)]
struct One {
    judge: String,
    pass: f64,
}

#[derive(Serialize)]
struct Pair {
    first: String,
    second: String,
    agree: f64,
    cohen_kappa: Option<f64>,
}

/// The panel's verdicts beside people's.
#[derive(Serialize)]
struct People {
    labels: usize,
    agree: f64,
    cohen_kappa: Option<f64>,
    too_kind: usize,
    too_strict: usize,
    differ: Vec<Differs>,
}

#[derive(Serialize)]
struct Differs {
    episode: String,
    statement: String,
    judges: bool,
    people: bool,
}

#[derive(Serialize)]
struct Lint {
    model: String,
    asked: u64,
    flips: u64,
    unclear: u64,
    same: Vec<Same>,
}

/// A statement to which, and to whose negation, a judge says the same.
#[derive(Serialize)]
struct Same {
    statement: String,
    says: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    episode: String,
    statement: Option<String>,
    pass: bool,
}

/// A finding and the episode that it is of.
struct Judged {
    episode: String,
    finding: Finding,
}

impl Args {
    /// Look at the judges.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let mut panels: BTreeMap<Vec<String>, Vec<Judged>> = BTreeMap::new();
        let store = Store::open_read_only(self.run.join("run.db"))?;
        store.for_each(&Filter::phase(&self.phase), |episode| -> anyhow::Result<()> {
            for finding in findings(&episode) {
                let name = |call: u32| episode.model_calls.get(call as usize).map(|call| call.policy.clone());
                let judges = finding
                    .votes
                    .iter()
                    .map(|vote| name(vote.model_call).unwrap_or_default());
                let judged = Judged {
                    episode: episode.id.clone(),
                    finding: finding.clone(),
                };
                panels.entry(judges.collect()).or_default().push(judged);
            }
            Ok(())
        })?;
        if panels.is_empty() {
            bail!(
                "nobody judged in phase `{}` of {}; evaluate with --judge MODEL, or with a checker of kind `judge`",
                self.phase,
                self.run.display()
            );
        }
        let labels = self
            .labels
            .as_deref()
            .map(|file| read_labels(file, &panels))
            .transpose()?;
        let lint = match &self.lint {
            Some(model) => Some(lint(model, panels.values().flatten(), self.n)?),
            None => None,
        };
        let report = Report {
            run: self.run.display().to_string(),
            phase: self.phase,
            panels: panels
                .into_iter()
                .map(|(judges, judged)| panel(judges, &judged, labels.as_ref()))
                .collect(),
            lint,
        };
        if json { print_json(&report) } else { show(&report) }
    }
}

/// Verdicts of people by episode and statement.
type Labels = HashMap<(String, String), bool>;

fn read_labels(file: &Path, panels: &BTreeMap<Vec<String>, Vec<Judged>>) -> anyhow::Result<Labels> {
    let mut statements: HashMap<&str, HashSet<&str>> = HashMap::new();
    for Judged { episode, finding } in panels.values().flatten() {
        statements.entry(episode).or_default().insert(&finding.statement);
    }
    let name = file.display();
    let lines =
        BufReader::new(File::open(file).with_context(|| format!("{name} cannot be read; name a file of JSON Lines"))?);
    let mut labels = Labels::new();
    for (index, line) in lines.lines().enumerate() {
        let place = || format!("{name}:{}", index + 1);
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let label: Label = serde_json::from_str(&line).with_context(|| {
            format!(
                "{}: write {{\"episode\": ID, \"statement\": TEXT, \"pass\": true or false}}",
                place()
            )
        })?;
        let Some(judged) = statements.get(label.episode.as_str()) else {
            bail!(
                "{}: no judge was asked about episode `{}` of this run",
                place(),
                label.episode
            );
        };
        let statement = match &label.statement {
            Some(statement) if judged.contains(statement.as_str()) => statement.clone(),
            Some(statement) => bail!(
                "{}: in `{}` no judge was asked whether {statement:?}",
                place(),
                label.episode
            ),
            None => match Vec::from_iter(judged)[..] {
                [statement] => (*statement).to_owned(),
                _ => bail!(
                    "{}: judges were asked about several statements in `{}`; say which",
                    place(),
                    label.episode
                ),
            },
        };
        if labels.insert((label.episode.clone(), statement), label.pass).is_some() {
            bail!(
                "{}: the same statement of `{}` has a label already; keep one",
                place(),
                label.episode
            );
        }
    }
    Ok(labels)
}

fn share(count: usize, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

fn panel(judges: Vec<String>, judged: &[Judged], labels: Option<&Labels>) -> PanelReport {
    let all: Vec<Finding> = judged.iter().map(|judged| judged.finding.clone()).collect();
    let votes = |judge: usize| -> Vec<bool> { all.iter().map(|finding| finding.votes[judge].pass).collect() };
    let passed = |votes: &[bool]| share(votes.iter().filter(|pass| **pass).count(), votes.len());
    let agree = |a: &[bool], b: &[bool]| share(a.iter().zip(b).filter(|(a, b)| a == b).count(), a.len());
    let decided: Vec<bool> = all.iter().map(|finding| finding.pass).collect();
    let unanimous = all
        .iter()
        .filter(|finding| finding.votes.iter().all(|vote| vote.pass == finding.pass));
    let people = labels.map(|labels| {
        let labelled = judged.iter().filter_map(|Judged { episode, finding }| {
            let label = labels.get(&(episode.clone(), finding.statement.clone()))?;
            Some((episode, finding, *label))
        });
        let labelled = Vec::from_iter(labelled);
        let (ours, theirs): (Vec<bool>, Vec<bool>) = labelled.iter().map(|(_, f, label)| (f.pass, *label)).unzip();
        let differ = labelled.iter().filter(|(_, finding, label)| finding.pass != *label);
        People {
            labels: labelled.len(),
            agree: agree(&ours, &theirs),
            cohen_kappa: cohen_kappa(&ours, &theirs),
            too_kind: differ.clone().filter(|(_, finding, _)| finding.pass).count(),
            too_strict: differ.clone().filter(|(_, finding, _)| !finding.pass).count(),
            differ: differ
                .map(|(episode, finding, label)| Differs {
                    episode: (*episode).clone(),
                    statement: finding.statement.clone(),
                    judges: finding.pass,
                    people: *label,
                })
                .collect(),
        }
    });
    // One name may sit in a panel twice.
    let numbered = |judge: usize| match judges.iter().filter(|name| **name == judges[judge]).count() {
        1 => judges[judge].clone(),
        _ => format!("{} ({})", judges[judge], judge + 1),
    };
    let members = 0..judges.len();
    PanelReport {
        findings: all.len(),
        pass: passed(&decided),
        unanimous: share(unanimous.count(), all.len()),
        fleiss_kappa: Panel::agreement(&all),
        each: members
            .clone()
            .map(|judge| One {
                judge: numbered(judge),
                pass: passed(&votes(judge)),
            })
            .collect(),
        pairs: members
            .clone()
            .flat_map(|a| (a + 1..members.end).map(move |b| (a, b)))
            .map(|(a, b)| Pair {
                first: numbered(a),
                second: numbered(b),
                agree: agree(&votes(a), &votes(b)),
                cohen_kappa: cohen_kappa(&votes(a), &votes(b)),
            })
            .collect(),
        people,
        judges,
    }
}

/// Ask a model about the first statements and their negations.
fn lint<'a>(spec: &ModelSpec, judged: impl Iterator<Item = &'a Judged>, n: u64) -> anyhow::Result<Lint> {
    // Nothing of it is recorded, so there is nothing to hide its key from.
    let [model] = &models::judges(spec, &[], &mut Secrets::default())?[..] else {
        bail!("--lint {spec} is a panel of several judges; name a model");
    };
    let judge = Judge {
        model: model.clone(),
        sampling: greedy_or(0.0),
        timeout: PATIENCE,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = interrupt::flag();
    let mut seen = HashSet::new();
    let distinct = judged.filter(|judged| seen.insert((&judged.finding.subject, &judged.finding.statement)));
    let mut lint = Lint {
        model: model.name(),
        asked: 0,
        flips: 0,
        unclear: 0,
        same: Vec::new(),
    };
    let mut reason = None;
    for Judged { finding, .. } in distinct.take(usize::try_from(n).unwrap_or(usize::MAX)) {
        if stop.load(Ordering::SeqCst) {
            return Err(Interrupted(format!("stopped after {}", counted(lint.asked, "statement"))).into());
        }
        let question = Question {
            subject: finding.subject.clone(),
            statement: finding.statement.clone(),
            judges: None,
        };
        let stream = Stream::new(0).named("lint").at(lint.asked);
        match runtime.block_on(judge.polarity(&question, &stream)) {
            Polarity::Flips => lint.flips += 1,
            Polarity::Same(says) => lint.same.push(Same {
                statement: question.statement,
                says,
            }),
            Polarity::Unclear(why) => {
                lint.unclear += 1;
                reason.get_or_insert(why);
            }
        }
        lint.asked += 1;
        say(format!(
            "asked {} with its negation: {} flip, {} do not, {} unclear",
            counted(lint.asked, "statement"),
            lint.flips,
            lint.same.len(),
            lint.unclear
        ));
    }
    match reason {
        Some(reason) if lint.unclear == lint.asked => bail!("{} gave no verdict at all: {reason}", lint.model),
        _ => Ok(lint),
    }
}

fn kappa(value: Option<f64>) -> String {
    value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:.3}"))
}

fn show(report: &Report) -> anyhow::Result<()> {
    for panel in &report.panels {
        print(format!(
            "{} by {}: {:.1} % hold, judges are unanimous on {:.1} %, Fleiss' kappa {}",
            counted(panel.findings as u64, "finding"),
            hone_view::printable(&panel.judges.join(", ")),
            100.0 * panel.pass,
            100.0 * panel.unanimous,
            kappa(panel.fleiss_kappa),
        ))?;
        if panel.judges.len() > 1 {
            let mut rows = vec![["judge", "says it holds"].map(str::to_owned).to_vec()];
            rows.extend(
                panel
                    .each
                    .iter()
                    .map(|one| vec![one.judge.clone(), format!("{:.1} %", 100.0 * one.pass)]),
            );
            print(table(&rows))?;
            let mut rows = vec![
                ["first", "second", "agree", "Cohen's kappa"]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            rows.extend(panel.pairs.iter().map(|pair| {
                let agree = format!("{:.1} %", 100.0 * pair.agree);
                vec![pair.first.clone(), pair.second.clone(), agree, kappa(pair.cohen_kappa)]
            }));
            print(table(&rows))?;
        }
        let Some(people) = &panel.people else { continue };
        print(format!(
            "beside {} of people: agree on {:.1} %, Cohen's kappa {}; {} too kind, {} too strict",
            counted(people.labels as u64, "label"),
            100.0 * people.agree,
            kappa(people.cohen_kappa),
            people.too_kind,
            people.too_strict,
        ))?;
        for differs in &people.differ {
            let word = |holds| if holds { "holds" } else { "does not hold" };
            let (judges, people) = (word(differs.judges), word(differs.people));
            let line = format!(
                "  {}: judges say {judges}, people {people}: {}",
                differs.episode, differs.statement
            );
            print(hone_view::printable(&line))?;
        }
    }
    if let Some(lint) = &report.lint {
        print(format!(
            "polarity of {}: of {} with their negations, {} flip as they must, {} do not, {} unclear",
            hone_view::printable(&lint.model),
            counted(lint.asked, "statement"),
            lint.flips,
            lint.same.len(),
            lint.unclear
        ))?;
        for Same { statement, says } in &lint.same {
            let word = if *says { "both hold" } else { "neither holds" };
            print(hone_view::printable(&format!("  {word}: {statement}")))?;
        }
    }
    Ok(())
}
