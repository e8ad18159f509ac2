//! Which layer wins, what is refused, and that an explanation is what processes get.

use std::collections::{BTreeMap, BTreeSet};

use app::model::Variable;
use environment::operator::Change;
use environment::{
    ConstructError, Environment, Generated, Layer, Purpose, Redaction, RefusalReason, Row,
    Variables,
};
use proptest::prelude::*;
use report::Secret;

use crate::shop::{self, Rest};

fn operator(pairs: &[(&str, &str)]) -> Variables {
    let changes: Vec<Change> = pairs
        .iter()
        .map(|(name, value)| Change { name: (*name).to_owned(), value: Some(Secret::new(*value)) })
        .collect();
    Variables::default().with(&changes, "ada", "2026-01-02T03:04:05Z").unwrap()
}

fn layers(environment: &Environment, name: &str) -> Vec<Layer> {
    let rows = environment.rows().iter();
    rows.filter(|row| row.name == name).map(|row| row.layer).collect()
}

#[test]
fn every_layer_is_explained_and_the_highest_is_in_force() {
    let mut app = shop::app();
    app.env.insert("PATH".into(), shop::default("/app-file"));
    app.env.get_mut("PATH").unwrap().generate_bytes = Some(8);
    let web = app.services.get_mut("web").unwrap();
    web.env.insert("PATH".into(), "/service".into());
    web.command = shop::command(&[("PATH", "/words")]);
    let drawn = Generated { value: Secret::new("/drawn"), at: "2026-01-01T00:00:00Z".into() };
    let rest = Rest {
        generated: BTreeMap::from([("PATH".to_owned(), drawn)]),
        operator: operator(&[("PATH", "/operator")]),
    };
    let environment = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap();
    assert_eq!(environment.get("PATH"), Some("/operator"));
    let rows: Vec<(Layer, &str, &str)> = environment
        .rows()
        .iter()
        .filter(|row| row.name == "PATH")
        .map(|row| (row.layer, row.value.reveal(), row.source.as_str()))
        .collect();
    assert_eq!(
        rows,
        [
            (
                Layer::Base,
                "/h/artifacts/shop/1/environment/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:\
                 /usr/bin:/sbin:/bin",
                "skep"
            ),
            (Layer::AppFile, "/app-file", "skep.toml [env]"),
            (Layer::Service, "/service", "skep.toml [services.web.env]"),
            (Layer::Service, "/words", "skep.toml, command of web"),
            (Layer::Generated, "/drawn", "drawn by skep, skep.toml [env] PATH"),
            (Layer::Operator, "/operator", "skep env:set"),
        ]
    );
    let last = environment.effective().find(|row| row.name == "PATH").unwrap();
    assert_eq!(last.who.as_deref(), Some("ada"));
    assert_eq!(last.at.as_deref(), Some("2026-01-02T03:04:05Z"));
}

#[test]
fn the_profile_fills_in_the_slots_places() {
    let app = shop::app();
    let rest = Rest::default();
    let environment = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap();
    assert_eq!(environment.get("PORT"), Some("8123"));
    assert_eq!(environment.get("XDG_RUNTIME_DIR"), Some("/r/0"));
    assert_eq!(environment.get("FORWARDED_ALLOW_IPS"), Some("*"));
    assert_eq!(environment.get("SKEP_SERVICE"), Some("web"));
    assert_eq!(environment.get("SKEP_RELEASE"), Some("v14"));
    let port = environment.effective().find(|row| row.name == "PORT").unwrap();
    assert_eq!(port.layer, Layer::Profile);
    assert!(port.source.starts_with("gunicorn: "), "{}", port.source);
}

