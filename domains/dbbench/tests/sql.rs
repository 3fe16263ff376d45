//! MySQL's semantics over small tables, and the bounds.

use hone_dbbench::{Database, Table};

fn database() -> Database {
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
    let table = Table {
        name: "Football Matches".into(),
        columns: ["Home team", "Year", "Crowd", "Score"].map(str::to_owned).to_vec(),
        rows: vec![
            row(&["Montréal", "2007", "12,000", "2-1"]),
            row(&["derby", "1999", "800", "0-0"]),
            row(&["Derby", "2010", "9500", "1-3"]),
        ],
    };
    Database::of(&[table]).unwrap()
}

fn gives(sql: &str) -> String {
    database().execute(sql)
}

#[test]
fn texts_are_compared_by_the_collation_and_with_numbers_as_numbers() {
    for (sql, shown) in [
        (
            "SELECT `Year` FROM `Football Matches` WHERE `Home team` = 'montreal'",
            "[('2007',)]",
        ),
        ("SELECT COUNT(DISTINCT `Home team`) FROM `Football Matches`", "[(2,)]"),
        (
            "SELECT `Year` FROM `Football Matches` WHERE `Crowd` > 900 ORDER BY `Year` DESC",
            "[('2010',)]",
        ),
        (
            "SELECT MAX(`Crowd`), MAX(`Crowd` + 0) FROM `Football Matches`",
            "[('9500', 9500.0)]",
        ),
        (
            "SELECT SUM(`Year`), AVG(`Year`), COUNT(*) FROM `Football Matches`",
            "[(6016.0, 2005.3333333333333, 3)]",
        ),
        (
            "SELECT SUM(CAST(REPLACE(`Crowd`, ',', '') AS SIGNED)) FROM `Football Matches`",
            "[(Decimal('22300'),)]",
        ),
        (
            "SELECT 5/2, 5 DIV 2, 5 % 2, '3 men' + 1, 1 = 1, NULL = 1, 'a' LIKE 'A'",
            "[(Decimal('2.5000'), 2, 1, 4.0, 1, None, 1)]",
        ),
        (
            "SELECT ROUND(AVG(`Year`), 1), ROUND(7.25, 1), FLOOR(-2.5), CEIL('2.1') FROM `Football Matches`",
            "[(2005.3, Decimal('7.3'), -3, 3.0)]",
        ),
        (
            "SELECT \"a text\" AS \"a name\", 'it''s', 'a\\'b' FROM dual",
            "[('a text', \"it's\", \"a'b\")]",
        ),
        (
            "SELECT SUBSTRING_INDEX(`Score`, '-', 1) AS goals FROM `Football Matches` ORDER BY goals + 0 DESC LIMIT 1, 1",
            "[('1',)]",
        ),
        (
            "SELECT GROUP_CONCAT(`Year` ORDER BY `Year` DESC SEPARATOR '; ') FROM `Football Matches`",
            "[('2010; 2007; 1999',)]",
        ),
        (
            "SELECT `Home team`, COUNT(*) AS n FROM `Football Matches` GROUP BY `Home team` HAVING n > 1",
            "[('derby', 2)]",
        ),
        (
            "SELECT IF(`Year` > 2000, 'new', 'old') FROM `Football Matches` ORDER BY CAST(`Year` AS UNSIGNED)",
            "[('old',), ('new',), ('new',)]",
        ),
        (
            "SELECT `Year` FROM `Football Matches` WHERE `Year` IN (2007, '1999') AND `Year` NOT BETWEEN 2000 AND 2008",
            "[('1999',)]",
        ),
        (
            "SELECT t.y FROM (SELECT MAX(`Year`) AS y FROM `Football Matches`) AS t",
            "[('2010',)]",
        ),
        (
            "WITH t AS (SELECT `Year` FROM `Football Matches`) SELECT COUNT(*) FROM t",
            "[(3,)]",
        ),
        (
            "SELECT `Home team` FROM `Football Matches` WHERE `Year` = (SELECT MIN(`Year`) FROM `Football Matches`)",
            "[('derby',)]",
        ),
        (
            "SELECT `Year` FROM `Football Matches` WHERE `Home team` REGEXP '^d' AND `Score` RLIKE '^[1-9]'",
            "[('2010',)]",
        ),
        ("SHOW TABLES", "[('Football Matches',)]"),
        (
            "SHOW COLUMNS FROM `Football Matches` ",
            "[('Home team', 'text', 'YES', '', None, ''), ('Year', 'text', 'YES', '', None, ''), ('Crowd', 'text', 'YES', '', None, ''), ('Score', 'text', 'YES', '', None, '')]",
        ),
        (
            "SELECT COLUMN_NAME FROM information_schema.columns WHERE TABLE_NAME = 'Football Matches' AND ORDINAL_POSITION = 2",
            "[('Year',)]",
        ),
        ("", "[]"),
    ] {
        assert_eq!(gives(sql), shown, "{sql}");
    }
}

