//! Where an evaluation's tool calls get their results from, which of them may run, and which wait for a decision.

use super::run::Run;
use crate::approve::{self, How};
use crate::commands::trace::pending::{self, STICKY};
use crate::console::say;
use anyhow::bail;
use hone_rollout::{ToolSource, Waiting};
use hone_tool::{ApprovalPolicy, CacheCounts, Policy, Sticky, ToolCache, ToolMode, server_of};
use hone_trace::Store;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Where results come from, on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ToolArgs {
    /// Where results of tool calls come from; see docs/tools.md
    #[arg(long, value_enum, value_name = "MODE", requires = "tool_cache")]
    tools: Option<Mode>,
    /// The folder of results that runs share; made if it is not there
    #[arg(long, value_name = "DIR", requires = "tools")]
    tool_cache: Option<PathBuf>,
    /// Bound on its size in MiB; what was not used for the longest time goes first
    #[arg(long, value_name = "MIB", default_value_t = ToolCache::DEFAULT_BYTES >> 20,
        value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    tool_cache_mib: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// From the tools
    Live,
    /// From the tools, and kept in the cache
    Record,
    /// From the cache; a call that it does not hold fails as infrastructure
    Replay,
    /// From the cache; a call that it does not hold runs, and is kept
    ReplayThenLive,
}

impl From<Mode> for ToolMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Live => Self::Live,
            Mode::Record => Self::Record,
            Mode::Replay => Self::Replay,
            Mode::ReplayThenLive => Self::ReplayThenLive,
        }
    }
}

impl ToolArgs {
    /// Whether no tool may run.
    pub fn only_replay(&self) -> bool {
        self.tools == Some(Mode::Replay)
    }
}

impl Run {
    /// Set which calls may run and where their results come from. The ids of episodes that wait for a decision.
    pub(super) fn rule(&mut self, approve: Option<How>, args: &ToolArgs) -> anyhow::Result<Vec<String>> {
        self.approval = Arc::new(self.approval(approve)?);
        let (source, undecided) = self.source(args)?;
        self.tools = source;
        Ok(undecided)
    }

    /// Which calls may run, with what was decided for good in earlier calls.
    fn approval(&self, approve: Option<How>) -> anyhow::Result<ApprovalPolicy> {
        let policy = match &self.settings.policy {
            Some(text) => Some(Policy::parse(text, "--policy")?),
            None => self.suite.policy.clone(),
        };
        let sticky = pending::sticky(&self.store)?;
        let approve = approve.or(self.settings.approve);
        let guard = approve::guard(policy, approve, How::Save, self.taskset.name());
        let path = self.store.path().to_owned();
        let keep = move |sticky: &Sticky| {
            let kept = serde_json::to_value(sticky).map_err(anyhow::Error::from);
            let kept = kept.and_then(|value| Ok(Store::open(&path)?.set_meta(STICKY, &value)?));
            if let Err(error) = kept {
                say(format!("the decision holds, but could not be kept: {error}"));
            }
        };
        Ok(approve::approval(guard, sticky, keep))
    }

    /// Where results come from. Of the episodes that wait for a decision, those that have one go on; the ids of the
    /// others.
    fn source(&self, args: &ToolArgs) -> anyhow::Result<(ToolSource, Vec<String>)> {
        let cache = match (args.tools, &args.tool_cache) {
            (Some(mode), Some(folder)) if mode != Mode::Live => {
                let cache = ToolCache::open(folder, self.secrets(), args.tool_cache_mib << 20)?;
                Some((Arc::new(cache), mode.into()))
            }
            _ => None,
        };
        let mut decided = pending::decisions(&self.store)?;
        let sticky = pending::sticky(&self.store)?;
        let mut waiting = BTreeMap::new();
        let mut undecided = Vec::new();
        for (episode, call) in pending::pending(&self.store)? {
            let reply = decided.remove(&episode.id).filter(|decision| decision.call == call);
            match reply {
                Some(decision) => {
                    let reply = Some(decision.reply);
                    waiting.insert(episode.id.clone(), Waiting { episode, reply });
                }
                None => {
                    let asked = &episode.tool_calls[call as usize];
                    let server = server_of(&asked.tool, self.taskset.name());
                    match sticky.answer(server, &asked.tool, &asked.arguments) {
                        Some(_) => {
                            waiting.insert(episode.id.clone(), Waiting { episode, reply: None });
                        }
                        None => undecided.push(episode.id),
                    }
                }
            }
        }
        if cache.is_some() && !waiting.is_empty() {
            bail!(
                "{} episodes go on from a call that waited, and their tools must run; leave out --tools this time",
                waiting.len()
            );
        }
        let waiting = Arc::new(waiting);
        Ok((ToolSource { cache, waiting }, undecided))
    }
}

/// What the cache did, for people.
pub(super) fn told(source: &ToolSource) {
    let Some((cache, _)) = &source.cache else { return };
    let CacheCounts {
        hits,
        misses,
        written,
        failed,
        coalesced,
    } = cache.counts();
    say(format!(
        "tool cache: {hits} calls answered, {misses} not found, {written} kept, {coalesced} shared with one under way"
    ));
    if failed > 0 {
        say(format!(
            "{failed} results could not be kept: they are too large, or the disk is full or busy"
        ));
    }
}
