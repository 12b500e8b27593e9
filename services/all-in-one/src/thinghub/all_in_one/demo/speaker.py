"""The speaker of a till: a server has it announce what was paid, and gets its answer.

server ── InvokeThingService Announce (synchronous) ──> speaker says it ── answer ──> server
"""

import asyncio
import json
import random
import time
from typing import Any

import httpx

from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.view import View
from thinghub.device_sdk import Device, ReplyError

FIRST_SECONDS = 4.0
PAYMENT_SECONDS = 10.0
BAD_PARAMETER = 460


class Speaker:
    """`device` is entered by the caller, after this was made."""

    def __init__(self, device: Device, api: Api, view: View) -> None:
        self._api, self._view = api, view
        self._named = {"ProductKey": device.identity.product_key, "DeviceName": device.identity.device_name}
        self._name = device.identity.device_name
        self._begin = time.perf_counter()
        device.things.on_service("Announce", self._announce)

    async def run(self) -> None:
        """A payment every few seconds, until cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self._pay(round(random.uniform(1, 100), 2))
            except (ApiError, httpx.HTTPError) as error:
                self._view.trouble(f"a payment was not announced: {error}")
            await asyncio.sleep(PAYMENT_SECONDS)

    async def _pay(self, amount: float) -> None:
        self._begin = time.perf_counter()
        self._view.down(self._name, "InvokeThingService", f"Announce {amount:.2f}")
        invoked = await self._api.call(
            "InvokeThingService", **self._named, Identifier="Announce", Args=json.dumps({"amount": amount})
        )
        said = json.loads(invoked["Data"].get("Result") or "{}").get("said")
        self._view.done(self._name, f"answered that it said: {said}", self._since())

    async def _announce(self, given: dict[str, Any]) -> dict[str, Any]:
        amount = given.get("amount")
        if not isinstance(amount, int | float):
            raise ReplyError(BAD_PARAMETER, "an amount is announced")
        said = f"Received {amount:.2f}"
        self._view.announced(self._name, said, self._since())
        return {"said": said}

    def _since(self) -> float:
        return (time.perf_counter() - self._begin) * 1000
