"""A sensor's curve, as a server has it: drawn from QueryDevicePropertyData, not from what the device remembers."""

import asyncio
import time

import httpx

from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.chart import Point
from thinghub.all_in_one.demo.view import View
from thinghub.device_sdk import Identity

FIRST_SECONDS = 9.0
CHART_SECONDS = 20.0
SPAN_SECONDS = 300.0
VALUES = 100  # the most that one query gives
PROPERTY = "temperature"


async def run(api: Api, sensor: Identity, view: View) -> None:
    """A chart every few seconds, until cancelled."""
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        begin = time.perf_counter()
        try:
            points = await _points(api, sensor)
        except (ApiError, httpx.HTTPError) as error:
            view.trouble(f"no chart: {error}")
        else:
            if points:
                view.chart(sensor.device_name, PROPERTY, points, SPAN_SECONDS, (time.perf_counter() - begin) * 1000)
        await asyncio.sleep(CHART_SECONDS)


async def _points(api: Api, sensor: Identity) -> list[Point]:
    """Epoch seconds and values of the last minutes, oldest first."""
    now = int(time.time() * 1000)
    answer = await api.call(
        "QueryDevicePropertyData",
        ProductKey=sensor.product_key,
        DeviceName=sensor.device_name,
        Identifier=PROPERTY,
        StartTime=now - int(SPAN_SECONDS * 1000),
        EndTime=now,
        PageSize=VALUES,
        Asc=0,
    )
    found = answer["Data"]["List"]["PropertyInfo"]
    return [(int(one["Time"]) / 1000, float(one["Value"])) for one in reversed(found)]
