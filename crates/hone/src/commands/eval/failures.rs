//! `hone eval failures`: why episodes failed, in published classes, by a judge and by rule.

mod words;

use self::words::{Words, judges_key, read, replaced_key};
use super::baselines::Recorded;
use super::settings::{PHASE, Settings};
use super::watch::{self, Then, Watch};
use crate::console::{counted, print, print_json, say, table};
use crate::interrupt::{self, Interrupted};
use crate::lock::RunLock;
use crate::models::{self, ModelSpec};
use crate::tasksets;
use crate::users;
use anyhow::{Context, bail};
use futures_util::StreamExt;
use hone_env::{Taskset, findings};
use hone_harness::Label;
use hone_score::judge::Panel;
use hone_score::{ClassCount, Reading, TAXONOMIES, Taxonomy, classify};
use hone_trace::{Episode, Filter, Outcome, OutcomeKind, Secrets, Store, Stream};
use hone_view::{Progress, Status};
use serde::Serialize;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// So many that give no verdict, before any that do, end it.
const HOPELESS: u64 = 8;

/// Say why episodes failed, in published classes: by a judge, beside the rules.
///
/// The judge is asked about every class of every failed episode by itself: whether it applies, and why. An episode may be
/// of several classes or of none; one with a question that got no readable verdict is unjudged and in no class. For tau and
/// tau2 the judge first says whether the user and whether the agent is at fault (with neither, the environment is), reading
/// what the user was told; only where the agent is are the classes asked about. What judges
/// were asked and said is recorded in RUN/failures: the same command goes on where it was stopped and asks again about
/// what is unjudged, without --judge it tells what is recorded, `--judge replay:RUN/failures --out DIR` has it said again,
/// and `hone eval judges RUN/failures --phase CLASSES` tells how far a panel agrees. Beside each class stands the class of
/// the rules that says the same (`hone eval show` has them episode by episode), with Cohen's kappa over the episodes that
/// the rules put into one of the classes.
#[derive(Debug, clap::Args)]
#[command(after_help = examples())]
pub struct Args {
    /// Run directory of an evaluation
    run: PathBuf,
    /// Who judges; given several times, the majority decides. Without it: tell what is recorded
    #[arg(long = "judge", value_name = "MODEL")]
    judges: Vec<ModelSpec>,
    /// Which classes: fama, tau or tau2 (see below)
    #[arg(long, default_value = "fama", value_parser = taxonomy)]
    classes: &'static Taxonomy,
    /// Ask about no more than the first so many failed episodes
    #[arg(long, value_name = "N", requires = "judges")]
    limit: Option<usize>,
    /// Episodes that are asked about at once
    #[arg(long, default_value_t = 8, requires = "judges", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Ask about no more episodes once so many US dollars are spent, over all calls for the same run and classes
    #[arg(long, value_name = "USD", requires = "judges", allow_negative_numbers = true, value_parser = watch::usd)]
    max_cost: Option<f64>,
    /// More prices of models (repeatable); `hone eval --help` shows their form
    #[arg(long, value_name = "FILE", requires = "judges")]
    prices: Vec<PathBuf>,
    /// Where judges' words are recorded (default: failures, in the run's directory)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn examples() -> String {
    let mut text = "\
Examples:
  hone eval failures runs/eval-shop-nano-001 --judge openai:MODEL
  hone eval failures runs/eval-shop-nano-001 --judge A --judge B --judge C --classes tau2 --limit 20 --max-cost 2
  hone eval failures runs/eval-shop-nano-001 --json | jq -r '.episodes[] | [.episode, .rule, .judge[]] | @tsv'

Classes:
"
    .to_owned();
    for taxonomy in &TAXONOMIES {
        let names: Vec<&str> = taxonomy.classes.iter().map(|class| class.name).collect();
        text += &format!("  {:<6}{}: {}\n", taxonomy.name, taxonomy.source, names.join(", "));
    }
    text
}

