"""RRPC correlation (invariants §4, device-mqtt §9): which response belongs to which request, and how a request ends.

    opened ─┬─ response from the same device ─> SUCCESS
            ├─ connection closed ─────────────> OFFLINE, at once
            └─ time over ─┬─ request acknowledged ─────> TIMEOUT
                          └─ not acknowledged ─────────> HALFCONN

The gateway that holds the connection waits; the request's id carries its worker, so a response that arrives at
another gateway finds the way. An id is forgotten when its request ends, so nothing is delivered afterwards.
"""

from dataclasses import dataclass
from enum import StrEnum

from thinghub.connection_gateway.domain.device import Device
from thinghub.device_protocol.topics import EXT_RRPC


class Code(StrEnum):
    SUCCESS = "success"
    TIMEOUT = "timeout"
    OFFLINE = "offline"
    HALFCONN = "halfconn"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    code: Code
    message_id: int = 0
    payload: bytes = b""


@dataclass(slots=True)
class _Pending:
    device: Device
    handle: int
    acknowledged: bool = False


class Correlator:
    """Requests under way, by id."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._by_handle: dict[int, set[int]] = {}

    def open(self, message_id: int, device: Device, handle: int) -> None:
        self._pending[message_id] = _Pending(device, handle)
        self._by_handle.setdefault(handle, set()).add(message_id)

    def acknowledged(self, message_id: int) -> None:
        if message_id in self._pending:
            self._pending[message_id].acknowledged = True

    def answers(self, message_id: int, device: Device) -> bool:
        """Whether a response of this device with this id is waited for."""
        pending = self._pending.get(message_id)
        return pending is not None and pending.device == device

    def of_connection(self, handle: int) -> list[int]:
        """Requests that end when this connection does."""
        return list(self._by_handle.get(handle, ()))

    def overdue(self, message_id: int) -> Code:
        """How a request ends whose time is over."""
        return Code.TIMEOUT if self._pending[message_id].acknowledged else Code.HALFCONN

    def forget(self, message_id: int) -> None:
        """The request has ended: nothing answers it any more."""
        pending = self._pending.pop(message_id)
        siblings = self._by_handle[pending.handle]
        siblings.discard(message_id)
        if not siblings:
            del self._by_handle[pending.handle]

    def __len__(self) -> int:
        return len(self._pending)


def request_topic(device: Device, message_id: int, topic: str, ext: int) -> str:
    """Where the device gets the request: a custom topic needs `ext=1`, everybody else has the system topic."""
    if topic and ext & EXT_RRPC:
        return f"/ext/rrpc/{message_id}/{topic.lstrip('/')}"
    return f"/sys/{device.product_key}/{device.device_name}/rrpc/request/{message_id}"


def response_id(topic: str) -> int:
    """The request id in a response topic, `/sys/{pk}/{dn}/rrpc/response/{id}` or `/ext/rrpc/{id}/...`; 0: none."""
    levels = topic.split("/")
    if levels[1:3] == ["ext", "rrpc"]:
        text = levels[3] if len(levels) > 3 else ""
    else:
        text = levels[6] if levels[4:6] == ["rrpc", "response"] and len(levels) == 7 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else 0
