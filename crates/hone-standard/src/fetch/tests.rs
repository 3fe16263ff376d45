//! Pages of a small server, and what a hostile one does.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server that answers each path with what `answer` says, on a thread of its own for each connection.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                answer(&path, &mut stream);
            });
        }
    });
    port
}

fn reply(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// The tool for the hosts of a list, all of them at this machine.
fn tool_for(allow: &[&str], private: bool) -> Fetch {
    let allow = allow.iter().map(|host| (*host).to_owned()).collect();
    let mut fetch = Fetch::new(&Settings { allow, private }).unwrap();
    fetch.0.resolve = Arc::new(|_, port| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]));
    fetch
}

fn ask(fetch: &mut Fetch, url: &str) -> Result<ToolOutput, String> {
    fetch.call("fetch", &json!({"url": url})).map_err(|error| error.message)
}

#[test]
fn pages_are_fetched_as_text() {
    let port = serve(|path, stream| match path {
        "/page?q=1" => reply(
            stream,
            "200 OK\r\nContent-Type: text/html; charset=iso-8859-1",
            b"<title>T</title><p>gr\xfc\xdfe <a href=/x>x</a>",
        ),
        "/old" => reply(stream, "302 Found\r\nLocation: page?q=1", b""),
        "/json" => reply(stream, "200 OK\r\nContent-Type: application/json", b"{\"a\": 1}"),
        _ => reply(stream, "404 Not Found", b"gone"),
    });
    let site = format!("site.test:{port}");
    let mut fetch = tool_for(&[&site], true);
    let page = ask(&mut fetch, &format!("http://{site}/page?q=1")).unwrap();
    assert!(
        page.text
            .starts_with(&format!("http://{site}/page?q=1\nT\n\ngrüße [x][1]")),
        "{}",
        page.text
    );
    assert!(page.text.contains(&format!("[1]: http://{site}/x")), "{}", page.text);
    let moved = ask(&mut fetch, &format!("http://{site}/old")).unwrap();
    assert_eq!(
        (&moved.data["redirects"], &moved.data["text"]),
        (&json!(1), &page.data["text"])
    );
    let part = fetch
        .call(
            "fetch",
            &json!({"url": format!("http://{site}/json"), "start": 1, "max_chars": 3}),
        )
        .unwrap();
    assert_eq!(
        part.text,
        format!("http://{site}/json\n\n\"a\"\n[characters 1 to 4 of 8; read on with start = 4]")
    );
    let gone = ask(&mut fetch, &format!("http://{site}/nothing")).unwrap_err();
    assert!(gone.contains("status 404 (Not Found)"), "{gone}");
    // Blocking inside of a runtime's own threads, as a harness does it.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let text = runtime.block_on(async {
        let url = format!("http://{site}/json");
        tokio::task::spawn_blocking(move || ask(&mut fetch, &url).unwrap().data["text"].clone())
            .await
            .unwrap()
    });
    assert_eq!(text, "{\"a\": 1}");
}

#[test]
fn every_redirect_is_looked_at() {
    let other = serve(|_, stream| reply(stream, "200 OK\r\nContent-Type: text/plain", b"secret"));
    let port = serve(move |path, stream| {
        let to = match path {
            "/host" => format!("http://other.test:{other}/"),
            "/port" => format!("//site.test:{other}/"),
            "/literal" => format!("http://127.0.0.1:{other}/"),
            "/meta" => "http://169.254.169.254/latest/meta-data".to_owned(),
            "/file" => "file:///etc/passwd".to_owned(),
            "/user" => "http://a:b@site.test/".to_owned(),
            "/bad" => "http://[".to_owned(),
            _ => "/loop".to_owned(),
        };
        reply(stream, &format!("301 Moved\r\nLocation: {to}"), b"");
    });
    let site = format!("site.test:{port}");
    let mut fetch = tool_for(&[&site], true);
    for (path, says) in [
        ("host", "not among the hosts"),
        ("port", "not among the hosts"),
        ("literal", "not among the hosts"),
        ("meta", "not among the hosts"),
        ("file", "only http"),
        ("user", "password"),
        ("bad", "no address"),
        ("loop", "more than 5 redirects"),
    ] {
        let error = ask(&mut fetch, &format!("http://{site}/{path}")).unwrap_err();
        assert!(error.contains(says) && !error.contains("secret"), "{path}: {error}");
    }
}

