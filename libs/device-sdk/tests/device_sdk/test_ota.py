"""OTA through a real gateway; the test is the ota service on the other side of the bus, in that service's own words."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.file_server import FileServer, file_server
from thinghub.device_protocol.ota import (
    Ask,
    Package,
    firmware_get_reply,
    firmware_get_reply_topic,
    push_message,
    upgrade_topic,
)
from thinghub.device_protocol.records import Message
from thinghub.device_sdk import Backoff, Device, DownloadOptions, ReplyError, Upgrade

CONTENT = random.Random(11).randbytes(1_000_000)
QUICK = DownloadOptions(range_size=150_000, socket_timeout=5, tries=3, backoff=Backoff(0.01, 0.02))

Make = Callable[..., Device]


class Service(Protocol):
    """What conftest's `uplinks` gives."""

    def params(self, what: str) -> list[dict[str, str]]: ...
    async def first(self, what: str, number: int = 0) -> Message: ...
    async def deliver(self, topic: str, payload: bytes) -> None: ...


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server(CONTENT) as running:
        yield running


def package(url: str, sign: str = "", module: str = "default") -> Package:
    md5, sha = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    return Package(url, len(CONTENT), "2.0.0", md5, sign or sha, "SHA256", module)


async def push(service: Service, device: Device, what: Package) -> None:
    topic = upgrade_topic(device.identity.product_key, device.identity.device_name)
    await service.deliver(topic, push_message(1, what))


async def test_an_upgrade_is_downloaded_over_breaks_told_and_ended_by_the_new_version(
    device: Make, uplinks: Service, server: FileServer, tmp_path: Path
) -> None:
    installed: list[bytes] = []
    server.break_after = [100_000, 3]

    async with device() as one:

        async def upgrade(found: Upgrade) -> None:
            image = await found.download(tmp_path, QUICK)
            installed.append(image.read_bytes())
            await found.progress(100, "installed")
            await one.ota.inform(found.version, module=found.module)

        one.ota.on_upgrade(upgrade)
        await one.ota.inform("1.0.0", module="mcu")
        await uplinks.first("inform")
        assert uplinks.params("inform") == [{"version": "1.0.0", "module": "mcu"}]
        await push(uplinks, one, package(server.url, module="mcu"))
        await uplinks.first("inform", 1)
    assert installed == [CONTENT]
    assert uplinks.params("inform")[1] == {"version": "2.0.0", "module": "mcu"}
    steps = [int(said["step"]) for said in uplinks.params("progress")]
    assert steps == sorted(steps)
    assert steps[-1] == 100
    assert len(steps) >= 4
    assert {said["module"] for said in uplinks.params("progress")} == {"mcu"}
    assert [path.name for path in tmp_path.iterdir()] == ["mcu-2.0.0.bin"]


@pytest.mark.parametrize(("fault", "step"), [("checksum", -3), ("forbidden", -2), ("no http", -2), ("handler", -1)])
async def test_what_goes_wrong_is_told_by_its_step(
    device: Make, uplinks: Service, server: FileServer, tmp_path: Path, fault: str, step: int
) -> None:
    async def upgrade(found: Upgrade) -> None:
        if fault == "handler":
            raise RuntimeError("no space")
        await found.download(tmp_path, QUICK)

    if fault == "forbidden":
        server.statuses = [403]
    url = "ftp://127.0.0.1/file" if fault == "no http" else server.url
    async with device() as one:
        one.ota.on_upgrade(upgrade)
        await push(uplinks, one, package(url, sign="0" * 64 if fault == "checksum" else ""))
        async with asyncio.timeout(10):
            while not any(int(said["step"]) < 0 for said in uplinks.params("progress")):
                await asyncio.sleep(0.02)
        assert [int(said["step"]) for said in uplinks.params("progress") if int(said["step"]) < 0] == [step]
    assert list(tmp_path.iterdir()) == []


async def test_a_push_that_repeats_a_running_upgrade_changes_nothing(
    device: Make, uplinks: Service, server: FileServer
) -> None:
    begun, finish = list[str](), asyncio.Event()

    async def upgrade(found: Upgrade) -> None:
        begun.append(found.module)
        await finish.wait()

    async with device() as one:
        one.ota.on_upgrade(upgrade)
        for module in ("a", "a", "b"):
            await push(uplinks, one, package(server.url, module=module))
        assert begun == ["a", "b"]
        finish.set()
        await asyncio.sleep(0.05)
        await push(uplinks, one, package(server.url, module="a"))
        assert begun == ["a", "b", "a"]


async def test_a_device_asks_and_is_offered_nothing_or_refused(
    device: Make, uplinks: Service, server: FileServer
) -> None:
    async with device() as one:
        topic = firmware_get_reply_topic(one.identity.product_key, one.identity.device_name)

        async def answer(number: int, offered: Package | None, code: int = 200) -> Upgrade | None:
            asking = asyncio.create_task(one.ota.check(module="mcu"))
            asked = json.loads((await uplinks.first("firmware/get", number)).payload)
            assert asked["params"] == {"module": "mcu"}
            said = json.loads(firmware_get_reply(Ask(asked["id"], "mcu"), offered))
            await uplinks.deliver(topic, json.dumps(said | {"id": "another"}).encode())
            await uplinks.deliver(topic, json.dumps(said | {"code": code, "message": "slow down"}).encode())
            return await asking

        offered = await answer(0, package(server.url, module="mcu"))
        assert offered is not None
        assert (offered.version, offered.module, offered.artifact.size) == ("2.0.0", "mcu", len(CONTENT))
        assert await answer(1, None) is None
        with pytest.raises(ReplyError) as raised:
            await answer(2, None, 429)
        assert (raised.value.code, raised.value.message) == (429, "slow down")
