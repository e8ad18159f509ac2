//! Values go into the language and come back as they were.

use proptest::prelude::*;
use report::Secret;
use resource::Value;

use crate::scene::Scene;

fn any_text() -> impl Strategy<Value = String> {
    // The last private plane stands for secrets.
    ".{0,8}".prop_map(|text| text.chars().filter(|c| u32::from(*c) < 0x10_0000).collect())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::Float),
        any_text().prop_map(Value::text),
        any_text().prop_map(|text| Value::Secret(Secret::new(text))),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::btree_map(any_text(), inner, 0..4).prop_map(Value::Map),
        ]
    })
}

/// Returns what a recipe keeps of an attribute.
fn kept(expression: &str, value: &Value) -> Value {
    let mut scene = Scene::of(&format!("anything('x', value = {expression})"));
    let attributes = [("v".to_owned(), Value::List(vec![value.clone()]))];
    scene.attributes = Value::Map(attributes.into());
    scene.value()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_comes_back(value in any_value()) {
        prop_assert_eq!(kept("attr('v')", &value), Value::List(vec![value]));
    }

    #[test]
    fn text_that_is_made_of_a_secret_is_that_text(text in any_text(), around in any_text()) {
        let value = Value::List(vec![Value::text(&around), Value::Secret(Secret::new(text.clone()))]);
        let made = kept("'%s|%s|%s' % (attr('v')[0][0], attr('v')[0][1], attr('v')[0][0])", &value);
        prop_assert_eq!(made, Value::Secret(Secret::new(format!("{around}|{text}|{around}"))));
    }
}

#[test]
fn characters_that_stand_for_secrets_are_refused() {
    let mut scene = Scene::of("anything('x', value = attr('v'))");
    scene.attributes = Value::Map([("v".to_owned(), Value::text("\u{10FF00}"))].into());
    assert!(scene.wrong().contains("stands for secrets"));
    let literal = Scene::of("anything('x', value = 'a\u{10FF00}b')").wrong();
    assert!(literal.contains("a part of a secret"), "{literal}");
}

#[test]
fn nesting_is_bounded() {
    let deep = "v = 1\nfor i in range(70):\n    v = [v]\nanything('x', value = v)";
    assert!(Scene::of(deep).wrong().contains("nested deeper than 64 levels"));
    let endless = "v = []\nv.append(v)\nanything('x', value = v)";
    assert!(Scene::of(endless).wrong().contains("nested deeper than 64 levels"));
}
