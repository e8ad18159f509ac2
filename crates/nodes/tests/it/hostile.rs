//! Files that nobody means well with.

use nodes::{
    Facts, MAX_DEPTH, MAX_FILE_BYTES, MAX_ITEMS, fuzz_generated_lock, fuzz_nodes_json,
    fuzz_nodes_toml, fuzz_role_json, lint, parse,
};
use proptest::prelude::*;

use crate::groups::{JSON, TOML};

#[test]
fn nesting_is_bounded() {
    for depth in [MAX_DEPTH + 1, 100, 400, 10_000] {
        let json = format!(
            "{{\"web\": {{\"default_attributes\": {{\"x\": {}{}}}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let toml =
            format!("[web]\ndefault_attributes.x = {}{}", "[".repeat(depth), "]".repeat(depth));
        for (file, text) in [("nodes.json", json), ("nodes.toml", toml)] {
            let errors = parse(file, &text).unwrap_err();
            assert!(!errors.excerpts.is_empty(), "{file} {depth}");
        }
    }
    let deep = "{\"a\":".repeat(MAX_DEPTH - 3) + "1" + &"}".repeat(MAX_DEPTH - 3);
    parse("nodes.json", &format!("{{\"web\": {{\"default_attributes\": {deep}}}}}")).unwrap();
}

#[test]
fn size_is_bounded() {
    let text = " ".repeat(MAX_FILE_BYTES as usize + 1);
    assert_eq!(parse("nodes.json", &text).unwrap_err().excerpts[0].label, "larger than 512 KiB");
}

/// One line of half a megabyte: a position must not cost a walk over all of it.
#[test]
fn a_long_line_is_read() {
    let items = "\"recipe[a]\",".repeat(MAX_ITEMS);
    let groups: String = (0..35)
        .map(|n| format!("\"g{n}\": {{\"run_list\": [{}]}},", items.trim_end_matches(',')))
        .collect();
    let text = format!("{{{}}}", groups.trim_end_matches(','));
    let nodes = parse("nodes.json", &text).unwrap();
    let last = nodes.group("g34").unwrap().run_list().pop().unwrap();
    assert_eq!(last.origin.position.column, text.rfind("\"recipe").unwrap() + 1);
    // All but the first of each list run early.
    assert_eq!(lint(&nodes, &Facts::default()).len(), 35 * (MAX_ITEMS - 1));
}

#[test]
fn lists_are_bounded() {
    let items = "\"a\",".repeat(MAX_ITEMS + 1);
    let text = format!("[web]\nsecurity_groups = [{items}]\n");
    let errors = parse("nodes.toml", &text).unwrap_err();
    assert_eq!(errors.excerpts[0].label, format!("more than {MAX_ITEMS} items"));
}

/// Cuts, doubles and replaces parts of a good file.
fn mutated(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let bytes = text.as_bytes();
    let place = 0..bytes.len();
    (place.clone(), place, prop::collection::vec(any::<u8>(), 0..4)).prop_map(move |(a, b, new)| {
        let (start, end) = (a.min(b), a.max(b));
        if new.is_empty() {
            return [bytes, &bytes[start..end]].concat();
        }
        let end = if new.len() == 1 { start + 1 } else { end };
        [&bytes[..start], &new, &bytes[end..]].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop_oneof![mutated(JSON), mutated(TOML), prop::collection::vec(any::<u8>(), 0..64)]) {
        fuzz_nodes_json(&bytes);
        fuzz_nodes_toml(&bytes);
        fuzz_role_json(&bytes);
        fuzz_generated_lock(&bytes);
    }
}
