"""A gateway with sensors behind it: adds them once, logs them in, and posts their properties over its own connection.

    python gateway_with_sensors.py ENDPOINTS_JSON PRODUCT_KEY DEVICE_NAME DEVICE_SECRET SENSORS_JSON

The gateway's product has NodeType 1. SENSORS_JSON is a file with a list of [ProductKey, DeviceName, DeviceSecret]; the
sensors' thing model needs the property `temperature`. Interrupt the network: all are logged in again by themselves.
"""

import asyncio
import json
import logging
import random
import sys
from pathlib import Path

from thinghub.device_sdk import Device, DeviceError, Endpoint, Identity, SessionError, SubDevice

SECONDS = 3.0


async def measure(sensor: SubDevice) -> None:
    name, temperature = sensor.identity.device_name, 20.0
    while True:
        temperature += random.gauss(0, 0.3)
        try:
            await sensor.things.post_properties({"temperature": round(temperature, 1)})
            print(name, "posted", round(temperature, 1), flush=True)
        except SessionError as error:
            print(name, "has no session any more:", error, flush=True)
            return
        except DeviceError as error:
            print(name, "could not post:", error, flush=True)
        await asyncio.sleep(SECONDS)


async def failed(error: SessionError) -> None:
    print("the platform says of", error.device.device_name, "-", error.code, error.message, flush=True)


async def main(endpoints: str, product_key: str, device_name: str, secret: str, sensors: str) -> None:
    device = Device(Identity(product_key, device_name, secret), Endpoint.from_file(endpoints))
    gateway = device.gateway
    gateway.on_error(failed)
    behind = [gateway.sub_device(Identity(*words)) for words in json.loads(Path(sensors).read_text())]
    async with device:
        held = set(await gateway.topology())
        await gateway.add([sensor for sensor in behind if sensor.identity.name not in held])
        refused = await gateway.login(behind)
        for error in refused.values():
            print("refused", error, flush=True)
        print("logged in", len(behind) - len(refused), "of", len(behind), flush=True)
        async with asyncio.TaskGroup() as tasks:
            for sensor in behind:
                if sensor.identity.name not in refused:
                    tasks.create_task(measure(sensor))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
