//! Prints documents of the corpus and what they cost: `cargo run --release -p hone-primer --example show -- 12`.

use hone_model::train_tokenizer;
use hone_primer::{Primer, tokenizer_texts};
use std::time::Instant;

fn main() {
    let n = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    let codec = train_tokenizer(tokenizer_texts(), 1024).expect("the corpus holds enough text");
    let primer = Primer::new(1);
    for index in 0..n {
        let document = primer.document(index);
        let ids = codec.render(&document.messages);
        println!("--- {} ({} tokens)\n{}", document.skill, ids.len(), codec.decode(&ids));
    }
    let clock = Instant::now();
    let documents: Vec<_> = (0..5000).map(|index| primer.document(index)).collect();
    let generated = clock.elapsed();
    let tokens: usize = documents
        .iter()
        .map(|document| codec.render(&document.messages).len())
        .sum();
    let trained: usize = documents
        .iter()
        .flat_map(|document| &document.messages)
        .map(|message| match message {
            hone_model::Message::Agent(turn) => codec.render_agent(turn).len(),
            _ => 0,
        })
        .sum();
    println!(
        "vocabulary {}; {:.0} tokens a document, {:.0} of them the agent's",
        codec.vocab_size(),
        tokens as f64 / 5e3,
        trained as f64 / 5e3
    );
    println!(
        "{:.0} documents/s generated, {:.0} rendered too",
        5e3 / generated.as_secs_f64(),
        5e3 / clock.elapsed().as_secs_f64()
    );
}
