//! The batching service that rollouts talk to: many conversations, one forward pass.
//!
//! Each worker thread owns its sequences and runs its own loop: admit what arrived, feed every running sequence's
//! pending tokens in one mixed batch (prompts in chunks beside single sampled tokens), choose a token for those that are
//! ready, answer those that ended. Workers never wait for each other. A conversation stays with its worker, and
//! conversations that share a prompt go to the same one, where the later ones fork the first one's cache.
//!
//! Memory for keys and values is bounded ([`Bounds`]). What does not fit waits; where nothing could go on, the sequence
//! that came last gives its pages back and is fed again later, with the same bits.

mod stops;
mod worker;

use crate::cache::{PAGE, PageCounter, page_bytes};
use crate::guide::{Costs, Guides};
use crate::weights::Weights;
use async_trait::async_trait;
use hone_model::{Completion, Conversation, Model, ModelError, Output, Request, TokenCodec, Vocabulary, finish_turn};
use hone_trace::{Constraint, FinishReason, Origin, Span, Timing, TokenId, TopToken};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use stops::Stops;
use tokio::sync::oneshot;
use worker::{Guided, Job, Message, Worker};

/// A policy that samples in this process.
pub struct Sampler {
    codec: Arc<dyn TokenCodec>,
    policy: String,
    context: usize,
    workers: Vec<WorkerHandle>,
    routes: Mutex<HashMap<u64, usize>>,
    next: AtomicU64,
    counters: Arc<Counters>,
    costs: Arc<Costs>,
    vocabulary: OnceLock<Result<Arc<Vocabulary>, String>>,
    guides: OnceLock<Result<Arc<Guides>, String>>,
}

/// What a sampler may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of cached keys and values, over all threads. At least one sequence of the model's whole context fits, whatever
    /// it says.
    pub cache_bytes: usize,
}

impl Default for Bounds {
    /// Half of the memory that this process may have.
    fn default() -> Self {
        Self {
            cache_bytes: memory() / 2,
        }
    }
}

/// Bytes of memory, of the machine or of the control group.
fn memory() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let meminfo = read("/proc/meminfo");
    let total = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    let total = total.map_or(8 << 30, |kb| kb << 10);
    read("/sys/fs/cgroup/memory.max")
        .trim()
        .parse()
        .map_or(total, |bound: usize| bound.min(total))
}

