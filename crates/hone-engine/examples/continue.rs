//! Continues token sequences greedily, to compare with other implementations:
//! `cargo run --release -p hone-engine --example continue -- MODEL N [STEP_DIR]`
//!
//! MODEL is a directory in Hugging Face layout or a GGUF file. Each line of stdin is a JSON array of ids; each line of stdout the `N` likeliest ids
//! after it, one by one. With STEP_DIR one AdamW step on all sequences comes first, and the model that it makes is saved
//! there.

use hone_engine::decode::{Cache, Feed, Scratch, feed};
use hone_engine::{AdamW, CrossEntropy, Learner, Row, checkpoint};
use hone_trace::TokenId;
use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "continue MODEL N [STEP_DIR]";
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or(usage)?;
    let n: usize = args.next().ok_or(usage)?.parse()?;
    let mut weights = std::sync::Arc::new(checkpoint::open(model.as_ref())?);
    let lines: Result<Vec<Vec<TokenId>>, Box<dyn std::error::Error>> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect();
    let lines = lines?;
    let (context, vocab) = (weights.config.max_position_embeddings, weights.config.vocab_size);
    let usable =
        |ids: &Vec<TokenId>| ids.len() >= 2 && ids.len() + n <= context && ids.iter().all(|id| (*id as usize) < vocab);
    if !lines.iter().all(usable) {
        return Err(format!(
            "a sequence must have 2 to {} ids, each below {vocab}",
            context.saturating_sub(n)
        )
        .into());
    }
    if let Some(dir) = args.next() {
        let targets: Vec<Vec<u32>> = lines.iter().map(|ids| (1..ids.len() as u32).collect()).collect();
        let rows: Vec<Row<'_>> = lines
            .iter()
            .zip(&targets)
            .map(|(ids, targets)| Row { ids, targets })
            .collect();
        let tokens: usize = targets.iter().map(Vec::len).sum();
        let mut learner = Learner::new((*weights).clone(), 1);
        let even = vec![1.0 / tokens as f32; rows.len()];
        learner.pass(&rows, 1.0, &CrossEntropy { weights: &even });
        learner.step(1e-2, &AdamW::default())?;
        weights = learner.weights();
        checkpoint::save(dir.as_ref(), &weights)?;
    }
    let mut scratch = Scratch::default();
    let mut out = std::io::stdout().lock();
    for ids in &lines {
        let (mut cache, mut next, mut answer) = (Cache::default(), ids.clone(), Vec::new());
        for _ in 0..n {
            let logits = feed(
                &weights,
                &mut [Feed {
                    cache: &mut cache,
                    ids: &next,
                    want: true,
                }],
                &mut scratch,
            );
            let likeliest = (0..vocab).max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)));
            next = vec![likeliest.unwrap_or_default() as TokenId];
            answer.extend_from_slice(&next);
        }
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    }
    Ok(())
}
