"""The ledger over WSGI."""
import json
import os
import time
from urllib.parse import parse_qs

from numbered import RELEASE, append, log, start_up

BROKEN = start_up()


def application(environ, start_response):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    status, body = "200 OK", ""
    if BROKEN:
        status = "500 Internal Server Error"
    elif method == "POST" and path == "/append":
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(size))["id"]
        append("ledger", body)
        time.sleep(milliseconds(environ) / 1000)
    elif path == "/slow":
        time.sleep(milliseconds(environ) / 1000)
        body = "slept\n"
    elif path == "/":
        body = "release %s pid %d\n" % (RELEASE, os.getpid())
    else:
        status = "404 Not Found"
    log("%s %s" % (method, path))
    body = body.encode()
    start_response(
        status,
        [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("X-Release", RELEASE),
            ("X-Pid", str(os.getpid())),
        ],
    )
    return [body]


def milliseconds(environ):
    return int(parse_qs(environ["QUERY_STRING"]).get("ms", ["0"])[0])
