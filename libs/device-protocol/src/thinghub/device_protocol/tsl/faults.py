"""Collects what is wrong with a TSL; bounded, so that a hostile one costs bounded time and memory."""

from typing import Final

from thinghub.device_protocol.tsl.model import Fault, TslInvalid

MOST: Final = 100


class Faults:
    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, path: str, why: str) -> None:
        if len(self._found) < MOST:
            self._found.append(Fault(path, why))

    def mapping(self, value: object, path: str) -> dict[str, object] | None:
        if isinstance(value, dict):
            return value
        self.add(path, "it is an object" if value is not None else "it is missing")
        return None

    def listing(self, value: object, path: str) -> list[object]:
        """Absent: empty."""
        if isinstance(value, list):
            return value
        if value is not None:
            self.add(path, "it is an array")
        return []

    def check(self) -> None:
        """Raises TslInvalid when there is any."""
        if self._found:
            raise TslInvalid(tuple(self._found))
