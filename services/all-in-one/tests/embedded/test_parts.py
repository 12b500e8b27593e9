"""Redis and PostgreSQL as supervised children: real servers, really killed."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from thinghub.all_in_one.embedded import parts, places, postgres
from thinghub.all_in_one.embedded.child import Child
from thinghub.all_in_one.embedded.places import Places
from thinghub.all_in_one.errors import CannotRun

PARENT = """
import asyncio, sys
from pathlib import Path
from thinghub.all_in_one.embedded import parts, places

async def main():
    async with parts.running(places.prepare(Path(sys.argv[1]))) as running:
        print(running.redis.pid, running.postgres.pid, flush=True)
        await asyncio.sleep(100)

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Places:
    return places.prepare(tmp_path / "data")


async def redis_says(home: Places, *words: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(home.socket("redis")))
    writer.write(f"{' '.join(words)}\r\n".encode())
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return answer.strip()


async def count_rows(home: Places) -> int:
    connection = await asyncpg.connect(postgres.dsn(home))
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()


async def until_restarted(child: Child, old: int) -> None:
    async with asyncio.timeout(30):
        while child.pid == old or not await child.plan.ready(child.pid):
            await asyncio.sleep(0.05)


async def test_both_serve_keep_their_data_and_leave_no_process(home: Places) -> None:
    for number in (1, 2):
        async with parts.running(home) as running:
            pids = running.redis.pid, running.postgres.pid
            assert await redis_says(home, "INCR", "starts") == f":{number}".encode()
            assert await count_rows(home) == number
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert not list(home.data.rglob("process.json"))


async def test_a_killed_child_is_started_again_with_its_data(home: Places) -> None:
    async with parts.running(home) as running:
        await redis_says(home, "SET", "answer", "42")
        await count_rows(home)
        for child in (running.redis, running.postgres):
            old = child.pid
            os.kill(old, signal.SIGKILL)
            await until_restarted(child, old)
            assert child.restarts == 1
        assert await redis_says(home, "STRLEN", "answer") == b":2"
        assert await count_rows(home) == 2


async def test_children_of_a_killed_parent_are_ended_by_the_next(home: Places) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(home.data)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        left = [int(word) for word in (await asyncio.to_thread(parent.stdout.readline)).split()]
        await redis_says(home, "SET", "answer", "42")
        await count_rows(home)
    finally:
        parent.kill()
        parent.wait(10)
    assert all(psutil.pid_exists(pid) for pid in left), "both outlive their parent"
    async with parts.running(home):
        assert not any(_runs(pid) for pid in left)
        assert await redis_says(home, "STRLEN", "answer") == b":2"
        assert await count_rows(home) == 2


async def test_a_frozen_leftover_is_ended_too(home: Places) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(home.data)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    left = [int(word) for word in (await asyncio.to_thread(parent.stdout.readline)).split()]
    parent.kill()
    parent.wait(10)
    for pid in left:
        os.kill(pid, signal.SIGSTOP)
    async with parts.running(home):
        assert not any(_runs(pid) for pid in left)


async def test_a_stranger_with_the_remembered_process_id_is_left_alone(home: Places, stranger: psutil.Process) -> None:
    (home.data / "redis").mkdir()
    (home.data / "redis" / "process.json").write_text(f'{{"pid": {stranger.pid}, "started": 1.0}}')
    async with parts.running(home):
        assert stranger.is_running()


async def test_postgres_starts_although_its_own_pid_file_names_a_stranger(
    home: Places, stranger: psutil.Process
) -> None:
    async with parts.running(home):
        pass
    (home.data / "postgres" / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n{home.data}\n1\n5432\n")
    async with parts.running(home):
        assert await count_rows(home) == 1
    assert stranger.is_running()


async def test_an_initdb_that_was_interrupted_is_done_again(home: Places) -> None:
    half = home.data / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    async with parts.running(home):
        assert await count_rows(home) == 1


async def test_what_keeps_a_child_from_starting_is_said_in_a_sentence(home: Places) -> None:
    (home.data / "redis").mkdir()
    (home.data / "redis" / "appendonly.aof").write_bytes(b"this is no append only file")
    with pytest.raises(CannotRun, match=r"Redis ended with 1 at its start"):
        async with parts.running(home):
            pass


async def test_only_our_user_can_enter(home: Places) -> None:
    async with parts.running(home):
        assert stat.S_IMODE(home.sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE((home.data / "redis" / "redis.conf").stat().st_mode) == 0o600
        assert stat.S_IMODE((home.data / "postgres" / "data").stat().st_mode) == 0o700


def _runs(pid: int) -> bool:
    """A zombie of somebody else's child does not run."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that is none of ours."""
    process = subprocess.Popen(["sleep", "100"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait(10)
