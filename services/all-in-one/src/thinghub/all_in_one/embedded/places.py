"""Where things are kept: one data directory, and a short directory for unix sockets when its path is long.

data/lock  endpoints.json
data/secrets/  master.key access-key.json      data/tls/  ca.pem ca.key server.pem server.key
data/redis/  data/postgres/  data/packages/  data/logs/        data/run/  sockets (or below $XDG_RUNTIME_DIR, or /tmp)
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thinghub.all_in_one.errors import CannotRun

SOCKET_PATH_MAX = 107
LONGEST_SOCKET = len("/connection-gateway.sock")


@dataclass(frozen=True)
class Places:
    data: Path
    sockets: Path

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def tls(self) -> Path:
        return self.data / "tls"

    @property
    def endpoints(self) -> Path:
        return self.data / "endpoints.json"

    def socket(self, name: str) -> Path:
        return self.sockets / f"{name}.sock"


def prepare(data: Path) -> Places:
    """Makes the directories, all of them mode 0700. Raises CannotRun when that is not possible."""
    places = Places(data, _socket_directory(data))
    try:
        data.mkdir(parents=True, exist_ok=True)
        for directory in (places.sockets, places.logs, places.secrets, places.tls):
            directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CannotRun(
            f"Cannot use the data directory {data}: {error.strerror}; choose another (--data-dir)."
        ) from None
    _private(places.sockets)
    return places


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Holds the data directory; the kernel frees it however this process ends. Raises CannotRun when it is held."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise CannotRun(
                f"Another thinghub up (process {holder}) uses the data directory {data}: stop it, "
                "or choose another directory with --data-dir."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, mode 0600."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _socket_directory(data: Path) -> Path:
    inside = data / "run"
    if len(os.fsencode(inside)) + LONGEST_SOCKET <= SOCKET_PATH_MAX:
        return inside
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir() and len(os.fsencode(runtime)) < SOCKET_PATH_MAX - LONGEST_SOCKET - 30:
        return Path(runtime) / f"thinghub-{name}"
    return Path("/tmp") / f"thinghub-{os.getuid()}-{name}"


def _private(directory: Path) -> None:
    """Somebody else could have made a directory of this name below /tmp before us."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise CannotRun(f"{directory} belongs to somebody else: remove it, or choose a shorter --data-dir.")
    directory.chmod(0o700)
