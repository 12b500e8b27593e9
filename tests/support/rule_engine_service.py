"""The rule engine running in the test's own loop, beside auth and device-registry, over a real bus; the gateway is one
servicer that notes what it is given."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from tests.support.auth_service import Auth
from tests.support.registry_service import Registry, StartRegistry, registry_starter
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, BusRecord, TopicSpec
from thinghub.common.errors import Unavailable
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.device_protocol import bus_topics, records, slots
from thinghub.device_protocol.message_ids import MessageIds
from thinghub.rule_engine.app import serve
from thinghub.rule_engine.settings import Settings
from thinghubpb.auth.v1 import auth_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from thinghubpb.rule.v1 import rule_pb2, rule_pb2_grpc

if TYPE_CHECKING:
    from thinghubpb.rule.v1.rule_pb2_grpc import RuleServiceAsyncStub

PRODUCT = "a1pk"
_METRIC = "thinghub_rule_engine_"


class Gateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Notes downlinks; `away` refuses the call, `outcome` is what it says of each."""

    def __init__(self) -> None:
        self.downlinks: list[gateway_pb2.Downlink] = []
        self.outcome: gateway_pb2.Outcome.ValueType = gateway_pb2.OUTCOME_SENT
        self.away = False

    async def Deliver(
        self, request: gateway_pb2.DeliverRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> gateway_pb2.DeliverResponse:
        if self.away:
            raise Unavailable("the gateway is away")
        self.downlinks += request.messages
        deliveries = [
            gateway_pb2.Delivery(message_id=message.message_id, outcome=self.outcome) for message in request.messages
        ]
        return gateway_pb2.DeliverResponse(deliveries=deliveries)


@dataclass
class RuleEngine:
    """A running service and a client to it."""

    stub: "RuleServiceAsyncStub"
    runtime: Runtime
    settings: Settings

    async def create(self, name: str, select: str = "*", where: str = "", **more: object) -> rule_pb2.Rule:
        given: dict[str, object] = {
            "name": name,
            "select": select,
            "where": where,
            "product_key": PRODUCT,
            "short_topic": "+/user/update",
            "topic_type": 1,
            "data_type": "JSON",
            **more,
        }
        rule = rule_pb2.Rule(**given)  # type: ignore[arg-type]
        return (await self.stub.CreateRule(rule_pb2.CreateRuleRequest(rule=rule))).rule

    async def action(self, rule_id: int, type: str, configuration: object, **more: object) -> int:
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        action = rule_pb2.Action(rule_id=rule_id, type=type, configuration=text, **more)  # type: ignore[arg-type]
        return (await self.stub.CreateAction(rule_pb2.CreateActionRequest(action=action), timeout=10)).action_id

    async def start(self, rule_id: int) -> None:
        await self.stub.StartRule(rule_pb2.StartRuleRequest(rule_id=rule_id))

    async def stop(self, rule_id: int) -> None:
        await self.stub.StopRule(rule_pb2.StopRuleRequest(rule_id=rule_id))

    async def running(
        self, name: str, type: str, configuration: object, select: str = "*", where: str = "", **more: object
    ) -> int:
        """A rule with one action, started."""
        rule = await self.create(name, select, where, **more)
        await self.action(rule.rule_id, type, configuration)
        await self.start(rule.rule_id)
        return rule.rule_id

    async def statuses(self, rule_id: int) -> list[str]:
        actions = (await self.stub.ListActions(rule_pb2.ListActionsRequest(rule_id=rule_id))).actions
        return [action.status for action in actions]

    def count(self, name: str, **labels: str) -> float:
        return self.runtime.metrics.registry.get_sample_value(_METRIC + name, labels) or 0.0


StartRuleEngine = Callable[..., Awaitable[RuleEngine]]


@dataclass
class World:
    """What the rule engine lives among. `publish` is what a gateway's core does with uplink."""

    auth: Auth
    registry: Registry
    start_registry: StartRegistry
    gateway: Gateway
    bus: Bus
    start: StartRuleEngine
    ids: MessageIds = field(default_factory=lambda: MessageIds(5, lambda: time.time_ns() // 1_000_000))

    async def product(self, product_key: str, instance_id: str = "") -> None:
        """In an instance that is made when it does not exist."""
        if instance_id:
            await self.registry.instance(instance_id)
        await self.registry.product(product_key=product_key, instance_id=instance_id)

    async def secret(self, name: str, value: str) -> None:
        await self.auth.stub.PutNamedSecret(auth_pb2.PutNamedSecretRequest(name=name, value=value))

    async def publish(
        self, payloads: Sequence[object], device: str = "d1", topic: str = "", hops: int = 0, traceparent: str = ""
    ) -> list[int]:
        """Message ids; bytes go as they are, everything else as JSON."""
        messages = [
            records.Message(
                id=self.ids.next(),
                product_key=PRODUCT,
                device_name=device,
                topic=topic or f"/{PRODUCT}/{device}/user/update",
                payload=payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
                epoch=1,
                sequence=index + 1,
                received_ms=time.time_ns() // 1_000_000,
                hops=hops,
                qos=1,
                traceparent=traceparent,
            )
            for index, payload in enumerate(payloads)
        ]
        status = topic.startswith("/as/")
        name = bus_topics.DEVICE_LIFECYCLE if status else bus_topics.DEVICE_CUSTOM
        partition = slots.device_partition(PRODUCT, device, await self.bus.partitions(name))
        await self.bus.publish(name, partition, records.encode_record("gw", messages))
        return [message.id for message in messages]

    @asynccontextmanager
    async def read(self, topic: str) -> AsyncIterator[list[BusRecord]]:
        """What is written to a topic from the beginning, as a list that grows."""
        found: list[BusRecord] = []

        async def keep(records: Sequence[BusRecord]) -> None:
            found.extend(records)

        reading = asyncio.create_task(self.bus.consume(f"test-{topic}", [topic], keep))
        try:
            yield found
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def until(true: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 20) -> None:
    """Waits for a condition, and says which one did not come."""
    end = time.monotonic() + seconds
    while True:
        found = true()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def world(directory: Path, auth: Auth, bus_url: str, bus_prefix: str, **shared: object) -> AsyncIterator[World]:
    """The bus with its topics, auth, a registry that knows PRODUCT, and a gateway; `start` starts rule engines. All end
    with the context."""
    runtime = Runtime.for_tests("test")
    bus = await open_bus(bus_url, bus_prefix, runtime)
    await bus.ensure_topics([TopicSpec(**asdict(spec)) for spec in bus_topics.specs()])
    gateway = Gateway()  # type: ignore[abstract]  # the other calls answer UNIMPLEMENTED
    running: list[asyncio.Task[None]] = []
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(bus.close)
        target = await stack.enter_async_context(
            serve_rpc(
                f"unix://{directory}/gateway",
                lambda server: gateway_pb2_grpc.add_GatewayServiceServicer_to_server(gateway, server),
                runtime,
            )
        )

        start_registry = await stack.enter_async_context(
            registry_starter(
                directory,
                **{**shared, "postgres_schema": f"registry_{secrets.token_hex(6)}"},
                bus_url=bus_url,
                bus_prefix=bus_prefix,
                auth_target=auth.target,
                gateway_target=target,
            )
        )
        registry = await start_registry()
        await registry.product(product_key=PRODUCT)

        async def start(ready: bool = True, **given: object) -> RuleEngine:
            listen = f"unix://{directory}/{secrets.token_hex(4)}"
            own = {
                "rpc_listen": listen,
                "bus_url": bus_url,
                "bus_prefix": bus_prefix,
                "auth_target": auth.target,
                "registry_target": registry.target,
                "gateway_target": target,
                **shared,
                **given,
            }
            settings = Settings(**own)  # type: ignore[arg-type]
            engine = Runtime.for_tests("rule-engine")
            running.append(asyncio.create_task(serve(settings, engine)))
            if ready:
                await asyncio.wait_for(engine.health.wait_ready(), 30)
            client = await stack.enter_async_context(channel(listen))
            return RuleEngine(rule_pb2_grpc.RuleServiceStub(client), engine, settings)

        try:
            yield World(auth, registry, start_registry, gateway, bus, start)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for task in running:
                assert task.cancelled() or task.exception() is None, task.exception()
