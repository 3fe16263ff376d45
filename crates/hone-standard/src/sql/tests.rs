//! The database: what is answered, and everything else that is asked.

use super::*;
use rusqlite::Connection;
use std::time::Instant;
use tempfile::TempDir;

/// A database with a table, a view and a name that looks like a function.
fn shop() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("shop #1%.db");
    let connection = Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, photo BLOB, \"random\" TEXT);
             INSERT INTO items VALUES (1, 'lamp', 12.5, x'00ff', 'r1'), (2, 'now', 3, NULL, NULL);
             CREATE VIEW cheap AS SELECT name FROM items WHERE price < 5;
             CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('green lamp');",
        )
        .unwrap();
    (dir, file)
}

fn tools(file: &Path) -> Box<dyn Environment> {
    Sql::new(file).unwrap().open(Path::new("")).unwrap()
}

fn ask(tools: &mut dyn Environment, sql: &str) -> Result<Value, String> {
    let done = tools.call("sql_query", &json!({"query": sql}));
    done.map(|output| output.data).map_err(|error| error.message)
}

#[test]
fn questions_are_answered() {
    let (_dir, file) = shop();
    let mut tools = tools(&file);
    assert_eq!(
        ask(&mut *tools, "SELECT * FROM items ORDER BY id").unwrap(),
        json!({
            "columns": ["id", "name", "price", "photo", "random"],
            "rows": [[1, "lamp", 12.5, "blob of 2 bytes: 00ff", "r1"], [2, "now", 3.0, null, null]],
            "more": false,
        })
    );
    // What only looks like something that is refused (the table of Halo's checks, in SQLite's dialect).
    for (sql, first) in [
        ("select 'now()'", json!("now()")),
        ("select 1 -- delete from items", json!(1)),
        ("/* drop table items; */ select 2;", json!(2)),
        ("select \"random\" from items", json!("r1")),
        ("select 'a; delete from items'", json!("a; delete from items")),
        ("with x as (select 3 as n) select n from x", json!(3)),
        ("values (4)", json!(4)),
        ("select name from cheap", json!("now")),
        ("select text from words where words match 'lamp'", json!("green lamp")),
        ("select value from json_each('[5]')", json!(5)),
        ("select date('2024-01-31', '+1 month')", json!("2024-03-02")),
        ("select strftime('%Y', '2024-05-06')", json!("2024")),
        ("select count(*) from items where name = 'now'", json!(1)),
        (
            "with recursive c(x) as (select 1 union all select x + 1 from c where x < 10) select sum(x) from c",
            json!(55),
        ),
        ("select 9e999", json!("inf")),
    ] {
        assert_eq!(ask(&mut *tools, sql).unwrap()["rows"][0][0], first, "{sql}");
    }
    let bound = json!({"query": "SELECT ? || ?, ?", "parameters": ["a'; --", 1.5, null]});
    assert_eq!(
        tools.call("sql_query", &bound).unwrap().data["rows"],
        json!([["a'; --1.5", null]])
    );
    let schema = tools.call("sql_schema", &json!({"table": "CHEAP"})).unwrap().data;
    assert_eq!(
        schema["tables"][0]["sql"],
        "CREATE VIEW cheap AS SELECT name FROM items WHERE price < 5"
    );
    let all = tools.call("sql_schema", &json!({"limit": 2})).unwrap().data;
    assert_eq!(
        (all["tables"].as_array().unwrap().len(), &all["more"]),
        (2, &json!(true))
    );
    let mut copy = tools.fork().unwrap();
    assert_eq!(ask(&mut *copy, "select 1").unwrap()["rows"], json!([[1]]));
}

