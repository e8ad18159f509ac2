#!/usr/bin/env python3
"""A deploy without a change, a deploy of changed code, a rollback: from the command to the answer.

usage: bench/deploy.py [ROUNDS]

Ours is `skep` on examples/guestbook. The peer is what many wire together by hand for the same app:
copy the source, `python3 -m venv`, `pip install -r` (its cache warm), build the assets, migrate,
switch a symlink, `kill -HUP` gunicorn; once with a new environment for each release, once with
one environment for all, which is faster and changes the code that runs under it. A rollback there
is the symlink and the signal. Both ends are seen alike: from the start of the command to the
first answer from the new code, asked for every 10 ms. The boot of the app alone, from the start
of gunicorn to its first answer, is measured in the same turns and by the same means.

The guestbook has a second service, which Skep replaces in the same change and which, in a deploy,
must stay up for one second before the switch; the peer has no such service and no such promise.
"""

import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import measuring
from measuring import Awaited, Figures, Installation

# No further round begins after this many seconds of them: slow machines get fewer, and say so.
BUDGET = 150.0
# An environment made anew takes so long that a few of them must do.
FRESH_ROUNDS = 2

GUNICORN = ["gunicorn", "--workers", "2", "--threads", "4", "guestbook.wsgi:app"]

# $1 release, $2 "fresh" or "shared" environment. Between git pull and restart, as usually written.
PEER_DEPLOY = """
set -eu
cp -a source "releases/$1"
cd "releases/$1"
if [ "$2" = fresh ]; then "$PYTHON" -m venv venv; else ln -s ../../venv venv; fi
venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
ln -s ../../var var
venv/bin/python assets.py >assets.log
venv/bin/flask --app guestbook migrate >migrate.log
cd ../..
ln -s "releases/$1" current.new
mv -T current.new current
[ ! -e pid ] || kill -HUP "$(cat pid)"
"""
PEER_ROLLBACK = """
set -eu
ln -s "releases/$1" current.new
mv -T current.new current
kill -HUP "$(cat pid)"
"""


def copy_guestbook(directory: pathlib.Path):
    ignored = shutil.ignore_patterns("build", "var", "__pycache__", "venv")
    shutil.copytree(measuring.ROOT / "examples" / "guestbook", directory, ignore=ignored)


def edit(directory: pathlib.Path, edition: str):
    """Changes code only: the app answers /edition with it."""
    code = (measuring.ROOT / "examples/guestbook/guestbook/wsgi.py").read_text()
    code += f'\n\n@app.get("/edition")\ndef edition():\n    return "{edition}"\n'
    (directory / "guestbook" / "wsgi.py").write_text(code)


class Ours:
    """The guestbook under Skep."""

    name = "skep"

    def __init__(self, directory: pathlib.Path, skep: Installation):
        self.skep, self.source = skep, directory / "ours"
        copy_guestbook(self.source)
        # How long the command stays to watch the new release; not part of what is measured.
        with (self.source / "skep.toml").open("a") as file:
            file.write('\n[deploy]\nwatch = "1s"\n')
        edit(self.source, "0")
        self.port = measuring.free_port()
        listen = f"127.0.0.1:{self.port}"
        skep.run("up", "--detach", "--listen", listen, cwd=self.source)
        self.steps: dict[str, list[float]] = {}

    def python(self) -> pathlib.Path:
        """Returns the interpreter that the app got, for the peer to have the same."""
        environment = next(self.skep.home.glob("artifacts/guestbook/env-*/venv/bin/python"))
        return environment.resolve()

    def change(self, edition: str, *command) -> tuple[float, float]:
        """Returns the seconds until `edition` answers, and the processor's."""
        before = self.processor()
        own = os.times()
        awaited = Awaited(self.port, "/edition", edition)
        began = time.monotonic()
        events = self.skep.run(*command, "--json", cwd=self.source)
        seen = awaited.seen()
        client = os.times()
        spent = self.processor() - before + client[2] + client[3] - own[2] - own[3]
        for event in map(json.loads, events.splitlines()):
            if event["event"] == "progress" and event["state"] == "done":
                step = self.steps.setdefault(f"{command[0]} {event['step']}", [])
                step.append(event["elapsed_ms"])
        return seen - began, spent

    def processor(self) -> float:
        return measuring.processor_seconds(self.skep.processes())


