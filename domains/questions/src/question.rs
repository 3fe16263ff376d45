//! Questions: what is asked, in which words, which searches lead to the answer.

use crate::world::{Encyclopedia, Facts};
use hone_env::Split;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

/// A task's own data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The answer.
    pub answer: String,
    /// Queries whose results, read one after the other, lead to it; none where everybody knows it.
    pub path: Vec<String>,
    /// What each of them leads to; the last is the answer.
    pub found: Vec<String>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// What everybody knows.
    Known,
    /// Where a person was born.
    BirthTown,
    /// Whom a person works for.
    Employer,
    /// What a firm makes.
    Product,
    /// The river of a town.
    River,
    /// The sea of a river.
    Sea,
    /// What a person's firm makes.
    EmployersProduct,
    /// The town of a person's firm.
    EmployersTown,
    /// The river of the town where a person was born.
    BirthRiver,
    /// The river of a firm's town.
    FirmsRiver,
    /// The sea of the river of the town where a person was born.
    BirthSea,
    /// The sea of the river of a firm's town.
    FirmsSea,
    /// The river of the town of a person's firm.
    EmployersRiver,
}

/// Of sixteen questions in a row, four are known, and four each take one, two and three searches.
const TURNS: [Kind; 16] = [
    Kind::Known,
    Kind::BirthTown,
    Kind::EmployersProduct,
    Kind::BirthSea,
    Kind::Known,
    Kind::Employer,
    Kind::EmployersTown,
    Kind::FirmsSea,
    Kind::Known,
    Kind::Product,
    Kind::BirthRiver,
    Kind::EmployersRiver,
    Kind::Known,
    Kind::River,
    Kind::FirmsRiver,
    Kind::Sea,
];

/// Questions that need no search, with their answers. All splits ask them.
const KNOWN: [(&str, &str); 20] = [
    ("how many days are in a week?", "seven"),
    ("how many months are in a year?", "twelve"),
    ("how many legs has a spider?", "eight"),
    ("how many legs has a dog?", "four"),
    ("how many hours are in a day?", "twenty four"),
    ("how many eyes has a cat?", "two"),
    ("how many sides has a triangle?", "three"),
    ("how many minutes are in an hour?", "sixty"),
    ("what is the color of snow?", "white"),
    ("what is the color of grass?", "green"),
    ("what is the color of coal?", "black"),
    ("what is the color of blood?", "red"),
    ("what is frozen water called?", "ice"),
    ("what do bees make?", "honey"),
    ("what do cows give?", "milk"),
    ("what comes after night?", "day"),
    ("what comes after winter?", "spring"),
    ("what is two and two?", "four"),
    ("what is half of ten?", "five"),
    ("what is the opposite of cold?", "hot"),
];

