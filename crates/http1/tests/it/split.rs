//! However the bytes are split, the result is the same.

use http1::{HeadScanner, HeaderSpace, fuzz_request, fuzz_response, parse_request};
use proptest::prelude::*;

/// Reads a head from bytes that come in pieces; describes what was found.
fn read(bytes: &[u8], cuts: &[usize]) -> String {
    let mut scanner = HeadScanner::default();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    for end in ends {
        let mut space = HeaderSpace::new();
        match parse_request(&bytes[..end], &mut scanner, &mut space) {
            Ok(None) => {}
            Ok(Some((request, length))) => {
                let headers: Vec<_> = request.headers().collect();
                return format!(
                    "{} {:?} {:?} {:?} {headers:?} {length}",
                    request.method(),
                    request.target(),
                    request.authority(),
                    request.body()
                );
            }
            Err(error) => return format!("{error}"),
        }
    }
    "incomplete".to_owned()
}

/// Heads that are nearly right.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.0\r\n",
        "GET http://x/ HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "X: y\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "\0",
        "é",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    // A failure is kept as a named test, not as a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_head_does_not_depend_on_the_split(
        bytes in head(),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(read(&bytes, &cuts), read(&bytes, &[]));
    }

    #[test]
    fn a_good_head_does_not_depend_on_the_split(
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        value in "[ -~]{0,40}",
    ) {
        let bytes = format!("PUT /p?q HTTP/1.1\r\nHost: a\r\nX: {value}\r\nContent-Length: 9\r\n\r\n");
        let whole = read(bytes.as_bytes(), &[]);
        prop_assert!(whole.starts_with("PUT"), "{}", whole);
        prop_assert_eq!(read(bytes.as_bytes(), &cuts), whole);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_request(&bytes);
        fuzz_response(&bytes);
    }

    #[test]
    fn nearly_right_bytes_neither(bytes in head()) {
        fuzz_request(&bytes);
        fuzz_response(&bytes);
    }
}
