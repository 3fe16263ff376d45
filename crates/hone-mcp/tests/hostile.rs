//! Servers that behave, and servers that do not.

mod support;

use hone_mcp::{Connection, Error, Limits, McpToolset, Protocol, Server, ServerConfig};
use hone_tool::{Annotations, ToolHost};
use hone_trace::ToolErrorClass;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{class, eventually, lives, noting, play, server};

fn toolset(config: &ServerConfig) -> McpToolset {
    McpToolset::connect(config).unwrap()
}

fn refused(config: &ServerConfig) -> String {
    McpToolset::connect(config).err().unwrap().to_string()
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(work)
}

#[test]
fn tools_come_page_by_page_with_the_protocols_defaults() {
    let host = toolset(&server("well"));
    let names: Vec<&str> = host.specs().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!((names.len(), names[0], names[13]), (14, "echo", "env"));
    let hints = |read_only_hint, destructive_hint, open_world_hint| Annotations {
        read_only_hint,
        destructive_hint,
        idempotent_hint: false,
        open_world_hint,
    };
    assert_eq!(host.specs()[0].annotations, hints(true, true, false));
    assert_eq!(host.specs()[1].annotations, hints(false, true, true));
    assert_eq!(host.specs()[0].version, "7");
    assert!(!host.inline());
}

