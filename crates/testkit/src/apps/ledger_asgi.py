"""The ledger over ASGI."""
import asyncio
import json
import os
from urllib.parse import parse_qs

from numbered import RELEASE, append, log, start_up

BROKEN = start_up()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    method, path = scope["method"], scope["path"]
    status, body = 200, ""
    if BROKEN:
        status = 500
    elif method == "POST" and path == "/append":
        body = json.loads(await read(receive))["id"]
        append("ledger", body)
        await asyncio.sleep(milliseconds(scope) / 1000)
    elif path == "/slow":
        await asyncio.sleep(milliseconds(scope) / 1000)
        body = "slept\n"
    elif path == "/":
        body = "release %s pid %d\n" % (RELEASE, os.getpid())
    else:
        status = 404
    log("%s %s" % (method, path))
    body = body.encode()
    headers = {
        "content-type": "text/plain",
        "content-length": str(len(body)),
        "x-release": RELEASE,
        "x-pid": str(os.getpid()),
    }
    headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def milliseconds(scope):
    return int(parse_qs(scope["query_string"].decode()).get("ms", ["0"])[0])


async def read(receive):
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the request ended early")
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
