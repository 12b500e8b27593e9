"""Receives what servers publish to the device, and answers their calls.

    python receive_commands.py ENDPOINTS_JSON PRODUCT_KEY DEVICE_NAME DEVICE_SECRET

Try the actions Pub (topic `/{pk}/{dn}/user/get`, Qos 1) and RRpc of the API.
"""

import asyncio
import logging
import sys

from thinghub.device_sdk import Device, Endpoint, Identity


async def command(topic: str, payload: bytes) -> None:
    print(topic, payload.decode(errors="replace"), flush=True)


async def shout(request: bytes) -> bytes:
    return request.upper()


async def main(endpoints: str, product_key: str, device_name: str, secret: str) -> None:
    identity = Identity(product_key, device_name, secret)
    device = Device(identity, Endpoint.from_file(endpoints))
    await device.subscribe(device.topic("get"), command)
    device.on_call(shout)
    async with device:
        print("listening", flush=True)
        await device.wait_ended()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
