//! Data bags, with a real age key.

use cookbook::{Codebase, DataBags};
use environment::Key;
use insta::assert_snapshot;
use proptest::prelude::*;
use report::Failure;
use resource::Value;

use crate::scene::Scene;

fn told(bags: &DataBags, bag: &str, id: &str, scene: &Scene) -> String {
    let text = Failure::from(bags.item(bag, id).unwrap_err()).to_string();
    text.replace(scene.root().parent().unwrap().to_str().unwrap(), "[TMP]")
}

#[test]
fn encrypted_values_are_secrets_and_need_their_key() {
    let scene = Scene::new();
    let (path, other) = (scene.beside("key"), scene.beside("other"));
    let key = Key::open_or_create(&path).unwrap();
    Key::open_or_create(&other).unwrap();
    let armored = key.encrypt_armored("x", b"hunter2").unwrap();
    let item = serde_json::json!({
        "id": "main", "user": "shop", "passwords": [{"encrypted": armored}], "pool": 5,
    });
    let scene = scene.file("data_bags/db/main.json", &item.to_string());
    let bags = DataBags::of(&scene.root(), path);
    let Some(Value::Map(members)) = bags.item("db", "main").unwrap() else { panic!("no item") };
    assert_eq!(members["user"], Value::text("shop"));
    let Value::List(passwords) = &members["passwords"] else { panic!("no list") };
    let Value::Secret(secret) = &passwords[0] else { panic!("no secret") };
    assert_eq!(secret.reveal(), "hunter2");
    assert!(!format!("{members:?}").contains("hunter2"));

    assert_snapshot!(told(&DataBags::of(&scene.root(), other), "db", "main", &scene), @"
    error: failed to decrypt `data_bags/db/main.json: passwords[0]`
      caused by: data_bags/db/main.json: passwords[0] was sealed with another key than the one in `[TMP]/other`
    hint: --data-key FILE    names the key that it was encrypted for
    ");
    let missing = DataBags::of(&scene.root(), scene.beside("none"));
    assert_snapshot!(told(&missing, "db", "main", &scene), @"
    error: `data_bags/db/main.json: passwords[0]` is encrypted, and there is no key at `[TMP]/none`
    hint: --data-key FILE    names the key that it was encrypted for
    ");
    assert_eq!((bags.names(), bags.ids("db")), (vec!["db".to_owned()], vec!["main".to_owned()]));
    assert_eq!(bags.item("db", "mian").unwrap(), None);
    assert_eq!(bags.item("../data_bags/db", "main").unwrap(), None);
}

#[test]
fn a_codebase_is_typed() {
    let scene = Scene::new();
    let path = scene.beside("key");
    let armored = Key::open_or_create(&path).unwrap().encrypt_armored("x", b"PRIVATE").unwrap();
    let item = serde_json::json!({
        "id": "shop", "repository": "git@x:shop.git", "deploy_key": {"encrypted": armored},
        "known_hosts": "x ssh-ed25519 AAAA",
    });
    let scene = scene
        .file("data_bags/codebases/shop.json", &item.to_string())
        .file(
            "data_bags/codebases/bad.json",
            r#"{"id": "bad", "repo": "x", "deploy_key": "PRIVATE", "ref": 5}"#,
        )
        .file("data_bags/codebases/other.json", r#"{"id": "shop", "repository": "-x"}"#);
    let bags = DataBags::of(&scene.root(), path);
    let codebase = Codebase::of(&bags.item("codebases", "shop").unwrap().unwrap()).unwrap();
    assert_eq!((codebase.app.as_str(), codebase.reference.as_str()), ("shop", "HEAD"));
    assert_eq!(codebase.deploy_key.unwrap().reveal(), "PRIVATE");
    assert_snapshot!(told(&bags, "codebases", "bad", &scene), @r#"
    error: `data_bags/codebases/bad.json` has 4 errors
     --> data_bags/codebases/bad.json:1:1
      |
    1 | {"id": "bad", "repo": "x", "deploy_key": "PRIVATE", "ref": 5}
      | ^ `repository` of a codebase is missing
     --> data_bags/codebases/bad.json:1:15
      |
    1 | {"id": "bad", "repo": "x", "deploy_key": "PRIVATE", "ref": 5}
      |               ^^^^^^ unknown key in a codebase; did you mean `repository`?
     --> data_bags/codebases/bad.json:1:28
      |
    1 | {"id": "bad", "repo": "x", "deploy_key": "PRIVATE", "ref": 5}
      |                            ^^^^^^^^^^^^ a private key has to be encrypted
     --> data_bags/codebases/bad.json:1:60
      |
    1 | {"id": "bad", "repo": "x", "deploy_key": "PRIVATE", "ref": 5}
      |                                                            ^ expected a string, found a number
    hint: age --encrypt --armor -r RECIPIENT    the recipient is in the key file's comment
    "#);
    assert_snapshot!(told(&bags, "codebases", "other", &scene), @r#"
    error: `data_bags/codebases/other.json` has 2 errors
     --> data_bags/codebases/other.json:1:8
      |
    1 | {"id": "shop", "repository": "-x"}
      |        ^^^^^^ `id` must be `other`, as the file is called
     --> data_bags/codebases/other.json:1:30
      |
    1 | {"id": "shop", "repository": "-x"}
      |                              ^^^^ expected what `git clone` takes
    "#);
}

#[test]
fn what_is_encrypted_stands_alone() {
    let scene = Scene::new().file(
        "data_bags/db/x.json",
        r#"{"id": "x", "a": {"encrypted": "hunter2"}, "b": {"encrypted": "-----BEGIN AGE ENCRYPTED FILE-----", "c": 1}}"#,
    );
    let bags = DataBags::of(&scene.root(), scene.beside("none"));
    assert_snapshot!(told(&bags, "db", "x", &scene), @r#"
    error: `data_bags/db/x.json` has 2 errors
     --> data_bags/db/x.json:1:32
      |
    1 | {"id": "x", "a": {"encrypted": "hunter2"}, "b": {"encrypted": "-----BEGIN AGE ENCRYPTED FILE-----", "c": 1}}
      |                                ^^^^^^^^^ expected what `age --encrypt --armor` writes, as a string
     --> data_bags/db/x.json:1:50
      |
    1 | {"id": "x", "a": {"encrypted": "hunter2"}, "b": {"encrypted": "-----BEGIN AGE ENCRYPTED FILE-----", "c": 1}}
      |                                                  ^^^^^^^^^^^ `encrypted` stands alone: each value is encrypted by itself
    "#);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(\\{|\\}|\\[|:|,|\"id\"|\"x\"|\"encrypted\"|\"repository\"|1| ){0,24}") {
        cookbook::fuzz_data_bag(text.as_bytes());
    }
}
