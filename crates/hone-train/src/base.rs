//! Making a base model from a generated corpus.

use crate::observe::{Observer, Step};
use crate::recipe::BaseRecipe;
use crate::rows::document;
use crate::supervised::{Breakdown, Example, supervised, usable};
use hone_engine::checkpoint::{self, CheckpointError};
use hone_engine::{LearnError, Learner, WeightsError, induction};
use hone_model::{Codec, Message};
use hone_trace::Stream;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Steps between checkpoints.
const CHECKPOINT_EVERY: u64 = 500;

/// A generated corpus: document by index, and probes of skills by name.
pub trait Corpus {
    /// Document `index`.
    fn document(&self, index: u64) -> Vec<Message>;

    /// Conversations that end with agent turns which a model should write exactly, by skill. Their names are in no
    /// document.
    fn probes(&self, n: usize) -> BTreeMap<&'static str, Vec<Vec<Message>>>;
}

/// Why no base model came out.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The shape is not one.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The optimiser's state does not fit.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// A number is not finite.
    #[error(
        "pretrain broke down at step {step} (the first is 0); lower `pretrain.lr.peak` in the recipe of the base model before you resume"
    )]
    Broken {
        /// The step.
        step: u32,
        /// What is not finite.
        source: LearnError,
    },
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It says nothing that could be continued from.
    #[error("`checkpoint` in {}/place.json is not the name of a folder beside it; start a new run", dir.display())]
    Place {
        /// The directory of checkpoints.
        dir: PathBuf,
    },
    /// The run was stopped.
    #[error("stopped")]
    Stopped,
}

/// Whether a name is one folder's, not a path to somewhere else.
pub fn is_plain(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=100).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}

/// A base model.
pub struct Made {
    /// The model.
    pub learner: Learner,
    /// Wall-clock seconds that its training took, those before it was stopped and resumed included.
    pub seconds: f64,
}