fn taxonomy(name: &str) -> Result<&'static Taxonomy, String> {
    Taxonomy::named(name).ok_or_else(|| {
        let names: Vec<&str> = TAXONOMIES.iter().map(|taxonomy| taxonomy.name).collect();
        format!("write one of {}", names.join(", "))
    })
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report {
    run: String,
    taxonomy: &'static str,
    source: &'static str,
    judges: Vec<String>,
    /// What all asking cost, in US dollars; `null` if no price is recorded.
    cost_usd: Option<f64>,
    failed: usize,
    judged: usize,
    /// Asked about, without a readable verdict on every class.
    unjudged: usize,
    /// Judged episodes by who is at fault, where the source asks: several may be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    at_fault: BTreeMap<&'static str, u64>,
    /// Those whose classes were asked about.
    classed: usize,
    /// Of these, those of no class.
    none: usize,
    /// Of these, those whose class by the rules is one that the taxonomy speaks of.
    shared: usize,
    /// Of these, those that the judge puts into a class which says the same.
    confirmed: usize,
    classes: Vec<Row>,
    /// All failed episodes by the class of the rules.
    rules: BTreeMap<&'static str, u64>,
    episodes: Vec<One>,
}

#[derive(Serialize)]
struct Row {
    class: &'static str,
    about: &'static str,
    #[serde(flatten)]
    count: ClassCount,
}

/// A failed episode.
#[derive(Serialize)]
struct One {
    episode: String,
    task: String,
    /// Its class by the rules.
    rule: &'static str,
    /// Who is at fault, by the judge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    at_fault: Vec<&'static str>,
    /// Its classes by the judge; `null` if it is not judged, or not by the agent's fault.
    judge: Option<Vec<&'static str>>,
    /// Why there is no verdict, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    unjudged: Option<String>,
    /// What the judge's first vote says, by party and class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    why: BTreeMap<&'static str, String>,
}

