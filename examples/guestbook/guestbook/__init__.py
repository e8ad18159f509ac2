"""The guestbook. `create_app` makes the Flask application."""

import json
import os
import pathlib
import secrets

import flask

from . import commands, database, views

ROOT = pathlib.Path(__file__).resolve().parent.parent


def create_app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.config.update(
        # Several processes must agree on it; a key of one's own is for `flask run` alone.
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(32),
        DATABASE_URL=os.environ.get("DATABASE_URL")
        or f"sqlite:///{ROOT / 'var' / 'guestbook.sqlite3'}",
        GREETING=os.environ.get("GREETING", "Leave a line."),
        RELEASE=os.environ.get("SKEP_RELEASE", "development"),
        SESSION_COOKIE_SAMESITE="Lax",
        # A form of one name and one message.
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    database.init_app(app)
    views.init_app(app)
    commands.init_app(app)
    assets = compiled_assets(pathlib.Path(app.static_folder))

    @app.template_global()
    def asset(name: str) -> str:
        return flask.url_for("static", filename=assets.get(name, name))

    return app


def compiled_assets(static: pathlib.Path) -> dict[str, str]:
    """Returns source name → compiled name; empty before the first `python assets.py`."""
    try:
        return json.loads((static / "build" / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
