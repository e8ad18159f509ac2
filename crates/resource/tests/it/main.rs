//! Lists of resources and checks of properties, with two small kinds.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use report::Secret;
use resource::{
    Action, Declaration, ListProblem, Notification, Place, Properties, Property, PropertyProblem,
    RecipeName, Relations, ResourceId, ResourceList, Schema, Shape, Thing, Timing, Value,
};

static FILE: Schema = Schema {
    kind: "file",
    summary: "A file.",
    idempotence: "",
    undo: "",
    named: "path",
    actions: &[Action { name: "create", text: "" }],
    properties: &[
        Property { name: "path", shape: Shape::Path, required: true, secret: false, text: "" },
        Property {
            name: "content",
            shape: Shape::Content,
            required: false,
            secret: true,
            text: "",
        },
        Property { name: "mode", shape: Shape::Mode, required: false, secret: false, text: "" },
        Property { name: "owner", shape: Shape::Text, required: false, secret: false, text: "" },
    ],
    relations: |file| {
        let path = PathBuf::from(Properties(file).named(&FILE));
        let owner = Properties(file).text("owner").map(|owner| Thing::User(owner.to_owned()));
        let parent = path.parent().map(|parent| Thing::Path(parent.to_owned()));
        Relations {
            provides: vec![Thing::Path(path.clone())],
            needs: parent.into_iter().chain(owner).collect(),
        }
    },
};

static USER: Schema = Schema {
    kind: "user",
    summary: "A user.",
    idempotence: "",
    undo: "",
    named: "user",
    actions: &[Action { name: "create", text: "" }, Action { name: "remove", text: "" }],
    properties: &[
        Property { name: "user", shape: Shape::Text, required: true, secret: false, text: "" },
        Property {
            name: "groups",
            shape: Shape::ListOf(&Shape::Text),
            required: false,
            secret: false,
            text: "",
        },
        Property { name: "shell", shape: Shape::Path, required: true, secret: false, text: "" },
    ],
    relations: |user| Relations {
        provides: vec![Thing::User(Properties(user).named(&USER).to_owned())],
        needs: Vec::new(),
    },
};

fn schema(kind: &str) -> Option<&'static Schema> {
    [&FILE, &USER].into_iter().find(|schema| schema.kind == kind)
}

fn declare(kind: &str, name: &str, line: usize) -> Declaration {
    let place = Place { file: "recipes/default.star".into(), line, column: 1 };
    let id = ResourceId::new(kind, name);
    Declaration::new(id, "create", RecipeName::new("web", "default"), place)
}

fn file(path: &str, line: usize) -> Declaration {
    declare("file", path, line)
}

fn names(declarations: Vec<Declaration>) -> Result<Vec<String>, String> {
    let list = ResourceList::new(declarations, schema).map_err(|problem| problem.to_string())?;
    Ok(list.entries().iter().map(|entry| entry.declaration.id.name.clone()).collect())
}

#[test]
fn what_is_needed_comes_first_and_the_rest_stays_in_order() {
    let order = names(vec![
        file("/z", 1),
        file("/srv/app/config", 2).with("owner", "deploy"),
        file("/a", 3),
        file("/srv/app", 4),
        declare("user", "deploy", 5).with("shell", "/bin/sh"),
        file("/srv", 6),
    ]);
    assert_eq!(order.unwrap(), ["/z", "/a", "deploy", "/srv", "/srv/app", "/srv/app/config"]);
}

#[test]
fn the_nearest_directory_above_is_needed() {
    let list = ResourceList::new(vec![file("/srv/a/b/c", 1), file("/srv", 2)], schema).unwrap();
    assert_eq!(list.entries()[1].needs, [0]);
    assert_eq!(list.position(&ResourceId::new("file", "/srv")), Some(0));
}

#[test]
fn the_same_resource_twice_is_one_with_two_owners() {
    let mut again = file("/etc/motd", 9).with("mode", "0644");
    again.recipe = RecipeName::new("base", "default");
    let first = file("/etc/motd", 1).with("mode", "0644");
    let list = ResourceList::new(vec![first.clone(), again.clone()], schema).unwrap();
    assert_eq!(list.entries().len(), 1);
    assert_eq!(list.entries()[0].owners.len(), 2);
    assert_eq!(
        names(vec![first, again.with("mode", "0600")]).unwrap_err(),
        "file[/etc/motd] is declared twice, with different properties: at \
         recipes/default.star:1:1 and at recipes/default.star:9:1"
    );
}

#[test]
fn two_names_for_one_path_are_refused() {
    let error = names(vec![file("/etc/motd", 1), file("motd", 2).with("path", "/etc/motd")]);
    assert!(error.unwrap_err().contains("both manage `/etc/motd`"));
}

