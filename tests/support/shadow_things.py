"""Thing data of shadow over a real Redis and a real PostgreSQL. What the registry knows is said by the test; what goes
to devices and onto the bus is kept for it to read."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from thinghub.common.errors import Fault, Unavailable
from thinghub.common.postgres import Postgres
from thinghub.common.redis import Redis
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.records import Message
from thinghub.device_protocol.tsl.parse import parse
from thinghub.device_protocol.tsl.validator import Validator
from thinghub.shadow.adapters.postgres_calls import PostgresCalls
from thinghub.shadow.adapters.postgres_history import PostgresHistory
from thinghub.shadow.adapters.redis_desired import RedisDesired
from thinghub.shadow.adapters.redis_properties import RedisProperties
from thinghub.shadow.adapters.redis_relayed import RedisRelayed
from thinghub.shadow.domain.thing_models import Strictness, ThingModel
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.thing_calls import Ended, Exchange
from thinghub.shadow.ports.things import Sending, Span
from thinghub.shadow.service.desired_properties import DesiredProperties
from thinghub.shadow.service.thing_calls import ThingCalls
from thinghub.shadow.service.thing_lookups import IotIds, ThingModels
from thinghub.shadow.service.thing_observation import ThingObservation
from thinghub.shadow.service.thing_relays import Relations, Relays
from thinghub.shadow.service.things import Arrived, Things
from thinghub.shadow.service.unreached_calls import UnreachedCalls

NOW_MS = 1_700_000_000_000
GATEWAY, SUB, OTHER_SUB = Device("gwpk", "gateway"), Device("subpk", "sub1"), Device("subpk", "sub2")
WEAK_SUB, SILENT_SUB = Device("weakpk", "weak1"), Device("silentpk", "silent1")
EVER = Span(0, 1 << 50, 100, True)


_SPOT = {"type": "struct", "specs": [{"identifier": "n", "dataType": {"type": "int"}}]}


def _functions(*identifiers: str) -> dict[str, Any]:
    return {
        "properties": [
            {"identifier": one, "name": one, "accessMode": "rw", "dataType": {"type": "int", "specs": {"max": "99"}}}
            for one in identifiers
        ]
        + [
            {"identifier": "Note", "name": "Note", "accessMode": "rw", "dataType": {"type": "text"}},
            {"identifier": "Seen", "name": "Seen", "accessMode": "r", "dataType": {"type": "int"}},
            {"identifier": "Spot", "name": "Spot", "accessMode": "rw", "dataType": _SPOT},
        ],
        "events": [
            {
                "identifier": "alarm",
                "name": "Alarm",
                "type": "alert",
                "outputData": [{"identifier": "code", "required": True, "dataType": {"type": "int"}}],
            }
        ],
        "services": [
            {"identifier": "reboot", "name": "Reboot", "callType": "async"},
            {"identifier": "sum", "name": "Sum", "callType": "sync"},
        ],
    }


def model(product_key: str, *identifiers: str, **more: Any) -> ThingModel:
    return ThingModel(product_key, 1, Validator(parse(_functions(*identifiers))), **more)


class Registry:
    """Models, identities and topology. `fault` is what a question about topology ends in; `asked` counts them."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.asked = 0
        self.known = {
            "gwpk": model("gwpk", "Load", "Power"),
            "subpk": model("subpk", "Temp", "Power", device_type="Sensor"),
            "weakpk": model("weakpk", "Temp", strictness=Strictness.WEAK),
            "silentpk": model("silentpk", "Temp", stored=False),
        }
        self.devices = {GATEWAY, SUB, OTHER_SUB, WEAK_SUB, SILENT_SUB}
        self.relations = {(GATEWAY, SUB), (GATEWAY, OTHER_SUB), (GATEWAY, WEAK_SUB), (GATEWAY, SILENT_SUB)}

    async def models(self, product_keys: Sequence[str]) -> Mapping[str, ThingModel]:
        return {key: self.known[key] for key in product_keys if key in self.known}

    async def iot_ids(self, devices: Sequence[Device]) -> Mapping[Device, str]:
        return {device: f"iot-{device.device_name}" for device in devices if device in self.devices}

    async def held(self, gateway: Device, devices: Sequence[Device]) -> Sequence[bool]:
        self.asked += 1
        if self.fault:
            raise self.fault
        return [(gateway, device) in self.relations for device in devices]


