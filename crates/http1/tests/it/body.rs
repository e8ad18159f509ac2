//! Bodies: chunks that are refused, and the round trip.

use http1::{BodyDecoder, BodyError, BodyLength, ChunkError, LAST_CHUNK, encode_chunk};

fn decode(bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let (mut data, mut total) = (Vec::new(), 0);
    loop {
        let input = &bytes[total..];
        let decoded = decoder.decode(input)?;
        data.extend_from_slice(&input[decoded.data.clone()]);
        total += decoded.consumed;
        if decoded.consumed == 0 {
            return Ok((data, total, decoder.is_done()));
        }
    }
}

#[test]
fn chunks_that_two_servers_could_read_differently_are_refused() {
    let long_line = format!("1;{}\r\n", "a".repeat(300));
    let long_trailers = format!("0\r\n{}", "a: b\r\n".repeat(2000));
    let cases: &[(&[u8], ChunkError)] = &[
        (b"+3\r\nabc\r\n", ChunkError::Size),
        (b"-3\r\n", ChunkError::Size),
        (b"0x3\r\nabc\r\n", ChunkError::Size),
        (b" 3\r\nabc\r\n", ChunkError::Size),
        (b"3 \r\nabc\r\n", ChunkError::Size),
        (b"3\t;a\r\nabc\r\n", ChunkError::Size),
        (b"\r\n", ChunkError::Size),
        (b";a\r\n", ChunkError::Size),
        (b"g\r\n", ChunkError::Size),
        (b"1_0\r\n", ChunkError::Size),
        (b"0000000000000003\r\nabc\r\n", ChunkError::Size),
        (b"ffffffffffffffff\r\n", ChunkError::Size),
        (b"3\nabc\r\n", ChunkError::LineEnd),
        (b"3\rabc\r\n", ChunkError::LineEnd),
        (b"3;a\nabc\r\n", ChunkError::LineEnd),
        (b"3;a\0b\r\nabc\r\n", ChunkError::LineEnd),
        (b"3\r\nabcd\r\n", ChunkError::DataEnd),
        (b"3\r\nabc\n0\r\n\r\n", ChunkError::DataEnd),
        (b"3\r\nabc\rx", ChunkError::DataEnd),
        (b"3\r\nabc0\r\n\r\n", ChunkError::DataEnd),
        (b"0\r\n\n", ChunkError::Trailer),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", ChunkError::Trailer),
        (b"0\r\na : b\r\n\r\n", ChunkError::Trailer),
        (b"0\r\na: b\n\r\n", ChunkError::Trailer),
        (b"0\r\n folded\r\n\r\n", ChunkError::Trailer),
        (b"0\r\n\rx", ChunkError::Trailer),
        (long_line.as_bytes(), ChunkError::LineTooLong),
        (long_trailers.as_bytes(), ChunkError::Trailer),
    ];
    for (bytes, error) in cases {
        let shown = bytes[..bytes.len().min(40)].escape_ascii();
        assert_eq!(decode(bytes), Err(BodyError::Chunk(*error)), "{shown}");
    }
}

#[test]
fn extensions_and_trailers_are_dropped_and_what_follows_is_left() {
    let bytes = b"5;name=\"v\"\r\nhello\r\n00A\r\n0123456789\r\n0;x\r\nT: v\r\nU:\r\n\r\nGET /";
    let (data, consumed, done) = decode(bytes).unwrap();
    assert_eq!(data, b"hello0123456789");
    assert!(done);
    assert_eq!(&bytes[consumed..], b"GET /");
}

#[test]
fn what_is_encoded_decodes() {
    let mut out = Vec::new();
    for piece in [&b"a"[..], b"", &[b'x'; 5000]] {
        encode_chunk(&mut out, piece);
    }
    out.extend_from_slice(LAST_CHUNK);
    let (data, consumed, done) = decode(&out).unwrap();
    assert_eq!((data.len(), consumed, done), (5001, out.len(), true));
}

#[test]
fn a_connection_that_ends_early_is_noticed() {
    let mut decoder = BodyDecoder::new(BodyLength::Length(4));
    assert_eq!(decoder.decode(b"abc").unwrap().consumed, 3);
    assert_eq!(decoder.end_of_connection(), Err(BodyError::Truncated));
    assert_eq!(decoder.decode(b"defg").unwrap().data, 0..1);
    assert!(decoder.is_done());
    let decoder = BodyDecoder::new(BodyLength::UntilClose);
    assert!(!decoder.is_done());
    assert_eq!(decoder.end_of_connection(), Ok(()));
}
