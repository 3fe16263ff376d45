//! One thread's sequences, and the loop that feeds them.

use super::{Counters, Generation, Stops};
use crate::cache::PageCounter;
use crate::choose::{Before, Choice, choose};
use crate::decode::{Cache, Feed, Scratch, feed};
use crate::guide::{Guide, Guides, Verdict};
use crate::kernels;
use crate::weights::Weights;
use hone_model::{ModelError, OnToken, Sampled};
use hone_trace::{FinishReason, SamplingSettings, Span, Stream, TokenId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use tokio::sync::oneshot;

/// Tokens of one sequence fed in one batch.
const CHUNK: usize = 64;
/// Tokens of one batch.
const BATCH: usize = 512;
/// Shared tokens from which a fork is worth it.
const MIN_SHARED: usize = 8;
/// Sequences that a worker keeps; idle ones beyond that are forgotten, longest unused first, and fed again if they return.
const MAX_SEQUENCES: usize = 1024;

pub(super) enum Message {
    Generate(Box<Job>),
    Release(u64),
    Publish(Arc<Weights>, u64),
    Stop,
}

pub(super) struct Job {
    pub(super) sequence: u64,
    pub(super) ids: Vec<TokenId>,
    pub(super) settings: SamplingSettings,
    pub(super) stream: Stream,
    pub(super) ends: Arc<[TokenId]>,
    pub(super) stops: Option<Stops>,
    pub(super) guided: Option<Guided>,
    pub(super) on_token: Option<OnToken>,
    pub(super) reply: oneshot::Sender<Result<Generation, ModelError>>,
}

/// An answer's grammar.
pub(super) struct Guided {
    pub(super) guides: Arc<Guides>,
    /// None only while a token is chosen.
    pub(super) guide: Option<Guide>,
    pub(super) hash: String,
}

pub(super) struct Worker {
    weights: Arc<Weights>,
    version: u64,
    messages: Receiver<Message>,
    counters: Arc<Counters>,
    sequences: BTreeMap<u64, Sequence>,
    waiting: VecDeque<Box<Job>>,
    scratch: Scratch,
    clock: u64,
    /// Pages of keys and values that are held, and may be.
    held: Arc<PageCounter>,
    pages: usize,
}

struct Sequence {
    cache: Cache,
    used: u64,
    released: bool,
    running: Option<Running>,
}

struct Running {
    /// Tokens not fed yet.
    pending: Vec<TokenId>,
    /// How many of them are in the present batch.
    feeding: usize,
    out: Generation,
    job: Box<Job>,
}

impl Worker {
    pub(super) fn new(
        weights: Arc<Weights>,
        version: u64,
        messages: Receiver<Message>,
        counters: Arc<Counters>,
        pages: usize,
    ) -> Self {
        Self {
            weights,
            version,
            messages,
            counters,
            sequences: BTreeMap::new(),
            waiting: VecDeque::new(),
            scratch: Scratch::default(),
            clock: 0,
            held: Arc::default(),
            pages,
        }
    }

    pub(super) fn counter(&self) -> Arc<PageCounter> {
        self.held.clone()
    }

    pub(super) fn run(mut self) {
        loop {
            let idle = self.waiting.is_empty() && self.sequences.values().all(|s| s.running.is_none());
            if idle {
                match self.messages.recv() {
                    Ok(message) => {
                        if !self.take(message) {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
            loop {
                match self.messages.try_recv() {
                    Ok(message) => {
                        if !self.take(message) {
                            return;
                        }
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.admit();
            self.step();
        }
    }

    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Generate(job) => {
                self.counters.running.fetch_add(1, Ordering::Relaxed);
                self.waiting.push_back(job);
            }
            Message::Release(sequence) => {
                if let Some(s) = self.sequences.get_mut(&sequence) {
                    s.released = true;
                    if s.running.is_none() {
                        self.sequences.remove(&sequence);
                    }
                }
            }
            Message::Publish(weights, version) => {
                self.weights = weights;
                self.version = version;
                // What was computed with the old weights is fed again.
                for s in self.sequences.values_mut() {
                    s.empty(&self.held);
                }
            }
            Message::Stop => return false,
        }
        true
    }

    fn admit(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(job) = self.waiting.pop_front() else { return };
            if job.reply.is_closed() {
                self.counters.running.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            if let Err(job) = self.start(job) {
                self.waiting.push_back(job);
            }
        }
    }

    /// Start a job, or give it back while another sequence computes the prompt that it shares.
    fn start(&mut self, job: Box<Job>) -> Result<(), Box<Job>> {
        let want = job.ids.len() - 1;
        if !self.sequences.contains_key(&job.sequence) {
            let shared = |ids: &[TokenId]| ids.iter().zip(&job.ids[..want]).take_while(|(a, b)| a == b).count();
            let mut best: Option<(usize, bool, u64)> = None;
            for (id, s) in &self.sequences {
                let have = shared(s.cache.ids());
                let mut soon = have;
                if have == s.cache.ids().len()
                    && let Some(running) = &s.running
                {
                    soon += running
                        .pending
                        .iter()
                        .zip(&job.ids[have..want])
                        .take_while(|(a, b)| a == b)
                        .count();
                }
                if best.is_none_or(|(most, ..)| soon > most) {
                    best = Some((soon, have == soon, *id));
                }
            }
            let mut cache = Cache::counted(&self.held);
            if let Some((n, ready, id)) = best.filter(|(n, ..)| *n >= MIN_SHARED) {
                if !ready {
                    return Err(job);
                }
                if let Some(donor) = self.sequences.get(&id) {
                    cache = donor.cache.fork(n);
                }
            }
            self.make_room();
            let sequence = Sequence {
                cache,
                used: self.clock,
                released: false,
                running: None,
            };
            self.sequences.insert(job.sequence, sequence);
        }
        let Some(s) = self.sequences.get_mut(&job.sequence) else {
            return Err(job);
        };
        if s.running.is_some() {
            // Two copies of one conversation: the second waits for the first.
            return Err(job);
        }
        let common = s
            .cache
            .ids()
            .iter()
            .zip(&job.ids[..want])
            .take_while(|(a, b)| a == b)
            .count();
        s.cache.truncate(common);
        s.running = Some(Running {
            pending: job.ids[common..].to_vec(),
            feeding: 0,
            out: Generation {
                ids: Vec::new(),
                logprobs: Vec::new(),
                sampled_logprobs: Vec::new(),
                entropies: Vec::new(),
                top_logprobs: Vec::new(),
                forced: Vec::new(),
                grammar: job.guided.as_ref().map(|guided| guided.hash.clone()),
                finish: FinishReason::Stop,
                versions: Vec::new(),
            },
            job,
        });
        Ok(())
    }

    fn make_room(&mut self) {
        if self.sequences.len() >= MAX_SEQUENCES {
            self.forget_idle();
        }
    }

    /// Forget the sequence that was unused for longest, if one is idle.
    fn forget_idle(&mut self) -> bool {
        let idle = self.sequences.iter().filter(|(_, s)| s.running.is_none());
        let oldest = idle.min_by_key(|(_, s)| s.used).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.sequences.remove(&id).is_some())
    }

    /// Say what each sequence feeds in the next batch, so that its pages fit; the tokens of the batch. The first come
    /// first; where nothing fits, the last gives its pages back.
    fn plan(&mut self) -> usize {
        loop {
            let running: Vec<u64> = self
                .sequences
                .iter()
                .filter(|(_, s)| s.running.is_some())
                .map(|(id, _)| *id)
                .collect();
            let (mut room, mut taken, mut starved) = (BATCH, 0, false);
            for id in &running {
                let Some(Sequence {
                    cache,
                    running: Some(running),
                    ..
                }) = self.sequences.get_mut(id)
                else {
                    continue;
                };
                let n = running.pending.len().min(CHUNK).min(room);
                // A sequence starts once all of its prompt fits.
                let whole = if cache.ids().is_empty() {
                    running.pending.len()
                } else {
                    n
                };
                let (need, pages) = (cache.missing(whole), cache.missing(n));
                running.feeding = 0;
                while self.held.pages() + taken + need > self.pages && self.forget_idle() {}
                let Some(Sequence {
                    running: Some(running),
                    used,
                    ..
                }) = self.sequences.get_mut(id)
                else {
                    continue;
                };
                if self.held.pages() + taken + need > self.pages {
                    starved = true;
                    continue;
                }
                running.feeding = n;
                *used = self.clock;
                taken += pages;
                room -= n;
            }
            if room < BATCH || !starved {
                return BATCH - room;
            }
            let holds = |id: &&u64| self.sequences.get(*id).is_some_and(|s| s.cache.own() > 0);
            let Some(last) = running
                .iter()
                .skip(1)
                .rev()
                .find(holds)
                .or_else(|| running.iter().find(holds))
            else {
                return 0;
            };
            self.counters.preempted.fetch_add(1, Ordering::Relaxed);
            if let Some(s) = self.sequences.get_mut(last) {
                s.empty(&self.held);
            }
        }
    }

    fn step(&mut self) {
        self.clock += 1;
        self.sequences.retain(|_, s| {
            if s.running.as_ref().is_some_and(|r| r.job.reply.is_closed()) {
                s.running = None;
                self.counters.running.fetch_sub(1, Ordering::Relaxed);
            }
            !(s.released && s.running.is_none())
        });
        let fed = self.plan();
        let mut feeds = Vec::new();
        for s in self.sequences.values_mut() {
            let Some(running) = s.running.as_mut().filter(|running| running.feeding > 0) else {
                continue;
            };
            feeds.push(Feed {
                cache: &mut s.cache,
                ids: &running.pending[..running.feeding],
                want: running.feeding == running.pending.len(),
            });
        }
        if feeds.is_empty() {
            return;
        }
        let logits = feed(&self.weights, &mut feeds, &mut self.scratch);
        drop(feeds);
        self.counters.fed.fetch_add(fed as u64, Ordering::Relaxed);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        let context = self.weights.config.max_position_embeddings;
        let mut rows = logits.chunks_exact_mut(self.weights.config.vocab_size);
        for s in self.sequences.values_mut() {
            let Some(running) = &mut s.running else { continue };
            let n = std::mem::take(&mut running.feeding);
            running.pending.drain(..n);
            if n == 0 || !running.pending.is_empty() {
                continue;
            }
            let Some(row) = rows.next() else { break };
            self.counters.sampled.fetch_add(1, Ordering::Relaxed);
            let reply = match running.sample(&s.cache, row, self.version, context) {
                Ok(None) => continue,
                Ok(Some(finish)) => {
                    running.out.finish = finish;
                    Ok(())
                }
                Err(why) => Err(ModelError::Refused(why)),
            };
            if let Some(done) = s.running.take() {
                self.counters.running.fetch_sub(1, Ordering::Relaxed);
                // Nobody waits any more when the episode was cancelled.
                let _ = done.job.reply.send(reply.map(|()| done.out));
            }
        }
    }
}

impl Sequence {
    /// Gives its pages back; what was fed is fed again.
    fn empty(&mut self, counter: &Arc<PageCounter>) {
        if let Some(running) = &mut self.running {
            let mut pending = self.cache.ids().to_vec();
            pending.append(&mut running.pending);
            running.pending = pending;
        }
        self.cache = Cache::counted(counter);
    }
}

impl Running {
    /// Choose the next token by its logits; why the answer is finished, if it is.
    fn sample(
        &mut self,
        cache: &Cache,
        logits: &mut [f32],
        version: u64,
        context: usize,
    ) -> Result<Option<FinishReason>, String> {
        let (out, job) = (&mut self.out, &mut *self.job);
        let position = out.ids.len();
        let fed = cache.ids();
        let left = (job.settings.max_tokens as usize)
            .saturating_sub(position)
            .min(context - fed.len());
        let open = match &mut job.guided {
            Some(guided) => guided
                .guide
                .take()
                .map(|guide| guide.open(&guided.guides))
                .transpose()?,
            None => None,
        };
        let uniform = job.stream.uniform(position as u64);
        let allowed = open.as_ref().map(|open| open.mask());
        let before = Before {
            prompt: &fed[..fed.len() - position],
            answer: &out.ids,
            allowed,
        };
        let mut forced = open.as_ref().is_some_and(|open| open.only_choice());
        let end = job.ends.first().copied().unwrap_or_default();
        let raw = open.as_ref().map(|_| logits.to_vec());
        let mut choice = choose(logits, &job.settings, &before, uniform);
        if let (Some(open), Some(guided), Some(mut raw)) = (&open, &job.guided, raw)
            && let Verdict::Forced(token) = open.check(
                choice.token,
                end,
                job.ends.contains(&choice.token),
                left,
                &guided.guides,
            )
        {
            kernels::log_softmax(&mut raw, 1.0);
            choice = Choice {
                token,
                logprob: raw.get(token as usize).copied().unwrap_or(f32::MIN),
                // It was no choice.
                sampled_logprob: Some(0.0),
                ..choice
            };
            forced = true;
        }
        out.ids.push(choice.token);
        out.logprobs.push(choice.logprob);
        out.sampled_logprobs.extend(choice.sampled_logprob);
        out.entropies.push(choice.entropy);
        if job.settings.top_logprobs > 0 {
            out.top_logprobs.push(choice.top.clone());
        }
        if forced {
            out.forced.push(position as u32);
        }
        match out.versions.last_mut() {
            Some(span) if span.value == version => span.end += 1,
            _ => out.versions.push(Span {
                start: position as u32,
                end: position as u32 + 1,
                value: version,
            }),
        }
        if let Some(OnToken(tell)) = &job.on_token {
            tell(Sampled {
                id: choice.token,
                logprob: choice.logprob,
                top: choice.top,
            });
        }
        let stopped = job.stops.as_mut().is_some_and(|stops| stops.after(choice.token));
        if job.ends.contains(&choice.token) || stopped {
            return Ok(Some(FinishReason::Stop));
        }
        if out.ids.len() >= job.settings.max_tokens as usize {
            return Ok(Some(FinishReason::Length));
        }
        if fed.len() + 1 >= context {
            return Ok(Some(FinishReason::Context));
        }
        if let (Some(open), Some(guided)) = (open, &mut job.guided) {
            guided.guide = Some(open.advance(choice.token, left - 1, &guided.guides));
        }
        self.pending.push(choice.token);
        Ok(None)
    }
}
