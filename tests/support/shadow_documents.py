"""Documents of shadow over a Redis, with the way to devices kept for the test to read; and messages for them."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinghub.common.errors import Unavailable
from thinghub.common.redis import Redis
from thinghub.common.runtime import Runtime
from thinghub.shadow.adapters.redis_documents import RedisDocuments
from thinghub.shadow.ports.documents import Device, DocumentStore, Downlink
from thinghub.shadow.service.document_limits import RequestRates
from thinghub.shadow.service.document_observation import DocumentObservation
from thinghub.shadow.service.documents import Arrived, Documents
from thinghubpb.bus.v1 import record_pb2

NOW_MS = 1_700_000_000_000


@dataclass
class Sent:
    """The way to devices: keeps what goes there; unavailable so many times first."""

    messages: list[Downlink] = field(default_factory=list)
    failures: int = 0

    async def deliver(self, messages: Sequence[Downlink]) -> Mapping[str, int]:
        if self.failures:
            self.failures -= 1
            raise Unavailable("no gateway")
        self.messages += messages
        return Counter(sent=len(messages))

    def take(self) -> list[Any]:
        """The payloads so far, read, in order."""
        taken = [json.loads(one.payload) for one in self.messages]
        self.messages.clear()
        return taken


@dataclass
class Bench:
    documents: Documents
    store: RedisDocuments
    sent: Sent
    redis: Redis

    async def version(self, device: Device) -> int:
        return (await self.documents.get(device))[1]


MakeBench = Callable[..., Bench]


def made(
    redis: Redis, store: DocumentStore, sent: Sent, per_second: int = 0, enforce: bool = True, cache: int = 1 << 20
) -> Documents:
    runtime = Runtime.for_tests("shadow")
    observation = DocumentObservation(runtime.metrics, runtime.tracing)
    return Documents(store, sent, RequestRates(per_second, enforce), observation, lambda: NOW_MS, cache)


def message(device: Device, body: object, sequence: int = 1, epoch: int = 1, received_ms: int = NOW_MS) -> Arrived:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return "gateway1", record_pb2.Message(
        id=epoch * 1000 + sequence,
        product_key=device.product_key,
        device_name=device.device_name,
        topic=f"/shadow/update/{device.product_key}/{device.device_name}",
        payload=payload,
        epoch=epoch,
        sequence=sequence,
        received_ms=received_ms,
        handle=77,
    )


def update(version: int, **reported: object) -> dict[str, object]:
    return {"method": "update", "state": {"reported": reported or {"n": version}}, "version": version}


def wish(version: int, **desired: object) -> bytes:
    state = {"desired": desired or {"n": version}}
    return json.dumps({"method": "update", "state": state, "version": version}).encode()
