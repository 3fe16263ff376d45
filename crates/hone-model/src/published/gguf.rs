//! Tokenizers out of the metadata of GGUF files.

use crate::CodecError;
use hone_gguf::{Gguf, Value};
use hone_trace::TokenId;
use std::collections::BTreeSet;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// How Llama 3 cuts text before merging, and Qwen2 with one digit at a time (their own `tokenizer.json`).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// What a file says of its tokenizer.
pub(super) struct Parts {
    pub(super) tokenizer: Tokenizer,
    pub(super) template: String,
    pub(super) bos: String,
    /// Tokens that end a turn, the first of them the file's own end of text.
    pub(super) ends: Vec<TokenId>,
}

/// The tokenizer and the chat template of a GGUF file.
///
/// # Errors
/// When they are missing, broken, or of a kind that this version does not read.
pub(super) fn read(file: &Gguf) -> Result<Parts, CodecError> {
    let wrong = |what: String| CodecError::Published {
        path: file.path().into(),
        what,
    };
    let gguf = |error: hone_gguf::GgufError| CodecError::Gguf(error);
    let model = file.text("tokenizer.ggml.model").map_err(gguf)?.unwrap_or_default();
    if model != "gpt2" {
        return Err(wrong(format!(
            "its tokenizer is of kind {model:?}; this version reads byte-level BPE (\"gpt2\"): take the model's directory in Hugging Face layout"
        )));
    }
    let texts = |key: &str| -> Result<Vec<String>, CodecError> {
        let list = file.list(key).map_err(gguf)?.iter();
        let texts = list
            .map(|value| value.as_text().map(str::to_owned))
            .collect::<Option<Vec<String>>>();
        texts.ok_or_else(|| wrong(format!("{key} holds something that is not a text")))
    };
    let tokens = texts("tokenizer.ggml.tokens")?;
    if tokens.is_empty() {
        return Err(wrong("tokenizer.ggml.tokens is missing".into()));
    }
    let kinds = file.list("tokenizer.ggml.token_type").map_err(gguf)?;
    if tokens.iter().collect::<BTreeSet<_>>().len() != tokens.len() {
        return Err(wrong("tokenizer.ggml.tokens holds a token twice".into()));
    }
    let vocab: Vocab = tokens.iter().cloned().zip(0..).collect();
    let merges = texts("tokenizer.ggml.merges")?.into_iter().map(|merge| {
        let (left, right) = merge.split_once(' ')?;
        Some((left.to_owned(), right.to_owned()))
    });
    let merges: Option<Merges> = merges.collect();
    let merges = merges.ok_or_else(|| wrong("tokenizer.ggml.merges holds something that is not two tokens".into()))?;

    let failed = |error: tokenizers::Error| wrong(format!("its tokenizer cannot be built: {error}"));
    let cut = |pattern: &str| -> Result<PreTokenizerWrapper, CodecError> {
        let pattern = SplitPattern::Regex(pattern.into());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
        Ok(PreTokenizerWrapper::Split(split))
    };
    let bytes = |use_regex| PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, use_regex));
    let kind = file.text("tokenizer.ggml.pre").map_err(gguf)?.unwrap_or_default();
    let (steps, whole_words, nfc) = match kind {
        "gpt-2" => (vec![bytes(true)], false, false),
        "smollm" => (
            vec![PreTokenizerWrapper::Digits(Digits::new(true)), bytes(true)],
            false,
            false,
        ),
        "llama-bpe" => (vec![cut(LLAMA3)?, bytes(false)], true, false),
        "qwen2" => (vec![cut(QWEN2)?, bytes(false)], false, true),
        other => {
            return Err(wrong(format!(
                "tokenizer.ggml.pre is {other:?}; this version reads gpt-2, llama-bpe, qwen2 and smollm: take the model's directory in Hugging Face layout"
            )));
        }
    };
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(whole_words)
        .build()
        .map_err(failed)?;
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    if nfc {
        tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
    }
    if kinds.len() != tokens.len() {
        return Err(wrong(format!(
            "tokenizer.ggml.token_type tells the kind of {} of {} tokens: without it control tokens are not known; take the model's directory in Hugging Face layout",
            kinds.len(),
            tokens.len()
        )));
    }
    let of_kind = |kind: u64, special: bool| {
        let all = tokens
            .iter()
            .zip(kinds)
            .filter(move |(_, value)| value.as_u64() == Some(kind));
        all.map(|(token, _)| AddedToken::from(token.as_str(), special).normalized(false))
            .collect::<Vec<_>>()
    };
    tokenizer.add_special_tokens(of_kind(CONTROL, true)).map_err(failed)?;
    tokenizer.add_tokens(of_kind(USER_DEFINED, false)).map_err(failed)?;

    let id = |key: &str| {
        let value = file
            .get(&format!("tokenizer.ggml.{key}_token_id"))
            .and_then(Value::as_u64);
        value.filter(|id| (*id as usize) < tokens.len()).map(|id| id as TokenId)
    };
    let template = file.text("tokenizer.chat_template").map_err(gguf)?;
    Ok(Parts {
        tokenizer,
        template: template
            .ok_or_else(|| wrong("it holds no chat template (tokenizer.chat_template)".into()))?
            .to_owned(),
        bos: id("bos").map(|id| tokens[id as usize].clone()).unwrap_or_default(),
        ends: ["eos", "eot", "eom"].into_iter().filter_map(id).collect(),
    })
}
