"""ota in a process of its own, killed in the middle of a job and started again."""

import asyncio
import os
import secrets
import sys
from pathlib import Path

import grpc
import httpx
import pytest

from tests.support.child import Child, free_port
from tests.support.ota_service import PACKAGE, Fleet, Gateway
from tests.support.registry_service import Registry
from tests.support.rule_engine_service import until
from thinghub.common.bus.port import Bus
from thinghub.common.errors import Fault
from thinghub.common.rpc import channel
from thinghubpb.ota.v1 import ota_pb2 as pb
from thinghubpb.ota.v1 import ota_pb2_grpc

DEVICES = 60


class Process:
    """`python -m thinghub.ota.main` with these settings; ports stay the same from one start to the next."""

    def __init__(self, settings: dict[str, object], folder: Path) -> None:
        self._metrics = free_port()
        own = {**settings, "listen_port": free_port(), "metrics_port": self._metrics}
        self._env = {f"THINGHUB_OTA_{name.upper()}": str(value) for name, value in own.items()}
        self._log = folder / "ota.log"
        self._child: Child | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "thinghub.ota.main"]
        self._child = Child(command, self._log, {**os.environ, **self._env})
        async with httpx.AsyncClient(trust_env=False) as http:

            async def ready() -> bool:
                try:
                    answer = await http.get(f"http://127.0.0.1:{self._metrics}/readyz")
                except httpx.TransportError:
                    return False
                return answer.status_code == 200

            await until(ready, "ota is ready", 40)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()


@pytest.mark.timeout(240)  # the bus gives a dead reader's partitions away only when its lock has run out
async def test_a_killed_ota_goes_on_with_its_job(
    ota_settings: dict[str, object], registry: Registry, bus: Bus, gateway: Gateway, tmp_path: Path
) -> None:
    process = Process(ota_settings, tmp_path)
    await process.start()
    try:
        async with channel(str(ota_settings["rpc_listen"])) as opened:
            await upgraded_through_kills(process, opened, registry, bus, gateway)
    finally:
        process.kill()


async def upgraded_through_kills(
    process: Process, opened: grpc.aio.Channel, registry: Registry, bus: Bus, gateway: Gateway
) -> None:
    product = await registry.product(f"p_{secrets.token_hex(6)}")
    fleet = Fleet(ota_pb2_grpc.OtaServiceStub(opened), registry, bus, gateway, product.product_key)
    devices = [await fleet.device(f"dev-{number:03d}") for number in range(DEVICES)]
    gateway.offline |= {device.device_name for device in devices}
    job = await fleet.job(await fleet.firmware("2.0.0"), *devices)
    gateway.offline.clear()
    informs = [fleet.inform(device, "1.0.0") for device in devices]
    await fleet.put(*(fleet.online(device) for device in devices), *informs)
    await until(lambda: len({one.device.device_name for one in gateway.downlinks}) >= DEVICES // 2, "half are told")
    process.kill()
    await fleet.put(*(fleet.progress(device, 50) for device in devices))
    await process.start()
    await until(lambda: len({one.device.device_name for one in gateway.downlinks}) == DEVICES, "all are told", 40)
    url = gateway.told(devices[0])[-1]["data"]["url"]
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url)).content == PACKAGE
    last = [fleet.inform(device, "2.0.0") for device in devices]
    await fleet.put(*last[: DEVICES // 2])
    process.kill()
    await fleet.put(*last[DEVICES // 2 :], *informs)  # and the first ones once more
    await process.start()
    await settled(fleet, job)
    async with fleet.announced() as announced:
        results = f"{DEVICES} results"
        await until(lambda: sum(one.topic.endswith("/ota/upgrade") for one in announced) >= DEVICES, results)
        await asyncio.sleep(0.5)
    ended = [(one.topic, one.id) for one in announced if one.topic.endswith("/ota/upgrade")]
    assert len(set(ended)) == DEVICES
    versions = [one for one in announced if one.topic.endswith("/ota/version/post")]
    assert len({one.id for one in versions}) == 2 * DEVICES


async def settled(fleet: Fleet, job: pb.Job) -> None:
    async def connected() -> bool:
        try:
            answer = await fleet.stub.GetJob(pb.GetJobRequest(job_id=job.job_id))
        except Fault:  # the channel still waits out its pause after the kill
            return False
        return bool(answer.job.status == "COMPLETED")

    await until(connected, "the job is completed", 40)
    assert {task.status for task in (await fleet.tasks(job)).values()} == {"SUCCEEDED"}
