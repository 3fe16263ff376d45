//! `hone trace`: what is in a run.

mod media;
mod otlp;
pub mod pending;
mod replay;
mod retold;
mod segments;

use crate::console::{counted, print, print_json, say, table};
use crate::episode_text;
use anyhow::{Context, bail};
use hone_trace::inspect::{InspectRun, export_inspect, import_inspect};
use hone_trace::{
    Episode, EpisodeSummary, Filter, Outcome, OutcomeKind, RunDigest, Store, StoreError, TokenId, Turn, export_jsonl,
    import_jsonl,
};
use otlp::Otlp;
use pending::Decide;
pub use replay::BUDGET;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Look into a recorded run, compare it, move it.
///
/// RUN is a run's directory, or the run.db in it. Reading works while the run goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  hone trace ls runs/quickstart-001 --phase eval --outcome policy_failed --limit 20
  hone trace show runs/quickstart-001 eval/3/0
  hone trace media runs/eval-my-001 eval/3/0 --out plots   figures and files that its tools gave
  hone trace digest runs/quickstart-001                the same for the same seed
  hone trace replay runs/eval-shop-nano-001            the same again, from the record alone
  hone trace segments runs/quickstart-001 --phase rl   how its model calls join to training sequences
  hone trace pending runs/eval-my-nano-001             calls that wait for a decision
  hone trace decide runs/eval-my-nano-001 eval/3/0 approve
  hone trace export runs/quickstart-001 -o traces.jsonl
  hone trace export runs/quickstart-001 --format parquet -o calls.parquet
  hone trace export runs/quickstart-001 --phase eval/rl/greedy --format inspect -o log.eval
  hone trace export runs/eval-shop-nano-001 --format otlp --endpoint http://localhost:4318
  hone trace import runs/copy traces.jsonl
  hone trace import runs/theirs log.eval                 a log of Inspect, .eval or .json";