#[test]
fn calls_give_text_data_and_pictures_by_hash() {
    let host = toolset(&server("well"));
    let (host, echo) = play(host, "echo", json!({"text": "grüße"}));
    assert_eq!((echo.shown.as_str(), &echo.result), ("grüße", &json!("grüße")));
    let (host, data) = play(*host.unwrap(), "data", json!({}));
    assert_eq!((data.shown.as_str(), &data.result), (r#"{"n":1}"#, &json!({"n": 1})));
    let (_, picture) = play(*host.unwrap(), "picture", json!({}));
    assert!(
        picture.shown.starts_with("[image image/png, 70 bytes, sha256 "),
        "{}",
        picture.shown
    );
    assert_eq!(
        (picture.media[0].mime.as_str(), picture.media[0].bytes),
        ("image/png", 70)
    );
}

#[test]
fn a_tools_no_is_the_policys_and_a_servers_fault_is_not() {
    let mut config = server("well");
    config.call_timeout_ms = 500;
    let cases = [
        ("fail", ToolErrorClass::Tool, "no such file"),
        ("refuse", ToolErrorClass::Tool, "the disk is full"),
        (
            "lie",
            ToolErrorClass::Infrastructure,
            "does not fit its own `outputSchema`",
        ),
        ("hang", ToolErrorClass::Timeout, "no answer within 500 ms"),
        ("garbage", ToolErrorClass::Timeout, "no answer within 500 ms"),
    ];
    let mut host = toolset(&config);
    for (tool, expected, says) in cases {
        let (back, record) = play(host, tool, json!({}));
        assert_eq!(class(&record), Some(expected), "{tool}: {}", record.shown);
        assert!(record.shown.contains(says), "{tool}: {}", record.shown);
        host = *back.expect("no such call loses the host");
    }
    assert_eq!(host.servers()[0].restarts(), 0);
}

#[test]
fn arguments_that_do_not_fit_never_reach_the_server() {
    let notes = tempfile::NamedTempFile::new().unwrap();
    let (_, record) = play(toolset(&noting("well", notes.path())), "echo", json!({"text": 3}));
    assert_eq!(class(&record), Some(ToolErrorClass::InvalidArguments));
}

#[test]
fn a_server_that_dies_is_restarted_within_bounds() {
    let mut config = server("well");
    config.max_restarts = 2;
    let mut host = toolset(&config);
    for restart in 0..2 {
        let (back, died) = play(host, "die", json!({}));
        assert_eq!(class(&died), Some(ToolErrorClass::Infrastructure));
        assert!(
            died.shown.contains("exit status: 3") && died.shown.contains("out of luck"),
            "{}",
            died.shown
        );
        let (back, echo) = play(*back.unwrap(), "echo", json!({"text": "again"}));
        assert_eq!(echo.shown, "again");
        host = *back.unwrap();
        assert_eq!(host.servers()[0].restarts(), restart + 1);
    }
    let (back, _) = play(host, "die", json!({}));
    let (_, given_up) = play(*back.unwrap(), "echo", json!({}));
    assert_eq!(class(&given_up), Some(ToolErrorClass::Infrastructure));
    assert!(given_up.shown.contains("died 3 times"), "{}", given_up.shown);
}

#[test]
fn a_hundred_megabytes_and_a_flood_end_the_connection() {
    for (tool, says) in [
        ("huge", "a message of more than 16 MiB"),
        ("flood", "more than 64 MiB without being asked"),
    ] {
        let (back, record) = play(toolset(&server("well")), tool, json!({}));
        assert_eq!(class(&record), Some(ToolErrorClass::Infrastructure), "{}", record.shown);
        assert!(record.shown.contains(says), "{}", record.shown);
        let (_, echo) = play(*back.unwrap(), "echo", json!({"text": "fresh"}));
        assert_eq!(echo.shown, "fresh");
    }
}

#[test]
fn long_text_is_cut_before_it_is_kept() {
    let mut config = server("well");
    config.limits = Limits {
        text_chars: 10,
        ..Limits::default()
    };
    let (_, record) = play(toolset(&config), "echo", json!({"text": "a".repeat(100)}));
    assert_eq!(record.result, json!(format!("{}…[cut]", "a".repeat(10))));
}

#[test]
fn lists_without_end_or_sense_are_refused() {
    for (behaviour, says) in [
        ("many", "more than 4096 things"),
        ("circle", "round in circles"),
        ("twice", "two tools named `same`"),
        ("fat", "`limits.tool_bytes` allows 262144"),
        ("nonsense", "input schema of tool `nonsense`"),
    ] {
        let error = refused(&server(behaviour));
        assert!(
            error.starts_with("server test does not keep to the protocol") && error.contains(says),
            "{error}"
        );
    }
    let mut config = server("drip");
    config.connect_timeout_ms = 5_000;
    assert!(refused(&config).contains("its list takes longer than 5000 ms"));
    let mut config = server("well");
    config.tools = vec!["echo".into(), "ecko".into()];
    assert!(refused(&config).contains("has no tool `ecko`"));
    config.tools.pop();
    assert_eq!(toolset(&config).specs().len(), 1);
}

#[test]
fn a_server_that_does_not_understand_the_newer_greeting_is_asked_in_the_older_way() {
    // One refuses it when the older one is under way, the other has the same empty answer for whatever it does not know.
    for behaviour in ["late", "agreeable"] {
        let host = toolset(&server(behaviour));
        assert!(host.servers()[0].tools().iter().any(|tool| tool.spec.name == "echo"));
    }
}

#[test]
fn the_older_greeting_names_a_revision_that_has_it() {
    // The server takes whatever it is asked for.
    for protocol in [Protocol::Auto, Protocol::Initialize] {
        let mut config = server("well");
        config.protocol = protocol;
        assert_eq!(toolset(&config).servers()[0].info().protocol, "2025-11-25");
    }
}

#[test]
fn a_server_that_does_not_greet_is_given_up_with_what_may_explain_it() {
    let mut config = server("silent");
    config.connect_timeout_ms = 700;
    assert!(refused(&config).contains("no greeting within 700 ms"));
    config.command[2] = "noise".into();
    config.connect_timeout_ms = 8_000;
    assert!(refused(&config).contains("no messages, such as `Server listening on stdio\\n`"));
    let error = refused(&server("exit"));
    assert!(
        error.contains("exit status: 4") && error.contains("cannot find my database"),
        "{error}"
    );
    let error = refused(&ServerConfig::command(["no-such-program-of-ours"]));
    assert!(error.contains("`no-such-program-of-ours` was not found"), "{error}");
}

#[test]
fn a_call_that_nobody_waits_for_is_cancelled_at_the_server() {
    let notes = tempfile::NamedTempFile::new().unwrap();
    let config = noting("well", notes.path());
    on_runtime(async {
        let connection = Connection::open(&config).await.unwrap();
        let call = connection.call("hang", serde_json::Map::new(), Duration::from_secs(600), None);
        assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
        eventually("the cancellation", || {
            let said = std::fs::read_to_string(notes.path()).unwrap();
            said.contains("notifications/cancelled") && said.contains("no longer waits")
        });
        connection.close().await;
    });
    let said = std::fs::read_to_string(notes.path()).unwrap();
    let client = format!(
        r#"client {{"name": "hone", "version": "{}"}}"#,
        env!("CARGO_PKG_VERSION")
    );
    assert!(said.starts_with(&client), "{said}");
}

#[test]
fn progress_and_changes_are_heard() {
    on_runtime(async {
        let connection = Connection::open(&server("well")).await.unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        let on = Arc::new(move |p: hone_mcp::Progress| notes.lock().unwrap().push((p.done, p.total, p.message)));
        let empty = serde_json::Map::new;
        let minute = Duration::from_secs(60);
        let result = connection.call("work", empty(), minute, Some(on)).await.unwrap();
        assert_eq!(result.text, "worked");
        for _ in 0..100 {
            if heard.lock().unwrap().len() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        heard.lock().unwrap().sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(heard.lock().unwrap()[2], (2.0, Some(3.0), "step 2".to_owned()));

        let before = connection.tools().await.unwrap().len();
        connection.call("grow", empty(), minute, None).await.unwrap();
        while connection.changes() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let after = connection.tools().await.unwrap();
        assert_eq!(
            (after.len(), after[after.len() - 1].spec.name.as_str()),
            (before + 1, "grown")
        );
    });
}

#[test]
fn a_server_gets_no_variable_that_it_was_not_given() {
    // SAFETY: no other test of this program reads or writes these variables.
    unsafe {
        std::env::set_var("HONE_TEST_SECRET", "s3cret");
        std::env::set_var("HONE_TEST_PASSED", "passed");
    }
    let mut config = server("well");
    config.pass_env = vec!["HONE_TEST_PASSED".into()];
    config.env.insert("GIVEN".into(), "given".into());
    let server = Server::connect(&config).unwrap();
    let env: Value = serde_json::from_str(&server.call("env", serde_json::Map::new()).unwrap().text).unwrap();
    assert_eq!(
        (&env["HONE_TEST_SECRET"], &env["HONE_TEST_PASSED"]),
        (&Value::Null, &json!("passed"))
    );
    assert_eq!((&env["GIVEN"], env["PATH"].is_string()), (&json!("given"), true));
    config.pass_env = vec!["HONE_TEST_NOT_SET".into()];
    assert!(matches!(Server::connect(&config), Err(Error::Config { .. })));
}

#[test]
fn nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let notes = dir.path().join(name);
        let host = toolset(&noting("orphans", &notes));
        let pids: Vec<String> = std::fs::read_to_string(&notes)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .split(' ')
            .map(str::to_owned)
            .collect();
        assert!(pids.len() == 2 && pids.iter().all(|pid| lives(pid)), "{pids:?}");
        (host, pids)
    };
    let (host, pids) = start("closed");
    host.close();
    assert!(!pids.iter().any(|pid| lives(pid)), "closing waits for the end");

    let (host, pids) = start("dropped");
    let shared = host.share();
    drop(host);
    assert!(pids.iter().all(|pid| lives(pid)), "another host still uses it");
    drop(shared);
    eventually("the end of a dropped server", || !pids.iter().any(|pid| lives(pid)));
}

#[test]
fn several_servers_keep_their_names_apart() {
    let named = |name: &str| ServerConfig {
        name: name.into(),
        ..server("well")
    };
    let host = McpToolset::join(&[named("a"), named("b")]).unwrap();
    assert_eq!((host.specs().len(), host.specs()[14].name.as_str()), (28, "b__echo"));
    let (_, echo) = play(host, "b__echo", json!({"text": "from b"}));
    assert_eq!((echo.tool.as_str(), echo.shown.as_str()), ("b__echo", "from b"));
    let error = McpToolset::join(&[named("a"), named("a")]).err().unwrap().to_string();
    assert!(error.contains("another server is called the same"), "{error}");
}
