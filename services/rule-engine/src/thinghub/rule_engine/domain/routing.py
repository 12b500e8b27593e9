"""From a message to the rules that look at it: product, device, then the topic below the device. What the platform says
of an OTA job has no device: it is product, package, then the topic below the package, and no device's rule sees it.

What lies below the device repeats from device to device, so each set of filters remembers its answers: a message costs
two or three dict lookups, however many devices there are. The memory is bounded and starts anew when full.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from thinghub.rule_engine.domain.sources import STATUS_PREFIX, Source

Target = TypeVar("Target")
_REMEMBERED = 4096


def matches(levels: Sequence[str], topic: Sequence[str]) -> bool:
    """An MQTT filter against a topic, level by level; `#` takes its parent too."""
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index == len(topic) or level not in ("+", topic[index]):
            return False
    return len(levels) == len(topic)


class _Filters(Generic[Target]):
    def __init__(self) -> None:
        self._entries: list[tuple[tuple[str, ...], Target]] = []
        self._answers: dict[str, tuple[Target, ...]] = {}

    def add(self, levels: tuple[str, ...], target: Target) -> None:
        self._entries.append((levels, target))

    def find(self, below: str) -> tuple[Target, ...]:
        found = self._answers.get(below)
        return self._search(below) if found is None else found

    def _search(self, below: str) -> tuple[Target, ...]:
        topic = below.split("/") if below else []
        found = tuple(target for levels, target in self._entries if matches(levels, topic))
        if len(self._answers) >= _REMEMBERED:
            self._answers.clear()
        self._answers[below] = found
        return found


class _Named(Generic[Target]):
    """Filters below every device, and below those that rules name; the same for packages."""

    def __init__(self) -> None:
        self.every: _Filters[Target] = _Filters()
        self.named: dict[str, _Filters[Target]] = {}

    def filters(self, name: str | None) -> _Filters[Target]:
        return self.every if name is None else self.named.setdefault(name, _Filters())

    def find(self, name: str, below: str) -> tuple[Target, ...]:
        found = self.every.find(below)
        if self.named and (filters := self.named.get(name)):
            return found + filters.find(below)
        return found


class _Product(Generic[Target]):
    def __init__(self) -> None:
        self.devices: _Named[Target] = _Named()
        self.packages: _Named[Target] = _Named()


class Routing(Generic[Target]):
    """Immutable once built."""

    def __init__(self, entries: Iterable[tuple[Source, Target]] = ()) -> None:
        self._products: dict[str, _Product[Target]] = {}
        for source, target in entries:
            product = self._products.setdefault(source.product_key, _Product())
            subjects = product.packages if source.of_job else product.devices
            subjects.filters(source.device).add(source.levels, target)

    def find(self, product_key: str, device_name: str, topic: str) -> tuple[Target, ...]:
        """Rules of that product whose filter takes the topic; none for a topic that is not the device's own."""
        product = self._products.get(product_key)
        if product is None:
            return ()
        if not device_name:
            return _of_job(product, product_key, topic)
        own = f"/{product_key}/{device_name}/"
        if topic.startswith(own):
            below = topic[len(own) :]
        elif topic == f"{STATUS_PREFIX}{product_key}/{device_name}":
            below = ""
        else:
            return ()
        return product.devices.find(device_name, below)


def _of_job(product: _Product[Target], product_key: str, topic: str) -> tuple[Target, ...]:
    own = f"/{product_key}/"
    if not topic.startswith(own):
        return ()
    package, _, below = topic[len(own) :].partition("/")
    return product.packages.find(package, below)
