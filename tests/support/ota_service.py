"""ota in the test's own loop, among real parts: PostgreSQL, a bus, device-registry with auth.
The gateway is one servicer that notes what devices are told, because its outcomes need devices."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import httpx

from tests.support.identity import Identity
from tests.support.registry_service import Registry
from tests.support.rule_engine_service import until
from thinghub.common.bus.port import Bus, BusRecord
from thinghub.common.errors import Unavailable
from thinghub.device_protocol import bus_topics, slots
from thinghub.device_protocol.bodies import status_topic
from thinghub.device_protocol.message_ids import MessageIds
from thinghub.device_protocol.records import Message, decode_record, encode_record
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from thinghubpb.ota.v1 import ota_pb2 as pb

if TYPE_CHECKING:
    from thinghubpb.ota.v1.ota_pb2_grpc import OtaServiceAsyncStub

PACKAGE = bytes(range(256)) * 4096
Context = grpc.aio.ServicerContext[object, object]


class Gateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Notes downlinks; `away` refuses the call, devices in `offline` are offline."""

    def __init__(self) -> None:
        self.downlinks: list[gateway_pb2.Downlink] = []
        self.offline: set[str] = set()
        self.away = False

    async def Deliver(self, request: gateway_pb2.DeliverRequest, context: Context) -> gateway_pb2.DeliverResponse:
        if self.away:
            raise Unavailable("the gateway is away")
        deliveries = []
        for message in request.messages:
            offline = message.device.device_name in self.offline
            if not offline:
                self.downlinks.append(message)
            outcome = gateway_pb2.OUTCOME_OFFLINE if offline else gateway_pb2.OUTCOME_DELIVERED
            deliveries.append(gateway_pb2.Delivery(message_id=message.message_id, outcome=outcome))
        return gateway_pb2.DeliverResponse(deliveries=deliveries)

    async def Kick(self, request: gateway_pb2.KickRequest, context: Context) -> gateway_pb2.KickResponse:
        return gateway_pb2.KickResponse(results=[gateway_pb2.KickResult() for _ in request.targets])

    def told(self, identity: Identity) -> list[dict[str, Any]]:
        """What this device was told, in order."""
        mine = (identity.product_key, identity.device_name)
        return [
            json.loads(one.payload)
            for one in self.downlinks
            if (one.device.product_key, one.device.device_name) == mine
        ]


