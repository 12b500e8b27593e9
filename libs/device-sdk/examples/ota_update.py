"""A device that upgrades itself: tells its version, downloads what is pushed, verifies it, and tells the new version.

    python ota_update.py ENDPOINTS_JSON PRODUCT_KEY DEVICE_NAME DEVICE_SECRET VERSION FOLDER

Interrupt it in the middle of a download and start it again: it goes on where it was.
"""

import asyncio
import logging
import sys
from pathlib import Path

from thinghub.device_sdk import Device, Endpoint, Identity, Upgrade


async def main(endpoints: str, product_key: str, device_name: str, secret: str, version: str, folder: str) -> None:
    device = Device(Identity(product_key, device_name, secret), Endpoint.from_file(endpoints))
    running = asyncio.Lock()

    async def upgrade(found: Upgrade) -> None:
        async with running:
            image = await found.download(Path(folder))
            print("verified", image.name, flush=True)
            # a real device writes it to its other slot and restarts here
            await found.progress(100, "installed")
            await device.ota.inform(found.version, module=found.module)

    device.ota.on_upgrade(upgrade)
    async with device:
        await device.ota.inform(version)
        if (waiting := await device.ota.check()) is not None:
            await upgrade(waiting)
        print("up to date, or waiting for a push", flush=True)
        await device.wait_ended()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