#[test]
fn changes_keep_what_a_text_column_keeps() {
    let mut database = database();
    for (sql, shown) in [
        (
            "INSERT INTO `Football Matches` (`Home team`, `Year`) VALUES ('Leeds', 2012), (\"Hull\", 1.50);",
            "[]",
        ),
        ("INSERT INTO `Football Matches` VALUES ('York', 2013, NULL, 1e1)", "[]"),
        (
            "SELECT `Home team`, `Year`, `Crowd`, `Score` FROM `Football Matches` WHERE `Crowd` IS NULL",
            "[('Leeds', '2012', None, None), ('Hull', '1.50', None, None), ('York', '2013', None, '10')]",
        ),
        (
            "UPDATE `Football Matches` SET `Crowd` = `Year` + 1, `Score` = CONCAT(`Score`, '!') WHERE `Home team` = 'DERBY' ORDER BY `Year` LIMIT 1",
            "[]",
        ),
        (
            "SELECT `Crowd`, `Score` FROM `Football Matches` WHERE `Home team` = 'derby'",
            "[('2000', '0-0!'), ('9500', '1-3')]",
        ),
        ("DELETE FROM `Football Matches` WHERE `Year` < 2008 LIMIT 1", "[]"),
        ("SELECT COUNT(*) FROM `Football Matches`", "[(5,)]"),
        ("ALTER TABLE `Football Matches` ADD COLUMN Note TEXT", "[]"),
        ("UPDATE `Football Matches` SET Note = 'x'", "[]"),
        ("SELECT DISTINCT note FROM `Football Matches`", "[('x',)]"),
        ("DROP TABLE `Football Matches`", "[]"),
        ("SHOW TABLES", "[]"),
    ] {
        assert_eq!(database.execute(sql), shown, "{sql}");
    }
}

#[test]
fn what_mysql_refuses_is_refused_with_its_error() {
    for (sql, code) in [
        ("SELECT Notes FROM \"Football Matches\"", "1064 (42000)"),
        ("SELECT Home team FROM `Football Matches` WHERE", "1064 (42000)"),
        ("SELECT [Year] FROM `Football Matches`", "1064 (42000)"),
        ("SELECT CAST(`Year` AS INT) FROM `Football Matches`", "1064 (42000)"),
        ("SELECT 1; DROP TABLE `Football Matches`", "1064 (42000)"),
        ("SELECT * FROM `football matches`", "1146 (42S02)"),
        ("SELECT Nation FROM `Football Matches`", "1054 (42S22)"),
        ("INSERT INTO `Football Matches` (Nation) VALUES ('x')", "1054 (42S22)"),
        ("INSERT INTO `Football Matches` VALUES ('x')", "1136 (21S01)"),
        (
            "SELECT `Home team`, MAX(`Year`) FROM `Football Matches`",
            "1140 (42000)",
        ),
        (
            "SELECT `Home team`, `Year` FROM `Football Matches` GROUP BY `Home team`",
            "1055 (42000)",
        ),
        (
            "DELETE FROM `Football Matches` WHERE `Year` = (SELECT MAX(`Year`) FROM `Football Matches`)",
            "1093 (HY000)",
        ),
        ("SELECT LENGTH()", "1582 (42000)"),
        ("SELECT load_extension('x')", "1305 (42000)"),
        ("SELECT 9223372036854775807 + 1", "1690 (22003)"),
        ("SELECT * FROM (SELECT 1)", "1248 (42000)"),
    ] {
        assert!(gives(sql).starts_with(code), "{sql}: {}", gives(sql));
    }
    let many: Vec<String> = (0..1_000).map(|n| format!("'{n}'")).collect();
    assert_eq!(
        gives(&format!("SELECT '777' IN ({}), 5 NOT IN (1, NULL)", many.join(","))),
        "[(1, None)]"
    );
    // A column that an equation fixes may stand beside an aggregate.
    assert_eq!(
        gives("SELECT `Home team`, MAX(`Year`) FROM `Football Matches` WHERE `Home team` = 'Derby' GROUP BY 1"),
        "[('derby', '2010')]"
    );
}