const NO_PARQUET: &str = "this hone was built without Parquet; build it with \
    `cargo build --release -p hone --features parquet`, or export JSON Lines";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List episodes (with --json: JSON Lines).
    #[command(
        after_help = "Examples:\n  hone trace ls runs/quickstart-001 --phase eval --outcome policy_failed --limit 20\n  hone trace ls runs/quickstart-001 --json | jq -r .id"
    )]
    Ls {
        /// Run directory or run.db
        run: PathBuf,
        #[command(flatten)]
        which: Which,
    },
    /// Show one episode: every turn, call and result, and the scores.
    #[command(
        after_help = "Examples:\n  hone trace show runs/quickstart-001 eval/rl/greedy/3/0\n  hone trace show runs/quickstart-001 eval/rl/greedy/3/0 --json | jq .tool_calls"
    )]
    Show {
        /// Run directory or run.db
        run: PathBuf,
        /// The episode's id, as `ls` shows it: eval/3/0
        id: String,
    },
    /// Write the figures, tables and files that an episode's tools gave into a folder, each as CALL-NUMBER-NAME. Nothing that
    /// is there is written over. They were made by code that nobody has read: see docs/security.md.
    #[command(
        after_help = "Examples:\n  hone trace media runs/eval-my-001 eval/3/0 --out plots\n  hone trace media runs/eval-my-001 eval/3/0 --json | jq -r .name    without --out they are only listed"
    )]
    Media {
        /// Run directory or run.db
        run: PathBuf,
        /// The episode's id, as `ls` shows it: eval/3/0
        id: String,
        /// Folder to write them to; made if it is not there
        #[arg(short, long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print a hash of everything but the wall clock: equal runs have equal digests.
    #[command(
        after_help = "Examples:\n  hone trace digest runs/quickstart-001\n  hone trace digest runs/quickstart-001 --phase rl"
    )]
    Digest {
        /// Run directory or run.db
        run: PathBuf,
        /// Only this phase and those below it
        #[arg(long)]
        phase: Option<String>,
    },
    /// Play every episode again from the record alone, model and tools, without a network or a server, and compare the
    /// digests. Says where an episode differs first. Scores and the final state are those of the record.
    #[command(
        after_help = "Examples:\n  hone trace replay runs/eval-my-001\n  hone trace replay runs/eval-my-001 --json"
    )]
    Replay {
        /// Run directory or run.db
        run: PathBuf,
        /// Only this phase and those below it
        #[arg(long)]
        phase: Option<String>,
    },
    /// Say how the model calls join to training sequences: calls per sequence, share of masked tokens, and why calls did
    /// not join. With an episode's id: its sequences and breaks one by one.
    #[command(
        after_help = "Examples:\n  hone trace segments runs/quickstart-001 --phase rl\n  hone trace segments runs/quickstart-001 rl/3/0/0 --json\n  hone trace segments runs/theirs --splice 7"
    )]
    Segments {
        /// Run directory or run.db
        run: PathBuf,
        /// Only this episode, in detail
        id: Option<String>,
        /// Only this phase and those below it
        #[arg(long, conflicts_with = "id")]
        phase: Option<String>,
        /// Join where prompts agree and put the sampled answer in place of its rendering, up to a token of this id (of
        /// these: 7,9), which ends a turn; without it a call joins only what its prompt repeats exactly
        #[arg(long, value_name = "END_OF_TURN", value_delimiter = ',')]
        splice: Vec<TokenId>,
    },
    /// List calls that wait for somebody's decision (with --json: JSON Lines).
    #[command(after_help = "Examples:\n  hone trace pending runs/eval-my-001")]
    Pending {
        /// Run directory or run.db
        run: PathBuf,
    },
    #[command(
        after_help = "Examples:\n  hone trace decide runs/eval-my-001 eval/0/0 approve\n  hone trace decide runs/eval-my-001 all reject --message \"ask first\""
    )]
    Decide(Decide),
    /// Write episodes as JSON Lines, as an eval log of Inspect, or their model calls as a Parquet table; or send them as
    /// OpenTelemetry spans. docs/trace-schema.md describes the formats.
    #[command(
        after_help = "Examples:\n  hone trace export runs/quickstart-001 -o traces.jsonl\n  hone trace export runs/quickstart-001 --phase eval/rl/greedy --format inspect -o log.eval\n  hone trace export runs/quickstart-001 --format otlp --endpoint http://localhost:4318"
    )]
    Export {
        /// Run directory or run.db
        run: PathBuf,
        /// File to make (default: stdout; Parquet needs a file)
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// What to write
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        #[command(flatten)]
        otlp: Otlp,
        #[command(flatten)]
        which: Which,
    },
    /// Append the episodes of a JSON Lines file, or the samples of an eval log of Inspect (.eval, .json), to a run, which is
    /// made if it is not there. An episode takes the place of
    /// one with the same id; runs of the same recipe use the same ids, so import each into a run of its own.
    #[command(
        after_help = "Examples:\n  hone trace import runs/copy traces.jsonl\n  hone trace import runs/theirs log.eval"
    )]
    Import {
        /// Run directory or run.db
        run: PathBuf,
        /// The file; - is stdin
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One episode a line: everything; what `import` reads
    #[default]
    Jsonl,
    /// One model call a row, for data frames and SQL; needs a build with `--features parquet`
    Parquet,
    /// An eval log of Inspect, schema 2; .json where the file is called so
    Inspect,
    /// OpenTelemetry spans over OTLP/HTTP, by the conventions for generative AI
    Otlp,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Only this phase and those below it: rl covers rl/12
    #[arg(long)]
    phase: Option<String>,
    /// Only this outcome: ok, policy_failed, infra_failed
    #[arg(long)]
    outcome: Option<OutcomeKind>,
    /// Only this kind of task
    #[arg(long)]
    kind: Option<String>,
    /// Only the first that many
    #[arg(long)]
    limit: Option<u64>,
}

impl From<Which> for Filter {
    fn from(which: Which) -> Self {
        Self {
            phase: which.phase,
            outcome: which.outcome,
            task_kind: which.kind,
            limit: which.limit,
        }
    }
}

