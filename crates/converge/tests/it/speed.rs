//! What a run costs that has nothing to do. No time is asserted here: `bench/` compares; what can be
//! asserted is what costs time, and that nothing of it happens.

use std::time::Instant;

use converge::{Event, RenderOptions};

use crate::scene::{Scene, declare};

#[test]
fn nothing_to_do_starts_and_writes_nothing() {
    const RESOURCES: usize = 1000;
    let scene = Scene::new();
    let all = || {
        let resources = (0..RESOURCES / 2).flat_map(|number| {
            let directory = scene.directory(&format!("d{number}")).with("mode", "0755");
            let file = declare("template", &scene.at(&format!("d{number}/file")), "create");
            let content = format!("one {number}\ntwo\nthree\n");
            [directory, file.with("content", content.as_str()).with("mode", "0644")]
        });
        let users = ["root", "daemon", "bin"].map(|name| {
            let user = declare("user", name, "create");
            if name == "root" { user.with("uid", 0) } else { user }
        });
        resources.chain(users).collect::<Vec<_>>()
    };
    scene.run(all());
    let begin = Instant::now();
    let plan = scene.plan(all());
    let planned = begin.elapsed();
    let mut began = 0;
    let mut count = |event: Event<'_>| began += usize::from(matches!(event, Event::Begins { .. }));
    let begin = Instant::now();
    let report = scene.apply_watched(&plan, &mut count).unwrap();
    let applied = begin.elapsed();
    assert_eq!((began, report.changed()), (0, 0));
    let options = RenderOptions { read_in: Some(planned), ..RenderOptions::default() };
    // For people: `cargo test -p converge --release speed -- --nocapture`.
    println!("{}planned in {planned:?}, applied in {applied:?}", plan.render(options));
}
