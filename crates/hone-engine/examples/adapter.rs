//! Takes a training step of an adapter, to compare with other implementations:
//! `cargo run --release -p hone-engine --example adapter -- MODEL ADAPTER OUT`
//!
//! Each line of stdin is a JSON array of ids. Written are `OUT/gradient`, the gradient of the mean cross-entropy of all ids but
//! the first ones, in the layout of an adapter; `OUT/stepped`, the adapter after an AdamW step along it; `OUT/merged`, the
//! model with that adapter added.

use hone_engine::{AdamW, CrossEntropy, Learner, Row, checkpoint};
use hone_trace::TokenId;
use std::io::BufRead;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [model, adapter, out] = args.as_slice() else {
        return Err("adapter MODEL ADAPTER OUT".into());
    };
    let weights = checkpoint::load_on(adapter, &checkpoint::open(model)?)?;
    let lines: Result<Vec<Vec<TokenId>>, Box<dyn std::error::Error>> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect();
    let lines = lines?;
    let (context, vocab) = (weights.config.max_position_embeddings, weights.config.vocab_size);
    let usable =
        |ids: &Vec<TokenId>| ids.len() >= 2 && ids.len() <= context && ids.iter().all(|id| (*id as usize) < vocab);
    if !lines.iter().all(usable) {
        return Err(format!("a sequence must have 2 to {context} ids, each below {vocab}").into());
    }
    let targets: Vec<Vec<u32>> = lines.iter().map(|ids| (1..ids.len() as u32).collect()).collect();
    let rows: Vec<Row<'_>> = lines
        .iter()
        .zip(&targets)
        .map(|(ids, targets)| Row { ids, targets })
        .collect();
    let tokens: usize = targets.iter().map(Vec::len).sum();
    let even = vec![1.0 / tokens as f32; rows.len()];
    let mut learner = Learner::new(weights.clone(), 2);
    let pass = learner.pass(&rows, 1.0, &CrossEntropy { weights: &even });
    let mut gradient = weights;
    gradient.update_trained(|params| params.copy_from_slice(learner.gradient()));
    checkpoint::save(&out.join("gradient"), &gradient)?;
    learner.step(1e-3, &AdamW::default())?;
    let stepped = learner.weights();
    checkpoint::save(&out.join("stepped"), &stepped)?;
    checkpoint::save(&out.join("merged"), &stepped.merged()?)?;
    println!("{}", pass.loss);
    Ok(())
}
