//! The machine's own bad days: no space, files of another version.

#![allow(clippy::print_stderr, reason = "what could not be tested is said")]

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use api::Overview;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use testkit::wait_for;

use crate::scene::{PATIENCE, Rest, Scene, TinyApp, assert_says, is_root};

/// A small filesystem below a home.
struct SmallDisk<'a> {
    scene: &'a Scene,
    path: PathBuf,
}

impl<'a> SmallDisk<'a> {
    /// Mounts one of so many megabytes where the home will be; `None` where one may not mount.
    fn under(scene: &'a Scene, megabytes: u32) -> Option<Self> {
        let path = scene.home.home().root().to_owned();
        std::fs::create_dir_all(&path).unwrap();
        let options = std::ffi::CString::new(format!("size={megabytes}m,mode=0711")).unwrap();
        match mount("tmpfs", &path, "tmpfs", MountFlags::NOSUID, options.as_c_str()) {
            Ok(()) => Some(Self { scene, path }),
            Err(errno) => {
                eprintln!("not tested, failed to mount a small disk: {errno}");
                None
            }
        }
    }

    fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        for failure in self.scene.home.stop() {
            eprintln!("{failure}");
        }
        // Lazily: what is still open goes with whoever has it open.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_stops_a_deploy_and_nothing_else() {
    if !is_root() {
        // Mounting one needs root.
        return;
    }
    let scene = Scene::new();
    let Some(disk) = SmallDisk::under(&scene, 60) else { return };
    let good = TinyApp::new("shop");
    good.write(&scene.source);
    scene.up();
    let rest = Rest::with(&scene, &[("shop", 1)]);

    // Known before anything is built: twice the source does not fit.
    let large = scene.source.join("large.bin");
    let bytes = disk.free_bytes() * 2 / 3;
    std::fs::write(&large, vec![7; bytes as usize]).unwrap();
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["not enough space", "MB free", "MB needed", "df -h"]);
    assert!(scene.releases("shop").len() == 1);
    rest.wait(&scene);
    std::fs::remove_file(&large).unwrap();

    // Not known before: a build step that writes without end.
    good.with_section("[build]\nsteps = [\"cat /dev/zero > assets.bin\"]")
        .released("two")
        .write(&scene.source);
    let output = scene.run(&["deploy"]).expect(1);
    assert_says(&output, &["build step", "No space left on device"]);
    rest.wait(&scene);
    scene.get("/").expect(200, "release one");

    // The app itself fills it: whatever the agent can still do, v1 serves, and afterwards all is
    // well again.
    let filler = scene.home.home().root().join("filler");
    let _ = std::fs::write(&filler, vec![0; disk.free_bytes() as usize + 4096]);
    good.released("three").write(&scene.source);
    let output = scene.run(&["deploy"]);
    assert_ne!(output.code, Some(0), "{output}");
    assert_says(&output, &["space"]);
    scene.get("/").expect(200, "release one");
    std::fs::remove_file(&filler).unwrap();
    scene.run(&["deploy"]).expect(0);
    scene.get("/").expect(200, "release three");
    let number = scene.current("shop").unwrap();
    Rest::with(&scene, &[("shop", number)]);
}

/// A deploy's end that cannot be written is written later: nobody has to restart the agent.
#[test]
fn an_end_that_cannot_be_written_is_written_when_there_is_space() {
    if !is_root() {
        // Mounting a small disk needs root.
        return;
    }
    let scene = Scene::new();
    let Some(_disk) = SmallDisk::under(&scene, 60) else { return };
    let good = TinyApp::new("shop");
    good.write(&scene.source);
    scene.up();
    let slow = TinyApp { web: "ready_timeout = \"100s\"".into(), ..good.behaving("slow:go") };
    slow.write(&scene.source);
    let mut deploy = scene.start(&["deploy", "--json"]);
    deploy.wait_for_stdout(PATIENCE, "0 of 1 ready");
    let filler = scene.home.home().root().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    // To the last byte: the store needs little.
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);
    deploy.signal(2);
    assert_ne!(deploy.finish(PATIENCE).code, Some(0));
    let problems = || scene.json::<Overview>(&["agent:status"]).problems;
    wait_for(PATIENCE, "a problem that is told", || {
        let told = problems();
        let is_told = told.iter().any(|text| text.contains("the end of its deploy"));
        if is_told { Ok(()) } else { Err(format!("{told:?}")) }
    });
    scene.get("/").expect(200, "release one");

    std::fs::remove_file(&filler).unwrap();
    good.released("two").write(&scene.source);
    scene.run(&["deploy"]).expect(0);
    scene.get("/").expect(200, "release two");
    wait_for(PATIENCE, "problems that are solved", || {
        let told = problems();
        if told.is_empty() { Ok(()) } else { Err(format!("{told:?}")) }
    });
    let number = scene.current("shop").unwrap();
    Rest::with(&scene, &[("shop", number)]);
}

#[test]
fn state_of_a_newer_version_is_left_alone() {
    let good = TinyApp::new("shop");
    let scene = Scene::serving(&good);
    let home = scene.home.home();
    scene.run(&["agent:stop"]).expect(0);

    let format = std::fs::read_to_string(home.format_file()).unwrap();
    std::fs::write(home.format_file(), format.replace("skep-home 1", "skep-home 2")).unwrap();
    for words in [&["ps"][..], &["deploy"], &["up", "--detach"], &["agent:run"]] {
        let output = scene.run(words);
        assert_eq!(output.code, Some(64), "{words:?}: {output}");
        assert_says(&output, &["format 2", "newer `skep`"]);
    }
    // What runs does not care.
    scene.get("/").expect(200, "release one");
    std::fs::write(home.format_file(), &format).unwrap();

    // The store's own version is at byte 60 of the file, see sqlite.org/fileformat.html.
    let mut store = std::fs::File::options().read(true).write(true).open(home.store()).unwrap();
    let mut version = [0; 4];
    store.seek(SeekFrom::Start(60)).unwrap();
    store.read_exact(&mut version).unwrap();
    assert_eq!(u32::from_be_bytes(version), 1);
    store.seek(SeekFrom::Start(60)).unwrap();
    store.write_all(&2_u32.to_be_bytes()).unwrap();
    let output = scene.run(&["agent:run"]).expect(64);
    assert_says(&output, &["store.db", "newer `skep`"]);
    let output = scene.run(&["ps"]);
    assert_ne!(output.code, Some(0), "{output}");
    assert_says(&output, &["newer"]);
    // What the command says of it, `doctor` says too.
    let examined = scene.run(&["doctor"]).expect(1);
    assert!(examined.stdout.contains("newer `skep`"), "{examined}");
    scene.get("/").expect(200, "release one");
    store.seek(SeekFrom::Start(60)).unwrap();
    store.write_all(&version).unwrap();
    drop(store);

    // Back with the old files: whoever needs the agent does not wait until its shim tries again.
    scene.run(&["ps"]).expect(0);
    scene.run(&["deploy"]).expect(0);
    Rest::with(&scene, &[("shop", 1)]);
}
