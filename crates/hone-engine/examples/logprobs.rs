//! Prints what a model says of token sequences, to compare with other implementations of it:
//! `cargo run --release -p hone-engine --example logprobs -- MODEL [ADAPTER]`
//!
//! MODEL is a directory in Hugging Face layout or a GGUF file, ADAPTER one in PEFT's.
//!
//! Each line of stdin is a JSON array of ids; each line of stdout `{"logprobs", "logits"}`: the log-probability (nats) of
//! each id but the first, as the learner computes it, and the logits after the last id, as the sampler computes them.

use hone_engine::decode::{Cache, Feed, Scratch, feed};
use hone_engine::{Learner, Row, checkpoint};
use hone_trace::TokenId;
use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("say which model: logprobs MODEL_DIR")?;
    let mut weights = checkpoint::open(dir.as_ref())?;
    if let Some(adapter) = std::env::args().nth(2) {
        weights = checkpoint::load_on(adapter.as_ref(), &weights)?;
    }
    let (context, vocab) = (weights.config.max_position_embeddings, weights.config.vocab_size);
    let mut learner = Learner::new(weights.clone(), 1);
    let mut scratch = Scratch::default();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let ids: Vec<TokenId> = serde_json::from_str(&line?)?;
        if ids.len() < 2 || ids.len() > context || ids.iter().any(|id| *id as usize >= vocab) {
            return Err(format!("a sequence must have 2 to {context} ids, each below {vocab}").into());
        }
        let targets: Vec<u32> = (1..ids.len() as u32).collect();
        let scores = learner.score(
            &[Row {
                ids: &ids,
                targets: &targets,
            }],
            1.0,
        );
        let mut cache = Cache::default();
        let logits = feed(
            &weights,
            &mut [Feed {
                cache: &mut cache,
                ids: &ids,
                want: true,
            }],
            &mut scratch,
        );
        writeln!(
            out,
            "{}",
            serde_json::json!({"logprobs": scores[0].logp, "logits": logits})
        )?;
    }
    Ok(())
}
