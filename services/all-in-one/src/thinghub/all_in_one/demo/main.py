"""The demo's plot: readings go up and become rows, a socket is switched, a speaker announces, until cancelled."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import httpx

from thinghub.all_in_one.demo import history, house, table
from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.greenhouse import Greenhouse
from thinghub.all_in_one.demo.socket import Socket
from thinghub.all_in_one.demo.speaker import Speaker
from thinghub.all_in_one.demo.view import View
from thinghub.all_in_one.embedded import postgres
from thinghub.all_in_one.embedded.places import Places
from thinghub.all_in_one.errors import CannotRun
from thinghub.device_sdk import Backoff, Device, DeviceError, Endpoint, Identity, Options

# Five connects a minute are a device's share.
OPTIONS = Options(backoff=Backoff(first=5))

# What is warned of while everything stops is no news; that it stops is known a moment later.
SETTLE_SECONDS = 0.2

Endpoints = dict[str, str | int]


class Demo:
    def __init__(self, places: Places) -> None:
        self._places = places
        self._view = View()
        self._quiet = True  # while the first connections are made, and when the stop has begun

    async def run(self, endpoints: Endpoints) -> None:
        """Raises CannotRun when the platform refuses what the demo creates."""
        dsn = postgres.dsn(self._places, postgres.DEMO_DATABASE)
        api = Api(str(endpoints["api"]), str(endpoints["access_key_id"]), str(endpoints["access_key_secret"]))
        rows = await table.create(dsn)
        try:
            home = await house.ensure(api, dsn)
        except (ApiError, httpx.HTTPError) as error:
            raise CannotRun(f"The demo could not be set up: {error}") from error
        self._view.introduction(home, rows, str(endpoints["metrics"]))
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # what it says, `status` shows
        troubles = _Troubles(self._trouble)
        logging.getLogger().addHandler(troubles)
        try:
            await self._play(home, api, dsn, Endpoint.parse(str(endpoints["mqtt"])))
        finally:
            logging.getLogger().removeHandler(troubles)
            await api.close()

    async def _play(self, home: house.House, api: Api, dsn: str, endpoint: Endpoint) -> None:
        devices = [self._device(one, endpoint) for one in (home.greenhouse, home.socket, home.speaker)]
        greenhouse = Greenhouse(home, devices[0], self._view, self._on_session)
        socket, speaker = Socket(devices[1], api, self._view), Speaker(devices[2], api, self._view)
        async with contextlib.AsyncExitStack() as connected:
            await self._connect(connected, devices, greenhouse)
            self._quiet = False
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hush_at_the_end())
                tasks.create_task(table.follow(dsn, greenhouse.on_row, self._on_lost_table))
                curve = history.run(api, home.sensors[0], self._view)
                for work in (greenhouse.run(), socket.run(), speaker.run(), curve):
                    tasks.create_task(work)

    async def _connect(
        self, connected: contextlib.AsyncExitStack, devices: Sequence[Device], greenhouse: Greenhouse
    ) -> None:
        try:
            for device in devices:
                await connected.enter_async_context(device)
            await greenhouse.log_in()
        except DeviceError as error:
            raise CannotRun(f"The demo's devices could not be connected: {error}") from error

    def _device(self, identity: Identity, endpoint: Endpoint) -> Device:
        return Device(identity, endpoint, OPTIONS, on_status=lambda connected: self._on_connection(identity, connected))

    def _on_connection(self, identity: Identity, connected: bool) -> None:
        if not self._quiet:
            self._view.connection(identity.device_name, connected)

    def _on_session(self, name: str, logged_in: bool) -> None:
        if not self._quiet:
            self._view.session(name, logged_in)

    def _trouble(self, sentence: str) -> None:
        if not self._quiet:
            self._view.trouble(sentence)

    def _on_lost_table(self) -> None:
        self._trouble("the database went away, looking for it again")

    async def _hush_at_the_end(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._quiet = True  # the stop has begun: connections end, and that is no news


class _Troubles(logging.Handler):
    """Warnings of the platform go to the log file; the one looking at the demo sees them too."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = f"{record.name.removeprefix('thinghub.')}: {record.getMessage()}"
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._loop.call_later, SETTLE_SECONDS, self._tell, sentence)
