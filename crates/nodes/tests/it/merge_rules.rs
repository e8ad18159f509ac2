//! The merge rules, held for any groups.

use std::collections::BTreeSet;

use nodes::merge::{Depth, merge};
use nodes::{Fact, NodesFile, explain, parse};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// Any attribute: what JSON can say, three levels deep.
fn attribute() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "[a-zé\"\\\\]{0,4}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Json> {
    prop::collection::btree_map("[a-d]", attribute(), 0..5)
        .prop_map(|map| Json::Object(map.into_iter().collect()))
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-c]{1,2}", 0..4)
}

/// Any group with keys of each kind of the rules.
fn group() -> impl Strategy<Value = Json> {
    (
        prop::option::of("[a-z]{0,3}"),
        prop::option::of(texts()),
        prop::option::of(texts()),
        prop::option::of(texts()),
        prop::option::of(attributes()),
        prop::option::of(any::<bool>().prop_map(Json::from).boxed().or(attributes())),
    )
        .prop_map(|(region, run, post, security, attributes, packer)| {
            let mut keys = Map::new();
            let mut put = |key: &str, value: Option<Json>| {
                value.and_then(|value| keys.insert(key.to_owned(), value));
            };
            put("region", region.map(Json::from));
            put("run_list", run.map(Json::from));
            put("post_run_list", post.map(Json::from));
            put("security_groups", security.map(Json::from));
            put("default_attributes", attributes);
            put("packer", packer);
            Json::Object(keys)
        })
}

trait Or: Strategy<Value = Json> + Sized + 'static {
    fn or(self, other: impl Strategy<Value = Json> + 'static) -> BoxedStrategy<Json> {
        prop_oneof![self, other].boxed()
    }
}

impl<S: Strategy<Value = Json> + 'static> Or for S {}

fn file(base: &Json, own: &Json, depth: Depth) -> NodesFile {
    let merge = if depth == Depth::All { "deep" } else { "level-1" };
    let text = json!({"settings": {"merge": merge}, "__base__": base, "web": own}).to_string();
    parse("nodes.json", &text).unwrap_or_else(|errors| panic!("{}", report::Failure::from(errors)))
}

fn resolved(base: &Json, own: &Json, depth: Depth) -> Json {
    let web = file(base, own, depth).group("web").unwrap();
    let keys = web.keys.iter().map(|(key, value)| (key.clone(), value.to_json()));
    Json::Object(keys.collect())
}

/// The rules once more, in the words of the manual.
fn expected(base: &Json, own: &Json, depth: Depth) -> Json {
    fn dict(base: &Map<String, Json>, own: &Map<String, Json>, depth: Depth) -> Json {
        let mut result = base.clone();
        for (key, value) in own {
            let value = match (base.get(key), value, depth) {
                (Some(Json::Object(base)), Json::Object(own), Depth::All) => dict(base, own, depth),
                _ => value.clone(),
            };
            result.insert(key.clone(), value);
        }
        Json::Object(result)
    }
    let mut result = base.as_object().unwrap().clone();
    for (key, value) in own.as_object().unwrap() {
        let value = match (base.get(key), value) {
            (Some(Json::Array(base)), Json::Array(own)) => {
                [base.clone(), own.clone()].concat().into()
            }
            (Some(Json::Object(base)), Json::Object(own)) => dict(base, own, depth),
            _ => value.clone(),
        };
        result.insert(key.clone(), value);
    }
    Json::Object(result)
}

/// Returns what `explain` says, without origins.
fn told(facts: &[Fact]) -> BTreeSet<(String, String)> {
    facts.iter().map(|fact| (fact.path.clone(), fact.value.to_string())).collect()
}

/// Every path to a value that `explain` must know, from the value itself.
fn leaves(path: &str, value: &Json, top: bool, found: &mut BTreeSet<(String, String)>) {
    match value {
        Json::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                leaves(&format!("{path}.{key}"), value, false, found);
            }
        }
        Json::Array(items) if top && !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                found.insert((format!("{path}[{index}]"), item.to_string()));
            }
        }
        _ => {
            found.insert((path.to_owned(), value.to_string()));
        }
    }
}

fn value(json: &Json) -> nodes::Value {
    let text = json!({"web": {"default_attributes": {"x": json}}}).to_string();
    let web = parse("nodes.json", &text).unwrap().group("web").unwrap();
    web.keys["default_attributes"].get("x").unwrap().clone()
}

