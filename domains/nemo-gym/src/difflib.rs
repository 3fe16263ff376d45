//! Python's `difflib.SequenceMatcher` over characters, without junk of one's own.

use std::collections::HashMap;

/// Places of a match: in the first text, in the second, and how long.
pub type Block = (usize, usize, usize);

/// The second text, indexed.
pub struct Matcher<'b> {
    b: &'b [char],
    places: HashMap<char, Vec<usize>>,
}

impl<'b> Matcher<'b> {
    /// Index `b`. With `autojunk`, characters that make up more than 1 % of a text of 200 or more start no match.
    pub fn new(b: &'b [char], autojunk: bool) -> Self {
        let mut places: HashMap<char, Vec<usize>> = HashMap::new();
        for (i, c) in b.iter().enumerate() {
            places.entry(*c).or_default().push(i);
        }
        if autojunk && b.len() >= 200 {
            let most = b.len() / 100 + 1;
            places.retain(|_, at| at.len() <= most);
        }
        Self { b, places }
    }

    /// The longest match within `a[alo..ahi]` and `b[blo..bhi]`, of those the first in `a`, then in `b`.
    pub fn longest(&self, a: &[char], alo: usize, ahi: usize, blo: usize, bhi: usize) -> Block {
        let (mut besti, mut bestj, mut best) = (alo, blo, 0);
        // Lengths of the matches that end at each place of `b`, for the character of `a` before and for this one.
        let (mut before, mut now): (HashMap<usize, usize>, HashMap<usize, usize>) = Default::default();
        for (i, c) in a.iter().enumerate().take(ahi).skip(alo) {
            now.clear();
            for &j in self.places.get(c).map(Vec::as_slice).unwrap_or_default() {
                if j < blo {
                    continue;
                }
                if j >= bhi {
                    break;
                }
                let length = j.checked_sub(1).and_then(|j| before.get(&j)).copied().unwrap_or(0) + 1;
                now.insert(j, length);
                if length > best {
                    (besti, bestj, best) = (i + 1 - length, j + 1 - length, length);
                }
            }
            std::mem::swap(&mut before, &mut now);
        }
        // What starts no match may still lengthen one.
        while besti > alo && bestj > blo && a[besti - 1] == self.b[bestj - 1] {
            (besti, bestj, best) = (besti - 1, bestj - 1, best + 1);
        }
        while besti + best < ahi && bestj + best < bhi && a[besti + best] == self.b[bestj + best] {
            best += 1;
        }
        (besti, bestj, best)
    }

    /// How many characters match, block by block.
    fn matches(&self, a: &[char]) -> usize {
        let mut open = vec![(0, a.len(), 0, self.b.len())];
        let mut all = 0;
        while let Some((alo, ahi, blo, bhi)) = open.pop() {
            let (i, j, length) = self.longest(a, alo, ahi, blo, bhi);
            if length == 0 {
                continue;
            }
            all += length;
            if alo < i && blo < j {
                open.push((alo, i, blo, j));
            }
            if i + length < ahi && j + length < bhi {
                open.push((i + length, ahi, j + length, bhi));
            }
        }
        all
    }
}

/// `SequenceMatcher(None, a, b).ratio()`.
pub fn ratio(a: &str, b: &str) -> f64 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    match a.len() + b.len() {
        0 => 1.0,
        length => 2.0 * Matcher::new(&b, true).matches(&a) as f64 / length as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_pythons() {
        // From Python 3.11.
        for (a, b, expected) in [
            ("abcd", "bcde", 0.75),
            ("", "", 1.0),
            ("", "a", 0.0),
            (
                "private Thread currentThread;",
                "private volatile Thread currentThread;",
                0.8656716417910447,
            ),
            ("tide", "diet", 0.25),
            ("diet", "tide", 0.5),
        ] {
            assert_eq!(ratio(a, b), expected, "{a} {b}");
        }
        // Popular characters start no match in long texts, but lengthen one, and the empty one at the beginning.
        let long = "ab".repeat(150);
        assert_eq!(ratio(&long, &long), 1.0);
        assert_eq!(ratio(&format!("ba{long}"), &long), 0.0);
        assert_eq!(ratio("qababab", &format!("{long}q")), 0.006493506493506494);
    }
}
