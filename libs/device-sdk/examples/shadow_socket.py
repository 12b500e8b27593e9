"""A smart socket that a server switches through its shadow, also while the socket is away.

    python shadow_socket.py ENDPOINTS_JSON PRODUCT_KEY DEVICE_NAME DEVICE_SECRET

Try the action UpdateDeviceShadow: {"method":"update","state":{"desired":{"power":"on"}},"version":2}
"""

import asyncio
import logging
import sys

from thinghub.device_sdk import Device, Document, Endpoint, Identity


async def main(endpoints: str, product_key: str, device_name: str, secret: str) -> None:
    device = Device(Identity(product_key, device_name, secret), Endpoint.from_file(endpoints))

    async def switch(document: Document) -> None:
        if (power := document.desired.get("power")) is None:
            return
        print("switching", power, flush=True)
        await device.shadow.update({"power": power})
        await device.shadow.clear_desired()

    device.shadow.on_control(switch)
    async with device:
        if "power" not in (await device.shadow.get()).reported:
            await device.shadow.update({"power": "off"})
        print("version", device.shadow.version, flush=True)
        await device.wait_ended()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
