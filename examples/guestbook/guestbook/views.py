"""The pages."""

import datetime

import flask
from sqlalchemy import func, select

from . import database
from .database import Entry, Tally

SHOWN = 50
LONGEST_NAME = 60
LONGEST_MESSAGE = 2_000

pages = flask.Blueprint("pages", __name__)


def init_app(app: flask.Flask) -> None:
    app.register_blueprint(pages)


@pages.get("/")
def index():
    with database.reading() as session:
        return flask.render_template(
            "index.html",
            entries=database.newest(session, SHOWN),
            total=session.scalar(select(func.count(Entry.id))),
            words=session.scalar(select(func.coalesce(func.sum(Tally.words), 0))),
            name=flask.session.get("name", ""),
            longest_name=LONGEST_NAME,
            longest_message=LONGEST_MESSAGE,
        )


@pages.post("/entries")
def write():
    name = flask.request.form.get("name", "").strip()[:LONGEST_NAME]
    message = flask.request.form.get("message", "").strip()[:LONGEST_MESSAGE]
    if not name or not message:
        flask.abort(400, "An entry needs a name and a message.")
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)
    with database.writing() as session, session.begin():
        session.add(Entry(name=name, message=message, created_at=now))
    flask.session["name"] = name
    return flask.redirect(flask.url_for("pages.index"), 303)


@pages.get("/health")
def health():
    """Healthy means: the database answers and has the shape this code was written for."""
    wanted = database.available()[-1][0]
    found = database.version()
    status = "ok" if found >= wanted else f"migrations missing: {found} of {wanted}"
    answer = {"status": status, "release": flask.current_app.config["RELEASE"]}
    return answer, 200 if status == "ok" else 503
