import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.file_server import FileServer, file_server
from thinghub.device_sdk import Artifact, Backoff, ChecksumMismatch, DownloadError, DownloadOptions, download

CONTENT = random.Random(7).randbytes(300_000)
QUICK = DownloadOptions(range_size=100_000, socket_timeout=5, tries=3, backoff=Backoff(0.01, 0.02))


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server(CONTENT) as running:
        yield running


def artifact(server: FileServer, method: str = "SHA256", sign: str = "", size: int = len(CONTENT)) -> Artifact:
    made = hashlib.new(method.lower(), CONTENT).hexdigest()
    return Artifact(server.url, size, sign or made, method)


class Progress(list[int]):
    async def __call__(self, done: int, _size: int) -> None:
        self.append(done)


@pytest.mark.parametrize("method", ["Md5", "SHA256"])
async def test_a_file_comes_by_ranges_and_is_verified(server: FileServer, tmp_path: Path, method: str) -> None:
    progress = Progress()
    await download(artifact(server, method), tmp_path / "image", QUICK, progress)
    assert (tmp_path / "image").read_bytes() == CONTENT
    assert server.asked == [(0, 100_000), (100_000, 200_000), (200_000, 300_000)]
    assert progress == [100_000, 200_000, 300_000]
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


async def test_after_breaks_in_the_middle_it_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [70_000, 1, 20_000, 65_536]
    await download(artifact(server), tmp_path / "image", QUICK, Progress())
    assert (tmp_path / "image").read_bytes() == CONTENT
    begins = [begin for begin, _ in server.asked]
    assert begins == sorted(begins)
    assert any(begin % 100_000 for begin in begins), "it resumed inside a range"


async def test_a_download_that_was_cancelled_is_resumed_by_the_next(server: FileServer, tmp_path: Path) -> None:
    async def stop(done: int, _size: int) -> None:
        if done >= 200_000:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await download(artifact(server), tmp_path / "image", QUICK, stop)
    assert not (tmp_path / "image").exists()
    server.asked.clear()
    await download(artifact(server), tmp_path / "image", QUICK, Progress())
    assert server.asked == [(200_000, 300_000)]
    assert (tmp_path / "image").read_bytes() == CONTENT


async def test_a_server_without_ranges_serves_too(server: FileServer, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, [150_000]
    await download(artifact(server), tmp_path / "image", QUICK, Progress())
    assert (tmp_path / "image").read_bytes() == CONTENT


async def test_a_wrong_checksum_leaves_nothing_behind(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ChecksumMismatch) as raised:
        await download(artifact(server, sign="0" * 64), tmp_path / "image", QUICK, Progress())
    assert raised.value.step == -3
    assert list(tmp_path.iterdir()) == []


async def test_a_file_longer_than_announced_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    with pytest.raises(DownloadError, match="longer"):
        await download(artifact(server, size=1000), tmp_path / "image", QUICK, Progress())
    assert list(tmp_path.iterdir()) == []


async def test_403_is_final_and_503_is_not(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 503, 403]
    with pytest.raises(DownloadError, match="403"):
        await download(artifact(server), tmp_path / "image", QUICK, Progress())
    assert len(server.asked) == 3


async def test_attempts_that_bring_nothing_are_bounded(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503] * 10
    with pytest.raises(DownloadError, match="3 attempts"):
        await download(artifact(server), tmp_path / "image", QUICK, Progress())
    assert len(server.asked) == 3


async def test_only_http_addresses_are_fetched(server: FileServer, tmp_path: Path) -> None:
    local = Artifact("file:///etc/hostname", 10, "0" * 64, "SHA256")
    with pytest.raises(DownloadError, match="http"):
        await download(local, tmp_path / "image", QUICK, Progress())
    with pytest.raises(DownloadError, match="Crc32"):
        await download(Artifact(server.url, 10, "0", "Crc32"), tmp_path / "image", QUICK, Progress())
