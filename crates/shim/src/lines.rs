//! Cuts what came out of a pipe into lines; pure.

use logs::MAX_LINE_BYTES;

/// What to do with bytes behind the last line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Leave them in the pipe: the rest of the line is still to come.
    Keep,
    /// Take them as the beginning of a line that goes on.
    Continues,
    /// Take them as a line: nothing more will come.
    Ends,
}

/// Gives each whole line of `bytes` to `sink`, without its line end and with whether it goes on in
/// the next one; returns how many bytes were used up.
///
/// `bytes` are at most [`MAX_LINE_BYTES`]; so many without a line end are always used up, as the
/// beginning of a line that goes on.
pub(crate) fn split(bytes: &[u8], tail: Tail, sink: &mut dyn FnMut(&[u8], bool)) -> usize {
    let mut used = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[used..]) {
        sink(&bytes[used..used + length], false);
        used += length + 1;
    }
    let rest = &bytes[used..];
    if rest.is_empty() {
        return used;
    }
    match tail {
        Tail::Keep if rest.len() < MAX_LINE_BYTES => return used,
        Tail::Keep | Tail::Continues => sink(rest, true),
        Tail::Ends => sink(rest, false),
    }
    bytes.len()
}

/// Cuts arbitrary bytes into lines in every way; for fuzzing.
#[doc(hidden)]
pub fn fuzz_lines(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
    for tail in [Tail::Keep, Tail::Continues, Tail::Ends] {
        let mut total = 0;
        let mut open = 0;
        let used = split(bytes, tail, &mut |line, partial| {
            total += line.len() + 1;
            open += usize::from(partial);
        });
        // Each line has an end, but maybe the last.
        assert!(used <= bytes.len() && total <= used + 1 && open <= 1);
        assert!(tail == Tail::Keep || used == bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collect(bytes: &[u8], tail: Tail) -> (Vec<(Vec<u8>, bool)>, usize) {
        let mut lines = Vec::new();
        let used = split(bytes, tail, &mut |line, partial| lines.push((line.to_vec(), partial)));
        (lines, used)
    }

    #[test]
    fn tails_are_kept_or_taken() {
        let a = (b"a".to_vec(), false);
        assert_eq!(collect(b"a\nbc", Tail::Keep), (vec![a.clone()], 2));
        assert_eq!(
            collect(b"a\nbc", Tail::Continues),
            (vec![a.clone(), (b"bc".to_vec(), true)], 4)
        );
        assert_eq!(collect(b"a\nbc", Tail::Ends), (vec![a, (b"bc".to_vec(), false)], 4));
        assert_eq!(collect(b"\n\n", Tail::Keep).0.len(), 2);
        assert_eq!(collect(b"", Tail::Ends), (vec![], 0));
    }

    #[test]
    fn a_line_without_end_is_cut_at_the_longest_record() {
        let long = vec![b'x'; MAX_LINE_BYTES];
        let (lines, used) = collect(&long, Tail::Keep);
        assert_eq!((lines.len(), lines[0].1, used), (1, true, MAX_LINE_BYTES));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_doubled(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) {
            let (lines, used) = collect(&bytes, Tail::Keep);
            let again: Vec<u8> = lines.iter().flat_map(|(line, _)| line.iter().copied().chain([b'\n'])).collect();
            prop_assert_eq!(&again, &bytes[..used]);
            prop_assert!(!bytes[used..].contains(&b'\n'));
            fuzz_lines(&bytes);
        }
    }
}
