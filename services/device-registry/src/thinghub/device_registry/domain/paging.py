"""Pages by number."""

from dataclasses import dataclass

from thinghub.device_registry.errors import PageInvalid

DEFAULT_SIZE = 50
MAX_SIZE = 200
_MAX_OFFSET = 10_000_000


@dataclass(frozen=True, slots=True)
class Page:
    offset: int
    size: int


def page_of(number: int, size: int) -> Page:
    """`number` from 1; 0 stands for the first page and for the default size. Raises PageInvalid."""
    number, size = number or 1, size or DEFAULT_SIZE
    if number < 1 or not 1 <= size <= MAX_SIZE:
        raise PageInvalid(f"pages are numbered from 1 and have 1 to {MAX_SIZE} entries")
    if (number - 1) * size > _MAX_OFFSET:
        raise PageInvalid("the page is too far in; go on with the token of the page before")
    return Page((number - 1) * size, size)


def page_limit(limit: int) -> int:
    if not 0 <= limit <= MAX_SIZE:
        raise PageInvalid(f"a page has 1 to {MAX_SIZE} entries")
    return limit or MAX_SIZE
