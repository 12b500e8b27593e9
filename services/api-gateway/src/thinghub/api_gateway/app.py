"""api-gateway, put together.

    API port (HTTP and HTTPS) ── RPC style ─┬─ Api ─ operation table ─ owners over gRPC: auth, device-registry,
                              └─ REST ──────┘                          connection-gateway, rule-engine, shadow,
                                                                          ota
    worker id (Redis) ── message ids of Pub

Ready once the port is open and auth is reached. At the start it waits a while for the other owners and a worker id too,
so that the first calls find them; it does not wait for ever, and later is ready without them: a call that needs a part
that is away is answered ServiceUnavailable.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Never

import grpc

from thinghub.api_gateway.adapters.applications import RpcApplications
from thinghub.api_gateway.adapters.audit import RpcAudit
from thinghub.api_gateway.adapters.auth import RpcAccessKeys, RpcCallers, RpcSecrets
from thinghub.api_gateway.adapters.dead_letters import RpcDeadLetters
from thinghub.api_gateway.adapters.desired import RpcDesired
from thinghub.api_gateway.adapters.device_secrets import RpcDeviceSecrets
from thinghub.api_gateway.adapters.gateway import RpcGateways
from thinghub.api_gateway.adapters.histories import RpcHistories
from thinghub.api_gateway.adapters.master_keys import RpcMasterKeys
from thinghub.api_gateway.adapters.message_ids import LeasedMessageIds
from thinghub.api_gateway.adapters.ota import RpcOta
from thinghub.api_gateway.adapters.reachable import watch
from thinghub.api_gateway.adapters.registry import RpcDevices, RpcInstances, RpcProducts, RpcTopicClasses
from thinghub.api_gateway.adapters.rules import RpcRules
from thinghub.api_gateway.adapters.shadow import RpcShadows
from thinghub.api_gateway.adapters.tags import RpcTags
from thinghub.api_gateway.adapters.thing_calls import RpcThingCalls
from thinghub.api_gateway.adapters.thing_models import RpcThingModels
from thinghub.api_gateway.adapters.things import RpcThings
from thinghub.api_gateway.adapters.topology import RpcTopology
from thinghub.api_gateway.entrypoints.application import application
from thinghub.api_gateway.service.api import Api
from thinghub.api_gateway.service.operation import Owners
from thinghub.api_gateway.service.policies import Policies
from thinghub.api_gateway.service.table import OPERATIONS
from thinghub.api_gateway.settings import Settings
from thinghub.common.http.listener import Listener
from thinghub.common.http.protocol import http_config
from thinghub.common.http.tls import server_context
from thinghub.common.redis import open_redis
from thinghub.common.redis.workers import WorkerLease
from thinghub.common.rpc import channel
from thinghub.common.runtime import Component, Runtime

POLL_SECONDS = 0.05
START_PATIENCE_SECONDS = 30.0
Bound = Callable[[str, int], None]


async def serve(settings: Settings, runtime: Runtime, bound: Bound | None = None) -> None:
    """Runs until cancelled. `bound` is told the address of the API port once it accepts connections."""
    parts = Parts(runtime)
    tls = server_context(settings.tls_cert_file, settings.tls_key_file, "the API certificate")
    redis = await open_redis(settings.redis_url, settings.redis_prefix)
    lease = WorkerLease(redis, f"{settings.listen_host}:{settings.listen_port}/{uuid.uuid4().hex}")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.close)
        channels = await _channels(settings, runtime, stack)
        api = Api(_owners(channels, LeasedMessageIds(lease, clock_ms)), settings.call_seconds)
        app = application(api, OPERATIONS, runtime, settings.host_id, settings.trust_traceparent)
        listener = Listener(http_config(app), tls, runtime, settings.max_connections, settings.shutdown_seconds / 2)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(lease.hold(parts.message_ids))
        for name, reached in parts.owners.items():
            tasks.create_task(watch(channels[name], reached))
        host, port = await stack.enter_async_context(listener.listening(settings.listen_host, settings.listen_port))
        runtime.log.info("API on %s:%d, HTTP%s", host, port, " and HTTPS" if tls else "")
        parts.port.ok()
        if bound is not None:
            bound(host, port)
        await _started(parts)


class Parts:
    """The components of health: what readiness needs, and what is only shown."""

    def __init__(self, runtime: Runtime) -> None:
        def part(name: str, required: bool = False) -> Component:
            return runtime.health.component(runtime.service, name, required)

        self.port = part("api port", required=True)
        self.first_start = part("first start", required=True)
        self.message_ids = part("message ids")
        self.owners = {
            "auth": part("auth", required=True),
            "device-registry": part("device-registry"),
            "connection-gateway": part("connection-gateway"),
            "rule-engine": part("rule-engine"),
            "shadow": part("shadow"),
            "ota": part("ota"),
        }


async def _started(parts: Parts) -> Never:
    """Turns `first start` ok when everything was reached, or when the patience for it has ended."""
    needed = (parts.message_ids, *parts.owners.values())
    patience_ends = time.monotonic() + START_PATIENCE_SECONDS
    while (waiting := [part for part in needed if not part.is_ok]) and time.monotonic() < patience_ends:
        failing = [f"{part.name} ({part.why})" for part in waiting if part.why != "starting"]
        if failing:
            parts.first_start.fail(f"waiting for {', '.join(failing)}")
        await asyncio.sleep(POLL_SECONDS)
    parts.first_start.ok()
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def _channels(settings: Settings, runtime: Runtime, stack: AsyncExitStack) -> dict[str, grpc.aio.Channel]:
    targets = {
        "auth": settings.auth_target,
        "device-registry": settings.registry_target,
        "connection-gateway": settings.gateway_target,
        "rule-engine": settings.rules_target,
        "shadow": settings.shadow_target,
        "ota": settings.ota_target,
    }
    channels = {name: channel(target, runtime) for name, target in targets.items()}
    for opened in channels.values():
        stack.push_async_callback(opened.close, None)
    return channels


def _owners(channels: dict[str, grpc.aio.Channel], message_ids: LeasedMessageIds) -> Owners:
    auth, registry = channels["auth"], channels["device-registry"]
    products = RpcProducts(registry)
    return Owners(
        callers=RpcCallers(auth),
        access_keys=RpcAccessKeys(auth),
        secrets=RpcSecrets(auth),
        audit=RpcAudit(auth),
        master_keys=RpcMasterKeys(auth),
        instances=RpcInstances(registry),
        products=products,
        policies=Policies(products, time.monotonic),
        devices=RpcDevices(registry),
        device_secrets=RpcDeviceSecrets(auth),
        applications=RpcApplications(registry),
        tags=RpcTags(registry),
        topology=RpcTopology(registry),
        topic_classes=RpcTopicClasses(registry),
        thing_models=RpcThingModels(registry),
        things=RpcThings(channels["shadow"]),
        thing_calls=RpcThingCalls(channels["shadow"]),
        desired=RpcDesired(channels["shadow"]),
        histories=RpcHistories(channels["shadow"]),
        gateways=RpcGateways(channels["connection-gateway"]),
        rules=RpcRules(channels["rule-engine"]),
        dead_letters=RpcDeadLetters(channels["rule-engine"]),
        shadows=RpcShadows(channels["shadow"]),
        ota=RpcOta(channels["ota"]),
        message_ids=message_ids,
    )


def clock_ms() -> int:
    return time.time_ns() // 1_000_000
