"""Numbered `Pub` calls of QoS 1: one caller a device, the next number only when the last one was promised."""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable

import httpx

from tests.support.identity import Identity
from tests.support.openapi import Key

PROMISED = ("queued", "delivered", "sent", "displaced")
DEADLINE, AGAIN = 10.0, 0.25


class Caller:
    """Tries each number until the API says success; `acknowledged` holds what it said yes to.

    Every try carries its own count in the payload (`a`), so that a second copy can be told from a second try.
    `unpromised` are successes that name no receiver, though the device has a persistent session.
    """

    def __init__(self, identity: Identity, http: httpx.AsyncClient, key: Key, may_send: Callable[[int], bool]) -> None:
        self.identity = identity
        self.name = identity.device_name
        self.sent = self.failed = self.refused = 0
        self.acknowledged: set[int] = set()
        self.unpromised: dict[int, str] = {}
        self.outcomes: Counter[str] = Counter()
        self.stopping = False
        self._http, self._auth, self._may_send = http, (key.access_key_id, key.access_key_secret), may_send

    @property
    def owes(self) -> int:
        return self.sent - len(self.acknowledged)

    async def run(self) -> None:
        while not self.stopping:
            if not self._may_send(self.sent):
                await asyncio.sleep(0.05)
                continue
            self.sent += 1
            await self._until_promised(self.sent)

    async def _until_promised(self, number: int) -> None:
        attempt = 1
        while not (outcome := await self._call(number, attempt)):
            self.failed += 1
            attempt += 1
            await asyncio.sleep(AGAIN)
        self.outcomes[outcome] += 1
        self.acknowledged.add(number)
        if outcome not in PROMISED:
            self.unpromised[number] = outcome

    async def _call(self, number: int, attempt: int) -> str:
        """What became of it; empty when it was not accepted."""
        body = {
            "ProductKey": self.identity.product_key,
            "TopicFullName": self.identity.topic("get"),
            "MessageContent": base64.b64encode(b'{"n":%d,"a":%d}' % (number, attempt)).decode(),
            "Qos": 1,
            "WaitMs": 0,
        }
        try:
            answer = await self._http.post("/v1/messages", json=body, auth=self._auth, timeout=DEADLINE)
        except httpx.HTTPError:
            return ""
        self.refused += answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        return str(answer.json()["Outcome"]) if answer.status_code == httpx.codes.OK else ""
