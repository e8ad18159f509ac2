//! Writing heads.

use std::io::Write;

use crate::fields::Header;

/// Appends one head to a buffer, line by line.
///
/// No value can end a line: control bytes in what [`Self::header`] is given are written as spaces.
#[derive(Debug)]
pub struct HeadWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> HeadWriter<'o> {
    /// Begins a request; `path` and `query` come from a parsed target or are constants.
    pub fn request(out: &'o mut Vec<u8>, method: &str, path: &str, query: Option<&str>) -> Self {
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(path.as_bytes());
        if let Some(query) = query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        Self { out }
    }

    /// Begins a response.
    pub fn response(out: &'o mut Vec<u8>, status: u16, reason: &str) -> Self {
        // Writing to a vector cannot fail.
        let _ = write!(out, "HTTP/1.1 {status} ");
        push_clean(out, reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// Goes on with a head that was begun earlier in the same buffer.
    pub fn resume(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Adds a line.
    pub fn header(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        push_clean(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a line with a number.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        let _ = write!(self.out, "{name}: {value}\r\n");
        self
    }

    /// Adds a line that was parsed, as it was.
    pub fn copy(&mut self, header: Header<'_>) -> &mut Self {
        self.out.reserve(header.name.len() + header.value.len() + 4);
        self.out.extend_from_slice(header.name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(header.value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds the empty line.
    pub fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

fn push_clean(out: &mut Vec<u8>, value: &[u8]) {
    out.extend(value.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_line() {
        let mut out = Vec::new();
        let mut writer = HeadWriter::response(&mut out, 200, "OK");
        writer.header("x", b"a\r\nset-cookie: b\0").number("content-length", 3).end();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "HTTP/1.1 200 OK\r\nx: a  set-cookie: b \r\ncontent-length: 3\r\n\r\n");
    }
}
