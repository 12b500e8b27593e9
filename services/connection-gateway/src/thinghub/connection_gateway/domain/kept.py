"""What a persistent session keeps while its connection is away: subscriptions and stopped automatic topics (invariants
§4). Its queue is in domain/outbox.py."""

from collections.abc import Iterable
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.device_protocol.topics import delivery_row


@dataclass(frozen=True, slots=True)
class Kept:
    """`present`: the session existed before this CONNECT. `stopped` are filters of UNSUBSCRIBEs."""

    present: bool = False
    subscriptions: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()

    def receives(self, device: Device, topic: str) -> bool:
        """Whether the session takes a message on `topic`, as the connection plane would say."""
        if any(covers(filter_, topic) for filter_ in self.subscriptions):
            return True
        row = delivery_row(topic, device.product_key, device.device_name)
        return row is not None and row.auto and not any(covers(filter_, topic) for filter_ in self.stopped)


@dataclass(frozen=True, slots=True)
class Change:
    """One SUBSCRIBE or UNSUBSCRIBE of a persistent session, to be stored under its epoch."""

    device: Device
    epoch: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()


def covers(filter_: str, topic: str) -> bool:
    """MQTT's own rule: `+` is one level, a last `#` the rest, none included."""
    wanted, levels = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and _equal(wanted, levels)


def _equal(wanted: Iterable[str], levels: Iterable[str]) -> bool:
    return all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))
