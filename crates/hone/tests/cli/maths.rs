//! The taskset `maths`: programs are run in the sandbox, and their answers are right.

use crate::support::Place;

/// Success on `n` tasks of a split, or `None` where no sandbox can be made. Where CI is set it must be there.
fn success(place: &Place, model: &str, split: &str, n: u32) -> Option<f64> {
    let said = place.hone(&format!(
        "eval maths --model {model} --split {split} --n {n} --no-baselines --json --out {model}-{split}"
    ));
    if said.status != 0 && said.stderr.contains("needs a sandbox") {
        assert!(std::env::var_os("CI").is_none(), "{}", said.stderr);
        return None;
    }
    assert_eq!(said.status, 0, "{}", said.stderr);
    let result = said.json();
    result["success"].as_f64()
}

#[test]
fn the_expert_computes_every_answer() {
    let place = Place::new();
    // Each family twice and more.
    for (split, n) in [("train", 24), ("validation", 6), ("test", 14)] {
        let Some(share) = success(&place, "script:expert", split, n) else {
            return;
        };
        assert_eq!(share, 1.0, "{split}");
    }
    for model in ["script:do_nothing", "null"] {
        assert_eq!(success(&place, model, "test", 7), Some(0.0), "{model}");
    }
    let guessed = success(&place, "script:guess", "test", 35).unwrap();
    assert!(guessed <= 0.03, "{guessed}");
}
