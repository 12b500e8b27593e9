"""The status projection: device_status from lifecycle messages.

Every session has an epoch that rises with each claim of the device (invariants §1). Messages come at least once and,
after a gateway's freeze, late; so a status is applied only

    online  of epoch E   when E >  the epoch stored
    offline of epoch E   when E >= the epoch stored

which makes replays and latecomers change nothing. `activated` is the first online, ever; it and the last online come
from a session whose epoch is above the one stored, so a replay cannot activate a device that was registered anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import orjson

from thinghub.device_protocol.bodies import status_topic
from thinghub.device_protocol.records import Message
from thinghub.device_registry.domain.devices import DeviceId


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What is known of one session. `online_ms`: when it came online, epoch milliseconds; 0 if not known here."""

    device: DeviceId
    online: bool
    epoch: int
    online_ms: int
    client_address: str


class NotAStatus(ValueError):
    """A status topic with a body that is none."""


def read_status(message: Message) -> StatusChange | None:
    """None for the other messages of the topic. Raises NotAStatus."""
    if message.topic != status_topic(message.product_key, message.device_name):
        return None
    try:
        body = orjson.loads(message.payload)
        online = {"online": True, "offline": False}[body["status"]]
        address = str(body.get("clientIp", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAStatus(f"the body on {message.topic} is no status") from error
    if message.epoch <= 0:
        raise NotAStatus("a status carries the epoch of its session")
    device = DeviceId(message.product_key, message.device_name)
    return StatusChange(device, online, message.epoch, message.received_ms if online else 0, address)


def rounds(changes: Iterable[StatusChange]) -> list[list[StatusChange]]:
    """Changes in rounds to be applied one after the other: within a round each device appears once and devices are
    sorted. An online followed by the offline of the same session is one change."""
    of_device: dict[DeviceId, list[StatusChange]] = {}
    for change in changes:
        earlier = of_device.setdefault(change.device, [])
        if earlier and earlier[-1].epoch == change.epoch:
            earlier[-1] = _merged(earlier[-1], change)
        else:
            earlier.append(change)
    depth = max(map(len, of_device.values()), default=0)
    devices = sorted(of_device)
    return [[of_device[one][turn] for one in devices if turn < len(of_device[one])] for turn in range(depth)]


def _merged(before: StatusChange, change: StatusChange) -> StatusChange:
    """Of one session: offline is final, and an online after it is a replay."""
    if change.online:
        return before
    return replace(before, online=False)
