"""Time for devices (device-mqtt §8): answered here at once, because a reply that waits is worth less.

    /ext/ntp/{pk}/{dn}/request   {"deviceSendTime":"1571724098000"}
    /ext/ntp/{pk}/{dn}/response  {"deviceSendTime":"...","serverRecvTime":"...","serverSendTime":"..."}

All times are epoch milliseconds as strings; the device's own is echoed with the characters that came.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outcomes import Outcome
from thinghub.connection_gateway.ports import Count
from thinghub.connection_gateway.service.pushes import Push, Pushes

MAX_PAYLOAD = 512
MAX_TIME = 64


@dataclass(frozen=True, slots=True)
class Asked:
    handle: int
    device: Device
    payload: bytes
    qos: int
    received_ms: int


class Ntp:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, pushes: Pushes, clock_ms: Callable[[], int], count: Count) -> None:
        self._pushes = pushes
        self._clock_ms = clock_ms
        self._count = count

    def answer(self, questions: Iterable[Asked]) -> None:
        """What is no question gets no answer."""
        now = self._clock_ms()
        answers = []
        for asked in questions:
            sent = device_time(asked.payload)
            if sent is None:
                self._count("ntp_malformed")
                continue
            reply = {"deviceSendTime": sent, "serverRecvTime": str(asked.received_ms), "serverSendTime": str(now)}
            payload = json.dumps(reply, separators=(",", ":")).encode()
            answers.append((Push(asked.handle, response_topic(asked.device), payload, asked.qos, True), _ignored))
        self._pushes.start(answers)


def response_topic(device: Device) -> str:
    return f"/ext/ntp/{device.product_key}/{device.device_name}/response"


def device_time(payload: bytes) -> str | None:
    """The device's time as a string, whichever way it was written; None when there is none."""
    if len(payload) > MAX_PAYLOAD:
        return None
    try:
        members = json.loads(payload, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    sent = members.get("deviceSendTime") if isinstance(members, dict) else None
    return sent if isinstance(sent, str) and len(sent) <= MAX_TIME else None


def _ignored(outcome: Outcome) -> None:
    """A device that went away meanwhile asks again."""
