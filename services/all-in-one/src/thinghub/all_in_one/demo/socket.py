"""The smart socket: a server switches it through its shadow, and sees there that it did.

server ── UpdateDeviceShadow ──> shadow ── control ──> socket ── reported ──> shadow <── GetDeviceShadow ── server
"""

import asyncio
import json
import time
from typing import Any

import httpx

from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.view import View
from thinghub.device_sdk import Device, DeviceError, Document

SWITCH_SECONDS = 10.0
LATE_SECONDS = 5.0
LOOK_SECONDS = 0.05


class Socket:
    """`device` is entered by the caller, after this was made."""

    def __init__(self, device: Device, api: Api, view: View) -> None:
        self._device, self._api, self._view = device, api, view
        self._named = {"ProductKey": device.identity.product_key, "DeviceName": device.identity.device_name}
        self._name = device.identity.device_name
        self._begin = time.perf_counter()
        device.shadow.on_control(self._on_control)

    async def run(self) -> None:
        """Switched every few seconds, until cancelled."""
        while True:
            try:
                await self._switch()
            except (ApiError, httpx.HTTPError) as error:
                self._view.trouble(f"the socket was not switched: {error}")
            await asyncio.sleep(SWITCH_SECONDS)

    async def _switch(self) -> None:
        version, reported = await self._shadow()
        power = "off" if reported.get("power") == "on" else "on"
        wish = {"method": "update", "state": {"desired": {"power": power}}, "version": version + 1}
        self._begin = time.perf_counter()
        self._view.down(self._name, "UpdateDeviceShadow", f"power {power}")
        await self._api.call("UpdateDeviceShadow", **self._named, ShadowMessage=json.dumps(wish))
        try:
            async with asyncio.timeout(LATE_SECONDS):
                while (await self._shadow())[1].get("power") != power:
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            self._view.trouble(f"the socket did not report power {power} within {LATE_SECONDS:.0f} s")
        else:
            self._view.done(self._name, f"GetDeviceShadow says: power {power}", self._since())

    async def _shadow(self) -> tuple[int, dict[str, Any]]:
        """Version and what is reported, as the server is told."""
        answer = json.loads((await self._api.call("GetDeviceShadow", **self._named))["ShadowMessage"])
        return int(answer.get("version", 0)), answer["payload"].get("state", {}).get("reported", {})

    async def _on_control(self, document: Document) -> None:
        power = document.desired.get("power")
        if power is None:
            return
        self._view.hop(self._name, f"control arrived, the relay is {power}", self._since())
        try:
            version = await self._device.shadow.update({"power": power})
            self._view.hop(self._name, f"reported: power {power}, version {version}", self._since())
            await self._device.shadow.clear_desired()
        except DeviceError as error:
            self._view.trouble(f"the socket could not report: {error}")

    def _since(self) -> float:
        return (time.perf_counter() - self._begin) * 1000
