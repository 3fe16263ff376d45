//! The clock, with dates and zones whose answers are known.

use super::*;
use proptest::prelude::*;

fn clock(now: &str, zone: Option<&str>, step: Option<&str>) -> Result<Clock, (&'static str, String)> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Clock::new(&Settings {
        now: now.to_owned(),
        zone: own(zone),
        step: own(step),
    })
}

fn berlin() -> Clock {
    clock("2024-05-01T09:00:00+02:00", Some("Europe/Berlin"), None).unwrap()
}

fn ask(clock: &mut Clock, tool: &str, arguments: Value) -> Value {
    clock
        .call(tool, &arguments)
        .unwrap_or_else(|error| panic!("{tool} {arguments}: {error}"))
        .data
}

#[test]
fn the_time_is_the_recipes() {
    let mut clock = berlin();
    let now = ask(&mut clock, "current_time", json!({}));
    let expected = json!({
        "time": "2024-05-01T09:00:00+02:00[Europe/Berlin]", "date": "2024-05-01", "weekday": "Wednesday", "zone": "Europe/Berlin",
    });
    assert_eq!(now, expected);
    assert_eq!(ask(&mut clock, "current_time", json!({})), now, "it stands still");
    let there = ask(&mut clock, "current_time", json!({"zone": "Asia/Tokyo"}));
    assert_eq!(there["time"], "2024-05-01T16:00:00+09:00[Asia/Tokyo]");
    assert_eq!(clock.state()["looks"], 3);
}

#[test]
fn it_moves_on_if_it_is_to() {
    let mut clock = clock("2024-12-31T23:59:00Z", None, Some("1 minute")).unwrap();
    assert!(!ToolHost::specs(&clock)[0].annotations.read_only_hint);
    let before = clock.state_hash();
    assert_eq!(ask(&mut clock, "current_time", json!({}))["date"], "2024-12-31");
    let mut copy = clock.clone();
    assert_eq!(ask(&mut clock, "current_time", json!({}))["date"], "2025-01-01");
    assert_eq!(
        ask(&mut copy, "current_time", json!({}))["date"],
        "2025-01-01",
        "a copy is its own"
    );
    let task = Task {
        id: "t".into(),
        kind: String::new(),
        system: None,
        instruction: String::new(),
        seed: 0,
        data: Value::Null,
    };
    clock.reset(&task).unwrap();
    assert_eq!(clock.state_hash(), before);
}

#[test]
fn dates_are_added_and_compared() {
    let mut clock = berlin();
    for (arguments, at, expected) in [
        (json!({"time": "2024-01-31", "months": 1}), "date", "2024-02-29"),
        (json!({"time": "2023-02-28", "days": 1}), "date", "2023-03-01"),
        (json!({"time": "2024-02-29", "years": -1}), "date", "2023-02-28"),
        (json!({"time": "2024-05-01", "weeks": 2}), "weekday", "Wednesday"),
        // The night in which summer time begins: a day later is 23 hours later.
        (
            json!({"time": "2024-03-30T12:00", "days": 1}),
            "time",
            "2024-03-31T12:00:00+02:00[Europe/Berlin]",
        ),
        (
            json!({"time": "2024-03-30T12:00", "hours": 24}),
            "time",
            "2024-03-31T13:00:00+02:00[Europe/Berlin]",
        ),
        (
            json!({"time": "2024-05-01", "hours": 36}),
            "time",
            "2024-05-02T12:00:00+02:00[Europe/Berlin]",
        ),
        (
            json!({"time": "2024-05-01T00:00:00Z", "seconds": 1}),
            "time",
            "2024-05-01T02:00:01+02:00[Europe/Berlin]",
        ),
    ] {
        assert_eq!(
            ask(&mut clock, "add_time", arguments.clone())[at],
            expected,
            "{arguments}"
        );
    }
    for (arguments, expected, seconds) in [
        (
            json!({"from": "2024-01-01", "to": "2024-12-31"}),
            json!({"days": 365}),
            365 * 86_400,
        ),
        (
            json!({"from": "2024-01-15", "to": "2025-03-01", "unit": "years"}),
            json!({"years": 1, "months": 1, "days": 14}),
            411 * 86_400,
        ),
        (
            json!({"from": "2024-05-02", "to": "2024-05-01"}),
            json!({"days": -1}),
            -86_400,
        ),
        (
            json!({"from": "2024-05-01", "to": "2024-05-01", "unit": "weeks"}),
            json!({"weeks": 0}),
            0,
        ),
        (
            json!({"from": "2024-03-30T12:00", "to": "2024-03-31T12:00", "unit": "hours"}),
            json!({"hours": 23}),
            23 * 3600,
        ),
        (
            json!({"from": "2024-03-30T12:00", "to": "2024-03-31T12:00"}),
            json!({"days": 1}),
            23 * 3600,
        ),
        (
            json!({"from": "2024-05-01T00:00:00Z", "to": "2024-05-01T01:30:05Z", "unit": "minutes"}),
            json!({"minutes": 90, "seconds": 5}),
            5405,
        ),
    ] {
        let told = ask(&mut clock, "time_between", arguments.clone());
        assert_eq!(
            (&told["between"], &told["total_seconds"]),
            (&expected, &json!(seconds)),
            "{arguments}"
        );
    }
    let there = ask(
        &mut clock,
        "convert_time",
        json!({"time": "2024-05-01T09:00", "zone": "America/New_York"}),
    );
    assert_eq!(there["time"], "2024-05-01T03:00:00-04:00[America/New_York]");
}

