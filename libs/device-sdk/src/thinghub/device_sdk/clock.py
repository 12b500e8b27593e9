"""The platform's time (device-mqtt §8), for devices that have no clock of their own."""

import asyncio
import json
import time

from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.errors import DeadlineExceeded
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox


class Clock:
    def __init__(self, connection: Channel, identity: Identity, inbox: Inbox) -> None:
        self._connection = connection
        own = identity.own("/ext/ntp")
        self._request, self._response = own + "/request", own + "/response"
        self._waiting: dict[str, asyncio.Future[tuple[int, int]]] = {}
        inbox.first(self._takes)

    async def now(self, deadline: float) -> float:
        """Epoch milliseconds, right to half of the way's length. Raises DeadlineExceeded."""
        sent = str(time.monotonic_ns())  # the platform gives back what it gets; the device's own clock may be wrong
        answered: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting[sent] = answered
        try:
            async with asyncio.timeout(deadline):
                body = json.dumps({"deviceSendTime": sent}).encode()
                await self._connection.publish(self._request, body, 1, deadline)
                received, replied = await answered
        except TimeoutError as error:
            raise DeadlineExceeded(f"no time within {deadline} s") from error
        finally:
            del self._waiting[sent]
        elapsed = (time.monotonic_ns() - int(sent)) / 1e6
        return (received + replied + elapsed) / 2

    def _takes(self, topic: str, payload: bytes) -> bool:
        if topic != self._response:
            return False
        try:
            body = json.loads(payload)
            answered = self._waiting[str(body["deviceSendTime"])]
            times = int(body["serverRecvTime"]), int(body["serverSendTime"])
        except (ValueError, KeyError, TypeError):
            return False
        if not answered.done():
            answered.set_result(times)
        return True
