"""One server process of a test: started, paused, killed, and never left behind.

A child ends with the test run in three ways: `stop` or `kill`; at interpreter exit (atexit); and, where the platform
has `setpriv`, by the kernel when this process is killed. The kernel's rule looks at the *thread* that started the
child, so all children are started by one thread that lives as long as the process: a worker thread may end earlier.
"""

import atexit
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

# Linux gives outgoing connections ports up to 60999.
FIRST_PORT = 61_000
SESSIONS = 4

_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_alive: "weakref.WeakSet[Child]" = weakref.WeakSet()


class ServerFailed(Exception):
    """A server did not start; the message ends with the tail of its log."""


class Child:
    """A process in a session of its own, its output in `log`. Not restartable: make another one."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._process = _spawner.submit(_spawn, command, log, env).result()
        _alive.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Polls `ready`; raises ServerFailed when the process ends first or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ServerFailed(f"{what} ended with {self._process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{what} was not ready within {seconds} s: {self.tail()}")
            time.sleep(0.02)

    def tail(self, size: int = 2000) -> str:
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""

    def pause(self) -> None:
        """SIGSTOP for the whole family: connections stay open and nobody answers. Returns when they have stopped."""
        self._signal_all(signal.SIGSTOP)
        self.wait_until(self._stopped, "a paused server")

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 15) -> None:
        """Asks, waits, then kills."""
        if self.running:
            self.resume()
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, returns when the process and its children are gone."""
        family = self._family()
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait(10)
        psutil.wait_procs(family, timeout=10)
        _alive.discard(self)

    def _stopped(self) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return all(one.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) for one in self._family())
        return False

    def _signal_all(self, how: signal.Signals) -> None:
        for member in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(how)

    def _family(self) -> list[psutil.Process]:
        if not self.running:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self.pid)
            return [leader, *leader.children(recursive=True)]
        return []


def _spawn(command: Sequence[str], log: Path, env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    setpriv = shutil.which("setpriv")
    dies_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    with log.open("ab") as output:
        return subprocess.Popen(
            [*dies_with_us, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(env) if env is not None else None,
            start_new_session=True,
        )


@atexit.register
def _kill_all() -> None:
    for child in list(_alive):
        with contextlib.suppress(Exception):
            child.kill()


def scratch_directory(name: str) -> Path:
    """A new directory with a short path (a unix socket's path has at most 107 characters)."""
    return Path(tempfile.mkdtemp(prefix=f"th-{name}-"))


def remove_directory(path: Path) -> None:
    """Removes what can be removed: a server that was killed may leave a file vanishing under our feet."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path)


def free_port() -> int:
    """A loopback port that is free, and that neither an outgoing connection nor another test session takes before it is
    used: above the range of outgoing connections, a share of it for each session of one run."""
    for _ in range(len(_PORTS)):
        port = next(_ports)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerFailed(f"no port is free between {_PORTS[0]} and {_PORTS[-1]}")


def _share(worker: str) -> range:
    """Of the session `gw0`, `gw1`, ... of a run; a run of one session has the first."""
    number = int(worker.removeprefix("gw") or 0)
    return range(FIRST_PORT + number % SESSIONS, 1 << 16, SESSIONS)


_PORTS = _share(os.environ.get("PYTEST_XDIST_WORKER", ""))
_ports = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def port_answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
