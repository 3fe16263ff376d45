//! Prints the ids that a model directory's codec makes of texts and conversations, to compare with other readers of it:
//! `cargo run --release -p hone-model --example ids -- MODEL_DIR`
//!
//! Each line of stdin is `{"text": "…"}` or `{"messages": [{"user": "…"}, …]}`; each line of stdout `{"ids", "text"}`, the
//! ids and what they decode to. A conversation ends with the generation prompt.

use hone_model::{Codec, Conversation, Message};
use serde::Deserialize;
use std::io::{BufRead, Write};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Text(String),
    Messages(Vec<Message>),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("say which model: ids MODEL_DIR")?;
    let codec = Codec::load(dir.as_ref())?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let ids = match serde_json::from_str(&line?)? {
            Line::Text(text) => codec.encode(&text),
            Line::Messages(messages) => codec.prompt(&Conversation {
                messages,
                ..Conversation::default()
            }),
        };
        writeln!(out, "{}", serde_json::json!({"ids": ids, "text": codec.decode(&ids)}))?;
    }
    Ok(())
}
