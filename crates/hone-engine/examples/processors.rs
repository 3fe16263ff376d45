//! The distribution that tokens are sampled from, for `tests/parity/logits_processors.py`: reads a line for each case,
//! `{"logits", "prompt", "answer", "settings"}`, and writes the log-probability of each token, null where it is left out.

use hone_engine::{Before, choose};
use hone_trace::SamplingSettings;
use serde::Deserialize;
use std::io::BufRead;

#[derive(Deserialize)]
struct Case {
    logits: Vec<f32>,
    prompt: Vec<u32>,
    answer: Vec<u32>,
    settings: SamplingSettings,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let mut case: Case = serde_json::from_str(&line?)?;
        let n = case.logits.len();
        case.settings.top_logprobs = n as u32;
        let before = Before {
            prompt: &case.prompt,
            answer: &case.answer,
            allowed: None,
        };
        let choice = choose(&mut case.logits, &case.settings, &before, 0.0);
        let mut left = vec![None; n];
        for top in choice.top {
            left[top.id as usize] = top.sampled;
        }
        println!("{}", serde_json::to_string(&left)?);
    }
    Ok(())
}
