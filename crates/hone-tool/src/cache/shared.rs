//! An episode's use of the cache: which state its calls act on, and what of it the world has not seen.

use super::{Key, ToolCache};
use crate::dispatch::{Answer, Call, failure, run};
use crate::{Recording, ToolHost, ToolSpec};
use hone_trace::{ToolCall, ToolErrorClass, ToolFailure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Where the results of calls come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToolMode {
    /// From the tools.
    #[default]
    Live,
    /// From the tools; the cache keeps them.
    Record,
    /// From the cache only. A call that it does not hold fails as infrastructure.
    Replay,
    /// From the cache; a call that it does not hold runs, and is kept.
    ReplayThenLive,
}

/// The cache in one episode.
///
/// The state that a call acts on is the host's hash of it, as long as that covers all of it. Where it does not
/// ([`ToolHost::has_hidden_state`]), it is the task and the calls so far that were not read-only: the same calls from the same
/// start lead to the same state.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    cache: Arc<ToolCache>,
    mode: ToolMode,
    /// What the world starts from, for hosts with hidden state.
    history: String,
    /// The state by the hash, once a call was answered; the host itself may be behind.
    hash: Option<Option<String>>,
    /// Calls that were answered from the cache and may have changed something.
    behind: Vec<(String, serde_json::Value)>,
}

impl Shared {
    pub fn new(cache: Arc<ToolCache>, mode: ToolMode, scope: &str) -> Self {
        Self {
            cache,
            mode,
            history: chained("", scope),
            hash: None,
            behind: Vec::new(),
        }
    }

    /// The call by its content, on the state as it is now.
    fn key<H: ToolHost + ?Sized>(&self, host: &H, call: &ToolCall) -> Key {
        let hash = match &self.hash {
            Some(hash) => hash.clone(),
            None => host.state_hash(),
        };
        let hash = hash.unwrap_or_default();
        let state = match host.has_hidden_state() {
            true => format!("{}/{hash}", self.history),
            false => hash,
        };
        self.cache.key(&call.tool, &call.tool_version, &call.arguments, state)
    }

    /// Go on after a call with this answer.
    fn passed(&mut self, spec: &ToolSpec, call: &ToolCall, answer: &Answer, replayed: bool) {
        self.hash = Some(answer.state_after.clone());
        if !spec.annotations.read_only_hint {
            self.history = chained(&self.history, &format!("{} {}", call.tool, call.arguments));
        }
        let unchanged = spec.annotations.read_only_hint && answer.state_before == answer.state_after;
        if replayed && !unchanged {
            self.behind.push((call.tool.clone(), call.arguments.clone()));
        }
    }

    /// Answer a call from the cache, or run it and keep what comes.
    pub async fn answer<H>(
        &mut self,
        host: Box<H>,
        spec: &ToolSpec,
        call: &mut ToolCall,
        timeout: Duration,
    ) -> (Option<Box<H>>, Answer)
    where
        H: ToolHost + ?Sized + 'static,
    {
        let key = self.key(&*host, call);
        if self.mode != ToolMode::Record {
            match self.cache.find(&key) {
                Ok(Some(answer)) => {
                    call.replayed = true;
                    self.passed(spec, call, &answer, true);
                    return (Some(host), answer);
                }
                Ok(None) if self.mode == ToolMode::Replay => {
                    let why = format!("the tool cache has no such call: {}", self.cache.nearest(&key));
                    return (Some(host), failure(ToolErrorClass::Infrastructure, why).into());
                }
                Ok(None) => {}
                Err(error) => {
                    return (
                        Some(host),
                        failure(ToolErrorClass::Infrastructure, error.to_string()).into(),
                    );
                }
            }
        }
        let host = match self.catch_up(host, timeout).await {
            (Some(host), Ok(())) => host,
            (host, Ok(())) => return (host, lost().into()),
            (host, Err(failure)) => return (host, failure.into()),
        };
        let request = Call::of(call);
        let safe = spec.annotations.read_only_hint && spec.annotations.idempotent_hint;
        let (host, answer) = match safe {
            true => self.together(host, &key, &request, timeout).await,
            false => run(host, &request, timeout).await,
        };
        self.cache.keep(&key, &answer);
        self.passed(spec, call, &answer, false);
        (host, answer)
    }

    /// Run a call, unless an identical one is under way: then take its result. Only for tools that read and may be repeated.
    async fn together<H>(&self, host: Box<H>, key: &Key, call: &Call, timeout: Duration) -> (Option<Box<H>>, Answer)
    where
        H: ToolHost + ?Sized + 'static,
    {
        let cell = self.cache.flight(key);
        let mut waiting = Some(host);
        let mut back = None;
        let shared = cell
            .get_or_try_init(|| async {
                let Some(host) = waiting.take() else {
                    return Err(Answer::from(lost()));
                };
                let (host, answer) = run(host, call, timeout).await;
                back = host;
                // A failure of the one call is not the others'.
                match answer.result {
                    Ok(_) => Ok(answer),
                    Err(_) => Err(answer),
                }
            })
            .await
            .cloned();
        let mine = waiting.is_none();
        if !mine && shared.is_ok() {
            self.cache.coalesced();
        }
        let answer = shared.unwrap_or_else(|failed| failed);
        (if mine { back } else { waiting }, answer)
    }

    /// Bring the host to where the replayed calls led, by running those that may have changed something.
    async fn catch_up<H>(&mut self, host: Box<H>, timeout: Duration) -> (Option<Box<H>>, Result<(), ToolFailure>)
    where
        H: ToolHost + ?Sized + 'static,
    {
        let mut host = host;
        for (tool, arguments) in std::mem::take(&mut self.behind) {
            let (back, answer) = run(host, &Call { tool, arguments }, timeout).await;
            let Some(back) = back else {
                return (None, Err(answer.result.err().unwrap_or_else(lost)));
            };
            host = back;
        }
        let same = self.hash.as_ref().is_none_or(|hash| *hash == host.state_hash());
        let changed = || {
            failure(
                ToolErrorClass::Infrastructure,
                "the cached calls no longer lead to the state that is recorded; the world has changed since, record anew",
            )
        };
        (Some(host), if same { Ok(()) } else { Err(changed()) })
    }
}

fn lost() -> ToolFailure {
    failure(ToolErrorClass::Infrastructure, "the tools were lost")
}

fn chained(before: &str, next: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update((next.len() as u64).to_le_bytes());
    hash.update(next);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// At the end of an episode: bring its world to where the replayed calls led, so that its final state can be read.
///
/// # Errors
/// Where that cannot be done: with [`ToolMode::Replay`] no tool runs, so a world whose state calls have changed is not in
/// it. The host comes back if it is not lost.
pub async fn settle<H>(
    host: Box<H>,
    recording: &mut Recording,
    timeout: Duration,
) -> (Option<Box<H>>, Result<(), String>)
where
    H: ToolHost + ?Sized + 'static,
{
    let Some(shared) = recording.shared() else {
        return (Some(host), Ok(()));
    };
    let behind = shared.hash.as_ref().is_some_and(|hash| *hash != host.state_hash());
    if !behind {
        return (Some(host), Ok(()));
    }
    if shared.mode == ToolMode::Replay {
        let why = "its calls came from the tool cache and changed nothing, so that its final state cannot be scored; \
                   take --tools replay-then-live, or replay the recorded run with `hone trace replay`";
        return (Some(host), Err(why.to_owned()));
    }
    let (host, caught_up) = shared.catch_up(host, timeout).await;
    (host, caught_up.map_err(|failure| failure.message))
}
