//! Writes a small random model with its tokenizer, in which every parameter matters, to compare implementations on:
//! `cargo run --release -p hone-engine --example random_model -- DIR`

use hone_engine::{Architecture, Config, Weights, checkpoint};
use hone_model::train_tokenizer;
use hone_trace::Stream;
use rand::RngExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("say where to write: random_model DIR")?;
    let codec = train_tokenizer(
        [
            "open the gate",
            "read the letter and say the word",
            "who wrote it to whom",
        ],
        420,
    )?;
    let config = Config {
        vocab_size: codec.vocab_size(),
        hidden_size: 72,
        num_hidden_layers: 3,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        head_dim: 20,
        intermediate_size: 100,
        rope_theta: 2e4,
        rms_norm_eps: 1e-5,
        max_position_embeddings: 256,
        model_type: Architecture::Qwen2,
        tie_word_embeddings: true,
        rope_scaling: None,
    };
    let mut weights = Weights::random(config, &Stream::new(0))?;
    // Biases start at zero and gains at one: move everything, so that a part read wrongly shows.
    let mut noise = Stream::new(1);
    weights.update(|params| params.iter_mut().for_each(|x| *x += noise.random_range(-0.1..0.1)));
    codec.save(dir.as_ref())?;
    checkpoint::save(dir.as_ref(), &weights)?;
    Ok(())
}
