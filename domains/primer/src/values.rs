//! Invented values: names, ids, addresses, things. Every one belongs either to the corpus or to the probes.

use crate::words::*;
use hone_trace::Stream;
use rand::{Rng, RngExt};

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// First and last name: `mor kelda`.
    Person,
    /// One invented word: `kelda`.
    Word,
    /// `mor@kelda.org`, `mor.kelda@sil.com`.
    Email,
    /// A prefix and digits: `W12`, `k-204`, `AB771`.
    Id,
    /// `14 kelda street`, `kelda alley 7`.
    Street,
    /// One or two words: `quilt`, `pale globe`.
    Thing,
    /// A few common words.
    Phrase,
    /// One or two digits.
    Number,
}

/// Kinds of texts that a [`TEXT_KEYS`] argument may hold.
const TEXTS: &[Kind] = &[
    Kind::Person,
    Kind::Person,
    Kind::Word,
    Kind::Word,
    Kind::Email,
    Kind::Street,
    Kind::Thing,
    Kind::Thing,
    Kind::Phrase,
];

/// The kinds that are long enough to be told apart from everything in the corpus.
const UNSEEN: &[Kind] = &[
    Kind::Person,
    Kind::Word,
    Kind::Email,
    Kind::Id,
    Kind::Street,
    Kind::Thing,
];

/// A die, and a maker of values that never makes the same twice.
pub(crate) struct Values {
    rng: Stream,
    /// Make values of the probes instead of those of the corpus.
    held_out: bool,
    /// Names are capitalised.
    capital: bool,
    /// Ids share a prefix and words often a syllable, so that they are told apart only by their ends.
    alike: bool,
    prefix: String,
    syllable: String,
    used: Vec<String>,
}

/// Whether a word belongs to the probes: a fifth of all spellings does, whatever their case.
pub(crate) fn is_held_out(word: &str) -> bool {
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32 & 0xff < 51
}