class Kept:
    """The way to devices and the bus. Requests end as `exchange` says, once `answers` is set."""

    def __init__(self) -> None:
        self.away = False
        self.outcome = "sent"
        self.exchange = Exchange(Ended.ANSWERED, b'{"code":200}')
        self.answers = asyncio.Event()
        self.answers.set()
        self.sent: list[Sending] = []
        self.requested: list[tuple[Device, str, bytes]] = []
        self.data: list[Message] = []

    async def send(self, messages: Sequence[Sending]) -> Mapping[str, int]:
        if self.away:
            raise Unavailable("no gateway")
        self.sent += messages
        return Counter({self.outcome: len(messages)})

    async def outcomes(self, messages: Sequence[Sending]) -> Sequence[str]:
        await self.send(messages)
        return [self.outcome] * len(messages)

    async def request(self, device: Device, topic: str, payload: bytes, timeout_ms: int) -> Exchange:
        self.requested.append((device, topic, payload))
        await self.answers.wait()
        return self.exchange

    async def publish(self, messages: Sequence[Message]) -> None:
        self.data += messages

    def replies(self) -> list[Any]:
        """What was sent so far, read."""
        read = [json.loads(one.payload) for one in self.sent]
        self.sent.clear()
        return read

    def told(self) -> dict[str, list[Any]]:
        """Bodies for rules so far, by topic."""
        told: dict[str, list[Any]] = {}
        for one in self.data:
            told.setdefault(one.topic, []).append(json.loads(one.payload))
        self.data.clear()
        return told


class ThingBench:
    def __init__(self, redis: Redis, postgres: Postgres) -> None:
        runtime = Runtime.for_tests("shadow")
        observation = ThingObservation(runtime.metrics, runtime.tracing)
        self.seconds = 0.0
        self.now_ms = NOW_MS
        self.registry = Registry()
        self.kept = Kept()
        self.redis = redis
        self.properties = RedisProperties(redis)
        self.history = PostgresHistory(postgres, 30, lambda: self.now_ms)
        self.relayed = RedisRelayed(redis)
        models, iot_ids = ThingModels(self.registry, self._clock), IotIds(self.registry, self._clock)
        relays = Relays(Relations(self.registry, self._clock))
        self.calls = PostgresCalls(self.history)
        self.things = Things(
            models, iot_ids, relays, self.properties, self.relayed, self.history, self.calls, self.kept, self.kept,
            observation,
        )  # fmt: skip
        self.thing_calls = ThingCalls(
            models, self.properties, self.calls, self.kept, self.kept, UnreachedCalls(iot_ids, self.kept), observation,
            lambda: self.now_ms, max_waiting=2,
        )  # fmt: skip
        self.desired = DesiredProperties(
            models, RedisDesired(redis), self.properties, self.kept, observation, lambda: self.now_ms
        )
        self._sequence = itertools.count(1)

    def _clock(self) -> float:
        return self.seconds

    def message(self, below: str, params: object, device: Device = GATEWAY, **more: Any) -> Arrived:
        """`params` may be the whole payload, as bytes."""
        sequence = more.pop("sequence", 0) or next(self._sequence)
        payload = params if isinstance(params, bytes) else json.dumps({"id": str(sequence), "params": params}).encode()
        values: dict[str, Any] = {
            "id": 1_000_000 + sequence, "product_key": device.product_key, "device_name": device.device_name,
            "topic": f"/sys/{device.product_key}/{device.device_name}/{below}", "payload": payload, "epoch": 5,
            "sequence": sequence, "received_ms": NOW_MS, "qos": 1, "handle": 77,
        }  # fmt: skip
        return "gateway1", Message(**(values | more))

    async def post(self, below: str, params: object, device: Device = GATEWAY, **more: Any) -> Any:
        """The reply to one message, handled alone."""
        await self.handle([self.message(below, params, device, **more)])
        (reply,) = self.kept.replies()
        return reply

    async def handle(self, batch: Sequence[Arrived]) -> None:
        await self.things.handle(batch)
        await self.desired.handle(batch)

    async def latest(self, device: Device, *identifiers: str) -> list[Any]:
        found = await self.properties.get(device, identifiers)
        return [None if item is None else item.value for item in found]

    async def values(self, device: Device, identifier: str, span: Span = EVER) -> list[Any]:
        return [item.value for item in await self.history.values(device, identifier, span)]
