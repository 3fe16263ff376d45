//! `hone train combine`: what training changed in one model, added to another.

use crate::console::{print, print_json};
use anyhow::{Context, Result, bail};
use clap::Args;
use hone_engine::{Weights, checkpoint};
use hone_model::Codec;
use hone_train::arithmetic::{Difference, angles, combine};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  hone train combine target-sft --add source-rl --less source-sft --out target-past     a skill vector (PaST)
  hone train combine a --add b --less a --scale 0.5 --out between                       the mean of two models
  hone train combine a --add b --less a --scale 0 --out copy --json | jq .angle         how two changes lie to each other

The models must have one architecture and one tokenizer. The angle is that between ADD - LESS and BASE - LESS.";

/// Add to a model what training changed in another one: BASE + scale * (ADD - LESS), parameter by parameter
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Combine {
    /// Directory of the model to add to
    base: PathBuf,
    /// Directory of the model after the training that is to be carried over
    #[arg(long, value_name = "DIR")]
    add: PathBuf,
    /// Directory of that model before it
    #[arg(long, value_name = "DIR")]
    less: PathBuf,
    /// How much of the change is added
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true)]
    scale: f64,
    /// Directory of the result, which must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Combine {
    pub fn run(self, as_json: bool) -> Result<()> {
        if self.out.exists() {
            bail!("{} exists; name a directory that does not", self.out.display());
        }
        let (base, codec) = model(&self.base)?;
        let (add, less) = (model(&self.add)?, model(&self.less)?);
        for (dir, (_, other)) in [(&self.add, &add), (&self.less, &less)] {
            let tokenizer = |dir: &Path| std::fs::read(dir.join("tokenizer.json")).unwrap_or_default();
            if other.hash() != codec.hash() || tokenizer(dir) != tokenizer(&self.base) {
                bail!(
                    "{} and {} have different tokenizers or chat formats, so their parameters do not stand for the same things",
                    self.base.display(),
                    dir.display()
                );
            }
        }
        let difference = Difference {
            plus: &add.0,
            minus: &less.0,
            scale: self.scale,
        };
        let out = combine(&base, &[difference])?;
        let all = angles((&less.0, &add.0), (&less.0, &base))?;
        checkpoint::save(&self.out, &out)?;
        codec.save(&self.out)?;
        if as_json {
            return print_json(
                &json!({"out": self.out, "scale": self.scale, "angle": all.first(), "tensors": all.get(1..)}),
            );
        }
        print(format!("{}: {} parameters", self.out.display(), out.params().len()))?;
        match all.first() {
            Some(angle) => print(format!(
                "ADD - LESS against BASE - LESS: cosine {:.4}, length ratio {:.4}",
                angle.cosine, angle.ratio
            )),
            None => Ok(()),
        }
    }
}

fn model(dir: &Path) -> Result<(Weights, Codec)> {
    let weights = checkpoint::load(dir)?;
    let codec = Codec::load(dir).with_context(|| format!("cannot read the tokenizer of {}", dir.display()))?;
    Ok((weights, codec))
}
