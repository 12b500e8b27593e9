"""The contract of the store of packages, on a directory and on a real S3 server."""

import hashlib
import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.servers import Child, S3Server
from thinghub.common.settings import load
from thinghub.ota.app import packages_at
from thinghub.ota.errors import StoreUnavailable
from thinghub.ota.ports.packages import PIECE, Kept, Packages
from thinghub.ota.settings import Settings

HALF = Path(__file__).with_name("half_an_upload.py")
BIG = secrets.token_bytes(12 * (1 << 20) + 321)  # three parts of an S3 upload


class Place:
    """Where packages lie, in a way that can be taken away and given back."""

    def __init__(self, folder: Path, server: S3Server | None) -> None:
        self._folder = folder
        self._server = server
        given = server.settings() if server else {"packages_url": str(folder)}
        self.settings = load(Settings, **given)

    def open(self) -> Packages:
        return packages_at(self.settings)

    def away(self) -> None:
        if self._server:
            self._server.kill()
        else:
            self._folder.rename(self._folder.with_suffix(".elsewhere"))
            self._folder.touch()

    def back(self) -> None:
        if self._server:
            self._server.start()
        else:
            self._folder.unlink()
            self._folder.with_suffix(".elsewhere").rename(self._folder)


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server = request.getfixturevalue("private_s3") if request.param == "s3" else None
    return Place(tmp_path / "packages", server)


@pytest.fixture
async def packages(place: Place) -> Packages:
    opened = place.open()
    await opened.prepare()
    return opened


def new_key() -> str:
    return f"ota/{secrets.token_hex(16)}.bin"


async def chunks(content: bytes, fails_after: int | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        if fails_after is not None and start > fails_after:
            raise EOFError("the device of the operator broke off")
        yield content[start : start + 100_000]


async def found(packages: Packages, key: str) -> Kept:
    kept = await packages.find(key)
    assert kept is not None
    return kept


async def content(kept: Kept, first: int = 0, end: int | None = None) -> bytes:
    pieces = [piece async for piece in kept.read(first, kept.size if end is None else end)]
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, PIECE, len(BIG)])
async def test_what_was_put_is_there_whole_and_in_ranges(packages: Packages, size: int) -> None:
    key, given = new_key(), BIG[:size]
    package = await packages.put(key, chunks(given))
    assert (package.key, package.size) == (key, size)
    assert (package.md5, package.sha256) == (hashlib.md5(given).hexdigest(), hashlib.sha256(given).hexdigest())
    kept = await found(packages, key)
    assert (kept.size, kept.etag[0], kept.etag[-1]) == (size, '"', '"')
    assert await content(kept) == given
    middle = size // 2
    for first, end in ((0, 1), (middle, size), (max(middle - PIECE, 0), min(middle + PIECE + 1, size))):
        assert await content(kept, first, end) == given[first:end]


async def test_what_was_not_put_is_not_there(packages: Packages) -> None:
    assert await packages.find(new_key()) is None


@pytest.mark.parametrize("after", [0, 11 * (1 << 20)])
async def test_an_upload_that_breaks_off_leaves_nothing(packages: Packages, after: int) -> None:
    key = new_key()
    with pytest.raises(EOFError):
        await packages.put(key, chunks(BIG, fails_after=after))
    assert await packages.find(key) is None


async def test_a_package_is_replaced_as_a_whole_or_stays(packages: Packages) -> None:
    key = new_key()
    await packages.put(key, chunks(b"old" * PIECE))
    old = await found(packages, key)
    with pytest.raises(EOFError):
        await packages.put(key, chunks(BIG, fails_after=6 * (1 << 20)))
    assert await content(await found(packages, key)) == b"old" * PIECE
    reading = old.read(0, old.size)
    assert await anext(reading) == (b"old" * PIECE)[:PIECE]
    await packages.put(key, chunks(b"new" * PIECE))
    assert await content(await found(packages, key)) == b"new" * PIECE
    with pytest.raises(StoreUnavailable, match="replaced"):
        await content(old)


async def test_an_upload_that_is_killed_shows_nothing_half(place: Place, packages: Packages, tmp_path: Path) -> None:
    key = f"ota/{'e' * 32}.bin"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    uploader = Child([sys.executable, str(HALF), place.settings.packages_url], tmp_path / "half.log", environment)
    try:
        uploader.wait_until(lambda: "half" in uploader.tail(), "half an upload")
        assert await packages.find(key) is None
    finally:
        uploader.kill()
    assert await packages.find(key) is None
    again = place.open()
    await again.prepare()
    await again.put(key, chunks(b"whole"))
    assert await content(await found(packages, key)) == b"whole"


async def test_a_place_that_is_away_is_said_in_a_sentence_and_comes_back(place: Place, packages: Packages) -> None:
    key = new_key()
    await packages.put(key, chunks(BIG))
    kept = await found(packages, key)
    place.away()
    tries = (packages.prepare, lambda: packages.find(key), lambda: packages.put(new_key(), chunks(BIG)))
    for ask in (*tries, lambda: content(kept)):
        with pytest.raises(StoreUnavailable, match=r"\w{3,} \w{2,}"):
            await ask()
    place.back()
    await packages.prepare()
    assert await content(await found(packages, key)) == BIG
    await packages.put(key, chunks(b"again"))