struct WorkerHandle {
    inbox: Sender<Message>,
    load: Arc<AtomicUsize>,
    pages: Arc<PageCounter>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Counters {
    fed: AtomicU64,
    sampled: AtomicU64,
    batches: AtomicU64,
    preempted: AtomicU64,
    running: AtomicU64,
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
    /// Cached keys and values that were given back to make room and computed anew.
    pub preempted: u64,
    /// Masks of grammars.
    pub masks: u64,
    /// Time that making them took, in microseconds, most of it beside the forward passes.
    pub mask_us: u64,
    /// Time that sampling waited for them, in microseconds.
    pub mask_wait_us: u64,
    /// Tokens that brought a constrained answer to its end within its bound.
    pub forced: u64,
    /// Pages of cached keys and values, over all threads.
    pub pages: u64,
    /// Sequences that are being continued or wait for it.
    pub running: u64,
}

/// What was sampled after a prompt.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The ids, with the end token if there was one.
    pub ids: Vec<TokenId>,
    /// Log-probability of each id under the raw distribution, in nats.
    pub logprobs: Vec<f32>,
    /// The same under the distribution that was sampled from; empty if that is the raw one.
    pub sampled_logprobs: Vec<f32>,
    /// Entropy in nats of the distribution at each id.
    pub entropies: Vec<f32>,
    /// The likeliest tokens at each id; empty unless asked for.
    pub top_logprobs: Vec<Vec<TopToken>>,
    /// Places of ids that were not sampled but a grammar's only choice, ascending.
    pub forced: Vec<u32>,
    /// Hash of the grammar.
    pub grammar: Option<String>,
    /// Why it ended.
    pub finish: FinishReason,
    /// Policy versions as runs over the ids.
    pub versions: Vec<Span<u64>>,
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
        Self::bounded(policy, codec, weights, version, threads, Bounds::default())
    }

    /// The same within bounds.
    pub fn bounded(
        policy: impl Into<String>,
        codec: Arc<dyn TokenCodec>,
        weights: Arc<Weights>,
        version: u64,
        threads: usize,
        bounds: Bounds,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let context = weights.config.max_position_embeddings;
        let threads = threads.max(1);
        let pages = bounds.cache_bytes / page_bytes(&weights.config) / threads;
        let workers = (0..threads)
            .map(|_| {
                let (inbox, messages) = channel();
                let pages = pages.max(context.div_ceil(PAGE) + 2);
                let worker = Worker::new(weights.clone(), version, messages, counters.clone(), pages);
                let counter = worker.counter();
                let thread = std::thread::Builder::new()
                    .name("hone-sampler".into())
                    .spawn(move || worker.run())
                    .ok();
                WorkerHandle {
                    inbox,
                    load: Arc::default(),
                    pages: counter,
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
            costs: Arc::default(),
            vocabulary: OnceLock::new(),
            guides: OnceLock::new(),
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
            preempted: get(&c.preempted),
            masks: get(&self.costs.masks),
            mask_us: get(&self.costs.making_us),
            mask_wait_us: get(&self.costs.waiting_us),
            forced: get(&self.costs.forced),
            pages: self.workers.iter().map(|w| w.pages.pages() as u64).sum(),
            running: get(&c.running),
        }
    }

    /// The model's tokens and texts.
    pub fn codec(&self) -> &Arc<dyn TokenCodec> {
        &self.codec
    }

    /// How many tokens a sequence may have.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Continue these ids; what `request` says of a conversation does not matter.
    ///
    /// # Errors
    /// When they do not fit, or settings do not suit the model.
    pub async fn generate(&self, ids: Vec<TokenId>, request: &Request) -> Result<Generation, ModelError> {
        let vocabulary = self.codec.vocab_size();
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
            return Err(ModelError::Refused(format!(
                "the model has no token {id}; it has {vocabulary}"
            )));
        }
        let place = self.place(&Conversation::default(), &ids);
        self.generate_at(&place, ids, request).await
    }

    async fn generate_at(&self, place: &Place, ids: Vec<TokenId>, request: &Request) -> Result<Generation, ModelError> {
        if ids.is_empty() {
            return Err(ModelError::Refused(
                "the prompt is empty; write a token at least".into(),
            ));
        }
        if ids.len() >= self.context {
            return Err(ModelError::ContextOverflow {
                tokens: ids.len(),
                limit: self.context,
            });
        }
        let (reply, answer) = oneshot::channel();
        let job = Job {
            sequence: place.sequence,
            ids,
            settings: request.sampling.clone(),
            stream: request.stream.clone(),
            ends: self.codec.ends().into(),
            stops: self.stops(&request.sampling.stop)?,
            guided: self.guided(request)?,
            on_token: request.on_token.clone(),
            reply,
        };
        let gone = || ModelError::Unavailable("the sampler's worker thread has ended".into());
        self.workers[place.worker]
            .inbox
            .send(Message::Generate(Box::new(job)))
            .map_err(|_| gone())?;
        let out = answer.await.map_err(|_| gone())??;
        let numbers = [&out.logprobs, &out.sampled_logprobs, &out.entropies];
        if numbers.into_iter().flatten().any(|x| !x.is_finite()) {
            return Err(ModelError::NotFinite {
                model: self.policy.clone(),
            });
        }
        Ok(out)
    }

    fn stops(&self, texts: &[String]) -> Result<Option<Stops>, ModelError> {
        let texts: Vec<&String> = texts.iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return Ok(None);
        }
        let vocabulary = self.vocabulary.get_or_init(|| self.codec.vocabulary().map(Arc::new));
        let vocabulary = vocabulary
            .as_ref()
            .map_err(|why| ModelError::Refused(format!("stop texts: {why}")))?;
        Ok(Some(Stops::new(vocabulary.clone(), texts)))
    }

    fn guided(&self, request: &Request) -> Result<Option<Guided>, ModelError> {
        let refused = ModelError::Refused;
        let Some(constraint) = &request.sampling.constraint else {
            return Ok(None);
        };
        if *constraint == Constraint::Tools && request.tools.specs().is_empty() {
            return Ok(None);
        }
        let grammar = self.codec.grammar(constraint, &request.tools).map_err(refused)?;
        let make = || Guides::new(&*self.codec, self.workers.len(), self.costs.clone()).map(Arc::new);
        let guides = self
            .guides
            .get_or_init(make)
            .as_ref()
            .map_err(|why| refused(format!("constraints: {why}")))?;
        let hash = Sha256::digest(&grammar)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Some(Guided {
            guide: Some(guides.begin(grammar).map_err(refused)?),
            guides: guides.clone(),
            hash,
        }))
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
        let place = self.place(conversation, &ids);
        let start = (SystemTime::now(), Instant::now());
        let out = self.generate_at(&place, ids, &request).await?;
        let timing = Timing {
            start_us: start.0.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64),
            duration_us: start.1.elapsed().as_micros() as u64,
        };
        let output = Output {
            ids: out.ids,
            origin: Origin::Sampled,
            forced: out.forced,
            logprobs: out.logprobs,
            sampled_logprobs: out.sampled_logprobs,
            entropies: out.entropies,
            top_logprobs: out.top_logprobs,
            grammar: out.grammar,
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
