//! The batching service that rollouts talk to: many conversations, one forward pass.
//!
//! Each worker thread owns its sequences and runs its own loop: admit what arrived, feed every running sequence's
//! pending tokens in one mixed batch (prompts in chunks beside single sampled tokens), choose a token for those that are
//! ready, answer those that ended. Workers never wait for each other. A conversation stays with its worker, and
//! conversations that share a prompt go to the same one, where the later ones fork the first one's cache.

use crate::choose::choose;
use crate::decode::{Cache, Feed, Scratch, feed};
use crate::weights::Weights;
use async_trait::async_trait;
use hone_model::{Completion, Conversation, Model, ModelError, Output, Request, TokenCodec, finish_turn};
use hone_trace::{FinishReason, Origin, SamplingSettings, Span, Stream, Timing, TokenId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Tokens of one sequence fed in one batch.
const CHUNK: usize = 64;
/// Tokens of one batch.
const BATCH: usize = 512;
/// Shared tokens from which a fork is worth it.
const MIN_SHARED: usize = 8;
/// Sequences that a worker keeps; idle ones beyond that are forgotten, longest unused first, and fed again if they return.
const MAX_SEQUENCES: usize = 1024;

/// A policy that samples in this process.
pub struct Sampler {
    codec: Arc<dyn TokenCodec>,
    policy: String,
    context: usize,
    workers: Vec<WorkerHandle>,
    routes: Mutex<HashMap<u64, usize>>,
    next: AtomicU64,
    counters: Arc<Counters>,
}

struct WorkerHandle {
    inbox: Sender<Message>,
    load: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Counters {
    fed: AtomicU64,
    sampled: AtomicU64,
    batches: AtomicU64,
}

/// What a sampler has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplerStats {
    /// Tokens fed to the model, sampled ones included.
    pub fed: u64,
    /// Tokens sampled.
    pub sampled: u64,
    /// Forward passes.
    pub batches: u64,
}

enum Message {
    Generate(Box<Job>),
    Release(u64),
    Publish(Arc<Weights>, u64),
    Stop,
}

struct Job {
    sequence: u64,
    ids: Vec<TokenId>,
    settings: SamplingSettings,
    stream: Stream,
    ends: Arc<[TokenId]>,
    reply: oneshot::Sender<Generated>,
}

struct Generated {
    ids: Vec<TokenId>,
    logprobs: Vec<f32>,
    sampled_logprobs: Vec<f32>,
    entropies: Vec<f32>,
    finish: FinishReason,
    versions: Vec<Span<u64>>,
}

/// A conversation's place in a worker; dropping the last copy frees it.
struct Place {
    worker: usize,
    sequence: u64,
    inbox: Sender<Message>,
    load: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        // A worker that is gone has freed everything already.
        let _ = self.inbox.send(Message::Release(self.sequence));
    }
}

impl Sampler {
    /// Start `threads` workers on these weights.
    pub fn new(
        policy: impl Into<String>,
        codec: Arc<dyn TokenCodec>,
        weights: Arc<Weights>,
        version: u64,
        threads: usize,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let context = weights.config.max_position_embeddings;
        let workers = (0..threads.max(1))
            .map(|_| {
                let (inbox, messages) = channel();
                let (weights, counters) = (Arc::clone(&weights), Arc::clone(&counters));
                let worker = Worker {
                    weights,
                    version,
                    messages,
                    counters,
                    sequences: BTreeMap::new(),
                    waiting: VecDeque::new(),
                    scratch: Scratch::default(),
                    clock: 0,
                };
                let thread = std::thread::Builder::new()
                    .name("hone-sampler".into())
                    .spawn(move || worker.run())
                    .ok();
                WorkerHandle {
                    inbox,
                    load: Arc::default(),
                    thread,
                }
            })
            .collect();
        Self {
            codec,
            policy: policy.into(),
            context,
            workers,
            routes: Mutex::default(),
            next: AtomicU64::new(0),
            counters,
        }
    }

    /// Use new weights from now on. Answers under way go on with them, and their tokens say which version sampled them.
    pub fn publish(&self, weights: &Arc<Weights>, version: u64) {
        for worker in &self.workers {
            let _ = worker.inbox.send(Message::Publish(Arc::clone(weights), version));
        }
    }

