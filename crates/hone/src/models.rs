//! Players by the names that they have on the command line: a model's directory, or a script of the taskset.

use anyhow::{Context, bail};
use hone_engine::{Sampler, Weights, checkpoint};
use hone_env::Taskset;
use hone_model::{Codec, Model, Scripted, train_tokenizer};
use hone_rollout::Player;
use sha2::{Digest, Sha256};
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Who plays, as written after `--model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSpec {
    /// `script:NAME`: a script that the taskset offers.
    Script(String),
    /// The directory of a model in Hugging Face layout.
    Directory(PathBuf),
}

impl FromStr for ModelSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("script:") {
            Some("") => Err("write the script's name after `script:`, such as script:expert".into()),
            Some(name) => Ok(Self::Script(name.into())),
            None if text.is_empty() => Err("write a model's directory, or script:NAME".into()),
            None => Ok(Self::Directory(text.into())),
        }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(name) => write!(f, "script:{name}"),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

impl ModelSpec {
    /// What the record calls it: `script:NAME`, or the directory's own name.
    pub fn policy(&self) -> String {
        match self {
            Self::Script(_) => self.to_string(),
            Self::Directory(path) => {
                let full = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name = full.file_name().unwrap_or(full.as_os_str());
                name.to_string_lossy().into_owned()
            }
        }
    }
}

/// A model as read from its directory.
#[derive(Clone)]
pub struct Loaded {
    /// Tokenizer and chat format.
    pub codec: Arc<Codec>,
    /// Weights.
    pub weights: Arc<Weights>,
}

impl Loaded {
    /// Read `config.json`, `model.safetensors`, `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// # Errors
    /// When a file is missing or broken, or the tokenizer has more tokens than the model.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        if !dir.is_dir() {
            bail!(
                "there is no model directory {}; give one that holds config.json, model.safetensors and tokenizer.json, or script:NAME",
                dir.display()
            );
        }
        let weights = checkpoint::load(dir)?;
        let codec = Codec::load(dir)?;
        let (tokens, rows) = (codec.vocab_size(), weights.config.vocab_size);
        if tokens > rows {
            bail!(
                "the tokenizer of {} has {tokens} tokens and its model only {rows}; copy both from the same model",
                dir.display()
            );
        }
        Ok(Self {
            codec: Arc::new(codec),
            weights: Arc::new(weights),
        })
    }

    /// SHA-256 in hex of the chat format and the weights: what decides its answers.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.codec.hash());
        hash.update(format!("{:?}", self.weights.config));
        for weight in self.weights.params() {
            hash.update(weight.to_le_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A sampler over all cores, under that name in the record.
    pub fn sampler(&self, policy: impl Into<String>) -> Sampler {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Sampler::new(policy, self.codec.clone(), self.weights.clone(), 0, threads)
    }
}

/// A script of the taskset as player; its turns become tokens of this codec.
///
/// # Errors
/// When the taskset has no such script.
pub fn scripted(taskset: &Arc<dyn Taskset>, name: &str, codec: Arc<Codec>) -> anyhow::Result<Player> {
    let scripts = taskset.scripts();
    let Some(script) = scripts.iter().find(|script| script.name == name) else {
        let lines = scripts.iter().map(|s| format!("  script:{:<18}{}", s.name, s.about));
        bail!(
            "taskset {} has no script `{name}`; choose one of:\n{}",
            taskset.name(),
            lines.collect::<Vec<_>>().join("\n")
        );
    };
    let (taskset, name) = (taskset.clone(), script.name);
    Ok(Player::PerEpisode(Arc::new(move |task, stream| {
        // A panic here ends the episode as the infrastructure's failure, with this text.
        let script = taskset
            .script(name, task, stream)
            .unwrap_or_else(|| panic!("the taskset offers script {name} but not for task {}", task.id));
        Arc::new(Scripted::new(format!("script:{name}"), script, codec.clone()))
    })))
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

/// The player, and the hash of its weights if it has any.
///
/// # Errors
/// When the model cannot be read or the taskset has no such script.
pub fn player(spec: &ModelSpec, taskset: &Arc<dyn Taskset>) -> anyhow::Result<(Player, Option<String>)> {
    match spec {
        ModelSpec::Script(name) => Ok((scripted(taskset, name, script_codec()?)?, None)),
        ModelSpec::Directory(dir) => {
            let model = Loaded::read(dir)?;
            let sampler = model.sampler(spec.policy());
            Ok((Player::Shared(Arc::new(sampler)), Some(model.hash())))
        }
    }
}

/// A model that judges, by its name as after `--model`. Scripts cannot.
///
/// # Errors
/// When it is a script or cannot be read.
pub fn judge(name: &str) -> anyhow::Result<Arc<dyn Model>> {
    match name.parse().map_err(anyhow::Error::msg)? {
        ModelSpec::Script(name) => bail!("script:{name} cannot judge; name a model"),
        ModelSpec::Directory(dir) => {
            let model = Loaded::read(&dir)?;
            let name = ModelSpec::Directory(dir).policy();
            Ok(Arc::new(model.sampler(name)))
        }
    }
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
    fn specs_are_read_as_written() {
        let read = |text: &str| text.parse::<ModelSpec>();
        assert_eq!(read("script:expert"), Ok(ModelSpec::Script("expert".into())));
        assert_eq!(read("models/nano"), Ok(ModelSpec::Directory("models/nano".into())));
        assert!(read("script:").is_err() && read("").is_err());
        assert_eq!(read("models/nano/").unwrap().policy(), "nano");
        assert_eq!(read("script:expert").unwrap().policy(), "script:expert");
    }

    #[test]
    fn temperatures() {
        assert_eq!(temperature("0.7"), Ok(0.7));
        for wrong in ["-1", "NaN", "inf", "hot", "101", "1e-40"] {
            assert!(temperature(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_script_is_refused_with_those_that_exist() {
        let error = player(&ModelSpec::Script("nobody".into()), &hone_shop::shop());
        let text = error.err().unwrap().to_string();
        assert!(text.contains("script:expert") && text.contains("nobody"), "{text}");
    }
}