async def post_form(place: pb.CreateUploadResponse, package: bytes, **changed: str) -> httpx.Response:
    """What a client of the object store does with the upload's credentials."""
    form = {
        "key": place.key,
        "OSSAccessKeyId": place.access_key_id,
        "policy": place.policy,
        "Signature": place.signature,
        "success_action_status": "200",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        return await http.post(place.host, data=form | changed, files={"file": ("firmware.bin", package)})


@dataclass
class Fleet:
    """Devices of one product, and what they say through the bus."""

    stub: "OtaServiceAsyncStub"
    registry: Registry
    bus: Bus
    gateway: Gateway
    product_key: str
    ids: MessageIds = field(default_factory=lambda: MessageIds(5, lambda: time.time_ns() // 1_000_000))
    sequence: int = 0
    epoch: int = 1

    async def device(self, name: str = "") -> Identity:
        return await self.registry.register(self.product_key, name)

    async def upload(self, package: bytes = PACKAGE) -> pb.CreateUploadResponse:
        place = await self.stub.CreateUpload(pb.CreateUploadRequest())
        answer = await post_form(place, package)
        assert answer.status_code == 200, answer.text
        return place

    async def firmware(self, version: str = "2.0.0", package: bytes = PACKAGE, **members: object) -> pb.Firmware:
        place = await self.upload(package)
        given: dict[str, object] = {
            "name": f"release {version}",
            "product_key": self.product_key,
            "dest_version": version,
            "url": place.firmware_url,
            "size": len(package),
            "sign": hashlib.md5(package).hexdigest(),
            **members,
        }
        firmware = pb.Firmware(**given)  # type: ignore[arg-type]
        return (await self.stub.CreateFirmware(pb.CreateFirmwareRequest(firmware=firmware))).firmware

    async def job(self, firmware: pb.Firmware, *devices: Identity, **members: object) -> pb.Job:
        """For these devices, or for all of the product when none is named."""
        given: dict[str, object] = {
            "firmware_id": firmware.firmware_id,
            "product_key": self.product_key,
            "target_selection": "SPECIFIC" if devices else "ALL",
            "need_push": True,
            **members,
        }
        request = pb.CreateStaticJobRequest(
            job=pb.Job(**given),  # type: ignore[arg-type]
            device_names=[one.device_name for one in devices],
        )
        return (await self.stub.CreateStaticJob(request)).job

    async def tasks(self, job: pb.Job) -> dict[str, pb.Task]:
        """By device name."""
        answer = await self.stub.ListTasks(pb.ListTasksRequest(job_id=job.job_id, page_size=200))
        return {task.device_name: task for task in answer.tasks}

    async def until_task(self, job: pb.Job, identity: Identity, status: str) -> pb.Task:
        async def reached() -> bool:
            task = (await self.tasks(job)).get(identity.device_name)
            return task is not None and task.status == status

        await until(reached, f"task {status}")
        return (await self.tasks(job))[identity.device_name]

    async def until_job(self, job: pb.Job, status: str) -> None:
        async def reached() -> bool:
            answer = await self.stub.GetJob(pb.GetJobRequest(job_id=job.job_id))
            return bool(answer.job.status == status)

        await until(reached, f"job {status}")

    async def until_told(self, identity: Identity, times: int = 1) -> dict[str, Any]:
        await until(lambda: len(self.gateway.told(identity)) >= times, f"{times} messages to {identity.device_name}")
        return self.gateway.told(identity)[-1]

    def says(self, identity: Identity, topic: str, payload: object) -> Message:
        self.sequence += 1
        return Message(
            id=self.ids.next(),
            product_key=identity.product_key,
            device_name=identity.device_name,
            topic=topic.format(pk=identity.product_key, dn=identity.device_name),
            payload=payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
            epoch=self.epoch,
            sequence=self.sequence,
            received_ms=time.time_ns() // 1_000_000,
            handle=7,
            qos=1,
        )

    def inform(self, identity: Identity, version: str, **params: str) -> Message:
        return self.says(identity, "/ota/device/inform/{pk}/{dn}", {"id": 1, "params": {"version": version, **params}})

    def progress(self, identity: Identity, step: object, desc: str = "", **params: str) -> Message:
        params = {"desc": desc, **params}
        return self.says(identity, "/ota/device/progress/{pk}/{dn}", {"id": 1, "params": {"step": step, **params}})

    def online(self, identity: Identity) -> Message:
        """A session that begins now."""
        self.epoch += 1
        topic = status_topic(identity.product_key, identity.device_name)
        return self.says(identity, topic, {"status": "online", "clientIp": "127.0.0.1"})

    async def put(self, *messages: Message) -> None:
        """On the bus, as the gateway's core does: a record a message."""
        for message in messages:
            status = message.topic.startswith("/as/") or message.topic.endswith("/thing/lifecycle")
            topic = bus_topics.DEVICE_LIFECYCLE if status else bus_topics.DEVICE_OTA
            partitions = await self.bus.partitions(topic)
            partition = slots.device_partition(message.product_key, message.device_name, partitions)
            await self.bus.publish(topic, partition, encode_record("gw-1", [message]))

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[list[Message]]:
        """What is on ota.data about this fleet's product, from the beginning, as a list that grows."""
        found: list[Message] = []

        async def keep(records: Sequence[BusRecord]) -> None:
            for record in records:
                messages = decode_record(record.value).messages
                found.extend(one for one in messages if one.product_key == self.product_key)

        reading = asyncio.create_task(self.bus.consume("test-announced", [bus_topics.OTA_DATA], keep))
        try:
            yield found
        finally:
            reading.cancel()
            await asyncio.wait([reading])
