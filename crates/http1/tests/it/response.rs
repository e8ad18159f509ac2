//! Response heads and whole responses.

use http1::{BodyLength, HeadScanner, HeaderSpace, ResponseCollector, parse_response};

fn body_of(head: &str, method: &str) -> Result<BodyLength, String> {
    parse_response(head.as_bytes(), method, &mut HeadScanner::default(), &mut HeaderSpace::new())
        .map(|parsed| parsed.expect("a whole head").0.body())
        .map_err(|error| error.to_string())
}

#[test]
fn the_length_follows_method_status_and_headers() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", BodyLength::Length(3)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", BodyLength::Length(0)),
        ("HTTP/1.1 304 \r\nContent-Length: 3\r\n\r\n", "GET", BodyLength::Length(0)),
        ("HTTP/1.1 204\r\n\r\n", "GET", BodyLength::Length(0)),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "GET", BodyLength::Length(0)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "GET", BodyLength::Chunked),
        ("HTTP/1.1 200 OK\r\n\r\n", "GET", BodyLength::UntilClose),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "GET", BodyLength::Length(1)),
    ];
    for (head, method, length) in cases {
        assert_eq!(body_of(head, method), Ok(length), "{head}");
    }
}

#[test]
fn doubtful_responses_are_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\nX: a\n\n",
        "HTTP/1.1 099 No\r\n\r\n",
        "HTTP/1.1 600 No\r\n\r\n",
        "HTTP/1.1 20 No\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert!(body_of(head, "GET").is_err(), "{head}");
    }
}

#[test]
fn a_response_is_collected_behind_interim_ones() {
    let mut collector = ResponseCollector::new("GET", 4);
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
        X-A: b\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let complete: Vec<bool> = bytes.iter().map(|byte| collector.feed(&[*byte]).unwrap()).collect();
    assert_eq!(complete.iter().position(|done| *done), Some(bytes.len() - 1));
    let collected = collector.end().unwrap();
    assert_eq!((collected.status, collected.body.as_slice()), (200, &b"hell"[..]));
    assert_eq!(collected.header("x-a"), Some("b"));
    assert!(collected.persists);
}

#[test]
fn a_truncated_response_is_an_error() {
    let mut collector = ResponseCollector::new("GET", 100);
    assert!(!collector.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").unwrap());
    assert!(collector.end().is_err());
    let mut collector = ResponseCollector::new("GET", 100);
    assert!(!collector.feed(b"HTTP/1.1 200 OK\r\n\r\nall of it").unwrap());
    let collected = collector.end().unwrap();
    assert_eq!(collected.body, b"all of it");
    assert!(!collected.persists);
}
