//! The words of the store's world, and which split each invented word belongs to.
//!
//! Persons and streets are built from [`SYLLABLES`], so that a name no training task ever showed is still spelled with
//! frequent pieces. A word's split is a hash of its spelling: whatever a seed draws, a held-out name, street, e-mail
//! address or id can never turn up in training.

use hone_env::Split;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use sha2::{Digest, Sha256};

/// The pieces of every invented name: two letters each, so that a name splits into them in one way only; none is an
/// English word of the request templates.
pub const SYLLABLES: [&str; 40] = [
    "ba", "bi", "bo", "bu", "da", "de", "di", "du", "fa", "fi", "ga", "gu", "ka", "ki", "ko", "la", "le", "lo", "lu",
    "ma", "mi", "mo", "mu", "na", "ne", "nu", "pa", "po", "ra", "re", "ri", "ro", "sa", "su", "ta", "te", "tu", "va",
    "vo", "zu",
];

/// What the store sells. All splits sell the same things.
pub const ITEMS: [&str; 25] = [
    "basket", "blanket", "bottle", "camera", "candle", "carpet", "chair", "clock", "desk", "guitar", "hammer",
    "helmet", "jacket", "kettle", "ladder", "lamp", "mirror", "mug", "pillow", "puzzle", "radio", "ruler", "scarf",
    "tent", "wallet",
];

/// The colors that everything comes in.
pub const COLORS: [&str; 6] = ["black", "blue", "green", "red", "white", "yellow"];

const HOSTS: [&str; 4] = ["box.net", "mail.com", "post.org", "web.io"];
const ROADS: [&str; 4] = ["lane", "road", "row", "way"];

/// The split that an invented word, street or id belongs to: a fifth each for test and validation.
pub fn split_of(word: &str) -> Split {
    match Sha256::digest(word.as_bytes())[0] {
        0..51 => Split::Test,
        51..102 => Split::Validation,
        _ => Split::Train,
    }
}

fn until(split: Split, mut draw: impl FnMut() -> String) -> String {
    loop {
        let word = draw();
        if split_of(&word) == split {
            return word;
        }
    }
}

/// Two or three syllables, none of them in `used`, which then holds them too.
fn word(split: Split, rng: &mut Stream, used: &mut Vec<&'static str>) -> String {
    let before = used.len();
    until(split, || {
        used.truncate(before);
        let count = rng.random_range(2..=3);
        while used.len() < before + count {
            let syllable = SYLLABLES[rng.random_range(0..SYLLABLES.len())];
            if !used.contains(&syllable) {
                used.push(syllable);
            }
        }
        used[before..].concat()
    })
}

/// A person: first and last name without a repeated syllable, and an e-mail address at the last name.
pub(crate) fn person(split: Split, rng: &mut Stream) -> (String, String) {
    let mut used = Vec::with_capacity(6);
    let first = word(split, rng, &mut used);
    let last = word(split, rng, &mut used);
    let host = HOSTS.choose(rng).copied().unwrap_or(HOSTS[0]);
    (format!("{first} {last}"), format!("{last}@{host}"))
}

/// A street with a house number, such as `lomita road 7`.
pub(crate) fn street(split: Split, rng: &mut Stream) -> String {
    let name = word(split, rng, &mut Vec::with_capacity(3));
    let road = ROADS.choose(rng).copied().unwrap_or(ROADS[0]);
    format!("{name} {road} {}", rng.random_range(1..=9))
}

/// A customer id: `c` and two digits.
pub(crate) fn customer_id(split: Split, rng: &mut Stream) -> String {
    until(split, || format!("c{}", rng.random_range(10..=99)))
}

/// An order id: `W` and two or three digits, both lengths equally often.
pub(crate) fn order_id(split: Split, rng: &mut Stream) -> String {
    until(split, || match rng.random_bool(0.5) {
        true => format!("W{}", rng.random_range(10..=99)),
        false => format!("W{}", rng.random_range(100..=999)),
    })
}

/// The items that `key` (an intent and a way to be found) may meet in a split: four for test, four for validation, the
/// rest for training.
pub fn items(split: Split, key: &str) -> Vec<&'static str> {
    let mut ranked: Vec<_> = ITEMS
        .iter()
        .map(|item| (Sha256::digest(format!("{key}/{item}").as_bytes()), *item))
        .collect();
    ranked.sort();
    let part = match split {
        Split::Test => &ranked[..4],
        Split::Validation => &ranked[4..8],
        Split::Train => &ranked[8..],
    };
    part.iter().map(|(_, item)| *item).collect()
}
