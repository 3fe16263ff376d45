//! How tasks are worded. Each split has its own phrasings: test phrasings are never trained on.

use hone_env::Split;
use hone_trace::Stream;
use rand::seq::IndexedRandom;

/// Phrasings of a split: requests (`N` is the number, `X` the item), and remarks that something is held already.
pub(crate) struct Wording {
    pub requests: &'static [&'static str],
    pub remarks: &'static [&'static str],
}

const TRAIN: Wording = Wording {
    requests: &[
        "craft N X",
        "make N X",
        "please craft N X",
        "please make N X",
        "i need N X",
        "i want N X",
        "get me N X",
        "build N X",
        "can you craft N X?",
        "can you make N X?",
        "could you craft N X for me?",
        "could you build N X?",
        "we need N X",
        "your goal is to craft N X",
        "your task: make N X",
        "goal: N X",
        "task: craft N X",
        "N X, please",
        "N X please",
        "i would like N X",
        "let us make N X",
        "bring me N X",
        "i am looking for N X",
        "craft me N X",
        "make me N X",
        "hello, please craft N X",
        "hi, i need N X",
        "next up: N X",
        "order: N X",
        "to do: craft N X",
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
    let mut pick = |from: &[&'static str]| *from.choose(draw).expect("every split has phrasings");
    let words: Vec<String> = pick(wording.requests)
        .split(' ')
        .map(|word| fill(word, item, n))
        .collect();
    let request = words.join(" ");
    let stop = if request.ends_with('?') { "" } else { "." };
    if held {
        format!("{request}{stop} {}", pick(wording.remarks))
    } else {
        request
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
            for phrase in wording.requests.iter().chain(wording.remarks) {
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