impl Kind {
    /// Name, as in a task's kind, with the number of searches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Known => "0/known",
            Self::BirthTown => "1/birth_town",
            Self::Employer => "1/employer",
            Self::Product => "1/product",
            Self::River => "1/river",
            Self::Sea => "1/sea",
            Self::EmployersProduct => "2/employers_product",
            Self::EmployersTown => "2/employers_town",
            Self::BirthRiver => "2/birth_river",
            Self::FirmsRiver => "2/firms_river",
            Self::BirthSea => "3/birth_sea",
            Self::FirmsSea => "3/firms_sea",
            Self::EmployersRiver => "3/employers_river",
        }
    }

    /// Ways to ask, with `X` for the name: for training, then one each for validation and test.
    fn phrasings(self) -> [&'static str; 4] {
        match self {
            Self::Known => ["X", "tell me: X", "i wonder: X", "please say: X"],
            Self::BirthTown => [
                "where was X born?",
                "in which town was X born?",
                "X was born where?",
                "what is the birth town of X?",
            ],
            Self::Employer => [
                "which firm does X work for?",
                "who does X work for?",
                "X works for which firm?",
                "what is the firm of X?",
            ],
            Self::Product => [
                "what does the firm X make?",
                "what is made by the firm X?",
                "the firm X makes what?",
                "which goods come from the firm X?",
            ],
            Self::River => [
                "which river is the town X at?",
                "at which river is the town X?",
                "the town X is at which river?",
                "what is the river of the town X?",
            ],
            Self::Sea => [
                "which sea does the river X flow into?",
                "into which sea flows the river X?",
                "the river X flows into which sea?",
                "what is the sea of the river X?",
            ],
            Self::EmployersProduct => [
                "what does the firm of X make?",
                "what is made by the firm that X works for?",
                "X works for a firm that makes what?",
                "which goods come from the firm of X?",
            ],
            Self::EmployersTown => [
                "in which town is the firm of X?",
                "in which town does X work?",
                "X works in which town?",
                "what is the town of the firm of X?",
            ],
            Self::BirthRiver => [
                "at which river was X born?",
                "which river is the birth town of X at?",
                "X was born at which river?",
                "what is the river of the birth town of X?",
            ],
            Self::FirmsRiver => [
                "at which river is the firm X?",
                "which river is the town of the firm X at?",
                "the firm X is at which river?",
                "what is the river of the firm X?",
            ],
            Self::BirthSea => [
                "into which sea flows the river where X was born?",
                "which sea does the river of the birth town of X flow into?",
                "X was born at a river that flows into which sea?",
                "what is the sea of the birth river of X?",
            ],
            Self::FirmsSea => [
                "into which sea flows the river of the firm X?",
                "which sea does the river at the firm X flow into?",
                "the firm X is at a river that flows into which sea?",
                "what is the sea of the firm X?",
            ],
            Self::EmployersRiver => [
                "at which river is the firm of X?",
                "at which river does X work?",
                "X works at which river?",
                "what is the river of the firm of X?",
            ],
        }
    }

    /// The kind of a task by its number.
    pub fn of(index: u64) -> Self {
        TURNS[(index % TURNS.len() as u64) as usize]
    }

    /// A question of this kind about something of a split, and its text.
    pub fn ask(self, book: &Encyclopedia, split: Split, rng: &mut Stream) -> (Question, String) {
        let (subject, steps) = self.steps(book.facts(split), rng);
        let [first, second, validation, test] = self.phrasings();
        let phrasing = match split {
            Split::Train if rng.random_bool(0.5) => first,
            Split::Train => second,
            Split::Validation => validation,
            Split::Test => test,
        };
        let (path, mut found): (Vec<String>, Vec<String>) = steps.into_iter().unzip();
        let answer = match found.last() {
            Some(last) => last.clone(),
            None => KNOWN
                .iter()
                .find(|(question, _)| *question == subject)
                .map_or(String::new(), |(_, answer)| (*answer).to_owned()),
        };
        found.truncate(path.len());
        (Question { answer, path, found }, phrasing.replace('X', &subject))
    }

    /// What the question names, and each query with what it leads to.
    fn steps(self, facts: &Facts, rng: &mut Stream) -> (String, Vec<(String, String)>) {
        let town = |at: usize| facts.towns.get(at).map_or("", |town| &town.name).to_owned();
        let river_of = |at: usize| facts.towns.get(at).map_or(0, |town| town.river);
        let river = |at: usize| facts.rivers.get(at).map_or("", |river| &river.name).to_owned();
        let sea_of = |at: usize| facts.rivers.get(at).map_or("", |river| river.sea).to_owned();
        let firm = |at: usize| facts.firms.get(at).map_or("", |firm| &firm.name).to_owned();
        let town_of = |at: usize| facts.firms.get(at).map_or(0, |firm| firm.town);
        let made_by = |at: usize| facts.firms.get(at).map_or("", |firm| firm.makes).to_owned();
        let at_town = |at: usize| (format!("town {}", town(at)), river(river_of(at)));
        let at_river = |at: usize| (format!("river {}", river(at)), sea_of(at));
        let at_firm = |at: usize| format!("firm {}", firm(at));
        let any = |n: usize, rng: &mut Stream| rng.random_range(0..n.max(1));
        match self {
            Self::Known => {
                let asked = KNOWN.choose(rng).map_or("", |(question, _)| question);
                (asked.to_owned(), Vec::new())
            }
            Self::River => {
                let at = any(facts.towns.len(), rng);
                (town(at), vec![at_town(at)])
            }
            Self::Sea => {
                let at = any(facts.rivers.len(), rng);
                (river(at), vec![at_river(at)])
            }
            Self::Product | Self::FirmsRiver | Self::FirmsSea => {
                let at = any(facts.firms.len(), rng);
                let place = town_of(at);
                let steps = match self {
                    Self::Product => vec![(at_firm(at), made_by(at))],
                    Self::FirmsRiver => vec![(at_firm(at), town(place)), at_town(place)],
                    _ => vec![(at_firm(at), town(place)), at_town(place), at_river(river_of(place))],
                };
                (firm(at), steps)
            }
            _ => {
                let Some(person) = facts.people.get(any(facts.people.len(), rng)) else {
                    return (String::new(), Vec::new());
                };
                let born = |next: Vec<_>| [vec![(person.name.clone(), town(person.born))], next].concat();
                let works = |next: Vec<_>| [vec![(person.name.clone(), firm(person.firm))], next].concat();
                let place = town_of(person.firm);
                let steps = match self {
                    Self::BirthTown => born(vec![]),
                    Self::BirthRiver => born(vec![at_town(person.born)]),
                    Self::BirthSea => born(vec![at_town(person.born), at_river(river_of(person.born))]),
                    Self::Employer => works(vec![]),
                    Self::EmployersProduct => works(vec![(at_firm(person.firm), made_by(person.firm))]),
                    Self::EmployersTown => works(vec![(at_firm(person.firm), town(place))]),
                    _ => works(vec![(at_firm(person.firm), town(place)), at_town(place)]),
                };
                (person.name.clone(), steps)
            }
        }
    }
}

/// Words of an answer as SQuAD compares them (Rajpurkar et al. 2016): lower case, without punctuation and articles.
pub(crate) fn normal(answer: &str) -> Vec<String> {
    let kept = answer.chars().filter(|c| !c.is_ascii_punctuation());
    let text: String = kept.flat_map(char::to_lowercase).collect();
    let words = text.split_whitespace();
    words
        .filter(|word| !matches!(*word, "a" | "an" | "the"))
        .map(str::to_owned)
        .collect()
}

/// F1 of the words of two answers, which counts each as often as it occurs (SQuAD).
pub(crate) fn f1(said: &[String], wanted: &[String]) -> f64 {
    let mut left: Vec<&String> = wanted.iter().collect();
    let common = said
        .iter()
        .filter(|word| match left.iter().position(|other| other == word) {
            Some(at) => {
                left.swap_remove(at);
                true
            }
            None => false,
        })
        .count() as f64;
    match common > 0.0 {
        true => 2.0 * common / (said.len() + wanted.len()) as f64,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_as_squad_compares_them() {
        let words = |text: &str| normal(text);
        assert_eq!(words("The North-Sea."), ["northsea"]);
        assert_eq!(words("  the  White sea! "), ["white", "sea"]);
        assert_eq!(f1(&words("white sea"), &words("the white sea")), 1.0);
        // Precision 2/3, recall 1.
        assert!((f1(&words("the big white sea"), &words("white sea")) - 0.8).abs() < 1e-12);
        assert_eq!(f1(&words("sea sea"), &words("white sea")), 0.5);
        assert_eq!(f1(&[], &words("white")), 0.0);
    }
}
