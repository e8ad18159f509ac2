//! `cargo xtask demo --check`: what a new user does in a first hour, unattended.
//!
//! In an installation and with a copy of the app that exist for this run only; whatever happens,
//! Ctrl-C included, both are gone afterwards, with every process that was started.

use crate::demo;
use crate::http;
use crate::interrupt;
use crate::needs;
use crate::place::Place;
use crate::session::Session;
use crate::step::{Stop, Tried, announce, both, expect, say};

const TEMPLATE: &str = "guestbook/templates/index.html";
const WSGI: &str = "guestbook/wsgi.py";

pub(crate) fn run() -> Result<(), Stop> {
    needs::for_apps()?;
    let place = Place::find()?;
    let uv = needs::uv(&place.tools())?;
    let skep = demo::build(&place)?;
    interrupt::listen();
    let session = Session::begin(&place, skep, uv)?;
    let result = whole_life(&session);
    both(result, session.end())?;
    say("demo: everything worked, nothing was left behind");
    Ok(())
}

fn whole_life(session: &Session) -> Result<(), Stop> {
    let Session { app, address, .. } = session;
    let directory = app.to_string_lossy();

    announce("first deploy");
    session.skep(&["up", &directory, "--detach", "--listen", address])?;
    session.page("Nobody yet.")?;

    announce("sign the guestbook");
    let answer =
        http::post(address, "/entries", "name=Ada&message=first").tried("post an entry")?;
    expect(answer.status == 303, || format!("POST /entries was answered {}", answer.status))?;
    session.page("first")?;
    session.skep(&["ps", "guestbook"])?;

    announce("nothing changed, nothing is built");
    session.skep(&["deploy", &directory])?;

    announce("change the app, deploy");
    session.edit(TEMPLATE, "<h1>Guestbook</h1>", "<h1>Second edition</h1>")?;
    session.skep(&["deploy", &directory])?;
    session.page("Second edition")?;
    session.page("first")?;

    announce("break the app, deploy: refused, the old one still serves");
    session.edit(WSGI, "app = create_app()", "raise RuntimeError('broken on purpose')")?;
    session.skep_fails(&["deploy", &directory], 1, "broken on purpose")?;
    session.page("Second edition")?;
    session.edit(WSGI, "raise RuntimeError('broken on purpose')", "app = create_app()")?;

    announce("roll back");
    session.skep(&["rollback", "guestbook"])?;
    session.page("<h1>Guestbook</h1>")?;
    session.page("first")?;

    announce("a variable");
    session.skep(&["env:set", "guestbook", "GREETING=Hello from the check."])?;
    session.page("Hello from the check.")?;

    announce("look around");
    session.skep(&["releases", "guestbook"])?;
    let logs = session.skep(&["logs", "guestbook/tally", "-n", "100"])?;
    expect(logs.contains("tally 1:"), || "the tally service's first line is not there".into())?;

    announce("down, and away");
    session.skep(&["down", "guestbook"])?;
    expect(http::get(address, "/").is_err_or_unavailable(), || {
        format!("something still answers on {address} after `skep down`")
    })?;
    session.skep(&["app:remove", "guestbook", "--yes"])?;
    let apps = session.skep(&["apps", "--json"])?;
    expect(!apps.contains("guestbook"), || "the app is still listed after its removal".into())
}

trait Unavailable {
    fn is_err_or_unavailable(&self) -> bool;
}

impl Unavailable for std::io::Result<http::Answer> {
    /// The proxy may keep its listener and say that nobody is there.
    fn is_err_or_unavailable(&self) -> bool {
        self.as_ref().map_or(true, |answer| matches!(answer.status, 404 | 503))
    }
}
