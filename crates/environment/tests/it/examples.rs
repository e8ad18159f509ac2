//! The repository's own examples have whole environments.

use std::path::{Path, PathBuf};

use environment::{Environment, Key, Purpose, Slot, generated};
use store::Store;

use crate::shop::Rest;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

#[test]
fn the_guestbook_gets_what_its_file_promises() {
    let directory = tempfile::tempdir().unwrap();
    let key = Key::open_or_create(&directory.path().join("key")).unwrap();
    let app = app::load(&example("guestbook")).unwrap();
    let drawn = generated::ensure(&Store::in_memory(), &key, &app, "t").unwrap();
    let rest = Rest { generated: drawn, ..Rest::default() };
    for name in app.services.keys() {
        let slot = Slot { number: 0, port: Some("8123"), runtime: Some(Path::new("/r/0")) };
        let inputs = rest.inputs(&app, Purpose::Service { name, slot });
        let environment = Environment::construct(&inputs).unwrap();
        assert_eq!(environment.get("SECRET_KEY").map(str::len), Some(64));
        assert_eq!(environment.get("GREETING"), Some("Leave a line."));
        assert_eq!(environment.get("PORT").is_some(), name == "web");
    }
    assert!(Environment::construct(&rest.inputs(&app, Purpose::ReleaseCommand)).is_ok());
}

#[test]
fn the_starters_need_nothing_set() {
    for name in ["starters/flask-tutorial", "starters/django-startproject"] {
        let app = app::load(&example(name)).unwrap();
        let rest = Rest::default();
        let slot = Slot { number: 0, port: Some("8123"), runtime: Some(Path::new("/r/0")) };
        let inputs = rest.inputs(&app, Purpose::Service { name: "web", slot });
        assert!(Environment::construct(&inputs).is_ok(), "{name}");
        assert_eq!(app.data.len(), 1, "{name}: {:?}", app.data);
    }
}