impl Args {
    /// Ask what is to be asked, and tell.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let store = Store::open_read_only(self.run.join("run.db"))?;
        let settings = super::settings::settings(&store, &self.run)?;
        let taskset = match tasksets::taskset(&settings.taskset) {
            Ok(taskset) => Some(taskset),
            Err(error) => {
                say(format!(
                    "nothing is compared with the expert's runs, and what users were told is not known: {error}"
                ));
                None
            }
        };
        let recorded = match &taskset {
            Some(taskset) => Recorded::read(&self.run, &**taskset)?,
            None => Recorded::default(),
        };
        let folder = self.out.clone().unwrap_or_else(|| self.run.join("failures"));
        if !self.judges.is_empty() {
            self.ask(&store, &settings, taskset.as_deref(), &recorded, &folder)?;
        }
        let words = read(&folder, self.classes)?;
        if words.said.is_empty() {
            say("no judge has read them yet; name one with --judge MODEL");
        }
        let report = self.report(&store, &recorded, words)?;
        if json { print_json(&report) } else { show(&report) }
    }

    /// Ask about failed episodes that are not judged.
    fn ask(
        &self,
        store: &Store,
        settings: &Settings,
        taskset: Option<&dyn Taskset>,
        recorded: &Recorded,
        folder: &Path,
    ) -> anyhow::Result<()> {
        if self.max_cost.is_some() {
            models::affordable(&self.judges, &self.prices)?;
        }
        let mut secrets = Secrets::default();
        let panel = users::judges(&self.judges, &self.prices, &mut secrets)?.context("--judge names nobody")?;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made; choose another with --out", folder.display()))?;
        let _lock = RunLock::take(folder)?;
        let file = folder.join("run.db");
        let mut kept = match file.exists() {
            true => Store::open(&file)?,
            false => Store::create(&file)?,
        };
        kept.hide(secrets);
        let names: Vec<String> = self.judges.iter().map(ModelSpec::to_string).collect();
        let key = judges_key(self.classes);
        match kept.get_meta(&key)? {
            Some(before) if before != serde_json::json!(names) => bail!(
                "{} holds the words of other judges on {}: {before}; choose another folder with --out",
                folder.display(),
                self.classes.name
            ),
            Some(_) => {}
            None => kept.set_meta(&key, &serde_json::json!(names))?,
        }
        let before = read(folder, self.classes)?;
        let mut failed: Vec<String> = store
            .episodes(&failed())?
            .into_iter()
            .map(|episode| episode.id)
            .collect();
        // Tasks in their order, whatever order they ended in.
        failed.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        failed.truncate(self.limit.unwrap_or(usize::MAX));
        failed.retain(|id| !matches!(before.said.get(id), Some(Ok(_))));
        let suite = settings.suite.as_ref().unwrap_or(&settings.taskset);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = interrupt::flag();
        let all = failed.len() as u64;
        let mut watch = Watch::new(self.max_cost, before.spent.unwrap_or(0.0));
        let enough = Cell::new(watch.stop().is_some());
        let told = |index: u64| {
            let taskset = taskset?;
            let task = taskset.task(settings.split, index).ok()?;
            Some(taskset.user(&task)?.instructions)
        };
        let judged = |id: String| judged(store, recorded, &panel, self.classes, suite, &told, id);
        let mut words = futures_util::stream::iter(failed)
            .take_while(|_| ready(!enough.get()))
            .map(judged)
            .buffer_unordered(usize::from(self.concurrency));
        let mut progress = Progress::stderr().of("episode");
        progress.phase(&format!("judge {}", self.classes.name));
        let (mut asked, mut silent) = (0, 0);
        let asking = runtime.block_on(async {
            while let Some(episode) = words.next().await {
                let episode = episode?;
                kept.append(std::slice::from_ref(&episode))?;
                if let Some(cost) = before.unread.get(&episode.id) {
                    let key = replaced_key(self.classes);
                    let replaced = kept.get_meta(&key)?.and_then(|usd| usd.as_f64()).unwrap_or(0.0);
                    kept.set_meta(&key, &(replaced + cost).into())?;
                }
                asked += 1;
                if watch.see(&episode) != Then::Go {
                    enough.set(true);
                }
                progress.update(Status {
                    step: asked,
                    steps: all,
                    ..Status::default()
                });
                if let Outcome::InfraFailed { cause } = &episode.outcome {
                    silent += 1;
                    if silent == asked && (asked == HOPELESS || asked == all) {
                        bail!("the judge gives no verdict: {cause}");
                    }
                }
                if stop.load(Ordering::SeqCst) && asked < all {
                    return Err(Interrupted("stopped; the same command goes on from here".to_owned()).into());
                }
            }
            Ok(())
        });
        progress.finish();
        asking?;
        // The last one may have been the one that was too much.
        if let Some(why) = watch.stop()
            && asked < all
        {
            bail!("{why}; {asked} of {} were read", counted(all, "failed episode"));
        }
        Ok(())
    }

    fn report(&self, store: &Store, recorded: &Recorded, mut words: Words) -> anyhow::Result<Report> {
        let classes = self.classes.classes;
        let (mut readings, mut episodes, mut rules) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (mut at_fault, mut judged) = (BTreeMap::new(), 0);
        let parties = self.classes.parties;
        store.for_each(&failed(), |episode| -> anyhow::Result<()> {
            let Some(failure) = classify(&episode, recorded.references.get(&episode.task)) else {
                return Ok(());
            };
            *rules.entry(failure.class.name()).or_default() += 1;
            let mut one = One {
                rule: failure.class.name(),
                at_fault: Vec::new(),
                judge: None,
                unjudged: None,
                why: BTreeMap::new(),
                task: episode.task,
                episode: episode.id,
            };
            match words.said.remove(&one.episode) {
                Some(Ok(verdicts)) => {
                    judged += 1;
                    let names = parties.iter().map(|party| party.name);
                    let names = names.chain(classes.iter().map(|class| class.name));
                    one.why = names
                        .zip(&verdicts)
                        .map(|(name, (_, why))| (name, why.clone()))
                        .collect();
                    let mut answers: Vec<bool> = verdicts.iter().map(|said| said.0).collect();
                    let found = answers.split_off(parties.len());
                    if !parties.is_empty() {
                        one.at_fault = self.classes.at_fault(&answers);
                    }
                    for who in &one.at_fault {
                        *at_fault.entry(*who).or_default() += 1;
                    }
                    if self.classes.classed(&answers) {
                        let holds = classes.iter().zip(&found).filter(|(_, holds)| **holds);
                        one.judge = Some(holds.map(|(class, _)| class.name).collect());
                        readings.push(Reading {
                            rule: failure.class,
                            judge: found,
                        });
                    }
                }
                Some(Err(why)) => one.unjudged = Some(why),
                None => {}
            }
            episodes.push(one);
            Ok(())
        })?;
        episodes.sort_by(|a, b| (a.episode.len(), &a.episode).cmp(&(b.episode.len(), &b.episode)));
        let shared = readings.iter().filter(|read| self.classes.speaks_of(read.rule));
        let confirms = |read: &&Reading| {
            let mut said = classes.iter().zip(&read.judge);
            said.any(|(class, applies)| *applies && class.rules.contains(&read.rule))
        };
        let counts = classes.iter().zip(self.classes.beside_rules(&readings));
        Ok(Report {
            run: self.run.display().to_string(),
            taxonomy: self.classes.name,
            source: self.classes.source,
            judges: words.judges,
            cost_usd: words.spent,
            failed: episodes.len(),
            judged,
            at_fault,
            classed: readings.len(),
            unjudged: episodes.iter().filter(|one| one.unjudged.is_some()).count(),
            none: readings.iter().filter(|read| !read.judge.contains(&true)).count(),
            shared: shared.clone().count(),
            confirmed: shared.filter(confirms).count(),
            classes: counts
                .map(|(class, count)| Row {
                    class: class.name,
                    about: class.about,
                    count,
                })
                .collect(),
            rules,
            episodes,
        })
    }
}

