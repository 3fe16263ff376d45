//! How customers say what they want.
//!
//! A request is an opener, a phrasing of the wish, a phrase that says who is speaking, and a closer, all from the
//! split's own lists. Across splits no two requests share five words in a row (a slot counts as one word, whatever
//! fills it), yet every held-out word is one that training uses: a test enumerates all of them. In a dialogue the same
//! parts are said one by one: an opening without what is kept back, then answers.

use crate::scenario::{Fact, Intent, Request, Who};
use hone_env::Split;
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;

mod phrasings;

use phrasings::{phrasings, vague};

/// The parts of a request other than the wish.
struct Manners {
    openers: &'static [&'static str],
    names: &'static [&'static str],
    emails: &'static [&'static str],
    closers: &'static [&'static str],
    /// Answers of whoever is asked which order it is.
    orders: &'static [&'static str],
    /// Answers of whoever is asked for a color.
    colors: &'static [&'static str],
    /// Answers of whoever is asked for a street.
    streets: &'static [&'static str],
    /// What is said to a message that makes no sense.
    puzzled: &'static str,
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
            orders: &[
                "it is order {id}",
                "order {id}",
                "the order is {id}",
                "my order has the id {id}",
                "{id} is my order",
                "i mean order {id}",
            ],
            colors: &[
                "{color} please",
                "i want {color}",
                "in {color}",
                "make it {color}",
                "{color} would be good",
                "the {color} one",
            ],
            streets: &[
                "to {street}",
                "my street is {street}",
                "{street} please",
                "i live at {street}",
                "it should go to {street}",
                "the new address is {street}",
            ],
            puzzled: "sorry, i did not get that",
        },
        Split::Validation => Manners {
            openers: &["dear", "hello dear"],
            names: &["from {who}", "here from {who}"],
            emails: &["email {who}", "here the email {who}"],
            closers: &["now thanks", "now bye"],
            orders: &["the id {id}", "id {id}"],
            colors: &["a {color} one", "i prefer {color}"],
            streets: &["at {street}", "my address is {street}"],
            puzzled: "sorry, what was that",
        },
        Split::Test => Manners {
            openers: &["hi", "hello there"],
            names: &["name {who}", "the name {who}"],
            emails: &["mail {who}", "the mail {who}"],
            closers: &["so thanks", "for now bye"],
            orders: &["order id {id}", "the order {id}"],
            colors: &["{color} one please", "i need {color}"],
            streets: &["the address {street}", "now {street}"],
            puzzled: "sorry, what is it",
        },
    }
}

/// The ways to name the order; last, those of whoever keeps its id back.
fn things(order: bool, item: bool) -> &'static [&'static str] {
    match (order, item) {
        (true, _) => &["order {id}"],
        (false, true) => &["my {item}", "the {item}"],
        (false, false) => &["my order", "the order"],
    }
}

/// The wordings of a wish that says so much.
fn said(split: Split, request: &Request) -> &'static [&'static str] {
    match (vague(split, request.intent), &request.color, &request.street) {
        (Some(wishes), None, None) => wishes,
        _ => phrasings(split, request.intent),
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

/// Say it, as far as it is known, in one of the split's ways.
pub(crate) fn phrase(split: Split, request: &Request, rng: &mut Stream) -> String {
    let manners = manners(split);
    let who = request.who();
    let mut pick = |parts: &[&'static str]| parts.choose(rng).copied().unwrap_or("");
    let thing = things(request.order.is_some(), request.item.is_some());
    let wish = pick(said(split, request)).replace("{it}", pick(thing));
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
    fill(text, request)
}

/// A text with its slots filled, as far as the request says with what.
fn fill(text: String, request: &Request) -> String {
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

/// The answer to a question for a fact, in one of the split's ways; `None` if the request does not know it.
pub(crate) fn answer(split: Split, fact: Fact, request: &Request, rng: &mut Stream) -> Option<String> {
    request.value(fact)?;
    let ways = ways(&manners(split), fact, request.who());
    Some(fill(ways.choose(rng).copied().unwrap_or("").to_owned(), request))
}

fn ways(manners: &Manners, fact: Fact, who: Who) -> &'static [&'static str] {
    match (fact, who) {
        (Fact::Who, Who::Name) => manners.names,
        (Fact::Who, Who::Email) => manners.emails,
        (Fact::Who, Who::Order) => manners.orders,
        (Fact::Color, _) => manners.colors,
        (Fact::Street, _) => manners.streets,
    }
}

/// What a customer of the split says to a message that makes no sense.
pub(crate) fn puzzled(split: Split) -> &'static str {
    manners(split).puzzled
}

/// The wordings of a wish alone, slots unfilled.
pub fn wishes(split: Split, intent: Intent) -> Vec<&'static str> {
    let vague = vague(split, intent).unwrap_or_default();
    phrasings(split, intent).iter().chain(vague).copied().collect()
}

/// All that the split's lists can make of an intent in a dialogue, slots unfilled: openings and answers.
pub fn lines(split: Split, intent: Intent) -> Vec<String> {
    let manners = manners(split);
    let (mut all, ends) = (Vec::new(), |list: &'static [&'static str]| list.iter().chain(&[""]));
    for wish in wishes(split, intent) {
        for thing in things(false, true).iter().chain(things(false, false)) {
            let wish = wish.replace("{it}", thing);
            for opener in ends(manners.openers) {
                all.extend(ends(manners.closers).map(|closer| join(opener, &wish, "", false, closer)));
            }
        }
    }
    for who in intent.ways() {
        let answers = Fact::ALL.into_iter().flat_map(|fact| ways(&manners, fact, *who));
        all.extend(answers.map(|way| (*way).to_owned()));
    }
    all.push(manners.puzzled.to_owned());
    all
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
            .flat_map(|w| things(*who == Who::Order, true).iter().map(move |t| (w, t)))
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
