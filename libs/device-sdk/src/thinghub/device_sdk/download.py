"""A firmware file, downloaded by ranges into a `.part` file beside its destination, resumed after a break.

The `.part` file is named by the checksum, so that a device that lost power goes on where it was, and never on another
file's bytes. Only what has the announced size and checksum gets the destination's name.
"""

import asyncio
import hashlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from thinghub.device_sdk.backoff import Backoff
from thinghub.device_sdk.errors import ChecksumMismatch, DownloadError
from thinghub.device_sdk.http import BREAKS, RefusedByServer, fetch

log = logging.getLogger(__name__)

READ = 1 << 20
DIGESTS = {"md5": hashlib.md5, "sha256": hashlib.sha256}

Progress = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """`sign` is the hexadecimal checksum by `sign_method` (Md5 or SHA256, in any spelling), `size` in bytes."""

    url: str
    size: int
    sign: str
    sign_method: str


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """`tries` attempts in a row may bring no byte before it is given up; each waits by `backoff`. Seconds and bytes."""

    range_size: int = 1 << 20
    socket_timeout: float = 30.0
    deadline: float = 3600.0
    tries: int = 8
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, cap=30.0))
    tls: ssl.SSLContext | None = None


async def download(artifact: Artifact, destination: Path, options: DownloadOptions, progress: Progress) -> None:
    """`progress(bytes so far, size)` after each range. Raises DownloadError, ChecksumMismatch."""
    digest = artifact.sign_method.lower()
    if digest not in DIGESTS:
        raise DownloadError(f"checksums by {artifact.sign_method} are not known")
    part = destination.with_name(f"{destination.name}.{artifact.sign[:16].lower()}.part")
    try:
        async with asyncio.timeout(options.deadline):
            await _all_ranges(artifact, part, options, progress)
            await asyncio.to_thread(_check, part, digest, artifact.sign)
    except TimeoutError as error:
        raise DownloadError(f"not downloaded within {options.deadline} s") from error
    except ChecksumMismatch:
        part.unlink()
        raise
    part.replace(destination)


async def _all_ranges(artifact: Artifact, part: Path, options: DownloadOptions, progress: Progress) -> None:
    barren = 0
    while (have := _size(part)) < artifact.size:
        try:
            await _range(artifact, part, have, options)
            await progress(_size(part), artifact.size)
        except BREAKS as error:
            log.info("download broke at %d of %d bytes: %r", _size(part), artifact.size, error)
            why: Exception = error
        except RefusedByServer as error:
            if error.permanent:
                raise
            why = error
        else:
            barren = 0
            continue
        barren = 0 if _size(part) > have else barren + 1
        if barren >= options.tries:
            raise DownloadError(f"{barren} attempts brought nothing: {why}") from why
        await asyncio.sleep(options.backoff.delay(barren, random.random()))
    if _size(part) > artifact.size:
        part.unlink()
        raise DownloadError(f"the file is longer than the {artifact.size} bytes announced")


async def _range(artifact: Artifact, part: Path, begin: int, options: DownloadOptions) -> None:
    end = min(begin + options.range_size, artifact.size)
    async with fetch(artifact.url, begin, end, timeout=options.socket_timeout, tls=options.tls) as answer:
        with part.open("r+b" if part.exists() else "wb") as file:
            file.truncate(answer.start)
            file.seek(answer.start)
            async for chunk in answer.chunks():
                file.write(chunk)
                if file.tell() > artifact.size:
                    return  # more than was announced; the caller says so


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _check(part: Path, digest: str, sign: str) -> None:
    made = DIGESTS[digest]()
    with part.open("rb") as file:
        while block := file.read(READ):
            made.update(block)
    if made.hexdigest() != sign.lower():
        raise ChecksumMismatch(f"the {digest} of the file is {made.hexdigest()}, announced was {sign}")