#[test]
fn nothing_reaches_beyond_the_database_and_everything_ends() {
    let mut database = database();
    let before = database.fingerprint().unwrap();
    for sql in [
        "ATTACH DATABASE '/tmp/x.db' AS x",
        "PRAGMA table_info('Football Matches')",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM pragma_table_list",
        "VACUUM INTO '/tmp/x.db'",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT fts3_tokenizer('x')",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE `Football Matches`",
        "SELECT LOAD_FILE('/etc/passwd')",
        "SELECT * FROM `Football Matches` INTO OUTFILE '/tmp/x'",
        "SELECT SLEEP(1000)",
        "CREATE TRIGGER t AFTER INSERT ON `Football Matches` FOR EACH ROW SET @a = 1",
        "SELECT 1 WHERE x",
        &"(".repeat(10_000),
        &format!("SELECT {}1", "NOT ".repeat(10_000)),
        &format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        &format!("SELECT {}", "1+".repeat(20_000) + "1"),
        &format!("SELECT '{}'", "x".repeat(100_000)),
    ] {
        let shown = database.execute(sql);
        assert!(shown.len() < 1_000 && !shown.starts_with('['), "{:.80}: {shown}", sql);
    }
    assert_eq!(database.fingerprint().unwrap(), before);
    // Endless or huge work is stopped.
    let endless = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t";
    assert_eq!(database.execute(endless), "Error: SQL execution timed out.");
    let pairs = "SELECT COUNT(*) FROM `Football Matches` a, `Football Matches` b, `Football Matches` c, `Football Matches` d, `Football Matches` e, \
                 `Football Matches` f, `Football Matches` g, `Football Matches` h, `Football Matches` i, `Football Matches` j, `Football Matches` k, \
                 `Football Matches` l, `Football Matches` m, `Football Matches` n, `Football Matches` o, `Football Matches` p, `Football Matches` q \
                 WHERE a.`Year` + q.`Year` < 0";
    assert_eq!(database.execute(pairs), "Error: SQL execution timed out.");
    let mut grown = String::new();
    for _ in 0..12 {
        grown = database.execute("INSERT INTO `Football Matches` SELECT REPEAT('x', 60000), a.`Year`, a.`Crowd`, a.`Score` FROM `Football Matches` a");
    }
    assert!(grown.contains("1114") || grown.contains("timed out"), "{grown}");
    assert_eq!(
        database.execute("SELECT CHAR_LENGTH(REPEAT('x', 1000000))"),
        "[(None,)]"
    );
    // Long results are cut where the original cuts them.
    let long = database.execute("SELECT `Home team` FROM `Football Matches`");
    assert!(
        long.ends_with("[TRUNCATED]") && long.chars().count() == 811,
        "{}",
        long.len()
    );
}

#[test]
fn copies_are_equal_and_independent() {
    let mut database = database();
    let mut copy = database.fork().unwrap();
    assert_eq!(copy.fingerprint().unwrap(), database.fingerprint().unwrap());
    copy.execute("UPDATE `Football Matches` SET `Year` = 'x'");
    assert_ne!(copy.fingerprint().unwrap(), database.fingerprint().unwrap());
    assert_eq!(
        database.execute("SELECT `Year` FROM `Football Matches` LIMIT 1"),
        "[('2007',)]"
    );
    assert_eq!(
        copy.execute("SELECT `Year` FROM `Football Matches` WHERE `Home team` = 'MONTREAL'"),
        "[('x',)]"
    );
}

proptest::proptest! {
    #[test]
    fn no_statement_panics(sql in "[ -~é]{0,60}", tail in "(SELECT|FROM|WHERE|`Year`|'|\\(|\\)|,|\\*|=|GROUP BY|LIMIT|UPDATE|INSERT| ){0,12}") {
        let mut database = database();
        database.execute(&sql);
        database.execute(&format!("SELECT {sql} FROM `Football Matches` {tail}"));
        database.execute(&tail);
    }
}
