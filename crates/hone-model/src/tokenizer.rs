//! Training of the nano base's tokenizer.

use crate::{ChatFormat, Codec, CodecError};
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer, Merges, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{
    AddedToken, Model as _, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _,
    SplitDelimiterBehavior, Tokenizer,
};

/// The punctuation of compact JSON and of tool calls: one token each, longest match first.
pub const SKELETONS: &[&str] = &[
    "{\"name\":\"",
    "\",\"arguments\":{\"",
    "\",\"arguments\":{}}",
    "{\"",
    "\":\"",
    "\",\"",
    "\":",
    ",\"",
    "\"}",
    "\"}}",
    "}}",
    "\":{\"",
    "\"},\"",
    "},\"",
    "\"},{\"",
    "},{\"",
    "[{\"",
    "\"}]",
    "}]",
    "\"}]}",
    "}]}",
    "\":[",
    "\":[\"",
    "\":[{\"",
    "\"]",
    "\"]}",
    "\"],\"",
    "],\"",
    "]}",
    "\":{}",
    "\":[]",
    "[\"",
    "{}",
    "[]",
];

/// Longest token that merging may produce, in bytes.
const MAX_TOKEN_BYTES: usize = 6;

/// A merged token must make up at least one in this many tokens of the training text.
const MIN_SHARE: usize = 9000;

/// A run of letters, or one digit, one space, one other character. A piece is never merged with its neighbours, so the
/// same characters give the same tokens in a sentence and within a JSON string.
const PIECES: &str = r"\p{L}+|\p{N}|\s|[^\p{L}\p{N}\s]";

/// Train a byte-level BPE tokenizer of at most `vocab` tokens (bytes, [`SKELETONS`], the format's special tokens, and
/// merges within runs of letters), with the chat format of the nano base.
///
/// Deterministic: the same texts give the same tokenizer.
///
/// # Errors
/// When `vocab` is too small for the bytes and the fixed tokens.
pub fn train_tokenizer<I, S>(texts: I, vocab: usize) -> Result<Codec, CodecError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str> + Sync,
{
    let format = ChatFormat::nano();
    let fixed = SKELETONS.len() + format.parts().len();
    let merged = vocab
        .checked_sub(fixed)
        .filter(|left| *left >= 256)
        .ok_or_else(|| CodecError::Train {
            what: format!("a vocabulary of {vocab} tokens has no room for 256 bytes and {fixed} fixed tokens"),
        })?;
    let failed = |error: tokenizers::Error| CodecError::Train {
        what: error.to_string(),
    };

    let pieces = Split::new(
        SplitPattern::Regex(PIECES.into()),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(failed)?;
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Split(pieces),
        PreTokenizerWrapper::ByteLevel(bytes),
    ])));
    tokenizer.with_decoder(Some(bytes));
    let skeletons = || {
        SKELETONS
            .iter()
            .map(|text| AddedToken::from(*text, false).normalized(false))
    };
    let special = || {
        format
            .parts()
            .into_iter()
            .map(|text| AddedToken::from(text, true))
            .collect::<Vec<_>>()
    };

    let texts: Vec<S> = texts.into_iter().collect();
    // More merges than there is room for, since some will be dropped.
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(4 * merged)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .max_token_length(Some(MAX_TOKEN_BYTES))
        .build()
        .into();
    tokenizer
        .train(&mut trainer, texts.iter().map(AsRef::as_ref))
        .map_err(failed)?;
    let pieces = count_pieces(&tokenizer, &texts).map_err(failed)?;
    let merges = merges_of(&tokenizer).map_err(failed)?;
    tokenizer.with_model(keep_frequent(merges, &pieces, merged).map_err(failed)?);
    tokenizer.add_tokens(skeletons()).map_err(failed)?;
    tokenizer.add_special_tokens(special()).map_err(failed)?;
    Codec::new(tokenizer, format)
}

/// The texts' pieces in byte-level spelling, with how often each occurs.
fn count_pieces<S: AsRef<str>>(tokenizer: &Tokenizer, texts: &[S]) -> tokenizers::Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let mut pieces = PreTokenizedString::from(text.as_ref());
        if let Some(split) = tokenizer.get_pre_tokenizer() {
            split.pre_tokenize(&mut pieces)?;
        }
        for (piece, _, _) in pieces.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            match counts.get_mut(piece) {
                Some(count) => *count += 1,
                None => _ = counts.insert(piece.to_string(), 1),
            }
        }
    }
    Ok(counts)
}

