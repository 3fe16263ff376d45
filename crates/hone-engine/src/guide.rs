//! Constrained decoding: which tokens may come next, and how an answer can be brought to an end.
//!
//! Grammars are llguidance's. Its work runs on threads of its own: while the network computes the logits after a token, one
//! of them takes the token in and computes the mask for the next.
//!
//! An answer that is cut off fits nothing, so the end is kept within reach. Along with the mask a guide finds a *way out*:
//! some sequence of tokens after which the answer may end. Once what is left of the bound on tokens is not much longer than
//! that, each sampled token is tried first; if no way out that fits is left behind it, the next token of the last way out takes
//! its place (and is recorded as forced).

use hone_model::TokenCodec;
use hone_trace::TokenId;
use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Longest grammar that is read, in bytes.
const MAX_GRAMMAR: usize = 1 << 20;
/// Compiled grammars that are kept.
const KEPT: usize = 64;
/// Longest way out that is looked for, in tokens.
const MAX_WAY: usize = 1024;
/// Tokens beyond the way out from which on sampled tokens are tried first. No token makes the way out longer by more.
const RESERVE: usize = 96;

/// Makes guides for one tokenizer.
pub(crate) struct Guides {
    work: Option<Sender<Work>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    factory: Arc<Factory>,
}

/// What masks cost so far.
#[derive(Default)]
pub(crate) struct Costs {
    /// Masks made.
    pub masks: AtomicU64,
    /// Time that making them took, in microseconds.
    pub making_us: AtomicU64,
    /// Time that sampling waited for them, in microseconds.
    pub waiting_us: AtomicU64,
    /// Tokens that were forced to bring an answer to its end.
    pub forced: AtomicU64,
}

struct Factory {
    parsers: ParserFactory,
    env: TokEnv,
    costs: Arc<Costs>,
    compiled: Mutex<HashMap<String, Matcher>>,
}

enum Work {
    Begin(String, Sender<Result<Ready, String>>),
    Advance(Box<Matcher>, TokenId, usize, Sender<Result<Ready, String>>),
}

/// A grammar's state after some tokens.
struct Ready {
    matcher: Box<Matcher>,
    mask: Vec<u32>,
    /// The tokens of a way out without the end token, where one was found.
    way_out: Option<Vec<TokenId>>,
}

/// One answer's grammar.
pub(crate) struct Guide {
    ready: Receiver<Result<Ready, String>>,
    /// From how many tokens left the way out is looked for.
    near: usize,
}

/// A token that a guide lets through.
pub(crate) enum Verdict {
    /// The sampled one.
    Sampled,
    /// This one in its place.
    Forced(TokenId),
}

impl Guides {
    /// Guides over a model's tokens; `threads` make masks.
    ///
    /// # Errors
    /// A sentence where its tokens stand for no bytes.
    pub(crate) fn new(codec: &dyn TokenCodec, threads: usize, costs: Arc<Costs>) -> Result<Self, String> {
        let vocabulary = codec.vocabulary()?;
        let mut words: Vec<Vec<u8>> = vocabulary.text.into_iter().map(Option::unwrap_or_default).collect();
        for (id, name) in &vocabulary.special {
            if let Some(word) = words.get_mut(*id as usize) {
                *word = [&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_bytes()].concat();
            }
        }
        let ends: Vec<TokenId> = codec
            .ends()
            .iter()
            .copied()
            .filter(|id| (*id as usize) < words.len())
            .collect();
        let Some(end) = ends.first() else {
            return Err("it has no end token; name one as eos_token_id in generation_config.json".into());
        };
        let info = TokRxInfo::new(words.len() as u32, *end);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::json_slices();
        let mut parsers = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|error| format!("its tokens do not make a grammar's alphabet: {error}"))?;
        parsers.quiet();
        parsers.limits_mut().verbose_errors = false;
        let factory = Arc::new(Factory {
            parsers,
            env,
            costs,
            compiled: Mutex::default(),
        });
        let (work, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = (0..threads.max(1)).filter_map(|_| {
            let (factory, jobs) = (factory.clone(), jobs.clone());
            let builder = std::thread::Builder::new().name("hone-guide".into());
            builder.spawn(move || factory.work(&jobs)).ok()
        });
        Ok(Self {
            work: Some(work),
            threads: threads.collect(),
            factory,
        })
    }

    /// A guide at the beginning of an answer; compiling the grammar runs beside the caller.
    ///
    /// # Errors
    /// A sentence where the grammar is too long.
    pub(crate) fn begin(&self, grammar: String) -> Result<Guide, String> {
        if grammar.len() > MAX_GRAMMAR {
            return Err(format!(
                "the grammar has more than {MAX_GRAMMAR} bytes; write a smaller one"
            ));
        }
        let (reply, ready) = channel();
        self.send(Work::Begin(grammar, reply));
        Ok(Guide {
            ready,
            near: usize::MAX,
        })
    }

    fn send(&self, work: Work) {
        if let Some(sender) = &self.work {
            // Threads that are gone leave a guide without its mask, which says so.
            let _ = sender.send(work);
        }
    }
}

impl Drop for Guides {
    fn drop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A guide at a place where a token is to be chosen.
pub(crate) struct Open {
    state: Ready,
    near: usize,
}

impl Guide {
    /// Waits for the mask.
    ///
    /// # Errors
    /// What is wrong with the grammar.
    pub(crate) fn open(self, guides: &Guides) -> Result<Open, String> {
        let clock = Instant::now();
        let state = self
            .ready
            .recv()
            .map_err(|_| "the grammar's thread has ended; please report this".to_owned())??;
        let waited = clock.elapsed().as_micros() as u64;
        guides.factory.costs.waiting_us.fetch_add(waited, Ordering::Relaxed);
        let near = match (self.near, &state.way_out) {
            (usize::MAX, Some(way)) => 2 * way.len() + 2 * RESERVE,
            (near, _) => near,
        };
        Ok(Open { state, near })
    }
}

impl Open {
    /// The tokens that may come, a bit each.
    pub(crate) fn mask(&self) -> &[u32] {
        &self.state.mask
    }

