//! Calls that wait for a decision: which they are, and what is decided of them.

use crate::console::{print, print_json, say, table};
use crate::lock::RunLock;
use anyhow::{Context, bail};
use hone_tool::{Reply, Sticky, server_of};
use hone_trace::{Approval, EndReason, Episode, Filter, OutcomeKind, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a run's database keeps which calls were allowed or refused for good.
pub const STICKY: &str = "sticky_approvals";

/// Where a run's database keeps what was decided, by episode.
const DECISIONS: &str = "decisions";

/// What was decided of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Its position in the episode.
    pub call: u32,
    /// What to do with it.
    pub reply: Reply,
}

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Word {
    /// Run it
    Approve,
    /// Do not run it; --message tells the model why
    Reject,
    /// Run it, and all later calls of the tool; with --exactly, those with the same arguments
    Always,
    /// Do not run it, nor later ones
    Never,
    /// Run it with other arguments: --arguments JSON
    Edit,
    /// Do not run it, and end the episode
    End,
}

/// Decide on calls that wait. `hone eval --resume` then goes on from there.
#[derive(Debug, clap::Args)]
pub struct Decide {
    /// Run directory
    run: PathBuf,
    /// The episode, as `hone trace pending` shows it, or `all`
    episode: String,
    /// What to do with its call
    #[arg(value_enum)]
    word: Word,
    /// Why it is rejected, for the model
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// The arguments to run it with: a JSON object
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    /// Of always and never: only for calls with exactly these arguments
    #[arg(long)]
    exactly: bool,
}

/// The episodes that end with a call that waits, with its position.
pub fn pending(store: &Store) -> Result<Vec<(Episode, u32)>, StoreError> {
    let failed = Filter {
        outcome: Some(OutcomeKind::InfraFailed),
        ..Filter::default()
    };
    let mut found = Vec::new();
    for summary in store.episodes(&failed)? {
        if summary.end != EndReason::Pending {
            continue;
        }
        let Some(episode) = store.episode(&summary.id)? else {
            continue;
        };
        let call = episode
            .tool_calls
            .iter()
            .find(|call| call.approval == Approval::Pending);
        if let Some(id) = call.map(|call| call.id) {
            found.push((episode, id));
        }
    }
    Ok(found)
}

/// What was decided and not yet done, by episode.
pub fn decisions(store: &Store) -> anyhow::Result<BTreeMap<String, Decided>> {
    let kept = store.get_meta(DECISIONS)?.map(serde_json::from_value).transpose();
    Ok(kept
        .context("the run's decisions cannot be read; decide again")?
        .unwrap_or_default())
}

/// What was decided for good.
pub fn sticky(store: &Store) -> anyhow::Result<Sticky> {
    let kept = store.get_meta(STICKY)?.map(serde_json::from_value).transpose();
    Ok(kept
        .context("what was decided for good in the run cannot be read")?
        .unwrap_or_default())
}

/// Forget what was decided of an episode, which has gone on since.
pub fn done(store: &Store, episode: &str) -> anyhow::Result<()> {
    let mut kept = decisions(store)?;
    if kept.remove(episode).is_some() {
        store.set_meta(DECISIONS, &serde_json::to_value(&kept)?)?;
    }
    Ok(())
}

/// List the calls that wait (with --json: JSON Lines).
pub fn list(store: &Store, run: &Path, json: bool) -> anyhow::Result<()> {
    let decided = decisions(store)?;
    let mut rows = vec![
        ["episode", "call", "tool", "decided", "why", "arguments"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let waiting = pending(store)?;
    for (episode, id) in &waiting {
        let call = &episode.tool_calls[*id as usize];
        let why = call.decision.as_ref().map_or("", |decision| &decision.why);
        let reply = decided.get(&episode.id).filter(|decided| decided.call == *id);
        let reply = reply.map(|decided| &decided.reply);
        if json {
            print_json(&json!({
                "episode": episode.id, "call": id, "tool": call.tool, "arguments": call.arguments, "why": why,
                "decided": reply,
            }))?;
            continue;
        }
        let word = reply.map(|reply| json!(reply)["decision"].as_str().unwrap_or_default().to_owned());
        rows.push(vec![
            episode.id.clone(),
            id.to_string(),
            call.tool.clone(),
            word.unwrap_or_else(|| "-".to_owned()),
            why.to_owned(),
            call.arguments.to_string(),
        ]);
    }
    if !json {
        print(table(&rows))?;
    }
    say(format!("{} calls wait", waiting.len()));
    if !waiting.is_empty() {
        let run = run.display();
        say(format!(
            "decide with `hone trace decide {run} EPISODE approve` (or reject, always, …), then `hone eval --resume {run}`"
        ));
    }
    Ok(())
}

impl Decide {
    /// Keep the decision with the run.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let reply = self.reply()?;
        let store = Store::open(super::database(&self.run))?;
        let _lock = self.run.is_dir().then(|| RunLock::take(&self.run)).transpose()?;
        let (mut kept, mut sticky) = (decisions(&store)?, sticky(&store)?);
        let mut count = 0;
        for (episode, call) in pending(&store)? {
            if self.episode != "all" && episode.id != self.episode {
                continue;
            }
            let asked = &episode.tool_calls[call as usize];
            let mut remember = |exactly: bool, allow: bool| {
                let arguments = exactly.then(|| asked.arguments.clone());
                sticky.remember(server_of(&asked.tool, &episode.taskset), &asked.tool, arguments, allow);
            };
            let reply = match reply.clone() {
                Reply::Always { exactly } => {
                    remember(exactly, true);
                    Reply::Approve
                }
                Reply::Never { exactly } => {
                    remember(exactly, false);
                    Reply::Reject { message: String::new() }
                }
                reply => reply,
            };
            kept.insert(episode.id, Decided { call, reply });
            count += 1;
        }
        if count == 0 {
            bail!(
                "no call of episode `{}` waits for a decision; `hone trace pending {}` lists those that do",
                self.episode,
                self.run.display()
            );
        }
        store.set_meta(STICKY, &serde_json::to_value(&sticky)?)?;
        store.set_meta(DECISIONS, &serde_json::to_value(&kept)?)?;
        say(format!(
            "{count} calls are decided; go on with `hone eval --resume {}`",
            self.run.display()
        ));
        if json {
            print_json(&json!({"decided": count}))?;
        }
        Ok(())
    }

    fn reply(&self) -> anyhow::Result<Reply> {
        let fits = |given: bool, words: &[Word]| !given || words.contains(&self.word);
        if !fits(self.message.is_some(), &[Word::Reject])
            || !fits(self.arguments.is_some(), &[Word::Edit])
            || !fits(self.exactly, &[Word::Always, Word::Never])
        {
            bail!("--message is for reject, --arguments for edit, --exactly for always and never");
        }
        let exactly = self.exactly;
        Ok(match self.word {
            Word::Approve => Reply::Approve,
            Word::Reject => Reply::Reject {
                message: self.message.clone().unwrap_or_default(),
            },
            Word::Always => Reply::Always { exactly },
            Word::Never => Reply::Never { exactly },
            Word::End => Reply::Terminate,
            Word::Edit => {
                let Some(text) = &self.arguments else {
                    bail!("edit needs --arguments with a JSON object");
                };
                let arguments: Value = serde_json::from_str(text).context("--arguments is no JSON")?;
                if !arguments.is_object() {
                    bail!("--arguments is no JSON object; write something like '{{\"field\": \"value\"}}'");
                }
                Reply::Edit { arguments }
            }
        })
    }
}
