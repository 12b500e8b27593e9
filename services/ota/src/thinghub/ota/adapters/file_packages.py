"""The store of packages as a directory. Replicas of ota share it (one host, or a volume that many may write).

A package is written beside its place and renamed into it. What a killed process left beside is removed a day later.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from thinghub.ota.adapters.measured import Measured
from thinghub.ota.domain.models import Package
from thinghub.ota.errors import StoreUnavailable
from thinghub.ota.ports.packages import PIECE

UNFINISHED = ".part"
FORGOTTEN_S = 86_400


class FilePackages:
    """Implements `Packages`."""

    check_s = 1.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._swept = False

    async def prepare(self) -> None:
        """Makes the directory."""
        await asyncio.to_thread(self._prepare)

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Package:
        path = self._directory / key
        beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
        try:
            with beside.open("xb") as file:
                measured = Measured(key, chunks, file.write)
                async for _ in measured:
                    pass
                await asyncio.to_thread(_to_disk, file)
            await asyncio.to_thread(_into_place, beside, path)
        except OSError as error:
            raise StoreUnavailable(f"the package cannot be kept: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):  # what stays is swept away later
                beside.unlink(missing_ok=True)
        return measured.package

    async def find(self, key: str) -> "KeptFile | None":
        path = self._directory / key
        try:
            return KeptFile(path, await asyncio.to_thread(path.stat))
        except FileNotFoundError:
            await self.prepare()  # the package is not there, or nothing is
            return None
        except OSError as error:
            raise StoreUnavailable(f"the package cannot be read: {error.strerror or error}") from error

    def _prepare(self) -> None:
        place = self._directory / "ota"
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o750)
            if not os.access(place, os.W_OK):
                raise PermissionError("it cannot be written")
            if not self._swept:
                _sweep(place)
                self._swept = True
        except OSError as error:
            raise StoreUnavailable(f"the directory of packages cannot be used: {error.strerror or error}") from error


class KeptFile:
    """Implements `Kept`."""

    def __init__(self, path: Path, stat: os.stat_result) -> None:
        self._path = path
        self._identity = _identity(stat)
        self.size = stat.st_size
        self.modified_s = stat.st_mtime
        self.etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'

    async def read(self, first: int, end: int) -> AsyncIterator[bytes]:
        try:
            with await asyncio.to_thread(self._path.open, "rb") as file:
                if _identity(os.fstat(file.fileno())) != self._identity:
                    raise StoreUnavailable("the package was replaced meanwhile")
                file.seek(first)
                while first < end:
                    piece = await asyncio.to_thread(file.read, min(PIECE, end - first))
                    if not piece:
                        raise StoreUnavailable("the package was cut short meanwhile")
                    first += len(piece)
                    yield piece
        except OSError as error:
            raise StoreUnavailable(f"the package cannot be read: {error.strerror or error}") from error


def _identity(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _sweep(place: Path) -> None:
    old = time.time() - FORGOTTEN_S
    for path in place.glob(f"*{UNFINISHED}"):
        with contextlib.suppress(FileNotFoundError):  # another replica was quicker
            if path.stat().st_mtime < old:
                path.unlink()


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _into_place(beside: Path, path: Path) -> None:
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