/// Values of one shape, so that nothing of another type is ever in the way.
fn shaped() -> impl Strategy<Value = Json> {
    let leaves = prop::collection::btree_map("[a-d]", any::<i64>().prop_map(Json::from), 0..4)
        .prop_map(|map| Json::Object(map.into_iter().collect()));
    prop::collection::btree_map("[a-d]", leaves, 0..4)
        .prop_map(|map| Json::Object(map.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_result_is_what_the_rules_say(base in group(), own in group()) {
        for depth in [Depth::One, Depth::All] {
            prop_assert_eq!(resolved(&base, &own, depth), expected(&base, &own, depth));
        }
    }

    #[test]
    fn nothing_is_the_identity(group in group()) {
        for depth in [Depth::One, Depth::All] {
            prop_assert_eq!(&resolved(&json!({}), &group, depth), &group);
            prop_assert_eq!(&resolved(&group, &json!({}), depth), &group);
        }
    }

    #[test]
    fn both_depths_agree_where_no_dict_is_in_a_dict(base in texts(), own in texts()) {
        let group = |texts: &[String]| json!({"run_list": texts, "default_attributes": {"a": texts}});
        let (base, own) = (group(&base), group(&own));
        prop_assert_eq!(resolved(&base, &own, Depth::One), resolved(&base, &own, Depth::All));
    }

    #[test]
    fn lists_keep_their_order_and_post_comes_last(base in group(), own in group()) {
        let web = file(&base, &own, Depth::One).group("web").unwrap();
        let list = |group: &Json, key: &str| -> Vec<String> {
            let items = group.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
            items.iter().map(|item| format!("recipe[{}]", item.as_str().unwrap())).collect()
        };
        let steps: Vec<String> = web.run_list().iter().map(|step| step.item.to_string()).collect();
        let expected = [
            list(&base, "run_list"),
            list(&own, "run_list"),
            list(&base, "post_run_list"),
            list(&own, "post_run_list"),
        ];
        prop_assert_eq!(steps, expected.concat());
    }

    #[test]
    fn every_value_has_its_origin(base in group(), own in group()) {
        for depth in [Depth::One, Depth::All] {
            let web = file(&base, &own, depth).group("web").unwrap();
            let facts = explain(&web);
            let mut wanted = BTreeSet::new();
            for (key, value) in &web.keys {
                leaves(key, &value.to_json(), true, &mut wanted);
            }
            let dicts = |(_, value): &(String, String)| value.starts_with('{') && value != "{}";
            let told: BTreeSet<_> = told(&facts).into_iter().filter(|fact| !dicts(fact)).collect();
            prop_assert_eq!(told, wanted);
            for fact in &facts {
                let giver = if &*fact.origin.group == "web" { &own } else { &base };
                let key = fact.path.split(['.', '[']).next().unwrap();
                prop_assert!(giver.get(key).is_some(), "{}", fact.path);
                prop_assert!(fact.hides.iter().all(|hidden| &*hidden.origin.group == "__base__"));
            }
        }
    }

    #[test]
    fn whatever_a_child_replaces_it_hides(base in attribute(), own in attribute()) {
        let (parent, child) = (value(&base), value(&own));
        let both_lists = base.is_array() && own.is_array();
        let both_dicts = base.is_object() && own.is_object();
        let merged = merge(parent, child, Depth::One);
        if both_lists || both_dicts {
            prop_assert!(merged.hides.is_none());
        } else {
            prop_assert_eq!(merged.to_json(), own);
            prop_assert_eq!(merged.hides.unwrap().to_json(), base);
        }
    }

    #[test]
    fn merging_is_associative_where_types_agree(a in shaped(), b in shaped(), c in shaped()) {
        for depth in [Depth::One, Depth::All] {
            let left = merge(merge(value(&a), value(&b), depth), value(&c), depth);
            let right = merge(value(&a), merge(value(&b), value(&c), depth), depth);
            prop_assert_eq!(left.to_json(), right.to_json());
        }
    }
}

#[test]
fn merging_is_not_associative_where_a_type_comes_between() {
    let [a, b, c] = [json!([1]), json!("x"), json!([2])].map(|json| value(&json));
    let left = merge(merge(a.clone(), b.clone(), Depth::One), c.clone(), Depth::One);
    let right = merge(a, merge(b, c, Depth::One), Depth::One);
    assert_eq!(left.to_json(), json!([2]));
    assert_eq!(right.to_json(), json!([1, 2]));
}
