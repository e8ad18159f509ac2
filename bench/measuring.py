"""What the measurements share: an installation of their own, processor time, medians.

Not a measurement itself, and therefore not executable. Needs nothing but Python's own library.

A measurement runs beside peers in the same run, turn by turn, so that a change of the machine's
mood meets all of them. It prints figures and ratios and never judges them. It ends what it started,
in any case, and nothing else.
"""

import atexit
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")

# No single wait of a measurement is longer; the first build may fetch packages.
PATIENCE = 60.0


def skep_program() -> pathlib.Path:
    """Returns the release build, made if nobody named one in SKEP."""
    named = os.environ.get("SKEP")
    if named:
        return pathlib.Path(named).resolve()
    subprocess.run(["cargo", "build", "--quiet", "--release"], cwd=ROOT, check=True)
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    return target / "release" / "skep"


def scratch() -> pathlib.Path:
    """Returns an empty directory that every user may enter and that is gone afterwards."""
    above = os.environ.get("BENCH_DIRECTORY", "/var/tmp")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench.", dir=above))
    directory.chmod(0o755)
    endings = (signal.SIGTERM, signal.SIGHUP)

    def remove():
        for number in endings:
            signal.signal(number, signal.SIG_IGN)
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    # An interrupted measurement ends as a finished one does.
    for number in endings:
        signal.signal(number, lambda *_: sys.exit(1))
    return directory


def free_port() -> int:
    """Returns a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Installation:
    """A SKEP_HOME of its own; everything in it ends with the block."""

    def __init__(self, directory: pathlib.Path):
        self.program = skep_program()
        self.home = directory / "home"
        self.environment = {**os.environ, "SKEP_HOME": str(self.home), "NO_COLOR": "1"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run("agent:stop", "--all", check=False)
        # Those who restart others may be quicker than we are.
        deadline = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def start(self, *arguments, cwd=None, **options) -> subprocess.Popen:
        """Starts a command."""
        command = [self.program, *arguments]
        return subprocess.Popen(
            command, cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL, **options
        )

    def run(self, *arguments, cwd=None, check=True) -> str:
        """Runs a command to its end and returns its standard output."""
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = self.start(*arguments, cwd=cwd, **piped)
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if check and process.returncode:
            sys.exit(f"skep {' '.join(arguments)}: exit {process.returncode}\n{output}{errors}")
        return output

    def agent(self) -> int:
        """Returns the agent's process id."""
        return json.loads(self.run("agent:status", "--json"))["pid"]

    def shims(self) -> dict[str, int]:
        """Returns the process id of each service's shim."""
        found = {}
        for pid, words in command_lines():
            if "--service" in words and any(str(self.home) in word for word in words):
                found[words[words.index("--service") + 1]] = pid
        return found

    def processes(self) -> set[int]:
        """Returns everything that runs in this installation."""
        return with_descendants(self.shims().values())


def command_lines():
    """Yields every process's id and words."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                words = pathlib.Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace")
                yield int(entry), words.split("\0")


def with_descendants(pids) -> set[int]:
    """Returns these processes and those below them."""
    found, left = set(), list(pids)
    while left:
        pid = left.pop()
        found.add(pid)
        with contextlib.suppress(OSError):
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
            left += [int(child) for child in children.split() if int(child) not in found]
            # A thread may have children too.
            for task in os.listdir(f"/proc/{pid}/task"):
                children = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
                left += [int(child) for child in children.split() if int(child) not in found]
    return found


def processor_seconds(pids, waited=True) -> float:
    """Returns the processor time of processes so far, with that of the children they waited for."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11 : 15 if waited else 13])
    return total / TICK


def memory_kib(pid: int, field: str = "Rss") -> int:
    """Returns a figure of /proc/PID/smaps_rollup."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise KeyError(field)


def wait_for(what: str, condition, pause: float = 0.005):
    """Returns the first true value of a condition."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"gave up waiting for {what}")
        time.sleep(pause)
    return value


def get(address, path: str) -> tuple[int, str]:
    """Returns status and body of a GET to a port or the path of a unix socket; 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
    try:
        if isinstance(address, int):
            connection.port = address
        else:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(10)
            connection.sock.connect(str(address))
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Awaited:
    """Notes when a GET first answers with `wanted`; asks every 10 ms, as lightly for all."""

    PAUSE = 0.01

    def __init__(self, address, path: str, wanted: str):
        self.at = None
        self._stop = False
        self._what = f"{path} of {address} to answer {wanted}"
        self._thread = threading.Thread(target=self._ask, args=(address, path, wanted))
        self._thread.start()

    def _ask(self, address, path, wanted):
        while not self._stop:
            if get(address, path) == (200, wanted):
                self.at = time.monotonic()
                return
            time.sleep(self.PAUSE)

    def seen(self) -> float:
        """Returns the moment, waiting for it."""
        self._thread.join(PATIENCE)
        self._stop = True
        if self.at is None:
            sys.exit(f"gave up waiting for {self._what}")
        return self.at


class Figures:
    """Values by who and what, and the table of their medians."""

    def __init__(self):
        self.values: dict[tuple[str, str], list[float]] = {}

    def add(self, what: str, who: str, value: float):
        self.values.setdefault((what, who), []).append(value)

    def median(self, what: str, who: str) -> float:
        return statistics.median(self.values[what, who])

    def print(self, unit: str, scale: float = 1.0, digits: int = 0):
        """Prints median, least and greatest of everything."""
        width = max(len(f"{what}: {who}") for what, who in self.values)
        for (what, who), values in self.values.items():
            low, middle, high = min(values), statistics.median(values), max(values)
            figures = [f"{value * scale:.{digits}f}" for value in (middle, low, high)]
            name = f"{what}: {who}"
            print(
                f"  {name:<{width}}  {figures[0]:>8} {unit}"
                f"  ({figures[1]}–{figures[2]}, {len(values)} runs)"
            )


def header(title: str):
    """Prints what is measured and how busy the machine is."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{title} · {os.cpu_count()} cores · load average {load}", flush=True)


def footer():
    """Prints how busy the machine was at the end."""
    print(f"  load average at the end {os.getloadavg()[0]:.2f}")
