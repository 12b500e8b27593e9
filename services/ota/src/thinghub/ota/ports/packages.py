"""The store of packages: files by key, written whole or not at all, read in pieces."""

from collections.abc import AsyncIterator
from typing import Protocol

from thinghub.ota.domain.models import Package

PIECE = 256 * 1024


class Kept(Protocol):
    """A package that lies in the store; `etag` is quoted and changes with the content."""

    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified_s(self) -> float: ...

    def read(self, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `first` up to and without `end`, in pieces of at most PIECE, of this content and no other:
        StoreUnavailable when it was replaced meanwhile."""


class Packages(Protocol):
    """Raises StoreUnavailable, with a sentence, when the place cannot be used."""

    @property
    def check_s(self) -> float:
        """How often a place that is well may be asked whether it is."""

    async def prepare(self) -> None:
        """Sees that packages can be written and read."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Package:
        """Whole or not at all: what was there is replaced when the last chunk is safe. What `chunks` raises passes
        through, unless it is an OSError, which is taken for one of the place; and nothing is to be seen."""

    async def find(self, key: str) -> Kept | None:
        """None when nothing lies there."""
