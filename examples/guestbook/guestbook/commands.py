"""`flask migrate` and `flask tally`."""

import os
import signal
import threading

import click
import flask
from sqlalchemy import delete, select

from . import database
from .database import Entry, Tally

KEPT_ENTRIES = 10_000
# How many entries one round counts: a transaction that writes keeps the others waiting.
ROUND_LIMIT = 500


def init_app(app: flask.Flask) -> None:
    app.cli.add_command(migrate)
    app.cli.add_command(tally)


@click.command()
@flask.cli.with_appcontext
def migrate() -> None:
    """Bring the database to the shape this code needs."""
    for name in database.migrate():
        click.echo(f"applied {name}")
    click.echo(f"database at version {database.version()}")


@click.command()
@click.option("--interval", default=float(os.environ.get("TALLY_INTERVAL", 5)), show_default=True)
@flask.cli.with_appcontext
def tally(interval: float) -> None:
    """Count the words of new entries and drop the oldest, until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    rounds = 0
    while not stop.is_set():
        rounds += 1
        counted, dropped, kept = count()
        click.echo(f"tally {rounds}: {counted} counted, {dropped} dropped, {kept} kept")
        stop.wait(interval)
    click.echo(f"tally: stopped after round {rounds}")


def count() -> tuple[int, int, int]:
    with database.writing() as session, session.begin():
        uncounted = select(Entry).where(~select(Tally).where(Tally.entry_id == Entry.id).exists())
        new = session.scalars(uncounted.order_by(Entry.id).limit(ROUND_LIMIT)).all()
        session.add_all(Tally(entry_id=e.id, words=len(e.message.split())) for e in new)
        keep = select(Entry.id).order_by(Entry.id.desc()).limit(KEPT_ENTRIES)
        session.flush()
        dropped = session.execute(delete(Entry).where(Entry.id.not_in(keep))).rowcount
        kept = len(session.scalars(keep).all())
    return len(new), dropped, kept
