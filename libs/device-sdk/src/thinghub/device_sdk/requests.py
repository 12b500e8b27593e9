"""Questions to the platform on `/sys/{pk}/{dn}/...` and their replies, matched by topic and id (device-mqtt §2)."""

import asyncio
import itertools
import random

from thinghub.device_protocol.alink import REPLY, AlinkError, Answer, command, parse_answer
from thinghub.device_protocol.codes import Alink
from thinghub.device_sdk.connection import Connection
from thinghub.device_sdk.errors import DeadlineExceeded, ReplyError, TooManyWaiting
from thinghub.device_sdk.identity import Identity

ID_RANGE = 1 << 32


class Requests:
    """At most `limit` replies are awaited at a time."""

    def __init__(self, connection: Connection, identity: Identity, limit: int) -> None:
        self._connection, self._identity, self._limit = connection, identity, limit
        self._ids = itertools.count(random.randrange(ID_RANGE // 2))  # so that a restart does not repeat them
        self._waiting: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    def next_id(self) -> str:
        return str(next(self._ids) % ID_RANGE)

    async def ask(self, path: str, params: object, deadline: float) -> object:
        """The reply's `data`. Raises ReplyError, DeadlineExceeded, TooManyWaiting.

        A deadline does not tell whether the platform did what was asked: the reply may be what was lost.
        """
        if len(self._waiting) >= self._limit:
            raise TooManyWaiting(f"{self._limit} replies are awaited already")
        topic, request_id = self._identity.sys(path), self.next_id()
        key = (topic + REPLY, request_id)
        replied: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[key] = replied
        try:
            async with asyncio.timeout(deadline):
                request = command(request_id, path.replace("/", "."), params)
                await self._connection.publish(topic, request, 1, deadline)
                answer = await replied
        except TimeoutError as error:
            raise DeadlineExceeded(f"{path}: no reply within {deadline} s") from error
        finally:
            del self._waiting[key]
        if answer.code != Alink.SUCCESS:
            raise ReplyError(answer.code, answer.message, answer.data)
        return answer.data

    def takes(self, topic: str, payload: bytes) -> bool:
        """Whether this was a reply that somebody awaits."""
        if not topic.endswith(REPLY):
            return False
        try:
            answer = parse_answer(payload)
        except AlinkError:
            return False
        replied = self._waiting.get((topic, answer.id))
        if replied is None:
            return False
        if not replied.done():
            replied.set_result(answer)
        return True
