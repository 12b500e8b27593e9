"""The greenhouse: a gateway with three sensors behind it that post their properties, and the rows that come of them.

sensor ── the gateway's connection ──> the platform's gateway ──> bus ──> shadow: checked, stored, replied
                                                                      └──> the rule ──> a row
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from thinghub.all_in_one.demo.house import House
from thinghub.all_in_one.demo.table import Row
from thinghub.all_in_one.demo.view import View
from thinghub.device_sdk import Device, DeviceError, SessionError, SubDevice

READING_SECONDS = 6.0
LATE_SECONDS = 5.0
WAITING = 1000  # readings remembered while their row is awaited


@dataclass
class Walk:
    """A value that wanders between bounds, a little at a time."""

    low: float
    high: float
    step: float
    value: float = field(init=False)

    def __post_init__(self) -> None:
        self.value = self.low + (self.high - self.low) * random.uniform(0.3, 0.7)

    def next(self) -> float:
        self.value = min(self.high, max(self.low, self.value + random.gauss(0, self.step)))
        return round(self.value, 1)


# What each sensor measures.
MEASURES = {
    "climate": {"temperature": (16.0, 30.0, 0.5), "humidity": (35.0, 90.0, 1.0)},
    "soil": {"moisture": (15.0, 60.0, 0.8)},
    "light": {"light": (200.0, 40_000.0, 1500.0)},
}


@dataclass
class Reading:
    """On its way; both ends are awaited."""

    begin: float = field(default_factory=time.perf_counter)
    replied: bool = False
    written: bool = False
    late: bool = False

    @property
    def milliseconds(self) -> float:
        return (time.perf_counter() - self.begin) * 1000


class Greenhouse:
    """`device` is the gateway, entered by the caller; `status(name, logged in)` tells of the sensors' sessions."""

    def __init__(self, house: House, device: Device, view: View, status: Callable[[str, bool], None]) -> None:
        self.device = device
        self._view = view
        self._sensors = [
            device.gateway.sub_device(one, on_status=partial(status, one.device_name)) for one in house.sensors
        ]
        self._waiting: dict[tuple[str, int], Reading] = {}
        device.gateway.on_error(self._on_error)

    async def log_in(self) -> None:
        """The sensors are added to the topology unless they are there. Raises DeviceError."""
        begun = time.perf_counter()
        gateway = self.device.gateway
        held = set(await gateway.topology())
        await gateway.add([sensor for sensor in self._sensors if sensor.identity.name not in held])
        for refusal in (await gateway.login(self._sensors)).values():
            raise refusal
        names = ", ".join(sensor.identity.device_name for sensor in self._sensors)
        self._view.logged_in(self.device.identity.device_name, names, (time.perf_counter() - begun) * 1000)

    async def run(self) -> None:
        """Readings, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number, sensor in enumerate(self._sensors):
                tasks.create_task(self._measure(sensor, number * READING_SECONDS / len(self._sensors)))
            tasks.create_task(self._look_for_late())

    def on_row(self, row: Row) -> None:
        reading = self._waiting.pop((row.device, row.reading), None)
        if reading is not None:
            reading.written = True
            self._view.row(row, reading.milliseconds, last=reading.replied)

    async def _on_error(self, error: SessionError) -> None:
        self._view.trouble(f"the platform says of a sensor: {error}")

    async def _measure(self, sensor: SubDevice, offset: float) -> None:
        name = sensor.identity.device_name
        walks = {measured: Walk(*bounds) for measured, bounds in MEASURES[name].items()}
        await asyncio.sleep(offset)
        while True:
            if sensor.connected and len(self._waiting) < WAITING:
                await self._post(sensor, {measured: walk.next() for measured, walk in walks.items()})
            await asyncio.sleep(READING_SECONDS)

    async def _post(self, sensor: SubDevice, values: dict[str, float]) -> None:
        name, number, reading = sensor.identity.device_name, int(time.time()), Reading()
        self._waiting[name, number] = reading
        self._view.up(name, values, self.device.identity.device_name)

        def acknowledged() -> None:
            self._view.on_the_bus(name, reading.milliseconds)

        try:
            await sensor.things.post_properties({"reading": number, **values}, acknowledged=acknowledged)
        except DeviceError as error:
            self._view.trouble(f"a reading of {name} was not taken: {error}")
        else:
            reading.replied = True
            self._view.replied(name, reading.milliseconds, last=reading.written)

    async def _look_for_late(self) -> None:
        while True:
            await asyncio.sleep(1)
            for (name, _), reading in self._waiting.items():
                if not reading.late and reading.milliseconds > LATE_SECONDS * 1000:
                    reading.late = True
                    self._view.row_is_late(name, LATE_SECONDS)
