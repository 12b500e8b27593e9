"""Connects and publishes a reading every few seconds; comes back when the connection is lost.

    python connect_and_publish.py ENDPOINTS_JSON PRODUCT_KEY DEVICE_NAME DEVICE_SECRET [--tls]

ENDPOINTS_JSON is what `make up` writes into its data directory.
"""

import asyncio
import json
import logging
import random
import sys

from thinghub.device_sdk import Device, Endpoint, Identity

SECONDS = 3.0


async def main(endpoints: str, product_key: str, device_name: str, secret: str, *options: str) -> None:
    endpoint = Endpoint.from_file(endpoints, tls="--tls" in options)
    async with Device(Identity(product_key, device_name, secret), endpoint) as device:
        while True:
            reading = {"temperature": round(random.uniform(18, 24), 1)}
            await device.publish(device.topic("update"), json.dumps(reading).encode(), deadline=60)
            print("the platform has", reading, flush=True)
            await asyncio.sleep(SECONDS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
