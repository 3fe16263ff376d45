//! How tasks are worded. Each split has its own phrasings: test phrasings are never trained on.

use hone_env::Split;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;

/// Phrasings of a split: requests (`N` is the number, `X` the item), what may stand before and after them, and remarks
/// that something is held already.
pub(crate) struct Wording {
    pub requests: &'static [&'static str],
    pub openings: &'static [&'static str],
    pub endings: &'static [&'static str],
    pub remarks: &'static [&'static str],
}

/// How often a training request gets an opening, and how often an ending: so that a model learns where the item's name
/// begins and ends.
const OPENING: f64 = 0.4;
const ENDING: f64 = 0.4;

const TRAIN: Wording = Wording {
    requests: &[
        "craft N X",
        "make N X",
        "build N X",
        "i need N X",
        "i want N X",
        "we need N X",
        "get me N X",
        "give me N X",
        "bring me N X",
        "fetch me N X",
        "craft me N X",
        "make me N X",
        "supply N X",
        "whip up N X",
        "get N X done",
        "have N X ready",
        "work on N X",
        "let us make N X",
        "let me have N X",
        "can you craft N X?",
        "can you make N X?",
        "could you craft N X?",
        "could you build N X?",
        "will you get me N X?",
        "may i have N X?",
        "your goal is to craft N X",
        "your task: make N X",
        "goal: N X",
        "task: craft N X",
        "order: N X",
        "to do: craft N X",
        "next up: N X",
        "N X",
        "N X, please",
        "N X please",
        "N X, that is all",
        "i would like N X",
        "i could use N X",
        "i am looking for N X",
        "i am after N X",
        "all i want is N X",
        "there should be N X",
        "the chest lacks N X",
        "the farm needs N X",
        "the plan asks for N X",
        "find a way to make N X",
    ],
    openings: &[
        "please",
        "hello,",
        "hi,",
        "hi there,",
        "good morning,",
        "dear friend,",
        "first,",
        "next,",
        "now,",
        "then",
        "quick,",
        "well,",
        "again:",
        "new order:",
        "a small thing:",
        "if you can,",
        "when you have time,",
        "as i said,",
        "for the farm,",
        "to begin with,",
    ],
    endings: &[
        "now",
        "soon",
        "again",
        "tonight",
        "tomorrow",
        "at once",
        "right away",
        "quickly",
        "in time",
        "by hand",
        "as a gift",
        "as planned",
        "for me",
        "for us",
        "for later",
        "for my friend",
        "for my farm",
        "for the castle",
        "for a start",
        "for our trip",
        "to trade",
        "before dark",
        "if you can",
        "when you can",
        "and nothing else",
        "with care",
        "without delay",
        "out of raw things",
        "in one go",
        "on your own",
    ],
    remarks: &[
        "some of it is in the inventory",
        "check the inventory first",
        "look in the inventory first",
        "part of it is there already",
        "you have something already",
        "use what is in the inventory",
    ],
};

const VALIDATION: Wording = Wording {
    requests: &[
        "see that i get N X",
        "help me get N X",
        "produce N X",
        "what i lack is N X",
        "try to craft N X now",
        "wanted: N X",
    ],
    openings: &[],
    endings: &[],
    remarks: &["the inventory is not empty", "there is something in the inventory"],
};

const TEST: Wording = Wording {
    requests: &[
        "put together N X",
        "would you make N X today?",
        "the aim is N X",
        "prepare N X for the village",
        "one more job: N X",
        "create N X",
        "my house still needs N X",
        "assemble N X from scratch",
        "how about N X?",
        "we are short of N X",
        "deliver N X",
        "i ran out, so craft N X",
    ],
    openings: &[],
    endings: &[],
    remarks: &[
        "one ingredient is in the inventory",
        "your inventory holds part of it",
        "mind what the inventory holds",
    ],
};

impl Wording {
    pub fn of(split: Split) -> &'static Self {
        match split {
            Split::Train => &TRAIN,
            Split::Validation => &VALIDATION,
            Split::Test => &TEST,
        }
    }
}

/// A request for that many of an item, with a remark if something is held.
pub(crate) fn request(split: Split, item: &str, n: u32, held: bool, draw: &mut Stream) -> String {
    let wording = Wording::of(split);
    let pick = |from: &[&'static str], draw: &mut Stream| *from.choose(draw).expect("every split has phrasings");
    let maybe = |from: &[&'static str], often: f64, draw: &mut Stream| {
        (!from.is_empty() && draw.random_bool(often)).then(|| pick(from, draw))
    };
    let opening = maybe(wording.openings, OPENING, draw);
    let phrase = pick(wording.requests, draw);
    let ending = maybe(wording.endings, ENDING, draw);
    let (phrase, mark) = phrase.strip_suffix('?').map_or((phrase, ""), |phrase| (phrase, "?"));
    let words = phrase.split(' ').map(|word| fill(word, item, n));
    let words: Vec<String> = opening
        .map(String::from)
        .into_iter()
        .chain(words)
        .chain(ending.map(String::from))
        .collect();
    let request = words.join(" ");
    if held {
        let stop = if mark.is_empty() { "." } else { mark };
        format!("{request}{stop} {}", pick(wording.remarks, draw))
    } else {
        format!("{request}{mark}")
    }
}

/// A word of a phrasing, with `N` and `X` (and what punctuation follows them) filled in.
fn fill(word: &str, item: &str, n: u32) -> String {
    match word.split_at_checked(1) {
        Some(("N", rest)) => format!("{n}{rest}"),
        Some(("X", rest)) => format!("{item}{rest}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn phrasings_are_complete_and_no_split_shares_one() {
        let mut seen = BTreeSet::new();
        for split in [Split::Train, Split::Validation, Split::Test] {
            let wording = Wording::of(split);
            for phrase in wording.requests {
                assert!(phrase.contains("N X"), "{phrase}");
                assert_eq!(phrase.chars().filter(char::is_ascii_uppercase).count(), 2, "{phrase}");
            }
            for phrase in [wording.requests, wording.openings, wording.endings, wording.remarks].concat() {
                assert!(seen.insert(phrase), "{phrase} occurs twice");
            }
        }
    }

    #[test]
    fn fills_in_number_and_item() {
        let mut draw = Stream::new(1);
        for _ in 0..100 {
            let text = request(Split::Train, "oak boat", 3, true, &mut draw);
            assert!(text.contains("3 oak boat"), "{text}");
            assert!(!text.contains("?."), "{text}");
            assert!(!text.contains('X') && !text.contains('N'), "{text}");
        }
    }
}
