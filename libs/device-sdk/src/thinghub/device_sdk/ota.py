"""OTA on the device's side (device-mqtt §6): tell the version, be told of an upgrade, download it, tell the progress.

    async def upgrade(found: Upgrade) -> None:
        image = await found.download(Path("/var/lib/firmware"))
        ...                      # write it, restart into it
        await device.ota.inform(found.version, module=found.module)

An upgrade runs beside the other handlers, one at a time a module; a push that repeats a running one changes nothing.
Files over HTTP only: an upgrade that offers MQTT blocks alone (`dProtocol` mqtt) is told to the platform as failed.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.download import Artifact, DownloadOptions, download
from thinghub.device_sdk.errors import DeviceError, DownloadError
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox
from thinghub.device_sdk.requests import Requests

log = logging.getLogger(__name__)

DEFAULT_MODULE = "default"
FAILED, DOWNLOAD_FAILED, VERIFY_FAILED, BURN_FAILED = -1, -2, -3, -4
# Progress is told at most at each tenth while downloading.
TENTH = 10
LAST_BEFORE_DONE = 99
NEEDED = ("url", "version", "size", "sign", "signMethod")

Spawn = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What the platform offers. `extra` is the job's own data (`extData`)."""

    module: str
    version: str
    artifact: Artifact
    is_diff: bool
    extra: dict[str, Any]
    _ota: "Ota" = field(repr=False, compare=False)

    async def download(self, folder: Path, options: DownloadOptions | None = None) -> Path:
        """The verified file in `folder`, named by module and version. Tells the platform the progress, and -2 or -3
        when it raises DownloadError or ChecksumMismatch."""
        destination = folder / f"{_plain(self.module)}-{_plain(self.version)}.bin"
        told = 0

        async def tell(done: int, size: int) -> None:
            nonlocal told
            percent = min(done * 100 // size, LAST_BEFORE_DONE)
            if percent >= told + TENTH:
                told = percent
                await self._ota.try_progress(percent, "downloading", self.module)

        try:
            await download(self.artifact, destination, options or DownloadOptions(), tell)
        except DownloadError as error:
            await self._ota.try_progress(error.step, str(error), self.module)
            raise
        return destination

    async def progress(self, step: int, description: str = "") -> None:
        """1 to 100, or -1 upgrade failed, -2 download, -3 verify, -4 burn."""
        await self._ota.progress(step, description, self.module)


Upgrading = Callable[[Upgrade], Awaitable[None]]


class Ota:
    def __init__(
        self,
        connection: Channel,
        identity: Identity,
        requests: Requests,
        inbox: Inbox,
        spawn: Spawn,
        deadline: float,
    ) -> None:
        self._connection, self._identity, self._requests = connection, identity, requests
        self._spawn, self._deadline = spawn, deadline
        self._handler: Upgrading | None = None
        self._running: set[str] = set()
        inbox.route(identity.own("/ota/device/upgrade"), self._on_push)

    async def inform(self, version: str, *, module: str = DEFAULT_MODULE) -> None:
        """Tells the version that runs now; the platform gives no reply. With the target's version the task is done."""
        params = {"version": version} | ({} if module == DEFAULT_MODULE else {"module": module})
        await self._publish("/ota/device/inform", params)

    async def progress(self, step: int, description: str = "", module: str = DEFAULT_MODULE) -> None:
        """The platform gives no reply."""
        params = {"step": str(step), "desc": description} | ({} if module == DEFAULT_MODULE else {"module": module})
        await self._publish("/ota/device/progress", params)

    async def try_progress(self, step: int, description: str, module: str) -> None:
        """Progress that may be lost: a download goes on while the platform cannot be reached."""
        try:
            await self.progress(step, description, module)
        except DeviceError as error:
            log.info("progress %d of %s was not told: %s", step, module, error)

    async def check(self, *, module: str = DEFAULT_MODULE, deadline: float | None = None) -> Upgrade | None:
        """Asks for an upgrade; None when there is none. Raises ReplyError, DeadlineExceeded."""
        params = {} if module == DEFAULT_MODULE else {"module": module}
        data = await self._requests.ask("thing/ota/firmware/get", params, deadline or self._deadline)
        return self._upgrade(data) if isinstance(data, dict) and data else None

    def on_upgrade(self, handler: Upgrading) -> None:
        """`handler(upgrade)` for each upgrade pushed; if it raises, the platform is told -1."""
        self._handler = handler

    async def _on_push(self, _topic: str, payload: bytes) -> None:
        body = json.loads(payload)
        data = body.get("data")
        if self._handler is None or not isinstance(data, dict) or str(body.get("code")) not in ("1000", "200"):
            log.info("no upgrade to work on: %s", body.get("message"))
            return
        upgrade = self._upgrade(data)
        if upgrade is None:
            module = str(data.get("module") or DEFAULT_MODULE)
            await self.progress(FAILED, "the upgrade names no file that can be fetched over HTTP", module)
        elif upgrade.module not in self._running:
            self._running.add(upgrade.module)
            self._spawn(self._upgrading(upgrade, self._handler))

    async def _upgrading(self, upgrade: Upgrade, handler: Upgrading) -> None:
        try:
            await handler(upgrade)
        except DownloadError as error:
            log.warning("upgrade of %s to %s failed: %s", upgrade.module, upgrade.version, error)
        except Exception as error:
            log.exception("upgrade of %s to %s failed", upgrade.module, upgrade.version)
            await self.try_progress(FAILED, repr(error)[:200], upgrade.module)
        finally:
            self._running.discard(upgrade.module)

    def _upgrade(self, data: dict[str, Any]) -> Upgrade | None:
        if not all(data.get(name) for name in NEEDED):
            return None
        artifact = Artifact(data["url"], int(data["size"]), str(data["sign"]), str(data["signMethod"]))
        extra = data.get("extData")
        return Upgrade(
            str(data.get("module") or DEFAULT_MODULE),
            str(data["version"]),
            artifact,
            bool(data.get("isDiff")),
            extra if isinstance(extra, dict) else {},
            self,
        )

    async def _publish(self, prefix: str, params: dict[str, str]) -> None:
        body = {"id": self._requests.next_id(), "params": params}
        await self._connection.publish(self._identity.own(prefix), json.dumps(body).encode(), 1, self._deadline)


def _plain(word: str) -> str:
    """Part of a file name, whatever the platform sent."""
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in word).lstrip(".")[:80] or "_"