/// Train a base model as the recipe says. Starts from induction heads, not from noise.
///
/// Keeps a checkpoint in `dir` and continues from the one that it finds there.
///
/// # Errors
/// When the shape is not one, training breaks down, a checkpoint cannot be read or written, or `cancel` was set.
pub fn make_base(
    recipe: &BaseRecipe,
    codec: &Codec,
    corpus: &dyn Corpus,
    dir: &Path,
    threads: usize,
    observer: &mut dyn Observer,
    cancel: &AtomicBool,
) -> Result<Made, BaseError> {
    let config = hone_engine::Config {
        vocab_size: codec.vocab_size(),
        ..recipe.model.clone()
    };
    let weights = induction(config, &Stream::new(recipe.seed).named("weights"))?;
    let mut learner = Learner::new(weights, threads);
    let mut index = 0;
    let mut kept = Place::read(dir)?;
    if let Some(place) = &kept {
        if !is_plain(&place.checkpoint) {
            return Err(BaseError::Place { dir: dir.into() });
        }
        let at = dir.join(&place.checkpoint);
        let weights = checkpoint::load(&at)?;
        let state = checkpoint::load_optimizer(&at, &weights)?;
        learner = Learner::new(weights, threads);
        learner.restore_optimizer(state)?;
        index = place.documents;
        observer.note(&format!(
            "continuing at step {} from {}",
            learner.steps(),
            dir.display()
        ));
    }
    let from = learner.steps() as u32;
    let mut tokens = 0;
    let start = Instant::now();
    let before = kept.as_ref().map_or(0.0, |place| place.seconds);
    let steps = recipe.pretrain.steps;
    observer.phase("pretrain");
    let index = Cell::new(index);
    let next = || document(codec, &corpus.document(index.replace(index.get() + 1)));
    let probe = document(codec, &corpus.document(0));
    let broken = |step, source| match source {
        LearnError::NotFinite(..) => BaseError::Broken { step, source },
        other => BaseError::Learn(other),
    };
    let mut failed = None;
    let rate = |step| recipe.pretrain.rate(step);
    let trained = supervised(&mut learner, &recipe.pretrain, from, rate, next, |learner, step| {
        tokens += step.tokens;
        let speed = tokens as f64 / start.elapsed().as_secs_f64();
        observer.step(&Step {
            phase: "pretrain",
            step: u64::from(step.step),
            steps: u64::from(steps),
            metrics: &[
                ("loss", step.loss),
                ("gradient_norm", step.norm),
                ("lr", step.lr),
                ("tokens_per_second", speed),
            ],
        });
        let stop = cancel.load(Ordering::Relaxed);
        if stop || learner.steps() % CHECKPOINT_EVERY == 0 {
            let mut save = || -> Result<(), BaseError> {
                usable(learner, &probe.ids, &probe.targets).map_err(|source| broken(step.step, source))?;
                let place = Place {
                    checkpoint: format!("step-{:06}", learner.steps()),
                    documents: index.get(),
                    seconds: before + start.elapsed().as_secs_f64(),
                };
                let (at, weights) = (dir.join(&place.checkpoint), learner.weights());
                checkpoint::save(&at, &weights)?;
                checkpoint::save_optimizer(&at, &weights, &learner.optimizer_state())?;
                // Only this makes it the one to continue from, so that a kill never mixes two steps.
                place.write(dir)?;
                if let Some(old) = kept.replace(place).filter(|old| dir.join(&old.checkpoint) != at) {
                    // Left-overs do no harm.
                    let _ = std::fs::remove_dir_all(dir.join(old.checkpoint));
                }
                Ok(())
            };
            failed = save().err();
        }
        if stop || failed.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    trained.map_err(|Breakdown { step, source }| broken(step, source))?;
    if let Some(error) = failed {
        return Err(error);
    }
    if cancel.load(Ordering::Relaxed) {
        return Err(BaseError::Stopped);
    }
    Ok(Made {
        learner,
        seconds: before + start.elapsed().as_secs_f64(),
    })
}

/// Where to continue from: `place.json`.
#[derive(Serialize, Deserialize)]
struct Place {
    /// Folder of the checkpoint beside this file.
    checkpoint: String,
    /// Documents that it has seen.
    documents: u64,
    /// Wall-clock seconds so far.
    #[serde(default)]
    seconds: f64,
}

impl Place {
    fn read(dir: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = dir.join("place.json");
        let remedy = "remove the run directory and start again, or restore the file";
        let fail = |source| CheckpointError::File {
            action: "read",
            path: path.clone(),
            source,
            remedy,
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| fail(e.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    fn write(&self, dir: &Path) -> Result<(), CheckpointError> {
        let text = serde_json::json!(self).to_string() + "\n";
        checkpoint::write(&dir.join("place.json"), text.as_bytes())
    }
}

/// Share of probes by skill whose last agent turn the model writes exactly under greedy decoding, token by token.
///
/// Computed in one pass: a greedy continuation equals the expected one if and only if every expected token is the
/// likeliest, given the expected ones before it.
pub fn probe(learner: &mut Learner, codec: &Codec, corpus: &dyn Corpus, n: usize) -> BTreeMap<&'static str, f64> {
    let mut out = BTreeMap::new();
    for (skill, documents) in corpus.probes(n) {
        let examples: Vec<Example> = documents
            .iter()
            .map(|messages| {
                let whole = document(codec, messages);
                let before = document(codec, &messages[..messages.len().saturating_sub(1)]).ids.len() as u32;
                let targets = whole.targets.iter().copied().filter(|t| *t >= before).collect();
                Example {
                    ids: whole.ids,
                    targets,
                }
            })
            .collect();
        let mut right = 0;
        for chunk in examples.chunks(64) {
            let rows: Vec<_> = chunk.iter().map(Example::row).collect();
            right += learner
                .score(&rows, 1.0)
                .iter()
                .filter(|s| s.likeliest.iter().all(|l| *l))
                .count();
        }
        out.insert(skill, right as f64 / examples.len().max(1) as f64);
    }
    out
}
