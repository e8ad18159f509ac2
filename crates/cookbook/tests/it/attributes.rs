//! Levels of attributes: what wins, and why.

use cookbook::{Attributes, Effect, Layer, Level};
use proptest::prelude::*;
use resource::Value;

const LEVELS: [Level; 6] = [
    Level::Cookbook,
    Level::Role,
    Level::Stage,
    Level::Node,
    Level::RoleOverride,
    Level::StageOverride,
];

fn layer(level: Level, giver: &str, json: &str) -> Layer {
    let value = nodes::read_value(&format!("{giver}.json"), json, giver).unwrap();
    Layer { level, giver: giver.to_owned(), value }
}

fn json(attributes: &Attributes) -> serde_json::Value {
    attributes.merged().to_shown_json()
}

#[test]
fn across_levels_dicts_merge_and_all_else_replaces() {
    for (below, above, merged) in [
        (
            r#"{"a": {"b": 1, "c": {"d": 2}}}"#,
            r#"{"a": {"c": {"e": 3}}}"#,
            r#"{"a":{"b":1,"c":{"d":2,"e":3}}}"#,
        ),
        (r#"{"a": [1, 2]}"#, r#"{"a": [3]}"#, r#"{"a":[3]}"#),
        (r#"{"a": [1]}"#, r#"{"a": {}}"#, r#"{"a":{}}"#),
        (r#"{"a": {"b": 1}}"#, r#"{"a": 5}"#, r#"{"a":5}"#),
        (r#"{"a": 1}"#, r#"{"a": null}"#, r#"{"a":null}"#),
        (r#"{"a": 1}"#, "{}", r#"{"a":1}"#),
    ] {
        for pair in LEVELS.windows(2) {
            // Whatever order they are given in, the level decides.
            let layers = vec![layer(pair[1], "above", above), layer(pair[0], "below", below)];
            assert_eq!(json(&Attributes::new(layers)).to_string(), merged, "{below} {above}");
        }
    }
}

#[test]
fn why_tells_every_level_the_winner_first() {
    let attributes = Attributes::new(vec![
        layer(
            Level::Cookbook,
            "nginx",
            "{\n  \"nginx\": {\n    \"port\": 80, \"user\": \"www-data\"\n  }\n}",
        ),
        layer(Level::Role, "web", "{\"nginx\": {\"port\": 8080}}"),
        layer(Level::Node, "n", "{\"nginx\": {\"port\": 81}}"),
        layer(Level::StageOverride, "production", "{\"other\": 1}"),
    ]);
    let why = attributes.why("nginx.port");
    assert_eq!(why.value, Some(Value::Integer(81)));
    let said: Vec<_> =
        why.said.iter().map(|said| (said.giver.as_str(), said.line, said.effect)).collect();
    assert_eq!(
        said,
        [("n", 1, Effect::Wins), ("web", 1, Effect::Hidden), ("nginx", 3, Effect::Hidden)]
    );
    let dict = attributes.why("nginx");
    assert!(dict.said.iter().all(|said| said.effect == Effect::Merged), "{dict:?}");
    assert!(attributes.why("nginx.prot").said.is_empty());
    assert_eq!(attributes.names_beside("nginx.prot"), ["nginx.port", "nginx.user"]);
}

#[test]
fn what_is_no_dict_hides_what_is_below_it() {
    let attributes = Attributes::new(vec![
        layer(Level::Cookbook, "nginx", "{\"nginx\": {\"port\": 80}}"),
        layer(Level::Node, "n", "{\"nginx\": false}"),
    ]);
    let why = attributes.why("nginx.port");
    assert_eq!(why.value, None);
    let effects: Vec<_> = why.said.iter().map(|said| (said.giver.as_str(), said.effect)).collect();
    assert_eq!(effects, [("n", Effect::Hidden), ("nginx", Effect::Hidden)]);
}

fn any_attributes() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        (0..9_i64).prop_map(serde_json::Value::from),
        proptest::collection::vec(0..3_i64, 0..2).prop_map(serde_json::Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        proptest::collection::btree_map("[ab]", inner, 0..3)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    });
    proptest::collection::btree_map("[ab]", value, 0..3)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn the_winner_is_the_value(values in proptest::collection::vec(any_attributes(), 1..6)) {
        let layers = values.iter().zip(LEVELS);
        let layers = layers.map(|(value, level)| layer(level, level.name(), &value.to_string()));
        let attributes = Attributes::new(layers.collect());
        for path in ["a", "b", "a.a", "a.b", "b.a", "a.a.b", "b.b.b"] {
            let why = attributes.why(path);
            let winner = why.said.iter().find(|said| said.effect == Effect::Wins);
            match (&why.value, winner) {
                (None, None) => {}
                (Some(value), Some(winner)) => {
                    prop_assert_eq!(&value.to_shown_json(), &winner.value);
                }
                // A dict is everybody's.
                (Some(Value::Map(_)), None) => {
                    prop_assert!(why.said.iter().any(|said| said.effect == Effect::Merged));
                }
                other => prop_assert!(false, "{path}: {other:?}"),
            }
        }
    }

    #[test]
    fn merging_twice_is_merging_once(value in any_attributes()) {
        let text = value.to_string();
        let once = Attributes::new(vec![layer(Level::Role, "r", &text)]);
        let twice = Attributes::new(vec![layer(Level::Role, "r", &text), layer(Level::Node, "n", &text)]);
        prop_assert_eq!(json(&once), json(&twice));
    }
}
