//! Players by the names that they have on the command line ([`PLAYERS`]).

mod public;
mod remote;
mod sampling;
mod spec;

pub use public::script;
pub use sampling::SamplingArgs;
pub use spec::{Address, ModelSpec, PLAYERS, Server};

use anyhow::{Context, bail};
use hone_engine::{Bounds, Sampler, Weights, checkpoint};
use hone_env::{Budget, Taskset};
use hone_gguf::Gguf;
use hone_model::{Codec, Model, PublishedCodec, TokenCodec, train_tokenizer};
use hone_rollout::Player;
use hone_trace::Secrets;
use sha2::{Digest, Sha256};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn hash(format: &str, weights: &Weights) -> String {
    let mut hash = Sha256::new();
    hash.update(format);
    hash.update(format!("{:?}", weights.config));
    for numbers in weights.params().chunks(1 << 14) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        hash.update(bytes);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model of a file or a directory: what is sampled from, and what `hone train` starts from.
#[derive(Clone)]
pub struct Local {
    /// Tokenizer and chat format.
    pub codec: Arc<dyn TokenCodec>,
    /// Weights.
    pub weights: Arc<Weights>,
    /// Whether it speaks a template of its own, with a tokenizer of its own.
    published: bool,
}

impl Local {
    /// Read a directory in Hugging Face layout, of ours or a published model's, or a GGUF file.
    ///
    /// # Errors
    /// When a file is missing or broken, or the tokenizer has more tokens than the model.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let (weights, codec) = if path.is_file() {
            let file = Gguf::open(path)?;
            (checkpoint::load_gguf(&file)?, PublishedCodec::from_gguf(&file)?)
        } else if !path.is_dir() {
            bail!(
                "there is no model directory {}, and no GGUF file; give a directory that holds config.json, model.safetensors and tokenizer.json, or script:NAME",
                path.display()
            );
        } else if Codec::is_in(path) {
            let (weights, codec) = (checkpoint::load(path)?, Codec::load(path)?);
            fits(path, codec.vocab_size(), &weights)?;
            return Ok(Self {
                codec: Arc::new(codec),
                weights: Arc::new(weights),
                published: false,
            });
        } else {
            (checkpoint::load(path)?, PublishedCodec::load(path)?)
        };
        fits(path, codec.vocab_size(), &weights)?;
        Ok(Self {
            codec: Arc::new(codec),
            weights: Arc::new(weights),
            published: true,
        })
    }

    /// SHA-256 in hex of the chat format and the weights: what decides its answers.
    pub fn hash(&self) -> String {
        hash(self.codec.hash(), &self.weights)
    }

    /// A sampler over all cores, under that name in the record.
    pub fn sampler(&self, policy: impl Into<String>) -> Sampler {
        self.bounded(policy, Bounds::default(), None)
    }

    /// The same within bounds, over so many threads.
    pub fn bounded(&self, policy: impl Into<String>, bounds: Bounds, threads: Option<usize>) -> Sampler {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = threads.unwrap_or_else(cores);
        Sampler::bounded(policy, self.codec.clone(), self.weights.clone(), 0, threads, bounds)
    }
}

fn fits(path: &Path, tokens: usize, weights: &Weights) -> anyhow::Result<()> {
    let rows = weights.config.vocab_size;
    if tokens > rows {
        bail!(
            "the tokenizer of {} has {tokens} tokens and its model only {rows}; copy both from the same model",
            path.display()
        );
    }
    Ok(())
}

/// The tokenizer that scripts are recorded with where no model gives one: that of the nano base, made anew.
///
/// # Errors
/// Never for the corpus of this version.
pub fn script_codec() -> anyhow::Result<Arc<Codec>> {
    let codec = train_tokenizer(hone_primer::tokenizer_texts(), 1024)
        .context("the tokenizer for scripts cannot be made; this is a defect, please report it")?;
    Ok(Arc::new(codec.with_several_calls()?))
}

/// Who plays, ready to play.
pub struct Cast {
    /// The player.
    pub player: Player,
    /// What identifies it beside its name: a hash of weights or turns, or the address of a remote model. None for what the
    /// taskset itself offers.
    pub identity: Option<String>,
    /// What must not be written anywhere.
    pub secrets: Secrets,
    /// Whether its price is known.
    pub priced: bool,
    /// Whether the taskset's bounds on tokens, which are in tokens of small models, do not fit it.
    wide: bool,
}

impl Cast {
    fn new(player: Player, identity: Option<String>) -> Self {
        Self {
            player,
            identity,
            secrets: Secrets::default(),
            priced: false,
            wide: false,
        }
    }