/// The episodes in question.
fn failed() -> Filter {
    Filter {
        outcome: Some(OutcomeKind::PolicyFailed),
        ..Filter::phase(PHASE)
    }
}

/// A failed episode, judged, as it is recorded.
async fn judged(
    store: &Store,
    recorded: &Recorded,
    panel: &Panel,
    classes: &Taxonomy,
    suite: &str,
    told: &impl Fn(u64) -> Option<String>,
    id: String,
) -> anyhow::Result<Episode> {
    let episode = store.episode(&id)?.with_context(|| format!("episode {id} is gone"))?;
    let reference = recorded.references.get(&episode.task);
    let told = match classes.parties {
        [] => None,
        _ => told(episode.group),
    };
    let faults = classes.faults(&episode, reference, told.as_deref());
    let questions = classes.questions(&episode, reference, told.as_deref());
    let label = Label {
        id: format!("{}/{id}", classes.name),
        phase: classes.name.to_owned(),
        taskset: suite.to_owned(),
        group: episode.group,
        sample: episode.sample,
    };
    let stream = Stream::new(0).named("failures").named(&id);
    let mut words = users::only_judged(label, episode.task, episode.task_kind);
    let mut answered = panel.judge(&mut words, &faults, &stream).await;
    let at_fault: Vec<bool> = findings(&words).iter().map(|finding| finding.pass).collect();
    if answered.is_ok() && classes.classed(&at_fault) {
        answered = panel.judge(&mut words, &questions, &stream).await;
    }
    if let Err(cause) = answered {
        words.outcome = Outcome::InfraFailed { cause };
    }
    Ok(words)
}

fn show(report: &Report) -> anyhow::Result<()> {
    print(format!(
        "{} of {}: {} judged, {} unjudged",
        counted(report.failed as u64, "failed episode"),
        hone_view::printable(&report.run),
        report.judged,
        report.unjudged
    ))?;
    if let Some(usd) = report.cost_usd {
        print(format!("asking cost {usd:.4} USD"))?;
    }
    if !report.at_fault.is_empty() {
        let who: Vec<String> = report.at_fault.iter().map(|(who, n)| format!("{who} {n}")).collect();
        print(format!(
            "at fault: {}; classes of the {} where the agent is",
            who.join(", "),
            report.classed
        ))?;
    }
    let mut rows = vec![
        ["class", "judge", "rule", "both", "kappa", "what it says"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    rows.extend(report.classes.iter().map(|row| {
        vec![
            row.class.to_owned(),
            row.count.judge.to_string(),
            number(row.count.rule),
            number(row.count.both),
            row.count
                .cohen_kappa
                .map_or_else(|| "-".to_owned(), |kappa| format!("{kappa:.2}")),
            row.about.to_owned(),
        ]
    }));
    rows.push(vec!["none of these".to_owned(), report.none.to_string()]);
    print(table(&rows))?;
    if report.shared > 0 {
        print(format!(
            "the judge says what the rules say of {} of the {} that they put into one of these classes",
            report.confirmed, report.shared
        ))?;
    }
    let rules: Vec<String> = report.rules.iter().map(|(class, n)| format!("{class} {n}")).collect();
    print(format!(
        "by the rules' own classes, all that failed: {}",
        rules.join(", ")
    ))?;
    if let Some(why) = report
        .episodes
        .iter()
        .find_map(|one| Some((&one.episode, one.unjudged.as_ref()?)))
    {
        print(hone_view::printable(&format!("unjudged, such as {}: {}", why.0, why.1)))?;
    }
    Ok(())
}
