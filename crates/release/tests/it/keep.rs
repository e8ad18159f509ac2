//! Data that outlives releases, and releases that are let go.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use disk::Lock;
use release::retention::collect;
use release::{Artifacts, Seed, seed_data};

use crate::fixture::{Place, REQUIREMENT, Source, app, data, identity};

#[test]
fn data_is_seeded_once_and_belongs_to_the_app() {
    use Seed::{Copied, Created, Kept, Left};

    let place = Place::new();
    let source = Source::new();
    source.write("media/a/b.jpg", "jpg");
    source.write("db.sqlite3", "rows");
    source.write("db.sqlite3-wal", "wal");
    let mut app = app("shop");
    app.data = ["media", "db.sqlite3", "uploads", "deep/er", "later.db"].map(data).into();
    let directory = place.home.data("shop");
    let seed = || -> Vec<Seed> {
        seed_data(&app, None, Some(source.path()), &directory, &identity())
            .unwrap()
            .into_iter()
            .map(|seeded| seeded.what)
            .collect()
    };
    assert_eq!(seed(), [Copied, Copied, Created, Created, Left]);
    assert_eq!(fs::read_to_string(directory.join("media/a/b.jpg")).unwrap(), "jpg");
    assert_eq!(fs::read_to_string(directory.join("db.sqlite3-wal")).unwrap(), "wal");
    let owner = match identity() {
        release::Identity::User(user) => user.uid,
        release::Identity::Same => rustix::process::geteuid().as_raw(),
    };
    for entry in walkdir::WalkDir::new(&directory) {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), owner, "{}", entry.path().display());
    }

    fs::write(directory.join("db.sqlite3"), "the app's own").unwrap();
    source.write("db.sqlite3", "newer in the source");
    source.write("media/new.jpg", "");
    assert_eq!(seed(), [Kept, Kept, Kept, Kept, Left]);
    assert_eq!(fs::read_to_string(directory.join("db.sqlite3")).unwrap(), "the app's own");
    assert!(!directory.join("media/new.jpg").exists());
    assert_eq!(fs::read_dir(place.home.app("shop")).unwrap().count(), 1, "no copy is left");
}

#[test]
fn seeding_never_follows_a_link_of_the_apps() {
    let place = Place::new();
    let source = Source::new();
    source.write("deep/x.txt", "x");
    let outside = Source::new();
    let mut app = app("shop");
    let directory = place.home.data("shop");
    seed_data(&app, None, None, &directory, &identity()).unwrap();
    symlink(outside.path(), directory.join("deep")).unwrap();
    app.data = vec![data("deep/x.txt")];
    seed_data(&app, None, Some(source.path()), &directory, &identity()).unwrap_err();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.home.app("shop")).unwrap().count(), 1, "no copy is left");
}

#[test]
fn what_is_leased_stays_and_what_killed_builds_left_goes() {
    let place = Place::new();
    let source = Source::new();
    let app = app("shop");
    let mut built = Vec::new();
    for requirements in [REQUIREMENT, "packaging\n", "packaging\n", ""] {
        source.write("requirements.txt", requirements);
        source.write("n", &built.len().to_string());
        built.push(place.build(&app, &source).unwrap().0);
    }
    let artifacts = Artifacts::of(&place.home, "shop");
    let environment = |n: usize| &built[n].environment.as_ref().unwrap().directory;
    assert_eq!(environment(1), environment(2));
    fs::create_dir(artifacts.directory().join(".stage-0123")).unwrap();
    fs::create_dir(artifacts.directory().join(".new-0123")).unwrap();

    // A process of the first release still runs; the third is wanted.
    let lease = Lock::try_shared(&built[0].lease).unwrap().unwrap();
    let keep = BTreeSet::from([built[2].id]);
    let collected = collect(&artifacts, &keep).unwrap();
    assert_eq!(collected.in_use, [built[0].id.short()]);
    let mut gone = vec![built[1].id.short(), built[3].id.short()];
    gone.sort();
    assert_eq!(collected.removed, gone);
    assert!(environment(0).exists() && environment(1).exists());
    assert_eq!(place.leftovers("shop"), [""; 0]);
    built[0].verify().unwrap();
    built[2].verify().unwrap();

    drop(lease);
    let collected = collect(&artifacts, &keep).unwrap();
    assert!(collected.removed.contains(&built[0].id.short()) && collected.freed_bytes > 0);
    assert!(!environment(0).exists() && environment(2).exists());
    assert_eq!(artifacts.lookup(&built[2].build_key).as_ref(), Some(&built[2]));
    assert_eq!(artifacts.lookup(&built[0].build_key), None);
    assert_eq!(collect(&artifacts, &keep).unwrap().removed, [""; 0]);
}

#[test]
fn nothing_goes_while_the_app_is_built() {
    let place = Place::new();
    let source = Source::new();
    source.write("a", "");
    let (artifact, _) = place.build(&app("shop"), &source).unwrap();
    let artifacts = Artifacts::of(&place.home, "shop");
    let builder = Lock::try_exclusive(&artifacts.directory().join(".lock")).unwrap().unwrap();
    assert!(collect(&artifacts, &BTreeSet::new()).unwrap().skipped);
    source.write("a", "b");
    let error = place.build(&app("shop"), &source).unwrap_err();
    assert_eq!(report::Failure::from(error).kind, report::Kind::Locked);
    drop(builder);
    artifact.verify().unwrap();
}