impl Values {
    pub fn new(rng: Stream, held_out: bool) -> Self {
        let empty = String::new;
        let mut values = Self {
            rng,
            held_out,
            capital: false,
            alike: false,
            prefix: empty(),
            syllable: empty(),
            used: Vec::new(),
        };
        values.capital = values.chance(0.3);
        values.alike = values.chance(0.3);
        values.prefix = values.id_prefix();
        values.syllable = values.draw_syllable();
        values
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.rng.random_bool(p)
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &'a [&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A value of that kind that this document does not have yet.
    pub fn make(&mut self, kind: Kind) -> String {
        loop {
            let value = match kind {
                Kind::Person => format!("{} {}", self.name(), self.name()),
                Kind::Word => self.name(),
                Kind::Email => self.email(),
                Kind::Id => self.id(),
                Kind::Street => self.street(),
                Kind::Thing => self.thing(),
                Kind::Phrase => self.phrase(),
                Kind::Number => self.number(99).to_string(),
            };
            if !self.used.contains(&value) {
                self.used.push(value.clone());
                return value;
            }
        }
    }

    /// A text or an id, as a result's field or a probe's argument may hold.
    pub fn any(&mut self) -> String {
        let kind = self.any_kind();
        self.make(kind)
    }

    pub fn any_kind(&mut self) -> Kind {
        let kinds = if self.held_out { UNSEEN } else { TEXTS };
        if self.chance(0.35) {
            Kind::Id
        } else {
            kinds[self.below(kinds.len())]
        }
    }

    /// A name for an argument or field, and a kind that suits it.
    pub fn key(&mut self) -> (String, Kind) {
        loop {
            let (key, kind) = match self.below(10) {
                0..4 => (
                    self.pick(TEXT_KEYS).to_string(),
                    if self.held_out {
                        self.any_kind()
                    } else {
                        TEXTS[self.below(TEXTS.len())]
                    },
                ),
                4..7 => (self.pick(CODE_KEYS).to_string(), Kind::Id),
                7 if !self.held_out => (self.pick(NUMBER_KEYS).to_string(), Kind::Number),
                8 => ("mail".to_string(), Kind::Email),
                _ => (self.word().to_lowercase(), self.any_kind()),
            };
            let key = key.replace(' ', "_");
            if !self.used.contains(&key) {
                self.used.push(key.clone());
                return (key, kind);
            }
        }
    }

    /// A number from 1 to `high`, small ones more often than not.
    pub fn number(&mut self, high: usize) -> usize {
        let high = if self.chance(0.3) { high.min(9) } else { high };
        self.between(1, high)
    }

    /// One of a few state words with its field name.
    pub fn state(&mut self) -> (&'static str, &'static [&'static str]) {
        STATES[self.below(STATES.len())]
    }

    /// The name of a field or argument that holds a number.
    pub fn number_key(&mut self) -> String {
        self.pick(NUMBER_KEYS).to_string()
    }

    /// The name of a field or argument that holds a text.
    pub fn text_key(&mut self) -> String {
        self.pick(TEXT_KEYS).to_string()
    }

    fn draw_syllable(&mut self) -> String {
        [self.pick(ONSETS), self.pick(VOWELS), self.pick(CODAS)].concat()
    }

    /// An invented word in lower case, of the right side of the split.
    pub fn word(&mut self) -> String {
        loop {
            let mut word = String::new();
            if self.chance(0.06) {
                for _ in 0..self.between(3, 7) {
                    word.push((b'a' + self.below(26) as u8) as char);
                }
            } else if self.chance(0.3) {
                // Two-letter syllables only: the plainest names.
                for _ in 0..self.between(2, 3) {
                    let consonant = self.pick(&ONSETS[1..13]);
                    let vowel = self.pick(&VOWELS[..5]);
                    word.push_str(consonant);
                    word.push_str(vowel);
                }
            } else {
                for _ in 0..if self.held_out { 2 } else { 1 }
                    + usize::from(self.chance(0.75))
                    + usize::from(self.chance(0.2))
                {
                    let alike = self.alike && self.rng.random_bool(0.25);
                    let syllable = if alike {
                        self.syllable.clone()
                    } else {
                        self.draw_syllable()
                    };
                    word.push_str(&syllable);
                }
            }
            if word.len() >= 2
                && word.len() <= 11
                && is_held_out(&word) == self.held_out
                && !RESERVED_WORDS.contains(&word.as_str())
            {
                return word;
            }
        }
    }

    fn name(&mut self) -> String {
        let word = self.word();
        if !self.capital {
            return word;
        }
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    }

    fn email(&mut self) -> String {
        let user = match self.below(4) {
            0 => format!("{}.{}", self.word(), self.word()),
            1 => format!("{}{}", self.word(), self.number(99)),
            _ => self.word(),
        };
        format!(
            "{user}@{}.{}",
            if self.chance(0.5) { "mail".into() } else { self.word() },
            self.pick(DOMAINS)
        )
    }

    fn id_prefix(&mut self) -> String {
        let letter = |n: usize| (b'a' + n as u8) as char;
        let first = letter(self.below(26));
        match self.below(8) {
            0..3 => first.to_string(),
            3..6 => first.to_ascii_uppercase().to_string(),
            6 => format!("{first}{}", letter(self.below(26))).to_uppercase(),
            _ => format!("{first}-"),
        }
    }

    fn id(&mut self) -> String {
        loop {
            let prefix = if self.alike {
                self.prefix.clone()
            } else {
                self.id_prefix()
            };
            let number = match self.below(5) {
                0 | 1 => self.between(10, 99),
                2 | 3 => self.between(100, 999),
                _ => self.between(1000, 9999),
            };
            let id = format!("{prefix}{number}");
            if is_held_out(&id) == self.held_out {
                return id;
            }
        }
    }

    fn street(&mut self) -> String {
        let (word, end, number) = (self.name(), self.pick(STREETS), self.number(99));
        if self.chance(0.5) {
            format!("{number} {word} {end}")
        } else {
            format!("{word} {end} {number}")
        }
    }

    fn thing(&mut self) -> String {
        loop {
            let thing = if !self.held_out && self.chance(0.3) {
                self.pick(THINGS).to_string()
            } else if !self.held_out && self.chance(0.2) {
                format!("{} {}", self.word(), self.pick(THINGS))
            } else {
                format!("{} {}", self.pick(ADJECTIVES), self.pick(THINGS))
            };
            if is_held_out(&thing) == self.held_out {
                return thing;
            }
        }
    }

    fn phrase(&mut self) -> String {
        let mut words: Vec<_> = (0..self.between(1, 4)).map(|_| self.pick(COMMON)).collect();
        words.dedup();
        words.join(" ")
    }
}