#[test]
fn each_purpose_sees_its_own_layers() {
    let mut app = shop::app();
    app.env.insert("DEBUG".into(), shop::default("0"));
    app.services.get_mut("web").unwrap().env.insert("WEB".into(), "1".into());
    app.services.get_mut("web").unwrap().command = shop::command(&[("WORD", "1")]);
    app.release.command = Some(shop::command(&[("MIGRATE", "1")]));
    let rest = Rest { operator: operator(&[("REGION", "eu")]), ..Rest::default() };
    let names = |purpose| -> BTreeSet<String> {
        let environment = Environment::construct(&rest.inputs(&app, purpose)).unwrap();
        let ours = ["DEBUG", "WEB", "WORD", "MIGRATE", "REGION", "PORT", "SKEP_SLOT"];
        let names = environment.variables().into_iter().map(|(name, _)| name);
        names.filter(|name| ours.contains(&name.as_str())).collect()
    };
    let expected = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let all: BTreeSet<String> = expected(&["DEBUG", "PORT", "REGION", "SKEP_SLOT", "WEB", "WORD"]);
    assert_eq!(names(shop::web_slot()), all);
    assert_eq!(names(Purpose::ReleaseCommand), expected(&["DEBUG", "MIGRATE", "REGION"]));
    assert_eq!(names(Purpose::OneOff { service: None }), expected(&["DEBUG", "REGION"]));
    let one_off = Purpose::OneOff { service: Some("web") };
    assert_eq!(names(one_off), expected(&["DEBUG", "REGION", "WEB"]));
}

#[test]
fn a_required_variable_may_come_from_any_layer() {
    let mut app = shop::app();
    let required = Variable {
        required: true,
        about: Some("where the database is".into()),
        ..Variable::default()
    };
    app.env.insert("DATABASE_URL".into(), required);
    let rest = Rest::default();
    let error = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap_err();
    let shell = BTreeSet::from(["DATABASE_URL".to_owned()]);
    assert_eq!(
        error.failure(&shell).to_string(),
        "error: `DATABASE_URL` is not set for shop, service web needs it\n  \
         DATABASE_URL  where the database is\n                \
         Your shell has it; Skep never passes your shell's variables on.\n\
         hint: skep env:set DATABASE_URL=…"
    );

    let rest = Rest { operator: operator(&[("DATABASE_URL", "")]), ..Rest::default() };
    assert!(Environment::construct(&rest.inputs(&app, shop::web_slot())).is_ok());

    app.services.get_mut("web").unwrap().env.insert("DATABASE_URL".into(), "sqlite://".into());
    let rest = Rest::default();
    assert!(Environment::construct(&rest.inputs(&app, shop::web_slot())).is_ok());
    assert!(matches!(
        Environment::construct(&rest.inputs(&app, Purpose::ReleaseCommand)),
        Err(ConstructError::Missing(_))
    ));
}

#[test]
fn the_app_file_cannot_set_what_skep_says() {
    let mut app = shop::app();
    app.services.get_mut("web").unwrap().command = shop::command(&[("PORT", "5000")]);
    let rest = Rest::default();
    let error = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap_err();
    assert!(matches!(
        &error,
        ConstructError::Refused { refusal, .. }
            if matches!(refusal.reason, RefusalReason::Reserved { .. })
    ));
    assert_eq!(
        error.failure(&BTreeSet::new()).to_string(),
        "error: skep.toml, command of web sets a variable that cannot be set\n  \
         caused by: failed to set `PORT`: Skep itself sets it\n\
         hint: a port of your own choice is `listen = \"tcp:5200\"` of the service"
    );
}

#[test]
fn an_environment_that_does_not_fit_a_control_frame_is_refused() {
    let mut app = shop::app();
    for number in 0..3 {
        app.env.insert(format!("BLOB_{number}"), shop::default(&"x".repeat(100 * 1024)));
    }
    let rest = Rest::default();
    let error = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap_err();
    assert!(matches!(error, ConstructError::TooLarge { .. }), "{error}");
}