    /// What was done so far.
    pub fn stats(&self) -> SamplerStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        SamplerStats {
            fed: get(&c.fed),
            sampled: get(&c.sampled),
            batches: get(&c.batches),
        }
    }

    fn place(&self, conversation: &Conversation, ids: &[TokenId]) -> Arc<Place> {
        let kept = conversation
            .cache
            .clone()
            .and_then(|cache| Arc::downcast::<Place>(cache).ok());
        let ours = kept.filter(|place| {
            let worker = self.workers.get(place.worker);
            worker.is_some_and(|w| Arc::ptr_eq(&w.load, &place.load))
        });
        // The conversation and this clone hold it; whoever else does is a fork of the conversation, and of two forks the
        // one that asks first gets a sequence of its own, beside the one whose cache it forks.
        let mut beside = None;
        if let Some(place) = ours {
            if Arc::strong_count(&place) <= 2 {
                return place;
            }
            beside = Some(place.worker);
        }
        let mut hash = DefaultHasher::new();
        ids.hash(&mut hash);
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.len() > 4096 {
            routes.clear();
        }
        let worker = beside.unwrap_or_else(|| {
            *routes.entry(hash.finish()).or_insert_with(|| {
                let loads = self.workers.iter().map(|w| w.load.load(Ordering::Relaxed));
                loads.enumerate().min_by_key(|(_, load)| *load).map_or(0, |(i, _)| i)
            })
        });
        let handle = &self.workers[worker];
        handle.load.fetch_add(1, Ordering::Relaxed);
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(Place {
            worker,
            sequence,
            inbox: handle.inbox.clone(),
            load: Arc::clone(&handle.load),
        })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        for worker in &self.workers {
            let _ = worker.inbox.send(Message::Stop);
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

#[async_trait]
impl Model for Sampler {
    fn name(&self) -> String {
        self.policy.clone()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let prompt = self.codec.extend(conversation, &request.tools)?;
        let mut ids = conversation.ids.get(..prompt.kept).unwrap_or_default().to_vec();
        ids.extend_from_slice(&prompt.new);
        if ids.is_empty() {
            return Err(ModelError::Render("its chat template gives no text".into()));
        }
        if ids.len() >= self.context {
            return Err(ModelError::ContextOverflow {
                tokens: ids.len(),
                limit: self.context,
            });
        }
        let place = self.place(conversation, &ids);
        let start = (SystemTime::now(), Instant::now());
        let (reply, answer) = oneshot::channel();
        let job = Job {
            sequence: place.sequence,
            ids,
            settings: request.sampling.clone(),
            stream: request.stream.clone(),
            ends: self.codec.ends().into(),
            reply,
        };
        let gone = || ModelError::Unavailable("the sampler's worker thread has ended".into());
        self.workers[place.worker]
            .inbox
            .send(Message::Generate(Box::new(job)))
            .map_err(|_| gone())?;
        let out = answer.await.map_err(|_| gone())?;
        let numbers = [&out.logprobs, &out.sampled_logprobs, &out.entropies];
        if numbers.into_iter().flatten().any(|x| !x.is_finite()) {
            return Err(ModelError::NotFinite {
                model: self.policy.clone(),
            });
        }
        let timing = Timing {
            start_us: start.0.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64),
            duration_us: start.1.elapsed().as_micros() as u64,
        };
        let output = Output {
            ids: out.ids,
            origin: Origin::Sampled,
            logprobs: out.logprobs,
            sampled_logprobs: out.sampled_logprobs,
            entropies: out.entropies,
            versions: out.versions,
            finish: out.finish,
            timing,
        };
        conversation.cache = Some(place);
        Ok(finish_turn(
            &self.codec,
            conversation,
            &request,
            &self.policy,
            prompt,
            output,
        ))
    }
}

struct Worker {
    weights: Arc<Weights>,
    version: u64,
    messages: Receiver<Message>,
    counters: Arc<Counters>,
    sequences: BTreeMap<u64, Sequence>,
    waiting: VecDeque<Box<Job>>,
    scratch: Scratch,
    clock: u64,
}

#[derive(Default)]
struct Sequence {
    cache: Cache,
    version: u64,
    used: u64,
    released: bool,
    running: Option<Running>,
}

struct Running {
    /// Tokens not fed yet.
    pending: Vec<TokenId>,
    /// How many of them are in the present batch.
    feeding: usize,
    out: Generated,
    settings: SamplingSettings,
    stream: Stream,
    ends: Arc<[TokenId]>,
    reply: oneshot::Sender<Generated>,
}

impl Worker {
    fn run(mut self) {
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
            Message::Generate(job) => self.waiting.push_back(job),
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
                    if let Some(running) = &mut s.running {
                        let mut pending = s.cache.ids().to_vec();
                        pending.append(&mut running.pending);
                        running.pending = pending;
                    }
                    s.cache = Cache::default();
                    s.version = version;
                }
            }
            Message::Stop => return false,
        }
        true
    }

    fn admit(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(job) = self.waiting.pop_front() else { return };
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
            let mut sequence = Sequence {
                version: self.version,
                ..Sequence::default()
            };
            if let Some((n, ready, id)) = best.filter(|(n, ..)| *n >= MIN_SHARED) {
                if !ready {
                    return Err(job);
                }
                if let Some(donor) = self.sequences.get(&id) {
                    sequence.cache = donor.cache.fork(&self.weights, n);
                }
            }
            self.make_room();
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
            out: Generated {
                ids: Vec::new(),
                logprobs: Vec::new(),
                sampled_logprobs: Vec::new(),
                entropies: Vec::new(),
                finish: FinishReason::Stop,
                versions: Vec::new(),
            },
            settings: job.settings,
            stream: job.stream,
            ends: job.ends,
            reply: job.reply,
        });
        Ok(())
    }

    fn make_room(&mut self) {
        if self.sequences.len() >= MAX_SEQUENCES {
            let idle = self.sequences.iter().filter(|(_, s)| s.running.is_none());
            if let Some(oldest) = idle.min_by_key(|(_, s)| s.used).map(|(id, _)| *id) {
                self.sequences.remove(&oldest);
            }
        }
    }

    fn step(&mut self) {
        self.clock += 1;
        let mut feeds = Vec::new();
        let mut room = BATCH;
        self.sequences.retain(|_, s| {
            if s.running.as_ref().is_some_and(|r| r.reply.is_closed()) {
                s.running = None;
            }
            !(s.released && s.running.is_none())
        });
        for s in self.sequences.values_mut() {
            let Some(running) = &mut s.running else { continue };
            let n = running.pending.len().min(CHUNK).min(room);
            running.feeding = n;
            if n == 0 {
                continue;
            }
            room -= n;
            s.used = self.clock;
            let want = n == running.pending.len();
            feeds.push(Feed {
                cache: &mut s.cache,
                ids: &running.pending[..n],
                want,
            });
        }
        if feeds.is_empty() {
            return;
        }
        let logits = feed(&self.weights, &mut feeds, &mut self.scratch);
        drop(feeds);
        self.counters.fed.fetch_add((BATCH - room) as u64, Ordering::Relaxed);
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
            let out = &mut running.out;
            let position = out.ids.len();
            let choice = choose(row, &running.settings, running.stream.uniform(position as u64));
            self.counters.sampled.fetch_add(1, Ordering::Relaxed);
            out.ids.push(choice.token);
            out.logprobs.push(choice.logprob);
            out.sampled_logprobs.extend(choice.sampled_logprob);
            out.entropies.push(choice.entropy);
            match out.versions.last_mut() {
                Some(span) if span.value == self.version => span.end += 1,
                _ => out.versions.push(Span {
                    start: position as u32,
                    end: position as u32 + 1,
                    value: self.version,
                }),
            }
            let finish = if running.ends.contains(&choice.token) {
                FinishReason::Stop
            } else if out.ids.len() >= running.settings.max_tokens as usize {
                FinishReason::Length
            } else if s.cache.ids().len() + 1 >= context {
                FinishReason::Context
            } else {
                running.pending.push(choice.token);
                continue;
            };
            out.finish = finish;
            if let Some(done) = s.running.take() {
                // Nobody waits any more when the episode was cancelled.
                let _ = done.reply.send(done.out);
            }
        }
    }
}
