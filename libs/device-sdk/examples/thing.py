"""A thermostat by its thing model: posts its temperature, takes a target, raises an alarm, serves `reboot`.

    python thing.py ENDPOINTS_JSON PRODUCT_KEY DEVICE_NAME DEVICE_SECRET

The product's model needs the properties `temperature` and `target`, the event `overheat` and the service `reboot`.
"""

import asyncio
import logging
import sys
from typing import Any

from thinghub.device_sdk import Device, Endpoint, Identity, ReplyError

SECONDS = 3.0
HOT = 30.0


class Thermostat:
    def __init__(self, device: Device) -> None:
        self._device = device
        self._temperature, self._target = 20.0, 21.0
        device.things.on_property_set(self._set)
        device.things.on_service("reboot", self._reboot)

    async def run(self) -> None:
        while True:
            self._temperature += (self._target - self._temperature) / 4
            values = {"temperature": round(self._temperature, 1), "target": self._target}
            try:
                await self._device.things.post_properties(values)
                print("posted", values, flush=True)
                if self._temperature > HOT:
                    await self._device.things.post_event("overheat", {"temperature": self._temperature})
            except ReplyError as error:
                print("refused:", error.code, error.message, flush=True)
            await asyncio.sleep(SECONDS)

    async def _set(self, values: dict[str, Any]) -> None:
        if not isinstance(values.get("target"), int | float):
            raise ReplyError(460, "only target can be set")
        self._target = float(values["target"])

    async def _reboot(self, given: dict[str, Any]) -> dict[str, Any]:
        print("rebooting", given, flush=True)
        return {"seconds": 5}


async def main(endpoints: str, product_key: str, device_name: str, secret: str) -> None:
    device = Device(Identity(product_key, device_name, secret), Endpoint.from_file(endpoints))
    thermostat = Thermostat(device)
    async with device:
        await thermostat.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
