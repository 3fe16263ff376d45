//! Whatever a tool is given, it answers.

mod common;

use hone_tau::py::Value;
use hone_tau::toolkit::Side;
use proptest::prelude::*;
use std::sync::LazyLock;

static DOMAINS: LazyLock<Option<hone_tau::Domains>> = LazyLock::new(common::domains);

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9+*/(). -]{0,20}".prop_map(Value::from),
        prop_oneof![
            Just("L1002"),
            Just("C1001"),
            Just("#W2378156"),
            Just("user_1"),
            Just("HAT001"),
            Just("2024-05-20")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((".{0,6}", inner), 0..5)
                .prop_map(|entries| Value::Dict(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tools_answer(values in prop::collection::vec(value(), 12)) {
        let Some(domains) = &*DOMAINS else { return Ok(()) };
        for domain in ["mock", "telecom", "retail", "airline"] {
            let mut world = domains.world(domain).unwrap();
            for side in [Side::Assistant, Side::User] {
                for info in world.tools(side).unwrap_or_default() {
                    let given = info.params.iter().zip(&values).map(|(param, value)| (param.name, value.clone()));
                    let given = Value::Dict(given.collect());
                    world.respond(side, info.name, &given);
                    world.function(side, info.name, &given).ok();
                }
                for value in &values {
                    world.respond(side, "calculate", value);
                }
            }
            world.db(Side::Assistant).unwrap().fingerprint();
        }
    }
}
