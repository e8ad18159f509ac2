//! A server that binds the socket it is told by itself (`listen = "path"`), and never removes what
//! it left there.

use api::{ProcessRow, SlotPhase};
use rustix::process::{Pid, Signal, kill_process};
use testkit::wait_until;

use crate::scene::{PATIENCE, Scene};

const SERVER: &str = r#""""Serves HTTP on the unix socket $PORT."""
import http.server, os, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"pid %d" % os.getpid()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text, *values):
        pass

directory, name = os.path.split(os.environ["PORT"])
os.chdir(directory)
socketserver.ThreadingUnixStreamServer(name, Handler).serve_forever()
"#;

const APP: &str = r#"app = "shop"

[services.web]
command = "python3 serve.py"
listen = "path"
ready_timeout = "5s"

[deploy]
watch = "0s"
"#;

fn web(scene: &Scene) -> ProcessRow {
    scene.processes().into_iter().find(|row| row.service == "shop/web").unwrap()
}

#[test]
fn a_killed_server_comes_back_where_it_was() {
    for scene in [Scene::new(), Scene::of_nobody()] {
        let write = |name: &str, text| std::fs::write(scene.source.join(name), text).unwrap();
        write("serve.py", SERVER);
        write("skep.toml", APP);
        scene.up();
        let first = web(&scene).pid.unwrap();
        scene.get("/").expect(200, &format!("pid {first}"));
        kill_process(Pid::from_raw(first.cast_signed()).unwrap(), Signal::KILL).unwrap();
        let second = wait_until(PATIENCE, "the server's next life", || {
            let row = web(&scene);
            row.pid.filter(|pid| *pid != first && row.phase == SlotPhase::Ready)
        });
        scene.get("/").expect(200, &format!("pid {second}"));
        assert_eq!(web(&scene).restarts, 1);

        // And started by the agent it is the same.
        scene.run(&["stop", "shop"]).expect(0);
        scene.run(&["start", "shop"]).expect(0);
        let third = web(&scene).pid.unwrap();
        scene.get("/").expect(200, &format!("pid {third}"));
    }
}