impl Args {
    /// Do it.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self.action {
            Action::Ls { run, which } => list(&read(&run)?, &which.into(), json),
            Action::Show { run, id } => show(&read(&run)?, &id, json),
            Action::Media { run, id, out } => media::run(&read(&run)?, &id, out.as_deref(), json),
            Action::Digest { run, phase } => digest(&read(&run)?, phase, json),
            Action::Replay { run, phase } => replay::run(&read(&run)?, phase, json),
            Action::Segments { run, id, phase, splice } => {
                let store = read(&run)?;
                check_phase(&store, phase.as_deref())?;
                segments::run(&store, id.as_deref(), phase, splice, json)
            }
            Action::Pending { run } => pending::list(&read(&run)?, &run, json),
            Action::Decide(decide) => decide.run(json),
            Action::Export {
                run,
                out,
                format: Format::Otlp,
                otlp,
                which,
            } => {
                if out.is_some() {
                    bail!("OTLP goes to a receiver, not into a file; leave out --out");
                }
                otlp.send(&read(&run)?, &which.into(), json)
            }
            Action::Export {
                run,
                out,
                format,
                which,
                ..
            } => export(&read(&run)?, out.as_deref(), format, &which.into(), json),
            Action::Import { run, file } => import(&run, &file, json),
        }
    }
}

/// The database of a run that is given as directory or file.
fn database(run: &Path) -> PathBuf {
    if run.is_dir() { run.join("run.db") } else { run.into() }
}

fn read(run: &Path) -> Result<Store, StoreError> {
    Store::open_read_only(database(run))
}

/// Fails where a phase was asked for that the run does not have, and names those that it has.
fn check_phase(store: &Store, phase: Option<&str>) -> anyhow::Result<()> {
    let Some(phase) = phase else { return Ok(()) };
    let first = Filter {
        limit: Some(1),
        ..Filter::phase(phase)
    };
    if !store.episodes(&first)?.is_empty() {
        return Ok(());
    }
    let all = store.episodes(&Filter::default())?;
    let tops: BTreeSet<_> = all.iter().filter_map(|e| e.phase.split('/').next()).collect();
    let has = Vec::from_iter(tops).join(", ");
    match has.is_empty() {
        true => bail!(
            "{} holds no episode yet, so none of phase `{phase}`",
            store.path().display()
        ),
        false => bail!(
            "there is no episode of phase `{phase}`; those of {} are below: {has}",
            store.path().display()
        ),
    }
}