#[test]
fn whatever_does_more_than_read_is_refused() {
    let (dir, file) = shop();
    let before = std::fs::read(&file).unwrap();
    let mut tools = tools(&file);
    let other = dir.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", other.display());
    let vacuum = format!("VACUUM INTO '{}'", other.display());
    for sql in [
        "DELETE FROM items",
        "INSERT INTO items (id) VALUES (3)",
        "UPDATE items SET price = 0",
        "DROP TABLE items",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "CREATE TEMP VIEW v AS SELECT 1",
        "ALTER TABLE items ADD COLUMN x",
        "REPLACE INTO items (id) VALUES (1)",
        "WITH x AS (SELECT 1) DELETE FROM items",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        &attach,
        &vacuum,
        "DETACH main",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "PRAGMA table_info(items)",
        "PRAGMA writable_schema = ON",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_query_only(0)",
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT sqlite_log(1, 'x')",
        "SELECT random()",
        "SELECT RANDOM()",
        "SELECT randomblob(4)",
        "SELECT name FROM items ORDER BY random()",
        "SELECT CURRENT_TIMESTAMP",
        "SELECT current_date",
        "SELECT datetime('now')",
        "SELECT date()",
        "SELECT strftime('%s')",
        "SELECT datetime('n' || 'OW')",
        "SELECT date(name) FROM items WHERE id = 2",
        "SELECT datetime('2024-01-01', 'localtime')",
        "SELECT unixepoch('now')",
        "SELECT timediff('2024-01-01', 'now')",
        "SELECT 1; DELETE FROM items",
        "SELECT 1; SELECT 2",
        "INSERT INTO words (words) VALUES ('optimize')",
        "EXPLAIN DELETE FROM items",
        "",
        "-- nothing",
        ";",
        "SELECT \"nothing\"",
        "SELECT * FROM nothing",
        "SELECT",
        "\0",
        "SELECT * FROM sqlite_stmt",
    ] {
        let message = ask(&mut *tools, sql).map(|_| sql).unwrap_err();
        assert!(message.contains("; "), "{sql}: no remedy in {message}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert!(!other.exists());
    assert_eq!(
        ask(&mut *tools, "SELECT count(*) FROM items").unwrap()["rows"],
        json!([[2]])
    );
    let says = |sql: &str, tools: &mut dyn Environment| ask(tools, sql).unwrap_err();
    assert_eq!(
        says("DELETE FROM items", &mut *tools),
        "the statement does more than read (delete); write a SELECT; nothing can be changed here"
    );
    assert!(says("SELECT pric FROM items", &mut *tools).contains("no such column: pric; sql_schema"));
    assert!(says("SELECT 1; SELECT 2", &mut *tools).contains("more than one statement"));
    assert!(says("SELECT datetime('now')", &mut *tools).contains("reads the clock"));
}

/// Each lock holds alone: without the authorizer and `query_only`, an immutable database still cannot be written.
#[test]
fn the_file_itself_is_opened_read_only() {
    let (_dir, file) = shop();
    let mut database = Database::open(&file).unwrap();
    let raw = database.raw();
    raw.authorizer(None::<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization>)
        .unwrap();
    raw.execute_batch("PRAGMA query_only = OFF").unwrap();
    let error = raw.execute_batch("DELETE FROM items").unwrap_err().to_string();
    assert!(error.contains("readonly"), "{error}");
}

#[test]
fn what_takes_too_much_is_stopped() {
    let (_dir, file) = shop();
    let mut tools = tools(&file);
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    let numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5000)";
    let nested = format!("SELECT {}1{}", "abs(".repeat(1500), ")".repeat(1500));
    for sql in [
        format!("{endless} SELECT count(*) FROM c"),
        format!("{endless} SELECT x FROM c ORDER BY x DESC"),
        format!("{endless} SELECT x, zeroblob(1000000) AS b FROM c ORDER BY b"),
        format!("{endless} SELECT count(DISTINCT hex(zeroblob(200000)) || x) FROM c"),
        format!("{numbers} SELECT count(*) FROM c a, c b, c d"),
        "SELECT zeroblob(100000000)".to_owned(),
        "SELECT replace(hex(zeroblob(500000)), '0', 'aaaa')".to_owned(),
        "SELECT printf('%100000000d', 1)".to_owned(),
        format!("SELECT '{}'", "x".repeat(MAX_SQL)),
        nested,
    ] {
        let started = Instant::now();
        let message = ask(&mut *tools, &sql).map(|_| &sql).unwrap_err();
        assert!(started.elapsed() < MAX_TIME * 3, "{sql} took {:?}", started.elapsed());
        assert!(message.contains("; "), "{sql}: {message}");
    }
    let like = format!("SELECT hex(zeroblob(400000)) LIKE '{}1'", "%0".repeat(400));
    let started = Instant::now();
    let _ = ask(&mut *tools, &like);
    assert!(started.elapsed() < MAX_TIME * 3, "{:?}", started.elapsed());
    assert_eq!(
        ask(&mut *tools, "SELECT 1").unwrap()["rows"],
        json!([[1]]),
        "it still answers"
    );
}

#[test]
fn answers_are_bounded() {
    let (_dir, file) = shop();
    let mut tools = tools(&file);
    let numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5000)";
    let many = ask(&mut *tools, &format!("{numbers} SELECT x FROM c")).unwrap();
    assert_eq!(
        (many["rows"].as_array().unwrap().len() as u64, &many["more"]),
        (ROWS, &json!(true))
    );
    let long = ask(&mut *tools, "SELECT hex(zeroblob(100000))").unwrap();
    let cell = long["rows"][0][0].as_str().unwrap();
    assert!(cell.ends_with("…[cut]") && cell.chars().count() == MAX_CELL + 6);
    let query = json!({"query": format!("{numbers} SELECT hex(zeroblob(900)) FROM c"), "limit": MAX_ROWS});
    let wide = tools.call("sql_query", &query).unwrap();
    assert!(wide.text.len() < 2 * MAX_RESULT && wide.data["more"] == true);
    assert_eq!(
        ask(&mut *tools, "SELECT x'ff' || 'ä', CAST(x'ff' AS TEXT)").unwrap()["rows"][0][1],
        "\u{fffd}"
    );
}

#[test]
fn files_that_are_no_databases_are_named() {
    let (dir, file) = shop();
    let text = dir.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough").unwrap();
    let broken = dir.path().join("broken.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100..2000].fill(0xff);
    std::fs::write(&broken, bytes).unwrap();
    let logged = dir.path().join("logged.db");
    std::fs::copy(&file, &logged).unwrap();
    std::fs::write(dir.path().join("logged.db-wal"), "changes").unwrap();
    for (file, says) in [
        (dir.path().join("missing.db"), "cannot be read"),
        (dir.path().to_owned(), "no file"),
        (text, "no SQLite database"),
        (broken, "malformed"),
        (logged, "wal_checkpoint"),
    ] {
        let (what, _) = Sql::new(&file).unwrap_err();
        assert!(what.contains(says), "{what}");
    }
}
