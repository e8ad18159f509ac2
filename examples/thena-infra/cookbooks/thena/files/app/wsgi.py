"""Thena: greets, and says whether it knows where its database is."""

import os


def app(environ, start_response):
    """Answers every request."""
    database = os.environ.get("DATABASE_URL")
    status = "200 OK" if database else "500 Internal Server Error"
    body = os.environ.get("GREETING", "Hello") if database else "no DATABASE_URL"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [body.encode() + b"\n"]
