//! How customers say what they want.
//!
//! A request is an opener, a phrasing of the wish, a phrase that says who is speaking, and a closer, all from the
//! split's own lists. Across splits no two requests share five words in a row (a slot counts as one word, whatever
//! fills it), yet every held-out word is one that training uses: a test enumerates all of them.

use crate::scenario::{Intent, Request, Who};
use hone_env::Split;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;

mod phrasings;

use phrasings::phrasings;

/// The parts of a request other than the wish.
struct Manners {
    openers: &'static [&'static str],
    names: &'static [&'static str],
    emails: &'static [&'static str],
    closers: &'static [&'static str],
}

fn manners(split: Split) -> Manners {
    match split {
        Split::Train => Manners {
            openers: &["hello", "hi there", "good morning", "dear shop"],
            names: &[
                "my name is {who}",
                "i am {who}",
                "this is {who}",
                "{who} here",
                "it is from me {who}",
                "i am called {who}",
                "{who} is my name",
                "you know me as {who}",
                "they call me {who}",
                "with regards {who}",
            ],
            emails: &[
                "my email is {who}",
                "my mail is {who}",
                "write to {who}",
                "i use {who}",
                "mine is {who}",
                "{who} is my email",
                "you have my mail as {who}",
                "they have {who} for me",
                "reach me at {who}",
            ],
            closers: &["thanks", "thank you", "many thanks", "bye for now", "all the best"],
        },
        Split::Validation => Manners {
            openers: &["dear", "hello dear"],
            names: &["from {who}", "here from {who}"],
            emails: &["email {who}", "here the email {who}"],
            closers: &["now thanks", "now bye"],
        },
        Split::Test => Manners {
            openers: &["hi", "hello there"],
            names: &["name {who}", "the name {who}"],
            emails: &["mail {who}", "the mail {who}"],
            closers: &["so thanks", "for now bye"],
        },
    }
}

/// The ways to name the order.
fn things(who: Who) -> &'static [&'static str] {
    match who {
        Who::Order => &["order {id}"],
        Who::Name | Who::Email => &["my {item}", "the {item}"],
    }
}

/// Put the parts together; an empty one leaves no trace.
fn join(opener: &str, wish: &str, who: &str, who_first: bool, closer: &str) -> String {
    let (first, second) = if who_first { (who, wish) } else { (wish, who) };
    let mut text = String::new();
    for (part, end) in [(opener, ", "), (first, ". "), (second, ". "), (closer, "")] {
        if !part.is_empty() {
            text.push_str(part);
            text.push_str(end);
        }
    }
    text.truncate(text.trim_end_matches([' ', '.']).len());
    text
}

/// One of `parts`, or nothing as often.
fn maybe(parts: &[&'static str], rng: &mut Stream) -> &'static str {
    if rng.random_bool(0.5) {
        ""
    } else {
        parts.choose(rng).copied().unwrap_or("")
    }
}

/// Say it in one of the split's ways.
pub(crate) fn phrase(split: Split, request: &Request, rng: &mut Stream) -> String {
    let manners = manners(split);
    let who = request.who();
    let mut pick = |parts: &[&'static str]| parts.choose(rng).copied().unwrap_or("");
    let wish = pick(phrasings(split, request.intent)).replace("{it}", pick(things(who)));
    let person = match who {
        Who::Name => pick(manners.names),
        Who::Email => pick(manners.emails),
        Who::Order => "",
    };
    let text = join(
        maybe(manners.openers, rng),
        &wish,
        person,
        rng.random_bool(0.3),
        maybe(manners.closers, rng),
    );
    let speaker = request.name.as_deref().or(request.email.as_deref());
    [
        ("{who}", speaker),
        ("{id}", request.order.as_deref()),
        ("{item}", request.item.as_deref()),
        ("{color}", request.color.as_deref()),
        ("{street}", request.street.as_deref()),
    ]
    .into_iter()
    .fold(text, |text, (slot, value)| text.replace(slot, value.unwrap_or("")))
}

/// The wordings of a wish alone, slots unfilled.
pub fn wishes(split: Split, intent: Intent) -> &'static [&'static str] {
    phrasings(split, intent)
}

/// Every request that the split's lists can make for an intent, slots unfilled, such as
/// `hello, cancel my {item}. i am {who}. thanks`.
pub fn templates(split: Split, intent: Intent) -> Vec<String> {
    let manners = manners(split);
    let mut all = Vec::new();
    for who in intent.ways() {
        let people = match who {
            Who::Name => manners.names,
            Who::Email => manners.emails,
            Who::Order => &[""],
        };
        for (wish, thing) in phrasings(split, intent)
            .iter()
            .flat_map(|w| things(*who).iter().map(move |t| (w, t)))
        {
            let wish = wish.replace("{it}", thing);
            for person in people {
                for opener in manners.openers.iter().chain(&[""]) {
                    for closer in manners.closers.iter().chain(&[""]) {
                        for who_first in [false, true] {
                            all.push(join(opener, &wish, person, who_first, closer));
                        }
                    }
                }
            }
        }
    }
    all
}
