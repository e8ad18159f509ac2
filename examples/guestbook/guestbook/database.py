"""SQLite through SQLAlchemy, and the numbered migrations.

Transactions are begun by us, not by the driver: its implicit ones leave DDL outside, and a
transaction that writes must say so at its beginning (`BEGIN IMMEDIATE`), or two of them can wait
for each other until one fails.
"""

import datetime
import pathlib
import sqlite3

import flask
from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 10_000


class Base(DeclarativeBase):
    pass


class Entry(Base):
    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[datetime.datetime]


class Tally(Base):
    """What the tally service has counted; an entry without a row is not counted yet."""

    __tablename__ = "tallies"

    entry_id: Mapped[int] = mapped_column(ForeignKey("entries.id"), primary_key=True)
    words: Mapped[int]


def init_app(app: flask.Flask) -> None:
    app.extensions["engine"] = connect(app.config["DATABASE_URL"])


def connect(url: str) -> Engine:
    database = make_url(url).database
    if database and database != ":memory:":
        pathlib.Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def prepare(connection, _record):
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection):
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def engine() -> Engine:
    return flask.current_app.extensions["engine"]


def reading() -> Session:
    return Session(engine())


def writing() -> Session:
    return Session(engine().execution_options(writes=True))


def available() -> list[tuple[int, pathlib.Path]]:
    """Returns the migrations by number, lowest first."""
    return sorted((int(path.name.split("_")[0]), path) for path in MIGRATIONS.glob("*.sql"))


def version() -> int:
    with engine().connect() as connection:
        return connection.exec_driver_sql("PRAGMA user_version").scalar_one()


def migrate() -> list[str]:
    """Applies what is missing, each file in a transaction of its own; returns their names."""
    with engine().connect() as connection:
        connection.rollback()
        # Readers go on while a writer writes; kept in the file, so it is set once.
        connection.connection.driver_connection.execute("PRAGMA journal_mode = WAL")
    applied = []
    for number, path in available():
        with engine().execution_options(writes=True).begin() as connection:
            # Asked inside the transaction: of two commands at once, one finds nothing to do.
            if connection.exec_driver_sql("PRAGMA user_version").scalar_one() >= number:
                continue
            for statement in statements(path.read_text(encoding="utf-8")):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"PRAGMA user_version = {number}")
            applied.append(path.stem)
    return applied


def statements(sql: str) -> list[str]:
    found, pending = [], ""
    for line in sql.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    if pending.strip():
        raise ValueError(f"a statement without its end: {pending.strip()}")
    return found


def newest(session: Session, limit: int) -> list[Entry]:
    return list(session.scalars(select(Entry).order_by(Entry.id.desc()).limit(limit)))
