"""How the local cloud ends: with its driver, and with everything it started.

Function processes are started from many threads and live for minutes, so the
launcher leads a process group and ends the group. A watcher outside of it does the
same if the launcher itself is killed, and takes the state folder away.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

# Its standard input is a pipe that only the launcher holds: it closes when the launcher is gone.
WATCHER = """
import os, shutil, signal, sys
group, state_dir = int(sys.argv[1]), sys.argv[2]
sys.stdin.buffer.read()
try:
    os.killpg(group, signal.SIGKILL)
except OSError:
    pass
shutil.rmtree(state_dir, ignore_errors=True)
"""


def begin() -> str:
    """Lead a process group, watch the driver, and return a fresh folder for all state."""
    parent = os.getppid()
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    group = os.getpgrp()
    state_dir = tempfile.mkdtemp(prefix="sluice-cloud-")
    tempfile.tempdir = state_dir
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(group), state_dir],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)

    def end(*_) -> None:
        try:
            # Out of the group that dies. Not possible for a session's leader: then we die with it.
            os.setpgid(0, watcher.pid)
        except OSError:
            pass
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
        watcher.kill()
        watcher.wait()
        shutil.rmtree(state_dir, ignore_errors=True)
        os._exit(0)

    def follow_the_driver() -> None:
        while os.getppid() == parent:
            ready, _, _ = select.select([0], [], [], 1.0)
            if ready and not os.read(0, 4096):
                break
        end()

    threading.Thread(target=follow_the_driver, daemon=True, name="follow-the-driver").start()
    keep_handlers({signal.SIGTERM: end, signal.SIGINT: end})
    return state_dir


def keep_handlers(handlers: dict) -> None:
    """Set these signal handlers for good: ministack and its server would drain connections first."""
    install = signal.signal
    for number, handler in handlers.items():
        install(number, handler)

    def signal_but_ours(number, handler):
        return signal.getsignal(number) if number in handlers else install(number, handler)

    signal.signal = signal_but_ours
