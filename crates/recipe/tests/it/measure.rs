//! How long evaluations take: `cargo test -p recipe --release -- --ignored --nocapture measure`.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use crate::scene::Scene;

/// Evaluations of which the fastest and the median are told.
const ROUNDS: usize = 50;

fn measure(what: &str, scene: &Scene) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            scene.right();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{what}: fastest {:?}, median {:?}", times[0], times[ROUNDS / 2]);
}

#[test]
#[ignore = "a measurement, which judges nothing"]
fn measure_evaluations() {
    measure("nothing", &Scene::of(""));
    let line = |number: usize| {
        format!(
            "file('/etc/app/{number}.conf', content = 'port = %d\\n' % attr('nginx.port'), mode = '0644')\n"
        )
    };
    let written: String = (0..1000).map(line).collect();
    measure("1,000 files, each written", &Scene::of(&written));
    let looped = r#"
load(":lib.star", "site")
nginx = package("nginx")
svc = system_service("nginx", after = [nginx])
for number in range(500):
    site("site%d" % number, svc)
"#;
    let library = r#"
def site(name, svc):
    root = file("/srv/%s" % name, mode = "0755", owner = "deploy")
    template("/etc/nginx/%s.conf" % name, source = "site.j2", vars = {"name": name, "root": "/srv/" + name},
             mode = "0644", after = [root], notifies = reload(svc), only_if = exists("/etc/nginx"))
"#;
    let template = "server {\n  listen {{ node.nginx.port }};\n  server_name {% for host in node.nginx.hosts %}\
                    {{ name }}.{{ host }} {% endfor %};\n  root {{ root }};\n}\n";
    let sites =
        Scene::of(looped).file("web/lib.star", library).file("web/templates/site.j2", template);
    measure("1,002 resources, 500 of them templates, by a custom resource", &sites);
}