    /// Bounds of its episodes: the taskset's, those on tokens at least at their defaults where its tokens are others.
    pub fn budget(&self, taskset: &dyn Taskset) -> Budget {
        let (mut budget, default) = (taskset.budget(), Budget::default());
        if self.wide {
            budget.max_turn_tokens = budget.max_turn_tokens.max(default.max_turn_tokens);
            budget.max_tokens = budget.max_tokens.max(default.max_tokens);
        }
        budget
    }
}

/// The player of that name; `prices` are files with more prices.
///
/// # Errors
/// When the model cannot be read or reached for want of a setting, or the taskset has no such script.
pub fn cast(spec: &ModelSpec, taskset: &Arc<dyn Taskset>, prices: &[PathBuf]) -> anyhow::Result<Cast> {
    let wide = |(player, identity)| Cast {
        wide: true,
        ..Cast::new(player, Some(identity))
    };
    Ok(match spec {
        ModelSpec::Script(name) => Cast::new(public::script(taskset, name, script_codec()?)?, None),
        ModelSpec::Gold => Cast::new(
            public::script(taskset, public::expert(&**taskset)?, script_codec()?)?,
            None,
        ),
        ModelSpec::Random => Cast::new(public::script(taskset, "random", script_codec()?)?, None),
        ModelSpec::Null => Cast::new(public::null(script_codec()?), None),
        ModelSpec::Replay(run) => {
            let (player, digest, wide) = public::replay(run, spec.policy(), taskset.name())?;
            Cast {
                wide,
                ..Cast::new(player, Some(digest))
            }
        }
        ModelSpec::Scripted(file) => wide(public::scripted(file, spec.policy(), &*script_codec()?)?),
        ModelSpec::Local(path) => {
            let model = Local::read(path)?;
            let sampler = model.sampler(spec.policy());
            Cast {
                wide: model.published,
                ..Cast::new(Player::Shared(Arc::new(sampler)), Some(model.hash()))
            }
        }
        ModelSpec::Remote(address) => {
            let remote::Connected {
                model,
                identity,
                secrets,
                priced,
            } = remote::connect(address, prices)?;
            Cast {
                secrets,
                priced,
                ..wide((Player::Shared(Arc::new(model)), identity))
            }
        }
    })
}

/// Models that judge, by a name as after `--model`: one, or all judges of a recorded run; `prices` are files with more
/// prices. Their secrets go where the record is made.
///
/// # Errors
/// When it names no model that can, cannot be read, or is not reached for want of a setting.
pub fn judges(spec: &ModelSpec, prices: &[PathBuf], secrets: &mut Secrets) -> anyhow::Result<Vec<Arc<dyn Model>>> {
    match spec {
        ModelSpec::Local(path) => Ok(vec![Arc::new(Local::read(path)?.sampler(spec.policy()))]),
        ModelSpec::Remote(address) => {
            let connected = remote::connect(address, prices)?;
            secrets.extend(connected.secrets);
            Ok(vec![Arc::new(connected.model)])
        }
        ModelSpec::Replay(run) => public::repeated_judges(run, &spec.policy()),
        _ => bail!("{spec} cannot judge; name a model, or replay:RUN of a run with judges"),
    }
}

/// A bound on cost needs the prices of all whose calls cost something.
///
/// # Errors
/// When one behind an API has no known price, or a file of prices cannot be read.
pub fn affordable<'a>(specs: impl IntoIterator<Item = &'a ModelSpec>, prices: &[PathBuf]) -> anyhow::Result<()> {
    for spec in specs {
        if let ModelSpec::Remote(address) = spec
            && !remote::connect(address, prices)?.priced
        {
            bail!("the price of {spec} is not known, so --max-cost cannot be kept; give it in a file with --prices");
        }
    }
    Ok(())
}

/// A temperature, for the command line.
///
/// # Errors
/// A sentence for the user when it is none.
pub fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(t) if t == 0.0 || (1e-3..=100.0).contains(&t) => Ok(t),
        _ => Err(
            "write 0 (always the likeliest token) or a number from 0.001 to 100; 1 samples as the model says".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures() {
        assert_eq!(temperature("0.7"), Ok(0.7));
        for wrong in ["-1", "NaN", "inf", "hot", "101", "1e-40"] {
            assert!(temperature(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_script_is_refused_with_those_that_exist() {
        let error = cast(&ModelSpec::Script("nobody".into()), &hone_shop::shop(), &[]);
        let text = error.err().unwrap().to_string();
        assert!(text.contains("script:expert") && text.contains("nobody"), "{text}");
    }
}
