//! The whole page, from the sample run.

#[path = "../examples/sample_report/data.rs"]
mod data;

use hone_trace::Outcome;
use hone_view::{Curve, RunReport};

/// Each element is closed in the order in which it was opened.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 3] = ["meta", "!doctype", "br"];
    let mut open: Vec<&str> = Vec::new();
    let body = html
        .split_once("<style>")
        .and_then(|(head, rest)| Some((head, rest.split_once("</style>")?.1)));
    let (head, rest) = body.expect("one style element");
    for part in [head, rest] {
        for tag in part.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("every < begins a tag: text is escaped");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "closing {name}");
            } else if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?} left open");
}

#[test]
fn the_page_tells_the_run() {
    let html = data::report().to_html().replace("&nbsp;", " ");
    assert_well_formed(&html);
    for needle in [
        "<b>1.5 %</b><small>before</small>",
        "<b>93.5 %</b><small>after training</small>",
        "Success on 200 held-out tasks of shop rose: 1.5 % before, 93.5 % after (95 % interval 89.2 % to 96.2 %).",
        "<b>28 points above</b> SFT for the same time (65.5 %).",
        "nearest template",
        "<b>find_customer</b>(name: &quot;Mara Quill&quot;)",
        "before: failed",
        "after: solved",
        "no turns left",
        "invalid arguments",
        "(said nothing)",
        "hone train recipes/textcraft",
    ] {
        assert!(html.contains(needle), "the page lacks {needle}");
    }
    assert!(html.len() < 600_000, "{} bytes", html.len());
}

#[test]
fn the_page_of_an_evaluation_tells_why() {
    let html = data::evaluation().to_html().replace("&nbsp;", " ");
    assert_well_formed(&html);
    for needle in [
        "<b>30.5 %</b><small>of 200 episodes succeeded</small>",
        "The 95 % interval is 24.5 % to 37.2 %.",
        "<b>Alarm:</b> success of 30.5 % is below do_nothing&#39;s 44.0 % beyond chance",
        "do_nothing<small>Gives the likeliest answer at once",
        "hallucination<small>an argument that nothing shown contains</small>",
        "57.6 %", // 80 of 139
        "<p class=\"why\"><b>hallucination</b>: find_customer: argument",
        "<li class=\"call error culprit\"><span class=\"who\">call</span><code><b>find_customer</b>",
        "hallucination: failed",
        "195 more episodes are in the run&#39;s record",
    ] {
        let plain = html.replace("run's", "run&#39;s");
        assert!(plain.contains(needle), "the page lacks {needle}");
    }
    // The weakest kind first.
    let at = |kind: &str| html.find(&format!("<th scope=\"row\">{kind}<")).unwrap();
    assert!(at("refund/too late") < at("exchange") && at("exchange") < at("refund"));
}

#[test]
fn hostile_text_of_an_evaluation_stays_text() {
    let mut report = data::evaluation();
    let hostile = "\"><script>alert(1)</script>";
    report.taskset = hostile.into();
    report.model = hostile.into();
    report.alarms = vec![hostile.into()];
    report.notes = vec![hostile.into()];
    report.baselines[0].name = hostile.into();
    report.baselines[0].about = hostile.into();
    report.kinds[0].name = hostile.into();
    report.failures[0].name = hostile.into();
    report.ends[0].about = hostile.into();
    report.numbers[0].formula = hostile.into();
    let episode = &mut report.episodes[0];
    episode.episode.id = hostile.into();
    if let Some(failure) = &mut episode.failure {
        failure.evidence = hostile.into();
    }
    let html = report.to_html();
    assert_well_formed(&html);
    assert!(!html.contains("<script"));
}

#[test]
fn hostile_text_stays_text_and_nothing_is_loaded() {
    let mut report = data::report();
    let hostile = "\"><script>alert(1)</script>";
    report.title = hostile.into();
    report.taskset = hostile.into();
    report.recipe = hostile.into();
    report.notes = vec![hostile.into()];
    report.facts[0].name = hostile.into();
    report.results[2].name = hostile.into();
    report.results[3].name = hostile.into();
    report.panels[0].title = hostile.into();
    report.panels[0].x = hostile.into();
    report.panels[0].curves[0].name = hostile.into();
    report.kinds[0].kind = hostile.into();
    report.timings[0].phase = hostile.into();
    report.next[0].command = hostile.into();
    if let Some(episode) = &mut report.episodes[0].after {
        episode.outcome = Outcome::InfraFailed { cause: hostile.into() };
        episode.task_kind = hostile.into();
    }
    let html = report.to_html();
    assert_well_formed(&html);
    for needle in [
        "<script",
        "<img",
        "onerror=alert(1)>",
        "\u{202e}",
        "http://",
        "https://",
        "url(",
        "@import",
        " src=",
    ] {
        assert!(!html.replace("src=x", "").contains(needle), "the page holds {needle}");
    }
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn conclusions_follow_the_numbers() {
    let swap = |a: usize, b: usize| {
        let mut report = data::report();
        let (first, second) = (report.results[a].greedy, report.results[b].greedy);
        (report.results[a].greedy, report.results[b].greedy) = (second, first);
        report.to_html().replace("&nbsp;", " ")
    };
    let fell = swap(0, 2);
    assert!(
        fell.contains("fell: 93.5 % before, 1.5 % after") && fell.contains("64 points below"),
        "worse is said"
    );
    let mut report = data::report();
    report.results[3].greedy = report.results[2].greedy;
    assert!(report.to_html().contains("a difference within chance"));
    report.results[0].greedy = report.results[2].greedy;
    assert!(report.to_html().contains("did not change beyond chance"));
}

#[test]
fn an_empty_run_is_a_page_too() {
    let empty = RunReport {
        title: "t".into(),
        taskset: "shop".into(),
        recipe: "r".into(),
        seed: 1,
        heldout: 0,
        facts: vec![],
        notes: vec![],
        results: vec![],
        panels: vec![],
        kinds: vec![],
        episodes: vec![],
        timings: vec![],
        next: vec![],
    };
    let html = empty.to_html();
    assert_well_formed(&html);
    assert!(html.contains("no evaluation before and after"));
    assert!(!html.contains("<section"));
}

#[test]
fn the_page_is_bounded() {
    let mut report = data::report();
    let pair = report.episodes[0].clone();
    report.episodes = vec![pair; 500];
    for pair in &mut report.episodes {
        for call in &mut pair.after.as_mut().unwrap().tool_calls {
            call.shown = "&".repeat(1_000_000);
        }
    }
    let panel = report.panels[0].clone();
    report.panels = vec![panel; 500];
    report.panels[0].curves = vec![Curve::new("c", (0..500_000).map(|i| (f64::from(i), 0.5)).collect()); 50];
    let kind = report.kinds[0].clone();
    report.kinds = vec![kind; 5000];
    let html = report.to_html();
    assert_well_formed(&html);
    assert!(html.len() < 6_000_000, "{} bytes", html.len());
    assert!(html.contains("more episodes are in the run") && html.contains("4960 more kinds"));
}

#[test]
fn writing_replaces_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, "old").unwrap();
    data::report().write(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("<!doctype html>"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
