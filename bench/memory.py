#!/usr/bin/env python3
"""What an installation keeps in memory beside the processes of its apps.

usage: bench/memory.py [SERVICES]

One app with several services that write lines all the time, so that logs are written and rotated
and shims work; then a few deploys and many questions to the agent. The peers supervise the same
commands: supervisord (one Python process for all), runit (one small C process for each).

A shim's *private memory* is `Anonymous` of /proc/PID/smaps_rollup: pages that exist for this one
process, its heap, stack and written data. The rest of its RSS is the program's file in the page
cache, one copy for all shims of a machine and clean: the kernel drops it when memory is short.
RSS counts that copy once in each shim; PSS divides it by the number of those who map it.
"""

import contextlib
import pathlib
import signal
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import measuring
from measuring import Installation

# What a service does: a few lines a second, most of the time asleep.
COMMAND = """#!/bin/sh
while :; do echo "a line of the log, about as long as many lines are"; sleep 0.2; done
"""
# How often the app is deployed again.
DEPLOYS = 3
# How often the agent is asked for something.
QUESTIONS = 20


def fields(pid: int) -> tuple[int, int, int]:
    return tuple(measuring.memory_kib(pid, name) for name in ("Rss", "Pss", "Anonymous"))


def show(name: str, pids):
    rows = [fields(pid) for pid in pids]
    rss, pss, private = (statistics.median(column) for column in zip(*rows))
    print(
        f"  {name:<28} {len(rows):>2} × RSS {rss / 1024:6.2f} MiB,"
        f" PSS {pss / 1024:6.2f} MiB, private {private:6.0f} KiB"
    )
    return rss, private


def main():
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    measuring.header(f"memory of an installation with {services} services")
    directory = measuring.scratch()
    source = directory / "source"
    source.mkdir()
    command = source / "speak"
    command.write_text(COMMAND)
    command.chmod(0o755)
    text = 'app = "many"\n[deploy]\nwatch = "0s"\n'
    for number in range(services):
        text += f'[services.s{number}]\ncommand = "./speak"\noverlap = true\nready = "1s"\n'
    (source / "skep.toml").write_text(text)

    with Installation(directory) as skep, peers(directory, command, services) as others:
        skep.run("up", "--detach", cwd=source)
        agent = skep.agent()
        first = measuring.memory_kib(agent)
        for number in range(DEPLOYS):
            command.write_text(f"{COMMAND}# {number}\n")
            skep.run("deploy", cwd=source)
        for _ in range(QUESTIONS):
            skep.run("ps", "--json")
            skep.run("releases", "many", "--json")
            skep.run("logs", "many", "-n", "100")
        shims = skep.shims()
        apps_shims = [pid for name, pid in shims.items() if name.startswith("many/")]
        print("ours:")
        _, private = show("skep-shim, one a service", apps_shims)
        if "skep/proxy" in shims:
            show("skep-shim of the proxy", [shims["skep/proxy"]])
        show("skep-shim of the agent", [shims["skep/agent"]])
        resident, _ = show("agent", [agent])
        for name, pid in shims.items():
            if name == "skep/proxy":
                show("proxy", measuring.with_descendants([pid]) - {pid})
        print("peers:")
        supervisord, supervises = others
        theirs, _ = show("supervisord", [supervisord])
        _, runsv_private = show("runsv, one a service", supervises())
    print(
        f"agent: RSS {resident / 1024:.1f} MiB ({first / 1024:.1f} after the first deploy), goal 30;"
        f" supervisord {theirs / 1024:.1f} MiB, ratio {resident / theirs:.2f}"
    )
    print(
        f"shim: private {private:.0f} KiB, goal 512; runsv {runsv_private:.0f} KiB,"
        f" ratio {private / runsv_private:.1f}"
    )
    measuring.footer()


@contextlib.contextmanager
def peers(directory: pathlib.Path, command: pathlib.Path, services: int):
    """Runs the same under supervisord and runit; gives supervisord's id and those of runsv."""
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    scripts = directory / "venv/bin"
    install = [scripts / "python", "-m", "pip", "install", "--quiet"]
    install += ["--disable-pip-version-check", "setuptools<80", "supervisor"]
    subprocess.run(install, check=True)
    text = "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
    text += f"pidfile={directory}/pid\nchildlogdir={directory}\n"
    scan = directory / "scan"
    for number in range(services):
        text += f"[program:s{number}]\ncommand={command}\n"
        service = scan / f"s{number}"
        service.mkdir(parents=True)
        (service / "run").write_text(f"#!/bin/sh\nexec {command}\n")
        (service / "run").chmod(0o755)
    (directory / "supervisord.conf").write_text(text)
    quiet = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    started = []
    try:
        configuration = directory / "supervisord.conf"
        started.append(subprocess.Popen([scripts / "supervisord", "-c", configuration], **quiet))
        started.append(subprocess.Popen(["runsvdir", scan], **quiet))

        def supervises():
            below = measuring.with_descendants([started[1].pid])
            named = {pid for pid, words in measuring.command_lines() if words[0] == "runsv"}
            return sorted(below & named)

        measuring.wait_for("runit", lambda: len(supervises()) == services)
        yield started[0].pid, supervises
    finally:
        # runsvdir leaves its runsv alone on SIGTERM.
        for process, ending in zip(started, (signal.SIGTERM, signal.SIGHUP)):
            process.send_signal(ending)
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
