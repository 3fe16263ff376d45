//! Prints the ids that a model's codec makes of texts and conversations, to compare with other readers of it:
//! `cargo run --release -p hone-model --example ids -- MODEL`
//!
//! MODEL is a directory, of ours or a published model's, or a GGUF file. Each line of stdin is `{"text": "…"}` or
//! `{"messages": [{"user": "…"}, …], "tools": [{"name", "description", "inputSchema"}, …]}`, the tools optional; each line
//! of stdout `{"ids", "text"}`, the ids and what they decode to, or `{"error"}`. A conversation ends with the generation
//! prompt.

use hone_gguf::Gguf;
use hone_model::{Codec, Conversation, Message, PublishedCodec, TokenCodec};
use hone_tool::{ToolSpec, Toolset};
use hone_trace::TokenId;
use serde::Deserialize;
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<ToolSpec>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("say which model: ids MODEL")?);
    if Codec::is_in(&path) {
        let codec = Codec::load(&path)?;
        return answer(&codec, |text| Ok(codec.encode(text)), |ids| codec.decode(ids));
    }
    let codec = match path.is_file() {
        true => PublishedCodec::from_gguf(&Gguf::open(&path)?)?,
        false => PublishedCodec::load(&path)?,
    };
    answer(&codec, |text| Ok(codec.encode(text)?), |ids| codec.decode(ids))
}

fn answer(
    codec: &dyn TokenCodec,
    encode: impl Fn(&str) -> Result<Vec<TokenId>, Box<dyn Error>>,
    decode: impl Fn(&[TokenId]) -> String,
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line?)?;
        let conversation = Conversation {
            messages: line.messages,
            ..Conversation::default()
        };
        let said = match line.text {
            Some(text) => Ok(encode(&text)?),
            None => codec
                .extend(&conversation, &Toolset::compile(&line.tools)?)
                .map(|added| added.new),
        };
        let said = match said {
            Ok(ids) => serde_json::json!({"ids": ids, "text": decode(&ids)}),
            Err(error) => serde_json::json!({"error": error.to_string()}),
        };
        writeln!(out, "{said}")?;
    }
    Ok(())
}