#[test]
fn names_that_nobody_declares_are_refused_with_what_was_meant() {
    let mut lost = file("/etc/motd", 1);
    lost.after.push(ResourceId::new("user", "depoly"));
    let user = declare("user", "deploy", 2).with("shell", "/bin/sh");
    assert_eq!(
        names(vec![lost, user.clone()]).unwrap_err(),
        "file[/etc/motd] (recipes/default.star:1:1) names user[depoly], which nothing declares; \
         did you mean user[deploy]?"
    );
    let mut asking = file("/etc/motd", 1);
    let (action, target) = ("restart".to_owned(), user.id.clone());
    asking.notifies.push(Notification { action, target, timing: Timing::Delayed });
    assert!(names(vec![asking, user]).unwrap_err().contains("which a user cannot"));
}

#[test]
fn a_circle_names_two_lines() {
    let mut one = file("/a", 1);
    one.after.push(ResourceId::new("file", "/b"));
    let mut two = file("/b", 2);
    two.after.push(ResourceId::new("file", "/c"));
    let mut three = file("/c", 3);
    three.after.push(ResourceId::new("file", "/a"));
    let problem = ResourceList::new(vec![file("/0", 9), one, two, three], schema).unwrap_err();
    assert!(matches!(problem, ListProblem::Circle { .. }), "{problem}");
    assert_eq!(
        problem.to_string(),
        "file[/a] (recipes/default.star:1:1) and file[/b] (recipes/default.star:2:1) each need \
         the other first, through file[/c]"
    );
}

#[test]
fn properties_are_checked() {
    let refused = |declaration: Declaration| {
        let schema = schema(&declaration.id.kind).unwrap();
        schema.check(&declaration).unwrap_err().to_string()
    };
    let file = || file("/etc/motd", 1);
    assert_eq!(FILE.check(&file().with("mode", "0644").with("content", "x")), Ok(()));
    assert_eq!(
        refused(file().with("contnet", "x")),
        "file has no `contnet`; did you mean `content`?"
    );
    assert_eq!(
        refused(file().with("mode", "rw")),
        "`mode` of file must be permissions such as `\"0644\"`, not `rw`"
    );
    assert_eq!(
        refused(declare("file", "etc/motd", 1)),
        "`path` of file must be an absolute path without `..`, not `etc/motd`"
    );
    assert_eq!(refused(declare("user", "deploy", 1)), "user needs `shell`");
    let user = || declare("user", "deploy", 1).with("shell", "/bin/sh");
    assert_eq!(
        refused(user().with("groups", vec![Value::Integer(1)])),
        "`groups` of user must be a list, each text that is not empty, not `1`"
    );
    assert_eq!(USER.check(&user().with("groups", "www-data")), Ok(()));
    let unknown = Declaration { action: "destroy".into(), ..user() };
    assert_eq!(refused(unknown), "user cannot `destroy`; it can `create`, `remove`");
}

#[test]
fn secrets_go_only_where_they_are_kept() {
    let secret = || Value::Secret(Secret::new("hunter2"));
    let mut written = file("/etc/token", 1);
    written.properties.insert("content".into(), secret());
    assert_eq!(FILE.check(&written), Ok(()));
    assert!(written.is_sensitive() && !format!("{written:?}").contains("hunter2"));
    assert_eq!(Properties(&written).content("content"), Some(b"hunter2".as_slice()));
    let mut owned = file("/etc/token", 1);
    owned.properties.insert("owner".into(), secret());
    let refused = PropertyProblem::Secret { kind: "file", property: "owner" };
    assert_eq!(FILE.check(&owned), Err(refused));
}

proptest! {
    /// Whatever is declared in whatever order: what is needed comes first, nothing is lost, and
    /// ordering again changes nothing.
    #[test]
    fn order_holds(paths in proptest::collection::btree_set("(/[ab]){1,4}", 1..12), seed in any::<u64>()) {
        let mut paths: Vec<String> = paths.into_iter().collect();
        let count = paths.len();
        for index in (1..count).rev() {
            paths.swap(index, (seed.rotate_left(index as u32) % (index as u64 + 1)) as usize);
        }
        let declared = paths.iter().enumerate().map(|(line, path)| file(path, line + 1)).collect();
        let list = ResourceList::new(declared, schema).unwrap();
        prop_assert_eq!(list.entries().len(), count);
        let position = |path: &Path| {
            list.entries().iter().position(|entry| Path::new(&entry.declaration.id.name) == path)
        };
        for (index, entry) in list.entries().iter().enumerate() {
            for above in Path::new(&entry.declaration.id.name).ancestors().skip(1) {
                prop_assert!(position(above).is_none_or(|above| above < index));
            }
            prop_assert!(entry.needs.iter().all(|need| *need < index));
        }
        let again = list.entries().iter().map(|entry| entry.declaration.clone()).collect();
        let again = ResourceList::new(again, schema).unwrap();
        let ids = |list: &ResourceList| -> Vec<ResourceId> {
            list.entries().iter().map(|entry| entry.declaration.id.clone()).collect()
        };
        prop_assert_eq!(ids(&list), ids(&again));
    }
}
