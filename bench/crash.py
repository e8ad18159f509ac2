#!/usr/bin/env python3
"""From the kill of a process to the first word of its successor, under Skep and its peers.

usage: bench/crash.py [PROCESSES]

Each supervisor keeps the same process, a shell that writes its id into a pipe and becomes `sleep`.
Every process is killed once, the supervisors taking turns, and the time is taken from the signal
to the new id in the pipe. All of them are young enough for an immediate restart and old enough
not to be taken for a process that never started (one second, for supervisord and runit).

Peers: supervisord and circus from PyPI, runit from Debian. Also printed: what each keeps in memory for
a process that it supervises.
"""

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import measuring
from measuring import Figures, Installation

# Younger processes are not counted as started by some.
SETTLED = 1.5
# circus looks every five seconds: as many kills as the others get would take minutes.
CIRCUS_KILLS = 3


class Supervised:
    """Processes of one supervisor and the pipe that they write to."""

    def __init__(self, name: str, directory: pathlib.Path):
        self.name, self.directory = name, directory
        directory.mkdir()
        directory.chmod(0o755)
        pipe = directory / "pipe"
        os.mkfifo(pipe)
        # Its writers may be other users.
        pipe.chmod(0o666)
        self.pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self.command = directory / "process"
        self.command.write_text(f"#!/bin/sh\necho $$ >{pipe}\nexec sleep 100000\n")
        self.command.chmod(0o755)
        self.pids: list[int] = []
        self.parent = None
        self.ending = signal.SIGTERM

    def next_pid(self) -> int:
        """Returns the next id that a process wrote."""
        ready, _, _ = select.select([self.pipe], [], [], measuring.PATIENCE)
        if not ready:
            sys.exit(f"{self.name}: no new process")
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self.pipe, 1)
        return int(line)

    def settle(self, processes: int):
        """Waits until all have begun."""
        self.pids = [self.next_pid() for _ in range(processes)]

    def crash(self, index: int) -> float:
        """Kills one and returns the seconds to the next."""
        began = time.monotonic()
        os.kill(self.pids[index], signal.SIGKILL)
        self.pids[index] = self.next_pid()
        return time.monotonic() - began

    def start(self, *command):
        self.parent = subprocess.Popen(
            command, cwd=self.directory,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def supervisors(self) -> set[int]:
        """Returns the processes that only supervise."""
        return measuring.with_descendants([self.parent.pid]) - set(self.pids)

    def end(self):
        """Ends the supervisor by its own signal, and whatever stays."""
        os.close(self.pipe)
        if self.parent is None:
            return
        all_of_them = measuring.with_descendants([self.parent.pid])
        self.parent.send_signal(self.ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.parent.wait(20)
        for pid in all_of_them & measuring.with_descendants(all_of_them):
            with contextlib.suppress(OSError):
                if str(self.directory) in pathlib.Path(f"/proc/{pid}/environ").read_text() or (
                    pathlib.Path(f"/proc/{pid}/cwd").resolve() == self.directory
                ):
                    os.kill(pid, signal.SIGKILL)
        self.parent.kill()
        self.parent.wait()


def supervisord(directory, python, processes) -> Supervised:
    it = Supervised("supervisord", directory)
    (directory / "conf").write_text(
        f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
        f"pidfile={directory}/pid\nchildlogdir={directory}\n"
        f"[program:process]\ncommand={it.command}\nnumprocs={processes}\n"
        f"process_name=%(process_num)02d\n"
    )
    it.start(python.parent / "supervisord", "-c", "conf")
    return it


def circus(directory, python, processes) -> Supervised:
    it = Supervised("circus", directory)
    (directory / "conf").write_text(
        f"[circus]\nendpoint=ipc://{directory}/endpoint\npubsub_endpoint=ipc://{directory}/pubsub\n"
        f"[watcher:process]\ncmd={it.command}\nnumprocesses={processes}\ncopy_env=True\n"
    )
    it.start(python.parent / "circusd", "--log-output", "/dev/null", "conf")
    return it


def runit(directory, processes) -> Supervised:
    it = Supervised("runit", directory)
    # runsvdir leaves its runsv alone on SIGTERM.
    it.ending = signal.SIGHUP
    services = directory / "services"
    for number in range(processes):
        service = services / f"{number:02}"
        service.mkdir(parents=True)
        (service / "run").write_text(f"#!/bin/sh\nexec {it.command}\n")
        (service / "run").chmod(0o755)
    it.start("runsvdir", services)
    return it


def ours(directory, skep: Installation, processes) -> Supervised:
    it = Supervised("skep", directory)
    source = directory / "source"
    source.mkdir()
    (source / "skep.toml").write_text(
        f'app = "beat"\n[services.beat]\ncommand = "{it.command}"\nprocesses = {processes}\n'
        # All at once at the start; without a request to answer there is no other readiness.
        f'overlap = true\nready = "1s"\n[deploy]\nwatch = "0s"\n'
    )
    skep.run("up", "--detach", cwd=source)
    shim = skep.shims()["beat/beat"]
    it.supervisors = lambda: {shim}
    return it


def main():
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    measuring.header(f"crash to new process, {processes} kills in turn")
    directory = measuring.scratch()
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    python = directory / "venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "setuptools<80", "supervisor", "circus"], check=True)
    figures, processor = Figures(), {}
    with Installation(directory) as skep:
        sides = []
        try:
            sides.append(ours(directory / "ours", skep, processes))
            sides.append(runit(directory / "runit", processes))
            sides.append(supervisord(directory / "supervisord", python, processes))
            sides.append(circus(directory / "circus", python, processes))
            for side in sides:
                side.settle(processes)
            # The youngest must be old enough; nobody tells that but a clock.
            time.sleep(SETTLED)
            before = {side.name: own_time(side) for side in sides}
            kills = {side.name: 0 for side in sides}
            for index in range(processes):
                for side in sides:
                    if side.name == "circus" and index >= CIRCUS_KILLS:
                        continue
                    figures.add("kill to new pid", side.name, side.crash(index))
                    kills[side.name] += 1
            for side in sides:
                spent = own_time(side) - before[side.name]
                processor[side.name] = spent / kills[side.name]
            figures.print("ms", 1000, 1)
            for side in sides:
                pids = side.supervisors()
                anonymous = sum(measuring.memory_kib(pid, "Anonymous") for pid in pids)
                resident = sum(measuring.memory_kib(pid) for pid in pids)
                print(
                    f"  {side.name}: {processor[side.name] * 1000:.1f} ms of processor a restart;"
                    f" {len(pids)} supervising for {processes} processes:"
                    f" RSS {resident / processes:.0f} KiB, private {anonymous / processes:.0f} KiB each"
                )
        finally:
            for side in sides:
                side.end()
    mine = figures.median("kill to new pid", "skep")
    for peer in ("runit", "supervisord", "circus"):
        theirs = figures.median("kill to new pid", peer)
        print(
            f"crash to new pid: {mine * 1000:.1f} ms, goal 10 ms; {peer} {theirs * 1000:.1f} ms,"
            f" ratio {mine / theirs:.3f}"
        )
    measuring.footer()


def own_time(side: Supervised) -> float:
    """Returns the processor time of the supervisors, without that of what they waited for."""
    return measuring.processor_seconds(side.supervisors(), waited=False)


if __name__ == "__main__":
    main()
