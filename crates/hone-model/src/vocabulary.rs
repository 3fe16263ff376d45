//! What each token of a tokenizer stands for, in bytes.

use hone_trace::TokenId;
use serde_json::Value;
use std::collections::HashMap;
use tokenizers::Tokenizer;

/// The tokens of a tokenizer by id.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// The bytes of each; none for special tokens and ids without one.
    pub text: Vec<Option<Vec<u8>>>,
    /// Special tokens by name.
    pub special: Vec<(TokenId, String)>,
}

impl Vocabulary {
    /// The vocabulary of a tokenizer whose tokens are bytes: byte-level BPE as GPT-2's, or with byte fallback as Llama 2's.
    ///
    /// # Errors
    /// A sentence where it is neither.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        let decoder = serde_json::to_value(tokenizer.get_decoder()).unwrap_or_default();
        let byte_level = holds(&decoder, "ByteLevel");
        if !byte_level && !holds(&decoder, "ByteFallback") {
            return Err(
                "its tokens do not stand for bytes; take a model with a byte-level tokenizer or one with byte fallback"
                    .into(),
            );
        }
        let bytes = byte_level.then(byte_characters);
        let vocab = tokenizer.get_vocab(true);
        let size = vocab.values().max().map_or(0, |id| *id as usize + 1);
        let mut found = Self {
            text: vec![None; size],
            special: Vec::new(),
        };
        let added = tokenizer.get_added_tokens_decoder();
        for (token, id) in vocab {
            let text = match (added.get(&id), &bytes) {
                (Some(added), _) if added.special => {
                    found.special.push((id, token));
                    continue;
                }
                (Some(_), _) => Some(token.into_bytes()),
                (None, Some(bytes)) => token.chars().map(|c| bytes.get(&c).copied()).collect(),
                (None, None) => {
                    Some(fallback(&token).map_or_else(|| token.replace('▁', " ").into_bytes(), |b| vec![b]))
                }
            };
            found.text[id as usize] = text.filter(|text: &Vec<u8>| !text.is_empty());
        }
        found.special.sort();
        Ok(found)
    }

    /// The bytes of one token; none for special tokens.
    pub fn bytes(&self, id: TokenId) -> &[u8] {
        self.text
            .get(id as usize)
            .and_then(Option::as_deref)
            .unwrap_or_default()
    }
}

/// Whether a decoder is of that type or holds one.
fn holds(decoder: &Value, kind: &str) -> bool {
    let parts = decoder.get("decoders").and_then(Value::as_array);
    decoder.get("type").and_then(Value::as_str) == Some(kind)
        || parts.is_some_and(|parts| parts.iter().any(|part| holds(part, kind)))
}

/// `<0x0A>`: a byte.
fn fallback(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
}

/// The character that stands for each byte in byte-level BPE: itself where it is printable Latin-1, else the next one from
/// U+0100 on (GPT-2's `bytes_to_unicode`).
fn byte_characters() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| {
            let plain = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
            let code = if plain {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            (char::from_u32(code).unwrap_or_default(), byte)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::Codec;

    #[test]
    fn the_bytes_of_a_text_are_those_of_its_tokens() {
        let codec = crate::train_tokenizer(["a b c {\"name\": \"é\"} 語 🦀\n\t".to_owned()], 300).unwrap();
        let vocabulary = codec.vocabulary().unwrap();
        let text = " two  spaces\n\ttab {\"a\":\"é\"} 語 🦀 \u{1}\u{7f}\u{ad}";
        let bytes: Vec<u8> = codec
            .encode(text)
            .iter()
            .flat_map(|id| vocabulary.bytes(*id).to_vec())
            .collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
        let special = |codec: &Codec| vocabulary.special.iter().any(|(id, _)| *id == codec.end_token());
        assert!(special(&codec) && vocabulary.bytes(codec.end_token()).is_empty());
    }
}
