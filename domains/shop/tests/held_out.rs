//! What held-out splits may share with training, and what they may not.

use hone_env::{Split, Taskset};
use hone_shop::scenario::{Intent, Scenario, Who};
use hone_shop::wording::{lines, templates, wishes};
use hone_shop::words::{ITEMS, items, split_of};
use hone_shop::{Assignment, Shop};
use std::collections::{BTreeMap, BTreeSet};

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Words of a template; every slot is the same word.
fn words(template: &str) -> Vec<String> {
    let word = |word: &str| {
        if word.starts_with('{') {
            "<slot>".to_owned()
        } else {
            word.to_owned()
        }
    };
    template
        .split([' ', ',', '.'])
        .filter(|w| !w.is_empty())
        .map(word)
        .collect()
}

fn five_grams(split: Split) -> BTreeMap<Vec<String>, String> {
    let mut all = BTreeMap::new();
    let both = |intent| [templates(split, intent), lines(split, intent)].concat();
    for template in Intent::ALL.into_iter().flat_map(both) {
        for gram in words(&template).windows(5) {
            all.entry(gram.to_vec()).or_insert_with(|| template.clone());
        }
    }
    all
}

#[test]
fn no_two_splits_share_five_words_in_a_row() {
    let grams = SPLITS.map(five_grams);
    let mut shared = Vec::new();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        for (gram, template) in &grams[a] {
            if let Some(other) = grams[b].get(gram) {
                shared.push(format!("{} | {template} | {other}", gram.join(" ")));
            }
        }
    }
    assert!(shared.is_empty(), "{} shared:\n{}", shared.len(), shared.join("\n"));
}

#[test]
fn every_request_comes_from_an_enumerated_template() {
    for split in SPLITS {
        let all: BTreeSet<String> = Intent::ALL
            .into_iter()
            .flat_map(|intent| templates(split, intent))
            .collect();
        for seed in 0..300 {
            let scenario = Scenario::generate(split, seed);
            let request = &scenario.request;
            let slots = [
                ("{who}", request.name.as_ref().or(request.email.as_ref())),
                ("{id}", request.order.as_ref()),
                ("{item}", request.item.as_ref()),
                ("{color}", request.color.as_ref()),
                ("{street}", request.street.as_ref()),
            ];
            let template = slots
                .into_iter()
                .fold(scenario.instruction.clone(), |text, (slot, value)| {
                    value.map_or(text.clone(), |value| text.replace(value.as_str(), slot))
                });
            assert!(all.contains(&template), "{template}");
        }
    }
}

#[test]
fn wishes_are_many_and_held_out_ones_use_words_that_training_uses_for_them() {
    let mut uses: BTreeMap<String, BTreeSet<Intent>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for intent in Intent::ALL {
        assert!(wishes(Split::Train, intent).len() >= 12);
        let all = [templates(Split::Train, intent), lines(Split::Train, intent)].concat();
        known.extend(all.iter().flat_map(|template| words(template)));
        for word in wishes(Split::Train, intent).iter().flat_map(|wish| words(wish)) {
            uses.entry(word).or_default().insert(intent);
        }
    }
    let mut misleading = Vec::new();
    for split in [Split::Validation, Split::Test] {
        for intent in Intent::ALL {
            assert!(wishes(split, intent).len() >= 6);
            for template in [templates(split, intent), lines(split, intent)].concat() {
                let strange: Vec<_> = words(&template)
                    .into_iter()
                    .filter(|word| !known.contains(word))
                    .collect();
                assert!(strange.is_empty(), "{template}: {strange:?}");
            }
            for wish in wishes(split, intent) {
                for word in words(wish) {
                    // A word of at most two other wishes would point to them.
                    let used = uses.get(&word);
                    let ok = used.is_none_or(|intents| intents.contains(&intent) || intents.len() >= 3);
                    if !ok {
                        misleading.push(format!("{wish}: training uses {word:?} only for {used:?}"));
                    }
                }
            }
        }
    }
    assert!(misleading.is_empty(), "{}", misleading.join("\n"));
}

#[test]
fn names_streets_and_ids_of_a_split_are_its_own() {
    for split in SPLITS {
        for seed in 0..300 {
            let scenario = Scenario::generate(split, seed);
            let store = &scenario.store;
            let mut own: Vec<&str> = Vec::new();
            own.extend(
                store
                    .orders
                    .iter()
                    .flat_map(|o| [o.id.as_str(), o.street.split(' ').next().unwrap()]),
            );
            for customer in &store.customers {
                own.push(&customer.id);
                own.extend(customer.name.split(' '));
                own.push(customer.email.split('@').next().unwrap());
            }
            let request = &scenario.request;
            own.extend(request.name.iter().flat_map(|name| name.split(' ')));
            own.extend(request.email.iter().map(|email| email.split('@').next().unwrap()));
            own.extend(request.order.as_deref());
            own.extend(request.street.iter().map(|street| street.split(' ').next().unwrap()));
            for word in own {
                assert_eq!(split_of(word), split, "{word}");
            }
            for list in [
                store.orders.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(),
                store.customers.iter().map(|c| c.id.as_str()).collect(),
                store.customers.iter().map(|c| c.name.as_str()).collect(),
            ] {
                assert_eq!(
                    list.iter().collect::<BTreeSet<_>>().len(),
                    list.len(),
                    "repeated in seed {seed}"
                );
            }
        }
    }
}

#[test]
fn combinations_are_held_out() {
    for key in Intent::ALL
        .iter()
        .flat_map(|i| i.ways().iter().map(move |w| format!("{}/{}", i.name(), w.name())))
    {
        let mut all: Vec<_> = SPLITS.iter().flat_map(|split| items(*split, &key)).collect();
        all.sort_unstable();
        assert_eq!(all, ITEMS, "every item belongs to one split for {key}");
    }
    let shop = Shop::new();
    for split in SPLITS {
        for index in 0..300 {
            let assignment = Assignment::of(&shop.task(split, index).unwrap()).unwrap();
            let request = assignment.request;
            if let Some(item) = &request.item {
                let sold = items(split, &format!("{}/{}", request.intent.name(), request.who().name()));
                assert!(sold.contains(&item.as_str()));
            }
            assert_eq!(request.item.is_none(), request.who() == Who::Order);
        }
    }
}