/// A trained model's merges in their order.
fn merges_of(tokenizer: &Tokenizer) -> tokenizers::Result<Merges> {
    #[derive(serde::Deserialize)]
    struct Model {
        merges: Merges,
    }
    Ok(serde_json::from_value::<Model>(serde_json::to_value(tokenizer.get_model())?)?.merges)
}

/// The first merges that fit, without those whose token the texts hardly use.
///
/// Merging leaves tokens behind that only ever served as steps to a longer one (`jud` to `judge`). A model never sees
/// them in training, but an unseen name may be spelled with them; so they go, and what is built on them too.
fn keep_frequent(mut merges: Merges, pieces: &BTreeMap<String, usize>, vocab: usize) -> tokenizers::Result<BPE> {
    let alphabet: BTreeSet<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
    let mut rare: BTreeSet<String> = BTreeSet::new();
    loop {
        let mut known = alphabet.clone();
        merges.retain(|(left, right)| {
            let token = format!("{left}{right}");
            let keep = known.contains(left) && known.contains(right) && !rare.contains(&token);
            if keep {
                known.insert(token);
            }
            keep
        });
        let mut ids: Vocab = alphabet.iter().cloned().zip(0..).collect();
        let mut used = Merges::new();
        for (left, right) in &merges {
            let token = format!("{left}{right}");
            if !ids.contains_key(&token) {
                if ids.len() == vocab {
                    break;
                }
                ids.insert(token, ids.len() as u32);
            }
            used.push((left.clone(), right.clone()));
        }
        let model = BPE::builder().vocab_and_merges(ids, used.clone()).build()?;
        let mut counts: BTreeMap<String, usize> =
            used.iter().map(|(left, right)| (format!("{left}{right}"), 0)).collect();
        let mut total = 0;
        for (piece, count) in pieces {
            for token in model.tokenize(piece)? {
                total += count;
                if let Some(sum) = counts.get_mut(&token.value) {
                    *sum += count;
                }
            }
        }
        let before = rare.len();
        rare.extend(
            counts
                .into_iter()
                .filter(|(_, count)| count * MIN_SHARE < total)
                .map(|(token, _)| token),
        );
        if rare.len() == before {
            return Ok(model);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const TEXTS: &[&str] = &[
        "the customer asks to open the gate and to read the letter",
        r#"{"name":"open_gate","arguments":{"person":"Ann Mor"}}"#,
        "please say which of the two it is and then stop",
        "Ann Mor of Kel and Bo Jan of Tor",
    ];

    /// A small tokenizer for tests.
    pub(crate) fn small() -> Codec {
        train_tokenizer(TEXTS.iter().cycle().take(40), 420).expect("trains")
    }

    #[test]
    fn the_same_characters_give_the_same_tokens_everywhere() {
        let codec = small();
        for value in ["Ann", "W12", "mor@kel.com", "oak planks", "grey-blue", "Zoë", "x"] {
            let alone = codec.encode(value);
            for (before, after) in [
                ("for ", ", please"),
                ("{\"name\":\"", "\"}}"),
                ("\":\"", "\",\""),
                ("", "."),
            ] {
                let within = codec.encode(&format!("{before}{value}{after}"));
                assert!(
                    within.windows(alone.len()).any(|window| window == alone),
                    "{value:?} changes its tokens within {before:?}…{after:?}"
                );
            }
        }
    }

    #[test]
    fn skeletons_spaces_and_digits_are_single_tokens() {
        let codec = small();
        for skeleton in SKELETONS {
            assert_eq!(codec.encode(skeleton).len(), 1, "{skeleton}");
        }
        let pieces = |text: &str| {
            codec
                .encode(text)
                .iter()
                .map(|id| codec.decode(&[*id]))
                .collect::<Vec<_>>()
        };
        assert_eq!(pieces(" 2026 "), [" ", "2", "0", "2", "6", " "]);
        assert_eq!(
            pieces(r#"{"name":"t","arguments":{"x":"3"}}"#),
            ["{\"name\":\"", "t", "\",\"arguments\":{\"", "x", "\":\"", "3", "\"}}"]
        );
    }

    #[test]
    fn training_is_deterministic_and_bounded() {
        assert_eq!(small().tokenizer_json(), small().tokenizer_json());
        assert!(small().vocab_size() <= 420);
        assert!(train_tokenizer(TEXTS, 200).is_err());
    }
}