#[test]
fn mistakes_are_told() {
    let mut clock = berlin();
    for (tool, arguments, says) in [
        (
            "current_time",
            json!({"zone": "Europe/Berln"}),
            "no time zone \"Europe/Berln\"",
        ),
        ("current_time", json!({"zone": "../../etc/passwd"}), "no time zone"),
        ("add_time", json!({"time": "2023-02-29", "days": 1}), "is no time"),
        ("add_time", json!({"time": "tomorrow", "days": 1}), "is no time"),
        ("add_time", json!({"time": "2024-05-01"}), "nothing is added"),
        (
            "add_time",
            json!({"time": "2024-05-01", "years": 1_000_000_000}),
            "outside of the years",
        ),
        (
            "add_time",
            json!({"time": "2024-05-01", "seconds": 1_000_000_000_000_000i64}),
            "outside of the years",
        ),
        ("time_between", json!({"from": "", "to": "2024-05-01"}), "is no time"),
    ] {
        let error = clock.call(tool, &arguments).unwrap_err();
        assert!(error.message.contains(says), "{arguments}: {error}");
    }
    for (now, zone, step, key) in [
        ("2024-05-01T09:00", None, None, "now"),
        ("soon", Some("UTC"), None, "now"),
        ("2024-05-01", Some("Mars/Base"), None, "zone"),
        ("2024-05-01", Some("UTC"), Some("often"), "step"),
    ] {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let settings = Settings {
            now: now.to_owned(),
            zone: own(zone),
            step: own(step),
        };
        assert_eq!(Clock::new(&settings).unwrap_err().0, key, "{now} {zone:?} {step:?}");
    }
}

proptest! {
    #[test]
    fn no_text_crashes_it(time in ".{0,40}", days in any::<i64>(), zone in ".{0,20}") {
        let mut clock = berlin();
        let _ = clock.call("add_time", &json!({"time": time, "days": days, "seconds": days}));
        let _ = clock.call("convert_time", &json!({"time": time, "zone": zone}));
        let _ = clock.call("time_between", &json!({"from": time, "to": "2024-05-01", "unit": "years"}));
    }

    /// The distance that is told, added to the start, gives the end.
    #[test]
    fn distances_add_up(from in -100_000i32..100_000, days in -100_000i32..100_000) {
        let mut clock = berlin();
        let start = jiff::civil::date(2000, 1, 1).checked_add(Span::new().days(from)).unwrap();
        let end = start.checked_add(Span::new().days(days)).unwrap();
        let told = ask(&mut clock, "time_between", json!({"from": start.to_string(), "to": end.to_string()}));
        prop_assert_eq!(told["between"]["days"].as_i64().unwrap_or_default(), i64::from(days));
    }
}