class Peer:
    """The guestbook under a script."""

    def __init__(self, directory: pathlib.Path, environment: str, python: pathlib.Path):
        self.name = f"script, {environment} environment"
        self.root, self.environment = directory / environment, environment
        self.root.mkdir()
        for name in ("releases", "var"):
            (self.root / name).mkdir()
        self.source = self.root / "source"
        copy_guestbook(self.source)
        edit(self.source, "0")
        self.variables = {
            **os.environ,
            "PYTHON": str(python),
            "SECRET_KEY": "not a secret",
            "PIP_CACHE_DIR": str(directory / "pip"),
        }
        if environment == "shared":
            self.shell([str(python), "-m", "venv", "venv"])
        self.shell(["sh", "-c", PEER_DEPLOY, "sh", "0", environment])
        self.socket = self.root / "socket"
        self.gunicorn = None

    def shell(self, command):
        subprocess.run(command, cwd=self.root, env=self.variables, check=True)

    def boot(self) -> float:
        """Starts gunicorn and returns the seconds to its first answer."""
        self.socket.unlink(missing_ok=True)
        options = ["--bind", f"unix:{self.socket}", "--pid", str(self.root / "pid")]
        options += ["--chdir", "current"]
        began = time.monotonic()
        self.gunicorn = subprocess.Popen(
            [self.root / "current/venv/bin" / GUNICORN[0], *options, *GUNICORN[1:]],
            cwd=self.root, env=self.variables,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        answers = lambda: measuring.get(self.socket, "/health")[0] == 200
        measuring.wait_for("gunicorn", answers)
        return time.monotonic() - began

    def end(self):
        if self.gunicorn and self.gunicorn.poll() is None:
            self.gunicorn.send_signal(signal.SIGTERM)
            try:
                self.gunicorn.wait(15)
            except subprocess.TimeoutExpired:
                self.gunicorn.kill()
                self.gunicorn.wait()

    def change(self, edition: str, script: str, *arguments) -> tuple[float, float]:
        before = self.processor()
        awaited = Awaited(self.socket, "/edition", edition)
        began = time.monotonic()
        self.shell(["sh", "-c", script, "sh", *arguments])
        seen = awaited.seen()
        return seen - began, self.processor() - before

    def processor(self) -> float:
        """Returns the processor time of the script's commands and of gunicorn's processes."""
        children = os.times()
        below = measuring.with_descendants([self.gunicorn.pid])
        return children[2] + children[3] + measuring.processor_seconds(below)


def time_and_processor(command, counted, **options) -> tuple[float, float]:
    before, own, began = counted(), os.times(), time.monotonic()
    command(**options)
    elapsed, after = time.monotonic() - began, os.times()
    return elapsed, counted() - before + after[2] + after[3] - own[2] - own[3]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measuring.header(f"deploys of the guestbook, {rounds} rounds in turn")
    directory = measuring.scratch()
    seconds, processor = Figures(), Figures()

    def note(what, who, measured):
        seconds.add(what, who, measured[0])
        processor.add(what, who, measured[1])

    with Installation(directory) as skep:
        ours = Ours(directory, skep)
        peers = [Peer(directory, kind, ours.python()) for kind in ("fresh", "shared")]
        shared = peers[1]
        try:
            for peer in peers:
                peer.boot()
            begun = time.monotonic()
            for turn in range(1, rounds + 1):
                if turn > FRESH_ROUNDS and time.monotonic() - begun > BUDGET:
                    break
                new, old = str(turn), str(turn - 1)
                for side in (ours, *peers):
                    edit(side.source, new)
                nothing = lambda: skep.run("deploy", cwd=ours.source)
                note("code changed", "skep", ours.change(new, "deploy"))
                for peer in peers if turn <= FRESH_ROUNDS else [shared]:
                    arguments = (PEER_DEPLOY, new, peer.environment)
                    note("code changed", peer.name, peer.change(new, *arguments))
                note("no change", "skep", time_and_processor(nothing, ours.processor))
                satisfied = ["venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
                satisfied += ["-r", "source/requirements.txt"]
                look = lambda: shared.shell(satisfied)
                note("no change", "pip install -r", time_and_processor(look, lambda: 0.0))
                note("rollback", "skep", ours.change(old, "rollback"))
                note("rollback", "symlink and HUP", shared.change(old, PEER_ROLLBACK, old))
                # Both forward again, so that the next turn's rollback has the same distance.
                ours.change(new, "rollback", "--to", f"v{3 * turn - 1}")
                shared.change(new, PEER_ROLLBACK, new)
                shared.end()
                seconds.add("app boot", "gunicorn alone", shared.boot())
                last = [f"{who} {what} {times[-1]:.2f}" for (what, who), times in seconds.values.items()]
                print(f"round {turn}: {' · '.join(last)}", flush=True)
            agent = measuring.memory_kib(skep.agent())
        finally:
            for peer in peers:
                peer.end()
    report(seconds, processor, ours, agent)


def report(seconds: Figures, processor: Figures, ours: Ours, agent: int):
    print("from the command to the end, or to the new code's first answer:")
    seconds.print("ms", 1000)
    print("processor time of the same, with the app's own boot:")
    processor.print("ms", 1000)
    print("where ours goes, medians as the command tells them:")
    for step, values in ours.steps.items():
        if not step.endswith("watch"):
            print(f"  {step:<17} {statistics.median(values):6.0f} ms")
    boot = seconds.median("app boot", "gunicorn alone")
    for what, peer, goal in (
        ("no change", "pip install -r", 0.3),
        ("code changed", "script, fresh environment", 3.0),
        ("code changed", "script, shared environment", 3.0),
        ("rollback", "symlink and HUP", 1.0),
    ):
        mine, theirs = seconds.median(what, "skep"), seconds.median(what, peer)
        beyond = mine if what == "no change" else mine - boot
        suffix = "" if what == "no change" else f" ({beyond:.2f} s beyond the app's boot)"
        print(
            f"{what}: {mine:.2f} s{suffix}, goal {goal} s; {peer} {theirs:.2f} s,"
            f" ratio {mine / theirs:.2f}"
        )
    print(f"agent after all this: RSS {agent / 1024:.1f} MiB, goal 30")
    measuring.footer()


if __name__ == "__main__":
    main()
