"""Notices: what gateways are told of topology changes, in rows written with the change.

So no change is stored untold: told at least once, in order, however long the gateways are away. A session that is to
end is named by the time of the change, so telling late, or twice, spares the session that the device has begun since.
One process at a time takes notices.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Never

from thinghub.common.errors import Fault
from thinghub.device_protocol import alink
from thinghub.device_protocol.message_ids import derive
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import ChangeStatus, Notice, listed
from thinghub.device_registry.ports.tags import Replies, Reply
from thinghub.device_registry.ports.topology import NoticeStore, Sessions

BATCH = 500
POLL_S = 5.0
BACKOFF_S = 10.0
REASON = "topology"
_METHOD = "thing.topo.change"


class Notices:
    def __init__(self, store: NoticeStore, sessions: Sessions, replies: Replies, log: logging.Logger) -> None:
        self._store = store
        self._sessions = sessions
        self._replies = replies
        self._log = log
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    async def run(self) -> Never:
        pause = POLL_S
        while True:
            self._woken.clear()
            try:
                while await self.drain() == BATCH:
                    pass
                pause = POLL_S
            except Fault as error:
                pause = min(pause * 2, BACKOFF_S)
                self._log.debug("notices to gateways wait: %s", error)
            await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def drain(self) -> int:
        """Tells the oldest; how many. Raises a Fault when the store or the gateways are away."""
        async with self._store.taking(BATCH) as notices:
            ends = {one.device: one.at_ms for one in notices if one.ends_session}
            if ends:
                await self._sessions.end(ends, REASON)
            messages = [change_message(group) for group in _grouped(notices)]
            if messages:
                await self._replies.send(messages)
            return len(notices)


def _grouped(notices: Sequence[Notice]) -> list[list[Notice]]:
    """Neighbours of one gateway and one status are one message."""
    groups: dict[DeviceId, list[list[Notice]]] = {}
    for one in notices:
        if one.status is None:
            continue
        of_gateway = groups.setdefault(one.gateway, [])
        if of_gateway and of_gateway[-1][-1].status is one.status:
            of_gateway[-1].append(one)
        else:
            of_gateway.append([one])
    return [group for of_gateway in groups.values() for group in of_gateway]


def change_message(notices: Sequence[Notice]) -> Reply:
    """thing/topo/change, of one gateway and one status. Its id is the first notice's, so telling twice repeats it."""
    gateway, first = notices[0].gateway, notices[0]
    status = first.status if first.status is not None else ChangeStatus.DELETE
    params = {"status": int(status), "subList": listed([one.device for one in notices])}
    message_id = derive(first.id, _METHOD)
    topic = f"/sys/{gateway.product_key}/{gateway.device_name}/thing/topo/change"
    return Reply(gateway, topic, alink.command(str(message_id), _METHOD, params), message_id, "", 0)
