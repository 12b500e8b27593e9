"""Size and checksums of a package, taken while its bytes pass."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

from thinghub.ota.domain.models import Package


def _nowhere(chunk: bytes) -> None:
    pass


class Measured:
    """`chunks` once more; `package` is theirs when they have ended. `sink` gets each chunk in the thread that hashes
    it."""

    def __init__(self, key: str, chunks: AsyncIterator[bytes], sink: Callable[[bytes], object] = _nowhere) -> None:
        self._key = key
        self._chunks = chunks
        self._sink = sink
        self._size = 0
        self._md5, self._sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            await asyncio.to_thread(self._take, chunk)
            yield chunk

    @property
    def package(self) -> Package:
        return Package(self._key, self._size, self._md5.hexdigest(), self._sha256.hexdigest())

    def _take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self._sink(chunk)
