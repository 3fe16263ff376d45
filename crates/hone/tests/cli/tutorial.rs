//! docs/tutorial.md and docs/tools.md: every command in them is run, in order, in one folder, and must say what the page shows.
//!
//! A block ```` ```console ```` holds commands after `$ ` (continued after `> `) with what they print below them. A line
//! `...` stands for any lines, `[..]` for anything within a line, and several spaces for one or more. In a block ```` ```console fails ```` they must fail.

use std::path::Path;
use std::process::Command;

struct Step {
    line: usize,
    command: String,
    output: Vec<String>,
    fails: bool,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block = None;
    for (line, text) in (1..).zip(page.lines()) {
        match (block, text.strip_prefix("```")) {
            (None, Some(info)) => block = Some(info),
            (Some(_), Some(_)) => block = None,
            (Some(info @ ("console" | "console fails")), None) => {
                match (
                    text.strip_prefix("$ "),
                    text.strip_prefix("> ").or((text == ">").then_some("")),
                ) {
                    (Some(command), _) => steps.push(Step {
                        line,
                        command: command.to_owned(),
                        output: Vec::new(),
                        fails: info == "console fails",
                    }),
                    (_, Some(more)) if steps.last().is_some_and(|step| step.output.is_empty()) => {
                        let step = steps.last_mut().unwrap();
                        step.command += "\n";
                        step.command += more;
                    }
                    _ => steps.last_mut().unwrap().output.push(text.to_owned()),
                }
            }
            _ => {}
        }
    }
    steps
}

/// Whether a line is as the page says, with `[..]` for anything.
fn like(pattern: &str, line: &str) -> bool {
    let squeezed = |text: &str| {
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ")
    };
    let (pattern, line) = (squeezed(pattern), squeezed(line));
    let mut parts = pattern.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some(at) = rest.find(before) else { return false };
            rest = &rest[at + before.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Whether the lines are as the page says, with `...` for any lines.
fn same(pattern: &[String], lines: &[&str]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => (0..=lines.len()).any(|skip| same(rest, &lines[skip..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, more)| like(first, line) && same(rest, more)),
    }
}

#[test]
fn patterns_match_what_they_should() {
    assert!(
        like("a   b", "a b")
            && like("a [..] c", "a b c")
            && like("[..]", "")
            && like("x[..]", "xyz")
            && like("plain", "plain  ")
    );
    assert!(!like("a [..] c", "a b d") && !like("a", "ab") && !like("[..]a[..]b", "b a"));
    let pattern = ["a", "...", "c"].map(str::to_owned);
    assert!(same(&pattern, &["a", "c"]) && same(&pattern, &["a", "b", "b", "c"]));
    assert!(!same(&pattern, &["a", "c", "d"]) && !same(&pattern, &["c"]));
}

#[test]
fn every_command_of_the_tutorial_does_what_the_page_shows() {
    play("tutorial.md", 10);
}

#[test]
fn every_command_of_the_page_on_tools_does_what_it_shows() {
    play("tools.md", 7);
}

fn play(page: &str, least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs").join(page)).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > least, "the page has commands");
    let place = tempfile::tempdir().unwrap();
    // The reader stands in the folder of the sources, where the nano base is.
    let nano = place.path().join("models/nano");
    std::fs::create_dir_all(&nano).unwrap();
    for file in std::fs::read_dir(root.join("models/nano")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), nano.join(file.file_name())).unwrap();
        }
    }
    let hone = Path::new(assert_cmd::cargo::cargo_bin!("hone")).parent().unwrap();
    let path = format!("{}:{}", hone.display(), std::env::var("PATH").unwrap());
    for step in steps {
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{}", step.command)])
            .current_dir(place.path())
            .env("PATH", &path)
            .env("HONE_DATA", place.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let Step { line, command, .. } = &step;
        assert_eq!(output.status.success(), !step.fails, "line {line}, {command}:\n{text}");
        let mut wanted = step.output.clone();
        while wanted.last().is_some_and(|line| line.trim().is_empty()) {
            wanted.pop();
        }
        let lines: Vec<&str> = text.trim_end().lines().collect();
        assert!(
            same(&wanted, &lines),
            "line {line}, {command}\n-- the page shows\n{}\n-- it printed\n{text}",
            wanted.join("\n")
        );
    }
}