#[test]
fn inner_addresses_are_refused_after_the_name_is_resolved() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let port = serve(move |_, stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        reply(stream, "200 OK\r\nContent-Type: text/plain", b"secret");
    });
    let site = format!("site.test:{port}");
    let url = format!("http://{site}/");
    let mut fetch = tool_for(&[&site, "127.0.0.1", "2130706433", "[::1]"], false);
    let error = ask(&mut fetch, &url).unwrap_err();
    assert!(
        error.contains("site.test is at 127.0.0.1, which is this machine"),
        "{error}"
    );
    // One inner address among public ones.
    fetch.0.resolve = Arc::new(|_, port| {
        Ok(vec![
            SocketAddr::from(([192, 0, 9, 9], port)),
            SocketAddr::from(([169, 254, 169, 254], port)),
        ])
    });
    assert!(ask(&mut fetch, &url).unwrap_err().contains("metadata"));
    // The system's own reading of odd literals.
    fetch.0.resolve = get::system();
    for url in ["http://127.0.0.1/", "http://2130706433/", "http://[::1]/"] {
        let error = ask(&mut fetch, url).unwrap_err();
        assert!(error.contains("this machine"), "{url}: {error}");
    }
    // A name that is public when it is looked at and ours afterwards: it is asked for once, and what was looked at is connected to.
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    fetch.0.resolve = Arc::new(move |_, port| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        // A public address at which nothing answers.
        Ok(vec![SocketAddr::from((
            if first { [192, 0, 9, 9] } else { [127, 0, 0, 1] },
            port,
        ))])
    });
    let started = Instant::now();
    ask(&mut fetch, &url).unwrap_err();
    assert_eq!((looks.load(Ordering::SeqCst), asked.load(Ordering::SeqCst)), (1, 0));
    assert!(started.elapsed() < get::MAX_TIME + Duration::from_secs(5));
}

/// A server that answers wrongly in as many ways as it has paths.
fn hostile() -> u16 {
    serve(|path, stream| match path {
        "/large" => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 104857600\r\n\r\n");
        }
        "/endless" => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream
                .write_all(b"400\r\n")
                .and_then(|()| stream.write_all(&[b'x'; 1024]))
                .and_then(|()| stream.write_all(b"\r\n"))
                .is_ok()
            {}
        }
        "/head" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(&[b'x'; 1024]).is_ok() {}
        }
        "/zip" => reply(
            stream,
            "200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip",
            b"\x1f\x8b",
        ),
        "/picture" => reply(stream, "200 OK\r\nContent-Type: image/png", b"\x89PNG"),
        "/cut" => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nshort");
        }
        "/none" => {
            let _ = stream.write_all(b"220 smtp.test ESMTP\r\n");
        }
        _ => std::thread::sleep(Duration::from_secs(60)),
    })
}

#[test]
fn hostile_servers_cost_little() {
    let port = hostile();
    let site = format!("site.test:{port}");
    let mut fetch = tool_for(&[&site], true);
    for (path, says) in [
        ("large", "more than 2097152 bytes"),
        ("endless", "more than 2097152 bytes"),
        ("head", "cannot be asked"),
        ("zip", "encoded as gzip"),
        ("picture", "image/png, not text"),
        ("cut", "cannot be asked"),
        ("none", "cannot be asked"),
        ("slow", "no whole answer within"),
    ] {
        let started = Instant::now();
        let error = ask(&mut fetch, &format!("http://{site}/{path}")).unwrap_err();
        assert!(error.contains(says), "{path}: {error}");
        assert!(
            started.elapsed() < get::MAX_TIME + Duration::from_secs(5),
            "{path} took {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a_server_without_tls_is_told() {
    let site = format!("site.test:{}", hostile());
    let error = ask(&mut tool_for(&[&site], true), &format!("https://{site}/")).unwrap_err();
    assert!(
        error.contains("cannot be asked") || error.contains("seconds"),
        "no TLS there: {error}"
    );
}

#[test]
fn settings_are_checked() {
    let wrong = |allow: &[&str]| {
        let allow = allow.iter().map(|host| (*host).to_owned()).collect();
        Fetch::new(&Settings { allow, private: false }).err().unwrap()
    };
    assert!(wrong(&[]).contains("empty"));
    assert!(wrong(&["ok.test", "http://x"]).contains("\"http://x\" is no host"));
}
