//! Looking into runs, moving them, and what damaged files do.

use crate::support::Place;

fn place_with_run() -> Place {
    let place = Place::new();
    place.ok("eval shop --model script:over_eager --n 30 --out run");
    place
}

#[test]
fn lists_and_shows_what_was_recorded() {
    let place = place_with_run();
    let all = place.ok("trace ls run --json").json_lines();
    assert_eq!(all.len(), 30);
    let failed = place
        .ok("trace ls run/run.db --outcome policy_failed --json")
        .json_lines();
    assert!(!failed.is_empty() && failed.len() < 30, "{}", failed.len());
    assert!(
        failed
            .iter()
            .all(|e| e["outcome"] == "policy_failed" && e["reward"] == 0.0)
    );
    let kind = failed[0]["kind"].as_str().unwrap();
    let of_kind = place.ok(&format!("trace ls run --kind {kind} --json")).json_lines();
    assert!(of_kind.iter().all(|e| e["kind"] == kind) && !of_kind.is_empty());
    assert_eq!(
        place
            .ok("trace ls run --phase eval --limit 3 --json")
            .json_lines()
            .len(),
        3
    );
    let none = place.ok("trace ls run --phase eval --kind none-such --json");
    assert_eq!(none.stdout, "");
    let asked = [
        "trace ls run",
        "trace digest run",
        "trace segments run",
        "trace export run",
    ];
    for asked in asked {
        place.fails(&format!("{asked} --phase rl"), 1, &["no episode of phase `rl`", "eval"]);
    }
    assert_eq!(place.ok("trace ls run").stdout.lines().count(), 31);

    let id = failed[0]["id"].as_str().unwrap();
    let episode = place.ok(&format!("trace show run {id} --json")).json();
    assert_eq!(
        (episode["id"].as_str(), episode["schema"].as_u64()),
        (Some(id), Some(1))
    );
    let text = place.ok(&format!("trace show run {id}")).stdout;
    assert!(text.contains(episode["turns"][0]["text"].as_str().unwrap()), "{text}");
    assert!(text.contains("failure of the policy"), "{text}");
    place.fails(
        "trace show run eval/99/0",
        1,
        &["no episode `eval/99/0`", "hone trace ls"],
    );
}

#[test]
fn an_exported_run_is_the_same_when_imported() {
    let place = place_with_run();
    let count = place.ok("trace export run -o all.jsonl --json").json();
    assert_eq!(count["episodes"], 30);
    place.fails("trace export run -o all.jsonl", 1, &["all.jsonl exists already"]);
    let imported = place.ok("trace import copies/one all.jsonl --json").json();
    assert_eq!(imported["episodes"], 30);
    assert_eq!(place.digest("run"), place.digest("copies/one"));
    // Again: nothing is there twice.
    place.ok("trace import copies/one all.jsonl");
    assert_eq!(place.digest("run"), place.digest("copies/one"));
    let stdout = place.ok("trace export run").stdout;
    assert_eq!(stdout, std::fs::read_to_string(place.path("all.jsonl")).unwrap());
    // A part of it is another run.
    place.ok("trace export run --outcome ok -o some.jsonl");
    place.ok("trace import copies/some.db some.jsonl");
    assert_ne!(place.digest("run"), place.digest("copies/some.db"));
    let json = place.ok("trace digest run --phase eval --json").json();
    assert_eq!(
        (json["digest"].as_str(), json["episodes"].as_u64()),
        (Some(place.digest("run").as_str()), Some(30))
    );

    std::fs::write(place.path("broken.jsonl"), "{\"schema\": 1}\n").unwrap();
    place.fails(
        "trace import copies/two broken.jsonl",
        1,
        &["Line 1", "docs/trace-schema.md"],
    );
    place.fails(
        "trace import copies/two missing.jsonl",
        1,
        &["missing.jsonl cannot be read"],
    );
    assert!(
        !place.path("copies/two").exists(),
        "what got nothing is not left behind"
    );
}