fn list(store: &Store, filter: &Filter, json: bool) -> anyhow::Result<()> {
    check_phase(store, filter.phase.as_deref())?;
    let episodes = store.episodes(filter)?;
    if json {
        return episodes.iter().try_for_each(|episode| print_json(&summary(episode)));
    }
    let head = [
        "episode", "task", "kind", "policy", "outcome", "reward", "end", "turns", "calls", "sampled",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(episodes.iter().map(|e| {
        vec![
            e.id.clone(),
            format!("{} {}", e.taskset, e.task),
            e.task_kind.clone(),
            e.policy.clone(),
            e.outcome.kind().to_string(),
            e.reward.map_or("-".into(), |reward| format!("{reward:.3}")),
            episode_text::name(&e.end),
            e.model_calls.to_string(),
            e.tool_calls.to_string(),
            e.sampled_tokens.to_string(),
        ]
    }));
    print(table(&rows))?;
    say(counted(episodes.len() as u64, "episode"));
    Ok(())
}

fn summary(episode: &EpisodeSummary) -> Value {
    let cause = match &episode.outcome {
        Outcome::InfraFailed { cause } => Some(cause),
        Outcome::Ok | Outcome::PolicyFailed => None,
    };
    json!({
        "id": episode.id, "phase": episode.phase, "taskset": episode.taskset, "task": episode.task,
        "kind": episode.task_kind, "policy": episode.policy, "end": episode.end,
        "outcome": episode.outcome.kind().name(), "cause": cause, "reward": episode.reward,
        "model_calls": episode.model_calls, "tool_calls": episode.tool_calls,
        "sampled_tokens": episode.sampled_tokens, "duration_us": episode.duration_us,
    })
}

fn find(store: &Store, id: &str) -> Result<Episode, StoreError> {
    store.episode(id)?.ok_or_else(|| StoreError::NoEpisode {
        path: store.path().into(),
        episode: id.into(),
    })
}

fn show(store: &Store, id: &str, json: bool) -> anyhow::Result<()> {
    let episode = find(store, id)?;
    if json {
        return print_json(&episode);
    }
    let Episode {
        taskset,
        task,
        task_kind,
        policy,
        harness,
        seed,
        ..
    } = &episode;
    let facts = format!("{id}: {taskset} {task} ({task_kind}), {policy} in {harness}, seed {seed}");
    print(episode_text::message("episode", &facts))?;
    for turn in &episode.turns {
        print(episode_text::turn(&episode, turn))?;
        if let Turn::Tool { tool_call } = turn {
            let call = episode.tool_calls.get(*tool_call as usize);
            for file in call.iter().flat_map(|call| &call.media) {
                print(episode_text::message("file", &media::line(store, file)?))?;
            }
        }
    }
    for event in &episode.events {
        print(episode_text::message(
            "event",
            &format!("{} {}", event.kind, event.detail),
        ))?;
    }
    print(episode_text::verdict(&episode))
}

/// A run may say (as `timed_phases`) which of its phases depend on the wall clock, such as a comparison of equal time.
/// They stay out of the digest unless one is asked for.
fn timed_phases(store: &Store, phase: Option<&String>) -> anyhow::Result<Vec<String>> {
    Ok(match (phase, store.get_meta("timed_phases")?) {
        (None, Some(value)) => serde_json::from_value(value)?,
        _ => Vec::new(),
    })
}

/// Whether an episode is of one of these phases, or of one below it.
fn is_timed(timed: &[String], episode: &Episode) -> bool {
    let covers = |phase: &String| {
        let rest = episode.phase.strip_prefix(phase.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    timed.iter().any(covers)
}

fn digest(store: &Store, phase: Option<String>, json: bool) -> anyhow::Result<()> {
    check_phase(store, phase.as_deref())?;
    let timed = timed_phases(store, phase.as_ref())?;
    let filter = Filter {
        phase,
        ..Filter::default()
    };
    let (mut digest, mut episodes, mut left_out) = (RunDigest::default(), 0u64, 0u64);
    store.for_each(&filter, |episode| -> anyhow::Result<()> {
        if is_timed(&timed, &episode) {
            left_out += 1;
        } else {
            digest.add(&episode);
            episodes += 1;
        }
        Ok(())
    })?;
    let digest = digest.finish();
    if json {
        return print_json(
            &json!({"phase": filter.phase, "episodes": episodes, "digest": digest, "timed_phases": timed, "left_out": left_out}),
        );
    }
    if left_out > 0 {
        say(format!(
            "{} of {} depend on the wall clock and are left out",
            counted(left_out, "episode"),
            timed.join(", ")
        ));
    }
    print(digest)
}

fn export(store: &Store, out: Option<&Path>, format: Format, filter: &Filter, json: bool) -> anyhow::Result<()> {
    if format == Format::Parquet && cfg!(not(feature = "parquet")) {
        bail!(NO_PARQUET);
    }
    check_phase(store, filter.phase.as_deref())?;
    let Some(path) = out else {
        if format != Format::Jsonl {
            bail!("only JSON Lines are for stdout; name a file with --out");
        }
        let count = export_jsonl(store, filter, &mut BufWriter::new(io::stdout().lock()))?;
        say(counted(count, "episode"));
        return Ok(());
    };
    if path.exists() {
        bail!(
            "{} exists already; choose another name, or remove it first",
            path.display()
        );
    }
    // Whoever sees the file under its name sees all of it.
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let write = || -> anyhow::Result<Exported> {
        let mut file = BufWriter::new(File::create(&partial)?);
        let exported = match format {
            Format::Jsonl => Exported {
                episodes: export_jsonl(store, filter, &mut file)?,
                rows: None,
            },
            Format::Parquet => export_parquet(store, filter, &mut file)?,
            Format::Inspect => {
                let run = InspectRun {
                    name: run_name(store),
                    dataset: filter.phase.clone().unwrap_or_else(|| "all".into()),
                };
                let json = path.extension().is_some_and(|ext| ext == "json");
                Exported {
                    episodes: export_inspect(store, filter, &run, json, &mut file)?,
                    rows: None,
                }
            }
            Format::Otlp => bail!("OTLP goes to a receiver, not into a file"),
        };
        file.flush()?;
        std::fs::rename(&partial, path)?;
        Ok(exported)
    };
    let Exported { episodes, rows } = write().with_context(|| {
        // What is left of it is of no use; if it cannot be removed, the first error is the one that matters.
        let _ = std::fs::remove_file(&partial);
        format!(
            "{} cannot be written; check its folder and the space on its disk",
            path.display()
        )
    })?;
    let of_calls = rows.map_or(String::new(), |rows| format!(", {rows} model calls,"));
    let episodes_of = counted(episodes, "episode");
    say(format!("{episodes_of}{of_calls} written to {}", path.display()));
    if json {
        let mut said = json!({"episodes": episodes, "file": path.display().to_string()});
        if let Some(rows) = rows {
            said["rows"] = rows.into();
        }
        print_json(&said)?;
    }
    Ok(())
}

/// What others call the run: its directory's name.
fn run_name(store: &Store) -> String {
    let full = store.path().canonicalize().unwrap_or_else(|_| store.path().into());
    let name = full.parent().and_then(Path::file_name).unwrap_or(full.as_os_str());
    name.to_string_lossy().into_owned()
}

/// How much an export wrote; `rows` where a table was asked for.
struct Exported {
    episodes: u64,
    rows: Option<u64>,
}

#[cfg(feature = "parquet")]
fn export_parquet(store: &Store, filter: &Filter, to: &mut (impl Write + Send)) -> anyhow::Result<Exported> {
    let count = hone_trace::export_parquet(store, filter, to)?;
    Ok(Exported {
        episodes: count.episodes,
        rows: Some(count.rows),
    })
}

#[cfg(not(feature = "parquet"))]
fn export_parquet(_: &Store, _: &Filter, _: &mut (impl Write + Send)) -> anyhow::Result<Exported> {
    bail!(NO_PARQUET)
}

fn import(run: &Path, file: &Path, json: bool) -> anyhow::Result<()> {
    let named = |end: &str| file.extension().is_some_and(|ext| ext == end);
    let inspect = named("eval") || named("json");
    let from: Box<dyn io::Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        let opened = File::open(file);
        Box::new(opened.with_context(|| {
            format!(
                "{} cannot be read; give a file of JSON Lines or a log of Inspect, or -",
                file.display()
            )
        })?)
    };
    let database = if run.exists() || run.extension().is_some_and(|ext| ext == "db") {
        database(run)
    } else {
        std::fs::create_dir_all(run)
            .with_context(|| format!("the run directory {} cannot be made; choose another", run.display()))?;
        run.join("run.db")
    };
    let there = database.exists();
    let store = if there {
        Store::open(&database)?
    } else {
        Store::create(&database)?
    };
    let before = store.count()?;
    let imported = match inspect {
        true => import_inspect(file, &store).with_context(|| format!("{} cannot be imported", file.display())),
        false => import_jsonl(BufReader::new(from), &store).map_err(Into::into),
    };
    let count = match imported {
        Ok(count) => count,
        Err(error) => {
            // A run that was made for this and got nothing goes again; the first error is the one that matters.
            if !there && store.count().is_ok_and(|count| count == 0) {
                drop(store);
                let _ = std::fs::remove_file(&database);
                let _ = std::fs::remove_dir(run);
            }
            return Err(error);
        }
    };
    let replaced = (before + count).saturating_sub(store.count()?);
    say(format!(
        "{} imported into {}",
        counted(count, "episode"),
        database.display()
    ));
    if replaced > 0 {
        say(format!(
            "{replaced} of them took the place of one with the same id, there or earlier in the file"
        ));
    }
    if json {
        print_json(&json!({"episodes": count, "replaced": replaced, "run": run.display().to_string()}))?;
    }
    Ok(())
}
