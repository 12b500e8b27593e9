"""device-registry, put together.

    gRPC ── Instances, Products, Devices ── PostgreSQL, one transaction a change ── outbox
         │                            └── auth (secrets), connection-gateway (sessions)
         ├─ Applications ── PostgreSQL ── Registrar, which makes their devices in portions
         ├─ ThingModels ── PostgreSQL ── outbox
         └─ PolicyReader ── PostgreSQL, or the copies in Redis
    Outbox ── device.lifecycle, control
    LifecycleConsumer <── device.lifecycle ── Projection ── device_status
    TagConsumer <── device.tags ── Tags ── device_tag, replies by the gateways
    TopologyConsumer <── device.topology ── TopologyReports ─┬─ topology, signs checked by auth
                                          gRPC ── SubDevices ┘
    ThingModelConsumer <── device.model ── ThingModelReports ── ThingModels, replies by the gateways
    Sweep ── device_status, compared with the sessions that gateways hold
    Notices ── rows left with changes of topology ── gateways: sessions end, thing/topo/change

Ready while PostgreSQL is there, once the bus topics were seen. Without the bus announcements wait in the outbox and the
projection stands still; without Redis policies are not copied.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Never

import grpc

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, Handler
from thinghub.common.postgres import Postgres
from thinghub.common.redis import open_redis
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Component, Runtime
from thinghub.device_protocol.bus_topics import CONTROL, DEVICE_LIFECYCLE, DEVICE_MODEL, DEVICE_TAGS, DEVICE_TOPOLOGY
from thinghub.device_registry.adapters.auth_client import AuthCredentials, AuthProofs
from thinghub.device_registry.adapters.bus_announcer import BusAnnouncer
from thinghub.device_registry.adapters.gateway_client import (
    GatewayClaims,
    GatewayConnections,
    GatewayReplies,
    GatewaySessions,
)
from thinghub.device_registry.adapters.metrics import CountedStatuses
from thinghub.device_registry.adapters.postgres_applications import PostgresApplications
from thinghub.device_registry.adapters.postgres_feeds import PostgresOutbox, PostgresPolicies, PostgresStatuses
from thinghub.device_registry.adapters.postgres_store import PostgresStore
from thinghub.device_registry.adapters.postgres_sweep import PostgresSweep
from thinghub.device_registry.adapters.postgres_tags import PostgresTags
from thinghub.device_registry.adapters.postgres_thing_models import PostgresThingModels
from thinghub.device_registry.adapters.postgres_topology import PostgresNotices, PostgresTopology
from thinghub.device_registry.adapters.redis_bindings import RedisBindings
from thinghub.device_registry.adapters.redis_policies import RedisPolicyCache
from thinghub.device_registry.adapters.redis_turns import RedisTurns
from thinghub.device_registry.entrypoints.consumer import consume
from thinghub.device_registry.entrypoints.lifecycle import LifecycleConsumer
from thinghub.device_registry.entrypoints.rpc import RegistryRpc
from thinghub.device_registry.entrypoints.tags import TagConsumer
from thinghub.device_registry.entrypoints.tags_rpc import TagsRpc
from thinghub.device_registry.entrypoints.thing_models import ThingModelConsumer
from thinghub.device_registry.entrypoints.thing_models_rpc import ThingModelRpc
from thinghub.device_registry.entrypoints.topology import TopologyConsumer
from thinghub.device_registry.entrypoints.topology_rpc import TopologyRpc
from thinghub.device_registry.service.applications import Applications
from thinghub.device_registry.service.bindings import Bindings
from thinghub.device_registry.service.devices import Devices
from thinghub.device_registry.service.instances import Instances
from thinghub.device_registry.service.making import Maker
from thinghub.device_registry.service.notices import Notices
from thinghub.device_registry.service.outbox import Outbox
from thinghub.device_registry.service.policies import PolicyReader
from thinghub.device_registry.service.products import Products
from thinghub.device_registry.service.projection import Projection
from thinghub.device_registry.service.registrar import Registrar
from thinghub.device_registry.service.sub_devices import SubDevices
from thinghub.device_registry.service.sweep import Pace, Sweep
from thinghub.device_registry.service.tags import Tags
from thinghub.device_registry.service.thing_model_reports import ThingModelReports
from thinghub.device_registry.service.thing_models import ThingModels
from thinghub.device_registry.service.topology_reports import TopologyReports
from thinghub.device_registry.settings import Settings
from thinghubpb.registry.v1 import registry_pb2_grpc, tags_pb2_grpc, things_pb2_grpc, topology_pb2_grpc

MIGRATIONS = "thinghub.device_registry.migrations"


async def serve(settings: Settings, runtime: Runtime) -> None:
    parts = Parts(runtime)
    postgres = Postgres.open(settings.postgres_dsn, settings.postgres_schema, migrations=MIGRATIONS)
    redis = await open_redis(settings.redis_url, settings.redis_prefix)
    bus = await open_bus(settings.bus_url, settings.bus_prefix, runtime)
    auth, gateway = channel(settings.auth_target, runtime), channel(settings.gateway_target, runtime)
    policies = PostgresPolicies(postgres)
    reader = PolicyReader(policies, RedisPolicyCache(redis), runtime.log)
    announcer = BusAnnouncer(bus)
    outbox = Outbox(PostgresOutbox(postgres), policies, reader, announcer, clock_ms, runtime.log)
    replies = GatewayReplies(gateway)
    notices = Notices(PostgresNotices(postgres), GatewaySessions(gateway), replies, runtime.log)
    store = PostgresStore(postgres, outbox.wake, notices.wake)
    credentials = AuthCredentials(auth)
    counts = CountedStatuses(runtime.metrics)
    tags = Tags(store, PostgresTags(postgres), replies, runtime.log)
    topology = PostgresTopology(postgres, notices.wake, outbox.wake)
    limit = settings.sub_devices_per_gateway
    proofs = AuthProofs(auth)
    bindings = Bindings(topology, RedisBindings(redis), time.monotonic, runtime.log)
    reports = TopologyReports(topology, bindings, proofs, notices, announcer, replies, limit, clock_ms, runtime.log)
    products = Products(store, credentials, clock_ms, settings.products_per_instance)
    models = ThingModels(PostgresThingModels(postgres, outbox.wake), products, clock_ms)
    handlers: dict[str, Handler] = {
        DEVICE_LIFECYCLE: LifecycleConsumer(Projection(PostgresStatuses(postgres), counts), counts, runtime.log),
        DEVICE_TAGS: TagConsumer(tags, runtime.log),
        DEVICE_TOPOLOGY: TopologyConsumer(reports, runtime.log),
        DEVICE_MODEL: ThingModelConsumer(ThingModelReports(models, replies, runtime.log), runtime.log),
    }
    sweep = Sweep(
        PostgresSweep(postgres),
        GatewayClaims(gateway),
        RedisTurns(redis, "status-sweep", uuid.uuid4().hex),
        Pace(settings.sweep_seconds, settings.sweep_again_seconds, settings.sweep_per_second),
        counts.swept,
        clock_ms,
        runtime.log,
    )
    gateways = GatewayConnections(gateway)
    maker = Maker(credentials, gateways, clock_ms, runtime.log)
    applications = PostgresApplications(postgres)
    registrar = Registrar(store, applications, maker, clock_ms, runtime.log)
    sub_devices = SubDevices(store, topology, bindings, proofs, replies, limit, clock_ms)
    rpc = RegistryRpc(
        Instances(store, clock_ms),
        products,
        Devices(store, credentials, gateways, clock_ms, runtime.log),
        reader,
        Applications(store, applications, maker, registrar.wake, clock_ms),
    )

    def add(server: grpc.aio.Server) -> None:
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(rpc, server)
        tags_pb2_grpc.add_TagServiceServicer_to_server(TagsRpc(tags), server)
        things_pb2_grpc.add_ThingModelServiceServicer_to_server(ThingModelRpc(models), server)
        topology_pb2_grpc.add_TopologyServiceServicer_to_server(TopologyRpc(sub_devices), server)

    try:
        async with (
            serve_rpc(settings.rpc_listen, add, runtime),
            asyncio.TaskGroup() as tasks,
        ):
            parts.rpc.ok()
            tasks.create_task(postgres.watch(parts.postgres))
            tasks.create_task(parts.redis.watch(redis.ping))
            tasks.create_task(parts.bus.watch(bus.ping))
            tasks.create_task(parts.topics.watch(partial(_see_topics, bus, parts.topics_seen)))
            tasks.create_task(outbox.run())
            tasks.create_task(registrar.run())
            tasks.create_task(notices.run())
            tasks.create_task(sweep.run())
            tasks.create_task(_consume(bus, parts, handlers))
    finally:
        await auth.close(None)
        await gateway.close(None)
        await bus.close()
        await redis.close()
        await postgres.close()


class Parts:
    def __init__(self, runtime: Runtime) -> None:
        self.topics_seen = asyncio.Event()
        self.rpc: Component = runtime.health.component(runtime.service, "rpc")
        self.postgres: Component = runtime.health.component(runtime.service, "postgres")
        self.topics: Component = runtime.health.component(runtime.service, "bus topics")
        self.bus: Component = runtime.health.component(runtime.service, "bus", required=False)
        self.redis: Component = runtime.health.component(runtime.service, "redis", required=False)


async def _consume(bus: Bus, parts: Parts, handlers: Mapping[str, Handler]) -> Never:
    """Joins once the topics are there, so that a first start without them waits instead of failing."""
    await parts.topics_seen.wait()
    await consume(bus, handlers)


async def _see_topics(bus: Bus, topics_seen: asyncio.Event) -> None:
    """Raises a fault until the topics were there once: what the registry answers needs no bus."""
    if not topics_seen.is_set():
        for topic in (DEVICE_LIFECYCLE, DEVICE_TAGS, DEVICE_TOPOLOGY, DEVICE_MODEL, CONTROL):
            await bus.partitions(topic)
        topics_seen.set()


def clock_ms() -> int:
    return time.time_ns() // 1_000_000