#[test]
fn calls_join_to_training_sequences() {
    let place = place_with_run();
    let calls = |id: &str| -> u64 {
        let all = place.ok("trace ls run --json").json_lines();
        let of = all.iter().filter(|e| id.is_empty() || e["id"] == id);
        of.map(|e| e["model_calls"].as_u64().unwrap()).sum()
    };
    let all = place.ok("trace segments run --json").json();
    assert_eq!(
        (all["episodes"].as_u64(), all["segments"].as_u64()),
        (Some(30), Some(30))
    );
    assert_eq!(all["calls"].as_u64(), Some(calls("")));
    assert_eq!(all["breaks"], serde_json::json!({}));
    let text = place.ok("trace segments run").stdout;
    assert!(text.contains("in 30 training sequences"), "{text}");

    let one = place.ok("trace segments run eval/0/0 --json").json();
    let segment = &one["segments"][0];
    assert_eq!(segment["calls"].as_array().unwrap().len() as u64, calls("eval/0/0"));
    // A token that ends no turn: only the first call of each episode stands.
    let spliced = place.ok("trace segments run eval/0/0 --splice 999999").stdout;
    assert!(spliced.contains("call 1 joins none: no_end_of_turn"), "{spliced}");
    place.fails("trace segments run eval/99/0", 1, &["no episode `eval/99/0`"]);
    place.fails("trace segments run --splice end", 2, &["--splice"]);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_parquet_an_export_says_how_to_get_it() {
    let place = place_with_run();
    let words = ["without Parquet", "--features parquet", "JSON Lines"];
    place.fails("trace export run --format parquet -o calls.parquet", 1, &words);
    assert_eq!(place.files(), ["run"], "nothing was made");
    place.fails("trace export run --format csv", 2, &["jsonl", "parquet"]);
}

#[cfg(feature = "parquet")]
#[test]
fn model_calls_are_exported_as_parquet() {
    let place = place_with_run();
    let calls: u64 = place
        .ok("trace ls run --json")
        .json_lines()
        .iter()
        .map(|episode| episode["model_calls"].as_u64().unwrap())
        .sum();
    let said = place
        .ok("trace export run --format parquet --out calls.parquet --json")
        .json();
    assert_eq!(
        (said["episodes"].as_u64(), said["rows"].as_u64()),
        (Some(30), Some(calls))
    );
    let file = std::fs::read(place.path("calls.parquet")).unwrap();
    assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
    assert_eq!(place.files(), ["calls.parquet", "run"], "nothing is left over");
    place.fails(
        "trace export run --format parquet -o calls.parquet",
        1,
        &["calls.parquet exists already"],
    );
    place.fails("trace export run --format parquet", 1, &["--out"]);
    place.fails(
        "trace export run --format parquet -o nowhere/calls.parquet",
        1,
        &["nowhere/calls.parquet cannot be written"],
    );
}

#[test]
fn damaged_and_foreign_files_are_refused_by_every_command() {
    let place = place_with_run();
    let good = std::fs::read(place.path("run/run.db")).unwrap();
    let mut foreign = good.clone();
    foreign[68..72].copy_from_slice(b"Else"); // SQLite's application id.
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&9u32.to_be_bytes()); // Its user version.
    let cases: [(&str, &[u8], &str); 5] = [
        ("half", &good[..good.len() / 2], "damaged or cut off"),
        (
            "text",
            b"this is not a database, but it is long enough to be looked at as if it were one ........................",
            "not a Hone run",
        ),
        ("empty", b"", "it is empty"),
        ("foreign", &foreign, "another program's SQLite file"),
        ("newer", &newer, "Update Hone"),
    ];
    for (name, bytes, words) in cases {
        std::fs::create_dir(place.path(name)).unwrap();
        std::fs::write(place.path(name).join("run.db"), bytes).unwrap();
        for command in ["trace digest", "trace export", "eval --resume"] {
            // What is left of a store whose making was killed is made to the end by whoever may write.
            let words = if (name, command) == ("empty", "eval --resume") {
                "not the run of"
            } else {
                words
            };
            let said = place.hone(&format!("{command} {name}"));
            assert_eq!(said.status, 1, "{command} {name}: {}", said.stderr);
            assert!(said.stderr.contains(words), "{command} {name}: {}", said.stderr);
        }
    }
    // A run that is no evaluation cannot be resumed as one.
    place.ok("trace export run -o all.jsonl");
    place.ok("trace import imported all.jsonl");
    place.fails("eval --resume imported", 1, &["not the run of an evaluation"]);
}

/// A project whose tool is Python in a sandbox; a stand-in for matplotlib lies among the task's files.
#[test]
#[cfg(all(feature = "tools", target_os = "linux"))]
fn files_that_code_made_are_named_and_come_out_of_the_record() {
    use serde_json::{Value, json};
    let place = Place::new();
    let dir = place.path("plots");
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write(
        "hone.toml",
        "name = \"plots\"\ntasks = \"tasks.jsonl\"\n[[tools]]\nstandard = [\"python\"]\n[checkers.answer]\nkind = \"exact\"\n",
    );
    let pyplot = "shown = [1]\ndef get_fignums(): return list(shown)\ndef close(n): shown.clear()\n\
        class F:\n def savefig(self, file, **_): file.write(b'\\x89PNG')\ndef figure(n): return F()\n";
    let code = "import matplotlib.pyplot\nprint(open('in.txt').read())\nn = open('../work/a b.csv', 'w').write('1,2')";
    let calls = json!([{"name": "python", "arguments": {"code": code}}]);
    let task = json!({
        "prompt": "Plot.", "expected": {"answer": "done"}, "gold": {"calls": calls, "answer": "done"},
        "files": {"in.txt": "hello", "matplotlib/__init__.py": "", "matplotlib/pyplot.py": pyplot},
    });
    write("tasks.jsonl", &task.to_string());
    place.ok("eval plots --model script:gold --no-baselines --out run");
    let shown = place.ok("trace show run eval/0/0").stdout;
    for part in [
        "hello\n",
        "[figure figure-1-1.png, 4 bytes]",
        "[file a b.csv, 3 bytes]",
        "figure-1-1.png image/png, 4 bytes, sha256 ",
        "a b.csv text/csv, 3 bytes, sha256 ",
        ", kept\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let listed = place.ok("trace media run eval/0/0 --json").json_lines();
    assert_eq!((&listed[0]["kept"], &listed[0]["file"]), (&json!(true), &Value::Null));
    let written = place.ok("trace media run eval/0/0 --out out --json").json_lines();
    assert_eq!(written[1]["name"], "a b.csv");
    assert_eq!(std::fs::read(place.path("out/0-0-figure-1-1.png")).unwrap(), b"\x89PNG");
    assert_eq!(std::fs::read(place.path("out/0-1-a_b.csv")).unwrap(), b"1,2");
    place.fails(
        "trace media run eval/0/0 --out out",
        1,
        &["choose a folder without such a file"],
    );
    place.fails("trace media run eval/7/0", 1, &["no episode"]);
    // An exchange has hashes alone.
    place.ok("trace export run -o run.jsonl");
    place.ok("trace import copy run.jsonl");
    let copied = place.ok("trace media copy eval/0/0 --json").json_lines();
    assert_eq!((copied.len(), &copied[0]["kept"]), (2, &json!(false)));
    assert_eq!(copied[0]["hash"], listed[0]["hash"]);
}
