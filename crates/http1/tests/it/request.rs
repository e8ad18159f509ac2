//! Request heads: what is refused, with which status, and what is understood.
//!
//! The refused ones are the classes of Http11Probe's and the HTTP Garden's collections.

use http1::{
    BodyLength, Expectation, HeadScanner, HeaderSpace, MAX_HEADERS, MAX_TARGET_BYTES, Version,
    parse_request,
};

fn refused(bytes: &[u8]) -> Option<u16> {
    parse_request(bytes, &mut HeadScanner::default(), &mut HeaderSpace::new())
        .err()
        .map(http1::RequestError::status)
}

/// Writes a GET with extra lines, each ended properly.
fn with(lines: &[&str]) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

#[test]
fn what_two_servers_could_read_differently_is_refused() {
    let lines: &[(&[&str], u16)] = &[
        (&["Content-Length: 3", "Transfer-Encoding: chunked"], 400),
        (&["Transfer-Encoding: chunked", "Content-Length: 0"], 400),
        (&["Content-Length: 3", "Content-Length: 4"], 400),
        (&["Content-Length: 3, 3"], 400),
        (&["Content-Length: +3"], 400),
        (&["Content-Length: -3"], 400),
        (&["Content-Length: 0x3"], 400),
        (&["Content-Length: 3 3"], 400),
        (&["Content-Length: 3;a"], 400),
        (&["Content-Length: "], 400),
        (&["Content-Length: 99999999999999999999"], 400),
        (&["Content-Length : 3"], 400),
        (&["Content-Length\t: 3"], 400),
        (&["Transfer-Encoding: identity"], 400),
        (&["Transfer-Encoding: gzip, chunked"], 400),
        (&["Transfer-Encoding: chunked, identity"], 400),
        (&["Transfer-Encoding: chunked, chunked"], 400),
        (&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (&["Transfer-Encoding: xchunked"], 400),
        (&["Transfer-Encoding: \"chunked\""], 400),
        (&["Transfer-Encoding: chunked;a=b"], 400),
        (&["Transfer-Encoding: ,chunked"], 400),
        (&["Transfer-Encoding: \x0bchunked"], 400),
        (&["Transfer-Encoding:"], 400),
        (&["Transfer-Encoding : chunked"], 400),
        (&["X: a", " folded"], 400),
        (&["X: a", "\tfolded"], 400),
        (&["Host: b"], 400),
        (&["Host: a"], 400),
        (&["X: a\0b"], 400),
        (&["X: a\x01"], 400),
        (&["X: a\x7f"], 400),
        (&["X"], 400),
        (&[": x"], 400),
        (&["X Y: z"], 400),
        (&["X(: z"], 400),
        (&["X\u{e9}: z"], 400),
        (&["Expect: 200-ok"], 417),
    ];
    for (lines, status) in lines {
        assert_eq!(refused(&with(lines)), Some(*status), "{lines:?}");
    }
    let heads: &[(&[u8], u16)] = &[
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        (b"GET / HTTP/1.1\rHost: a\r\r\n\r\n", 400),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        (b"GET /\r\nHost: a\r\n\r\n", 400),
        (b"GET / a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ];
    for (head, status) in heads {
        assert_eq!(refused(head), Some(*status), "{}", head.escape_ascii());
    }
}

#[test]
fn sizes_are_bounded() {
    let mut many = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for _ in 0..MAX_HEADERS {
        many.extend_from_slice(b"X: a\r\n");
    }
    many.extend_from_slice(b"\r\n");
    assert_eq!(refused(&many), Some(431));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(MAX_TARGET_BYTES));
    assert_eq!(refused(long.as_bytes()), Some(414));
    let endless = vec![b'a'; http1::MAX_HEAD_BYTES];
    assert_eq!(refused(&endless), Some(431));
}

#[test]
fn good_heads_are_understood() {
    let bytes = b"\r\nPOST http://B.example:8000?x=1 HTTP/1.1\r\nHost: a\r\n\
        Expect: 100-continue\r\nContent-Length: 5\r\ncontent-length: 5\r\n\
        Connection: close, X-Hop\r\nX-Hop: 1\r\nX: \t caf\xc3\xa9 \r\n\r\nhello";
    let mut space = HeaderSpace::new();
    let (request, length) =
        parse_request(bytes, &mut HeadScanner::default(), &mut space).unwrap().unwrap();
    assert_eq!(&bytes[length..], b"hello");
    assert_eq!(request.method(), "POST");
    assert_eq!((request.target().path(), request.target().query()), ("/", Some("x=1")));
    // The authority of an absolute target counts, not `Host`.
    assert_eq!(request.authority().unwrap().as_str(), "B.example:8000");
    assert_eq!(request.body(), BodyLength::Length(5));
    assert_eq!(request.expectation(), Expectation::Continue);
    assert!(!request.persists());
    assert!(request.connection().names(request.headers(), "x-hop"));
    assert_eq!(request.header("x"), Some("café".as_bytes()));
}

#[test]
fn older_clients_are_served() {
    let parse = |bytes: &'static [u8]| {
        let mut space = HeaderSpace::new();
        let (request, _) =
            parse_request(bytes, &mut HeadScanner::default(), &mut space).unwrap().unwrap();
        (request.version(), request.persists(), request.authority().is_some())
    };
    assert_eq!(parse(b"GET / HTTP/1.0\r\n\r\n"), (Version::Http10, false, false));
    let kept = parse(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(kept, (Version::Http10, true, true));
    assert_eq!(parse(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), (Version::Http11, true, true));
}