    /// Whether only one may.
    pub(crate) fn only_choice(&self) -> bool {
        self.state.mask.iter().map(|word| word.count_ones()).sum::<u32>() == 1
    }

    /// Whether a sampled token leaves an end within reach, `left` being how many tokens may come, it and the end token
    /// included. `end` is the end token.
    pub(crate) fn check(&self, token: TokenId, end: TokenId, is_end: bool, left: usize, guides: &Guides) -> Verdict {
        let Some(way) = &self.state.way_out else {
            return Verdict::Sampled;
        };
        if is_end || left > way.len() + RESERVE || way.len() + 1 > left {
            return Verdict::Sampled;
        }
        let mut after = (*self.state.matcher).clone();
        let kept = after.consume_token(token).is_ok()
            && guides.factory.way_out(&after).is_some_and(|way| way.len() + 2 <= left);
        if kept {
            return Verdict::Sampled;
        }
        let token = way.first().copied().unwrap_or(end);
        guides.factory.costs.forced.fetch_add(1, Ordering::Relaxed);
        Verdict::Forced(token)
    }

    /// Goes on after a token; `left` as for [`Open::check`], one less.
    pub(crate) fn advance(self, token: TokenId, left: usize, guides: &Guides) -> Guide {
        let (reply, ready) = channel();
        let look = if left <= self.near { left } else { 0 };
        guides.send(Work::Advance(self.state.matcher, token, look, reply));
        Guide { ready, near: self.near }
    }
}

impl Factory {
    fn work(&self, jobs: &Mutex<Receiver<Work>>) {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let clock = Instant::now();
            let reply = match job {
                Work::Begin(grammar, reply) => {
                    let state = self
                        .compile(&grammar)
                        .and_then(|matcher| self.ready(Box::new(matcher), true));
                    (reply, state)
                }
                Work::Advance(mut matcher, token, look, reply) => {
                    let state = matcher.consume_token(token).map_err(|error| error.to_string());
                    (reply, state.and_then(|()| self.ready(matcher, look > 0)))
                }
            };
            self.costs.masks.fetch_add(1, Ordering::Relaxed);
            self.costs
                .making_us
                .fetch_add(clock.elapsed().as_micros() as u64, Ordering::Relaxed);
            // Nobody waits any more when the answer was cancelled.
            let _ = reply.0.send(reply.1);
        }
    }

    fn compile(&self, grammar: &str) -> Result<Matcher, String> {
        let kept = self
            .compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(grammar)
            .map(Matcher::deep_clone);
        if let Some(matcher) = kept {
            return Ok(matcher);
        }
        let parser = self
            .parsers
            .create_parser(TopLevelGrammar::from_lark(grammar.to_owned()));
        let matcher = Matcher::new(parser);
        if let Some(error) = matcher.get_error() {
            return Err(format!("the constraint cannot be turned into a grammar: {error}"));
        }
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(grammar.to_owned(), matcher.deep_clone());
        Ok(matcher)
    }

    fn ready(&self, mut matcher: Box<Matcher>, look: bool) -> Result<Ready, String> {
        let mask = matcher
            .compute_mask_or_eos()
            .map_err(|error| format!("the grammar gives up: {error}"))?;
        if mask.is_zero() {
            return Err("no token of the model fits the grammar; loosen it".into());
        }
        let way_out = if look { self.way_out(&matcher) } else { None };
        Ok(Ready {
            mask: mask.as_slice().to_vec(),
            matcher,
            way_out,
        })
    }

    /// A short sequence of tokens after which the answer may end. Closing brackets and quotes come first, then what the
    /// grammar forces, then the shortest token that it allows.
    fn way_out(&self, matcher: &Matcher) -> Option<Vec<TokenId>> {
        let mut matcher = matcher.clone();
        let mut way = Vec::new();
        while way.len() <= MAX_WAY {
            if matcher.is_stopped() || matcher.is_accepting().ok()? {
                return (!matcher.is_error()).then_some(way);
            }
            let (forced, _) = self.env.tokenize_bytes_marker(&matcher.compute_ff_bytes());
            let tokens = if forced.is_empty() {
                vec![self.closer(&mut matcher)?]
            } else {
                forced
            };
            matcher.consume_tokens(&tokens).ok()?;
            way.extend(tokens);
        }
        None
    }

    fn closer(&self, matcher: &mut Matcher) -> Option<TokenId> {
        let trie = self.env.tok_trie();
        let fits = |matcher: &mut Matcher, text: &str| -> Option<TokenId> {
            let id = trie.token_id(text.as_bytes())?;
            matcher.validate_tokens(&[id]).is_ok_and(|n| n == 1).then_some(id)
        };
        // Within a string a bracket closes nothing.
        let within = fits(matcher, "x").is_some() && fits(matcher, "}").is_some();
        let order: &[&str] = if within { &["\"", "0"] } else { &["}", "]", "\"", "0"] };
        if let Some(id) = order.iter().find_map(|text| fits(matcher, text)) {
            return Some(id);
        }
        let mask = matcher.compute_mask().ok()?;
        let mut best: Option<(usize, TokenId)> = None;
        mask.iter_set_entries(|id| {
            let length = trie.token_len(id as TokenId);
            if length > 0 && best.is_none_or(|(shortest, _)| length < shortest) {
                best = Some((length, id as TokenId));
            }
        });
        best.map(|(_, id)| id)
    }
}
