"""The demo's plot: readings go up, the rule writes rows, a command goes down every few seconds, until cancelled."""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import random
import secrets
import time
from collections.abc import Callable

import httpx

from thinghub.all_in_one.demo import house, table
from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.device import RoomDevice
from thinghub.all_in_one.demo.view import View
from thinghub.all_in_one.embedded import postgres
from thinghub.all_in_one.embedded.places import Places
from thinghub.all_in_one.errors import CannotRun
from thinghub.device_sdk import DeviceError, Endpoint

READING_SECONDS = 3.0
COMMAND_SECONDS = 5.0
LATE_SECONDS = 5.0
WAITING = 1000  # readings and commands remembered while their end is awaited
COMMANDS = (("fan", "on"), ("fan", "off"), ("light", "warm"), ("light", "off"), ("blinds", "down"), ("blinds", "up"))

Endpoints = dict[str, str | int]


class Demo:
    def __init__(self, places: Places) -> None:
        self._places = places
        self._view = View()
        self._readings: dict[tuple[str, int], float] = {}
        self._late: set[tuple[str, int]] = set()
        self._commands: dict[str, float] = {}
        self._quiet = True  # while the first connections are made

    async def run(self, endpoints: Endpoints) -> None:
        """Raises CannotRun when the platform refuses what the demo creates."""
        dsn = postgres.dsn(self._places, postgres.DEMO_DATABASE)
        api = Api(str(endpoints["api"]), str(endpoints["access_key_id"]), str(endpoints["access_key_secret"]))
        rows = await table.create(dsn)
        try:
            rooms = await house.ensure(api, self._places, dsn)
        except (ApiError, httpx.HTTPError) as error:
            raise CannotRun(f"The demo could not be set up: {error}") from error
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # what it says, `status` shows
        troubles = _Troubles(self._trouble)
        logging.getLogger().addHandler(troubles)
        endpoint = Endpoint.parse(str(endpoints["mqtt"]))
        devices = [RoomDevice(room, endpoint, self._on_command, self._on_connection) for room in rooms]
        self._view.introduction(rooms, rows, str(endpoints["metrics"]))
        try:
            async with contextlib.AsyncExitStack() as connected, asyncio.TaskGroup() as tasks:
                tasks.create_task(table.follow(dsn, self._on_row, self._on_lost_table))
                for device in devices:
                    await device.listen()
                    await connected.enter_async_context(device.device)
                self._quiet = False
                connected.callback(self._hush)
                for number, device in enumerate(devices):
                    tasks.create_task(self._measure(device, number * READING_SECONDS / len(devices)))
                tasks.create_task(self._command(api, devices))
                tasks.create_task(self._look_for_late())
        finally:
            logging.getLogger().removeHandler(troubles)
            await api.close()

    async def _measure(self, device: RoomDevice, offset: float) -> None:
        await asyncio.sleep(offset)
        begin = int(time.time())  # so that a reading's number is new at every start
        for reading in itertools.count(begin * 1000):
            if device.device.connected and len(self._readings) < WAITING:
                self._readings[device.room.name, reading] = time.perf_counter()
                content = device.reading(reading)
                self._view.up(device.room.name, content["temperature"], content["humidity"])
                try:
                    await device.publish(content)
                except DeviceError as error:
                    self._view.trouble(f"a reading was not taken: {error}")
            await asyncio.sleep(READING_SECONDS)

    async def _command(self, api: Api, devices: list[RoomDevice]) -> None:
        while True:
            await asyncio.sleep(COMMAND_SECONDS)
            room = random.choice(devices).room
            thing, state = random.choice(COMMANDS)
            token = secrets.token_hex(8)
            content = json.dumps({thing: state, "token": token}).encode()
            self._view.command(room.name, f"{thing} {state}")
            self._commands[token] = time.perf_counter()
            try:
                await api.call(
                    "Pub",
                    ProductKey=room.product_key,
                    TopicFullName=room.topic("get"),
                    MessageContent=base64.b64encode(content).decode(),
                    Qos=1,
                )
            except (ApiError, httpx.HTTPError) as error:
                self._commands.pop(token, None)
                self._view.trouble(f"command refused: {error}")

    def _on_row(self, row: table.Row) -> None:
        self._late.discard((row.device, row.reading))
        begin = self._readings.pop((row.device, row.reading), None)
        if begin is not None:
            self._view.row(row, _since(begin))

    def _on_command(self, name: str, content: dict[str, object]) -> None:
        begin = self._commands.pop(str(content.get("token")), None)
        if begin is not None:
            self._view.received(name, _since(begin))

    def _on_connection(self, name: str, connected: bool) -> None:
        if not self._quiet:
            self._view.connection(name, connected)

    def _hush(self) -> None:
        """Before the devices leave: that they go is no news."""
        self._quiet = True

    def _trouble(self, sentence: str) -> None:
        if not self._quiet:
            self._view.trouble(sentence)

    def _on_lost_table(self) -> None:
        self._trouble("the database went away, looking for it again")

    async def _look_for_late(self) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                self._tell_late(time.perf_counter() - LATE_SECONDS)
        finally:
            self._quiet = True  # the stop has begun: connections end, and that is no news

    def _tell_late(self, before: float) -> None:
        for key, begin in self._readings.items():
            if begin < before and key not in self._late:
                self._late.add(key)
                self._view.row_is_late(key[0], LATE_SECONDS)
        for token, begin in list(self._commands.items()):
            if begin < before:
                del self._commands[token]
                self._view.trouble(f"a command was not received within {LATE_SECONDS:.0f} s")


class _Troubles(logging.Handler):
    """Warnings of the platform go to the log file; the one looking at the demo sees them too."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = f"{record.name.removeprefix('thinghub.')}: {record.getMessage()}"
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell, sentence)


def _since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1000
