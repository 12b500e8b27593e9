"""Questions to the platform on `/sys/{pk}/{dn}/...` and their replies, matched by topic and id (device-mqtt §2)."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

from thinghub.device_protocol.alink import REPLY, AlinkError, Answer, command, parse_answer
from thinghub.device_protocol.codes import Alink
from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.errors import DeadlineExceeded, ReplyError, TooManyWaiting
from thinghub.device_sdk.identity import Identity

ID_RANGE = 1 << 32

Send = Callable[[str, bytes], Awaitable[None]]


class Requests:
    """At most `limit` replies are awaited at a time."""

    def __init__(self, connection: Channel, identity: Identity, limit: int) -> None:
        self._connection, self._identity, self._limit = connection, identity, limit
        self._ids = itertools.count(random.randrange(ID_RANGE // 2))  # so that a restart does not repeat them
        self._waiting: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    def next_id(self) -> str:
        return str(next(self._ids) % ID_RANGE)

    async def ask(
        self, path: str, params: object, deadline: float, acknowledged: Callable[[], None] | None = None
    ) -> object:
        """The reply's `data`. `acknowledged` is called when the platform has the question.

        Raises ReplyError, DeadlineExceeded, TooManyWaiting. A deadline does not tell whether the platform did what was
        asked: the reply may be what was lost."""

        async def send(topic: str, body: bytes) -> None:
            await self._connection.publish(topic, body, 1, deadline)
            if acknowledged is not None:
                acknowledged()

        return await self.ask_on(self._identity.sys(path), path.replace("/", "."), params, send, deadline)

    async def ask_on(self, topic: str, method: str, params: object, send: Send, deadline: float) -> object:
        """A question on any topic, sent by `send(topic, body)`; the reply comes on the topic with `_reply`."""
        if len(self._waiting) >= self._limit:
            raise TooManyWaiting(f"{self._limit} replies are awaited already")
        request_id = self.next_id()
        key = (topic + REPLY, request_id)
        replied: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[key] = replied
        try:
            async with asyncio.timeout(deadline):
                await send(topic, command(request_id, method, params))
                answer = await replied
        except TimeoutError as error:
            raise DeadlineExceeded(f"{method}: no reply within {deadline} s") from error
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
