"""Serves HTTP on $PORT and behaves as the second line of release.txt says."""
import http.server
import os
import signal
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "release.txt")) as file:
    RELEASE, BEHAVIOUR = file.read().splitlines()
HOW, _, VALUE = BEHAVIOUR.partition(":")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, location = 200, None
        body = "release %s pid %d\n" % (RELEASE, os.getpid())
        if self.path.startswith("/env/"):
            body = os.environ.get(self.path[5:], "(not set)") + "\n"
        elif self.path == "/health" and HOW == "answers":
            code, _, location = VALUE.partition(" ")
            status = int(code)
        elif HOW == "answers" and VALUE == "500":
            status = 500
        body = body.encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text, *values):
        print("request", self.path, flush=True)


def double_fork():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open(os.path.join(HERE, "data", "stray"), "w") as file:
                file.write(str(os.getpid()))
            threading.Event().wait()
        os._exit(0)


print("starting", RELEASE, flush=True)
port = int(os.environ["PORT"])
if HOW == "raises":
    print("the key is", os.environ["STRIPE_KEY"])
elif HOW == "exits":
    print("this cannot work", file=sys.stderr, flush=True)
    sys.exit(int(VALUE))
elif HOW == "silent":
    threading.Event().wait()
elif HOW == "elsewhere":
    port = int(VALUE)
elif HOW == "writes":
    with open(os.path.join(HERE, "cache.txt"), "w") as file:
        file.write("x")
elif HOW == "double-forks":
    double_fork()
elif HOW == "slow":
    # Ready when a file appears in the app's data: the test says when.
    import time

    while not os.path.exists(os.path.join(HERE, "data", VALUE)):
        time.sleep(0.02)
if HOW == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
if HOW == "crashes":
    threading.Timer(int(VALUE) / 1000, lambda: os._exit(7)).start()
server.serve_forever()
