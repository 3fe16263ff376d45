//! Search over small corpora, and over broken ones.

use super::*;
use tempfile::TempDir;

fn corpus(lines: &[Value]) -> Result<Search, String> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("docs.jsonl");
    std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    Corpus::read(&file, None, dir.path()).map(Search::new)
}

fn ids(search: &mut Search, query: &str, limit: u64) -> Vec<String> {
    let found = search
        .call("search", &json!({"query": query, "limit": limit}))
        .unwrap()
        .data;
    let results = found["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn results_are_as_of_a_search_of_the_web() {
    let long = format!(
        "{}\n\nThe warranty for batteries is two years.\n\n{}",
        "About lamps. ".repeat(200),
        "About chairs. ".repeat(200)
    );
    let mut search = corpus(&[
        json!({"id": "returns", "title": "Return policy", "url": "https://shop.test/returns", "text": "Goods can be returned within thirty days."}),
        json!({"id": 7, "text": "# Shipping\n\nParcels are shipped on the next day."}),
        json!({"text": long}),
    ])
    .unwrap();
    let found = search
        .call("search", &json!({"query": "how many days to return goods"}))
        .unwrap()
        .data;
    let first = json!({
        "rank": 1, "id": "returns", "title": "Return policy", "url": "https://shop.test/returns",
        "snippet": "Goods can be returned within thirty days.",
    });
    assert_eq!(found["results"][0], first);
    assert_eq!(
        ids(&mut search, "shiping parcel", 1),
        ["7"],
        "a misspelled word is like the right one"
    );
    let found = search
        .call("search", &json!({"query": "battery warranty"}))
        .unwrap()
        .data;
    assert_eq!(found["results"][0]["id"], "3", "the line's number, where it says no id");
    assert!(
        found["results"][0]["snippet"]
            .as_str()
            .unwrap()
            .contains("warranty for batteries is two years")
    );
    assert_eq!(
        ids(&mut search, "lamps chairs", 5)
            .iter()
            .filter(|id| *id == "3")
            .count(),
        1,
        "a document is found once"
    );

    let whole = search.call("open_result", &json!({"id": "7"})).unwrap();
    assert_eq!(
        (whole.text.as_str(), &whole.data["title"]),
        (
            "Shipping\n\n# Shipping\n\nParcels are shipped on the next day.",
            &json!("Shipping")
        )
    );
    let part = search
        .call("open_result", &json!({"id": "7", "start": 2, "max_chars": 8}))
        .unwrap();
    assert_eq!(
        part.text,
        "Shipping\n\nShipping\n[characters 2 to 10 of 48; read on with start = 10]"
    );
    let error = search.call("open_result", &json!({"id": "8"})).unwrap_err();
    assert_eq!(
        error.message,
        "there is no document `8`; take the id of a result of search"
    );
    // The same question has the same answer, also of a copy.
    let mut copy = search.fork().unwrap();
    let query = json!({"query": "days"});
    assert_eq!(
        copy.call("search", &query).unwrap(),
        search.call("search", &query).unwrap()
    );
}

#[test]
fn folders_are_read_by_path() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("faq")).unwrap();
    std::fs::write(dir.path().join("faq/login.md"), "# Login\nReset the password by mail.").unwrap();
    std::fs::write(dir.path().join("empty.txt"), "").unwrap();
    std::fs::write(dir.path().join("raw.bin"), [0xff, 0xfe, 0]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link.txt")).unwrap();
    let corpus = Corpus::read(dir.path(), None, dir.path()).unwrap();
    let digest = corpus.digest().to_owned();
    assert!(corpus.get("raw.bin").is_none() && corpus.get("link.txt").is_none());
    let mut search = Search::new(corpus);
    assert_eq!(ids(&mut search, "password", 5)[0], "faq/login.md");
    std::fs::write(dir.path().join("faq/login.md"), "# Login\nReset the password by phone.").unwrap();
    assert_ne!(Corpus::read(dir.path(), None, dir.path()).unwrap().digest(), digest);
}

#[test]
fn hostile_queries_and_broken_corpora_are_told() {
    let mut search = corpus(&[
        json!({"text": "a"}),
        json!({"text": ""}),
        json!({"text": "日本語の文書"}),
    ])
    .unwrap();
    for query in [
        "",
        "\0",
        "\"(*:^~[]{}",
        &"a ".repeat(250),
        "🙂",
        "AND OR NOT",
        "../../etc/passwd",
        &"x".repeat(10_000),
    ] {
        search.call("search", &json!({"query": query})).unwrap();
    }
    assert_eq!(ids(&mut search, "日本", 1), ["3"]);
    for (lines, says) in [
        (
            vec![json!({"text": "a", "id": "1"}), json!({"text": "b", "id": "1"})],
            "two documents with the id \"1\"",
        ),
        (
            vec![json!({"title": "x"})],
            "docs.jsonl:1: it is no document (missing field `text`",
        ),
        (
            vec![json!({"text": "a"}), json!({"text": "a", "id": ""})],
            "docs.jsonl:2: field `id`",
        ),
        (vec![json!({"text": "a", "id": []})], "field `id`"),
        (
            vec![json!({"text": "x".repeat(MAX_DOCUMENT + 1)})],
            "field `text`: it has more than",
        ),
        (vec![], "holds no text"),
    ] {
        let error = corpus(&lines).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
    let error = Corpus::read(Path::new("/no/such/corpus"), None, Path::new("/"))
        .err()
        .unwrap();
    assert!(error.contains("cannot be read"), "{error}");
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("a.txt"), "a").unwrap();
    let command = ["no-such-program-of-ours".to_owned()];
    let error = Corpus::read(dir.path(), Some(&command), dir.path()).err().unwrap();
    assert!(error.contains("no-such-program-of-ours"), "{error}");
}
