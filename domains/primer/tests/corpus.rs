//! What the corpus promises: determinism, bounds, nothing of the domains it is judged on, and tokens that are all learnt.

use hone_model::{AgentTurn, Codec, Message, train_tokenizer};
use hone_primer::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| train_tokenizer(tokenizer_texts(), 1024).expect("trains"))
}

fn documents(n: u64) -> impl Iterator<Item = Document> {
    let primer = Primer::new(1);
    (0..n).map(move |index| primer.document(index))
}

fn calls(document: &Document) -> impl Iterator<Item = &hone_model::CallRequest> {
    document.messages.iter().flat_map(|message| match message {
        Message::Agent(turn) => turn.calls(),
        _ => &[],
    })
}

fn text_of(document: &Document) -> String {
    codec().decode(&codec().render(&document.messages))
}

#[test]
fn the_same_index_is_the_same_document() {
    let primer = Primer::new(3);
    let forward: Vec<_> = (0..50).map(|index| primer.document(index)).collect();
    let backward: Vec<_> = (0..50).rev().map(|index| Primer::new(3).document(index)).collect();
    assert!(forward.iter().eq(backward.iter().rev()));
    assert_ne!(forward[0], Primer::new(4).document(0));
    assert_eq!(probes(Probe::LookUp, 5, 1), probes(Probe::LookUp, 9, 1)[..5]);
}

#[test]
fn lengths_and_shares() {
    let mut skills = BTreeMap::new();
    let mut lengths: Vec<usize> = Vec::new();
    for document in documents(2000) {
        assert!(
            document
                .messages
                .iter()
                .any(|message| matches!(message, Message::Agent(_)))
        );
        *skills.entry(document.skill).or_insert(0) += 1;
        let length = codec().render(&document.messages).len();
        assert!(length <= MAX_TOKENS, "{length} tokens: {}", text_of(&document));
        lengths.push(length);
    }
    lengths.sort_unstable();
    let mean = lengths.iter().sum::<usize>() / lengths.len();
    assert!((60..200).contains(&mean), "mean length {mean}");
    let [short, long] = [lengths[lengths.len() / 20], lengths[lengths.len() * 19 / 20]];
    assert!(short >= 15 && long <= 290, "{short} to {long} tokens");
    assert_eq!(skills.len(), 11, "{skills:?}");
    println!("vocabulary {}, mean {mean} tokens, {skills:?}", codec().vocab_size());
}

#[test]
fn turns_survive_rendering_and_parsing() {
    for document in documents(1000) {
        for message in &document.messages {
            if let Message::Agent(turn) = message {
                assert!(!matches!(turn, AgentTurn::Malformed { .. }));
                assert_eq!(&codec().parse(&codec().render_agent(turn)).0, turn);
            }
        }
    }
}

/// Every tool, argument name and value of a call stands in the messages before it: the agent is never asked to guess.
#[test]
fn arguments_follow_from_the_context() {
    for document in documents(3000) {
        let mut before = String::new();
        for message in &document.messages {
            match message {
                Message::System(text) | Message::User(text) | Message::Tool(text) => {
                    before.push_str(&format!("\n{text}"))
                }
                Message::Agent(AgentTurn::Calls { calls, .. }) => {
                    let [call] = &calls[..] else { panic!("{calls:?}") };
                    let words: Vec<_> = call.name.split('_').collect();
                    assert!(
                        words.iter().all(|word| before.contains(word)),
                        "{words:?} is not told:\n{}",
                        text_of(&document)
                    );
                    for (key, value) in call.arguments.as_object().expect("an object") {
                        assert!(
                            before.contains(key.as_str()),
                            "{key:?} is not told:\n{}",
                            text_of(&document)
                        );
                        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                        let found = before.to_lowercase().contains(&value.to_lowercase());
                        assert!(found, "{value:?} is not told:\n{}", text_of(&document));
                    }
                }
                Message::Agent(_) => {}
            }
        }
    }
}

/// The tools of the shop and of TextCraft with their arguments, and the words for what they are about.
const FOREIGN_SIGNATURES: &[&str] = &[
    "color,item",
    "customer",
    "order",
    "color,order",
    "order,reason",
    "customer,street",
    "item,n",
    "item",
    "email",
    "order,street",
    "customer,item",
];

#[test]
fn nothing_of_the_domains_it_is_judged_on() {
    let words: BTreeSet<_> = RESERVED_WORDS.iter().copied().collect();
    for document in documents(5000) {
        for call in calls(&document) {
            assert!(!RESERVED_TOOLS.contains(&call.name.as_str()), "{}", call.name);
            let keys: Vec<_> = call
                .arguments
                .as_object()
                .expect("an object")
                .keys()
                .map(String::as_str)
                .collect();
            assert!(
                !FOREIGN_SIGNATURES.contains(&keys.join(",").as_str()),
                "{}({keys:?})",
                call.name
            );
        }
        let text = text_of(&document).to_lowercase();
        let found: Vec<_> = text
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| words.contains(word))
            .collect();
        assert!(found.is_empty(), "{found:?} in {text}");
    }
}

fn strings(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            into.insert(text.to_lowercase());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(map) => map.values().for_each(|item| strings(item, into)),
        _ => {}
    }
}

#[test]
fn probes_hold_values_that_no_document_holds() {
    let mut seen = BTreeSet::new();
    for document in documents(5000) {
        for message in &document.messages {
            match message {
                Message::Tool(text) => strings(&serde_json::from_str(text).unwrap_or_default(), &mut seen),
                Message::Agent(turn) => turn.calls().iter().for_each(|call| strings(&call.arguments, &mut seen)),
                _ => {}
            }
        }
    }
    for kind in [Probe::Copy, Probe::LookUp, Probe::TwoHop] {
        for probe in probes(kind, 300, 5) {
            assert_eq!(probe.targets.last(), Some(&(probe.messages.len() - 1)));
            for target in &probe.targets {
                let Message::Agent(turn) = &probe.messages[*target] else {
                    panic!("{probe:?}")
                };
                let [call] = turn.calls() else { panic!("{probe:?}") };
                let mut values = BTreeSet::new();
                strings(&call.arguments, &mut values);
                assert!(!values.is_empty(), "nothing to copy: {probe:?}");
                assert!(
                    values.is_disjoint(&seen),
                    "{kind:?} holds {:?}",
                    values.intersection(&seen).next()
                );
            }
        }
    }
}

/// What a held-out name is spelled with must have been trained often, on the agent's side as on the other.
#[test]
fn every_token_of_a_probe_is_frequent_in_the_corpus() {
    let codec = codec();
    let mut counts = vec![0u32; codec.vocab_size()];
    for document in documents(4000) {
        codec
            .render(&document.messages)
            .into_iter()
            .for_each(|id| counts[id as usize] += 1);
    }
    let mut rare = BTreeMap::new();
    for kind in [Probe::Copy, Probe::LookUp, Probe::TwoHop] {
        for probe in probes(kind, 500, 11) {
            for id in codec.render(&probe.messages) {
                if counts[id as usize] < 20 {
                    rare.insert(codec.decode(&[id]), counts[id as usize]);
                }
            }
        }
    }
    assert!(rare.is_empty(), "{} rare tokens: {rare:?}", rare.len());
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9');
    let missing: Vec<_> = letters
        .filter(|c| codec.encode(&c.to_string()).iter().any(|id| counts[*id as usize] < 20))
        .collect();
    assert!(missing.is_empty(), "rare characters: {missing:?}");
}
