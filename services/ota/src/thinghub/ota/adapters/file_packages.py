"""The store of packages as a directory. Replicas of ota share it (one host, or a volume that many may write)."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from thinghub.ota.domain.models import Package
from thinghub.ota.errors import StoreUnavailable

UNFINISHED = ".part"


class FilePackages:
    """Implements `Packages`. `path` is where a package lies; its name is a checked key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, key: str) -> Path:
        return self._directory / key

    def prepare(self) -> None:
        """Makes the directory. Raises StoreUnavailable."""
        try:
            (self._directory / "ota").mkdir(parents=True, exist_ok=True, mode=0o750)
            if not os.access(self._directory / "ota", os.W_OK):
                raise PermissionError("it cannot be written")
        except OSError as error:
            raise StoreUnavailable(f"the directory of packages cannot be used: {error.strerror or error}") from error

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Package:
        path = self.path(key)
        beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
        try:
            with beside.open("xb") as file:
                package = await _write(file, key, chunks)
            await asyncio.to_thread(_into_place, beside, path)
        except OSError as error:
            raise StoreUnavailable(f"the package cannot be kept: {error.strerror or error}") from error
        finally:
            beside.unlink(missing_ok=True)
        return package


async def _write(file: IO[bytes], key: str, chunks: AsyncIterator[bytes]) -> Package:
    size, md5, sha256 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def take(chunk: bytes) -> None:
        md5.update(chunk)
        sha256.update(chunk)
        file.write(chunk)

    async for chunk in chunks:
        await asyncio.to_thread(take, chunk)
        size += len(chunk)
    await asyncio.to_thread(_to_disk, file)
    return Package(key, size, md5.hexdigest(), sha256.hexdigest())


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