#[test]
fn an_unknown_service_has_no_environment() {
    let app = shop::app();
    let rest = Rest::default();
    let purpose = Purpose::OneOff { service: Some("queue") };
    let error = Environment::construct(&rest.inputs(&app, purpose)).unwrap_err();
    assert_eq!(error.to_string(), "shop has no service `queue`");
}

#[test]
fn secrets_are_masked_in_lists_and_taken_out_of_texts() {
    let mut app = shop::app();
    app.env.insert("DEBUG".into(), shop::default("0"));
    app.env.insert("PIN".into(), Variable { secret: true, ..Variable::default() });
    let url = "postgres://shop:hunter2hunter2@db/shop";
    let rest = Rest {
        operator: operator(&[("PIN", "12345678"), ("DB", url), ("REGION", "eu-west")]),
        ..Rest::default()
    };
    let environment = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap();
    let row = |name: &str| environment.effective().find(|row| row.name == name).unwrap();
    let shown = |name: &str| (row(name).secret, row(name).masked());
    assert_eq!(shown("PIN"), (true, true));
    assert_eq!(shown("DB"), (true, true));
    assert_eq!(shown("REGION"), (false, true));
    assert_eq!(shown("DEBUG"), (false, false));
    assert!(!format!("{environment:?}").contains("hunter2"), "Debug shows a secret");

    let text = format!("connecting to {url} with pin 12345678 in eu-west");
    assert_eq!(
        Redaction::of(&environment).apply(&text),
        "connecting to •••••• with pin •••••• in eu-west"
    );
}

/// Names that collide often, some with what lower layers set.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("PATH".to_owned()),
        Just("LANG".to_owned()),
        Just("FORWARDED_ALLOW_IPS".to_owned()),
        "[A-C]",
    ]
}

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(name(), "[a-z:/@•]{0,12}", 0..5)
}

proptest! {
    /// The reference is written the other way round: from the highest layer down.
    #[test]
    fn the_highest_layer_that_sets_a_name_wins(
        file in pairs(), own in pairs(), words in pairs(), drawn in pairs(), set in pairs(),
    ) {
        let mut app = shop::app();
        for (name, value) in &file {
            app.env.insert(name.clone(), shop::default(value));
        }
        for name in drawn.keys() {
            app.env.entry(name.clone()).or_default().generate_bytes = Some(8);
        }
        let web = app.services.get_mut("web").unwrap();
        web.env.clone_from(&own);
        let all: Vec<(&str, &str)> = words.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        web.command = shop::command(&all);
        let changes: Vec<(&str, &str)> = set.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let generated = |value: &String| Generated { value: Secret::new(value), at: String::new() };
        let rest = Rest {
            generated: drawn.iter().map(|(n, v)| (n.clone(), generated(v))).collect(),
            operator: operator(&changes),
        };
        let environment = Environment::construct(&rest.inputs(&app, shop::web_slot())).unwrap();
        let bare_app = shop::app();
        let bare = Rest::default();
        let bare = Environment::construct(&bare.inputs(&bare_app, shop::web_slot())).unwrap();

        let variables = environment.variables();
        prop_assert!(variables.is_sorted_by(|a, b| a.0 < b.0), "each name once, in order");
        for (name, value) in &variables {
            let expected = [&set, &drawn, &words, &own, &file]
                .into_iter()
                .find_map(|layer| layer.get(name).map(String::as_str))
                .or_else(|| bare.get(name));
            prop_assert_eq!(Some(value.as_str()), expected);

            let rows: Vec<&Row> = environment.rows().iter().filter(|r| r.name == *name).collect();
            prop_assert_eq!(rows.last().unwrap().value.reveal(), value.as_str());
            prop_assert!(rows.is_sorted_by_key(|row| row.layer));
        }
        for layer in [&set, &drawn, &words, &own, &file] {
            for name in layer.keys() {
                prop_assert!(environment.get(name).is_some());
            }
        }
        let operators = layers(&environment, "A").contains(&Layer::Operator);
        prop_assert_eq!(operators, set.contains_key("A"));
    }
}
