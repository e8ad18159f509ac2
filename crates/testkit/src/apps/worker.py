"""A service that listens nowhere and must never run twice at once."""
import fcntl
import os
import signal
import threading

from numbered import DATA, RELEASE, append, log, start_up

start_up()
os.makedirs(DATA, exist_ok=True)
held = open(os.path.join(DATA, "worker.lock"), "w")
try:
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    append("starts", "double %d %s" % (os.getpid(), RELEASE))
    log("double")
else:
    append("starts", "start %d %s" % (os.getpid(), RELEASE))

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
interval = int(os.environ.get("WORKER_INTERVAL_MS", "50")) / 1000
while not stopping.wait(interval):
    log("tick %s" % RELEASE)
append("starts", "stop %d %s" % (os.getpid(), RELEASE))
