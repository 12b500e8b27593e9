"""shadow, put together.

    device.shadow, device.lifecycle ──> consumer ──> documents ── Redis
                                                        └── replies, controls ── connection-gateway Deliver
    gRPC ShadowService ─────────────────────────────> documents

    device.thing ──> consumer ──> things ── Redis (latest), PostgreSQL (history), thing.data
                                    │  └── replies ── connection-gateway Deliver
                                    └── thing models, IotIds ── device-registry; control says what changed
    gRPC ThingService ──> reports
    gRPC HistoryService ──> histories ── PostgreSQL; a sweep a day keeps to the products' retention
    gRPC DesiredService ──> desired ── Redis, connection-gateway Deliver; devices ask and clear by device.thing
    gRPC ThingCallService ──> calls ── ids (Redis), record (PostgreSQL), connection-gateway Deliver and Request

Ready while Redis and the bus with its topics are there, and PostgreSQL was.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import grpc

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Handler
from thinghub.common.postgres import Postgres
from thinghub.common.redis import open_redis
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import CONTROL, DEVICE_LIFECYCLE, DEVICE_SHADOW, DEVICE_THING, THING_DATA
from thinghub.shadow.adapters.bus_thing_data import BusThingData
from thinghub.shadow.adapters.gateway_downlinks import GatewayDownlinks
from thinghub.shadow.adapters.gateway_requests import GatewayRequests
from thinghub.shadow.adapters.gateway_things import GatewaySenders
from thinghub.shadow.adapters.postgres_calls import PostgresCalls
from thinghub.shadow.adapters.postgres_history import PostgresHistory
from thinghub.shadow.adapters.postgres_properties import PostgresPropertyHistories
from thinghub.shadow.adapters.postgres_retention import PostgresRetention
from thinghub.shadow.adapters.redis_desired import RedisDesired
from thinghub.shadow.adapters.redis_documents import RedisDocuments
from thinghub.shadow.adapters.redis_properties import RedisProperties
from thinghub.shadow.adapters.redis_relayed import RedisRelayed
from thinghub.shadow.adapters.registry_things import RegistryThings
from thinghub.shadow.adapters.registry_topology import RegistryTopology
from thinghub.shadow.adapters.watches import watch, watch_bus
from thinghub.shadow.entrypoints.consumer import consume
from thinghub.shadow.entrypoints.desired_rpc import DesiredServicer
from thinghub.shadow.entrypoints.documents import DocumentMessages, DocumentPresence
from thinghub.shadow.entrypoints.documents_rpc import ShadowServicer
from thinghub.shadow.entrypoints.histories_rpc import HistoryServicer
from thinghub.shadow.entrypoints.thing_calls_rpc import ThingCallServicer
from thinghub.shadow.entrypoints.thing_messages import ThingControl, ThingMessages
from thinghub.shadow.entrypoints.thing_presence import ThingsDeleted
from thinghub.shadow.entrypoints.things_rpc import ThingServicer
from thinghub.shadow.service.desired_properties import DesiredProperties
from thinghub.shadow.service.document_limits import RequestRates
from thinghub.shadow.service.document_observation import DocumentObservation
from thinghub.shadow.service.documents import Documents
from thinghub.shadow.service.thing_calls import ThingCalls
from thinghub.shadow.service.thing_histories import ThingHistories
from thinghub.shadow.service.thing_lookups import IotIds, ThingModels
from thinghub.shadow.service.thing_observation import ThingObservation
from thinghub.shadow.service.thing_relays import Relations, Relays
from thinghub.shadow.service.thing_reports import ThingReports
from thinghub.shadow.service.things import Things
from thinghub.shadow.service.unreached_calls import UnreachedCalls
from thinghub.shadow.settings import Settings
from thinghubpb.shadow.v1 import (
    desired_pb2_grpc,
    history_pb2_grpc,
    shadow_pb2_grpc,
    thing_calls_pb2_grpc,
    things_pb2_grpc,
)

MIGRATIONS = "thinghub.shadow.migrations"


async def serve(settings: Settings, runtime: Runtime) -> None:
    redis_health = runtime.health.component(runtime.service, "redis")
    bus_health = runtime.health.component(runtime.service, "bus")
    postgres_health = runtime.health.component(runtime.service, "postgres")
    async with AsyncExitStack() as stack:
        redis = await open_redis(settings.redis_url, settings.redis_prefix)
        stack.push_async_callback(redis.close)
        bus = await open_bus(settings.bus_url, settings.bus_prefix, runtime)
        stack.push_async_callback(bus.close)
        gateway = await stack.enter_async_context(channel(settings.gateway_target, runtime))

        observation = DocumentObservation(runtime.metrics, runtime.tracing)
        downlinks = GatewayDownlinks(gateway)
        rates = RequestRates(settings.document_requests_per_second, settings.document_rate_mode == "enforce")
        documents = Documents(
            RedisDocuments(redis, settings.redis_replicas),
            downlinks,
            rates,
            observation,
            now_ms,
            settings.document_cache_bytes,
        )
        servicer = ShadowServicer(documents)

        postgres = Postgres.open(settings.postgres_dsn, settings.postgres_schema, migrations=MIGRATIONS)
        stack.push_async_callback(postgres.close)
        registry_channel = await stack.enter_async_context(channel(settings.registry_target, runtime))
        registry = RegistryThings(registry_channel)
        thing_observation = ThingObservation(runtime.metrics, runtime.tracing)
        models, iot_ids = ThingModels(registry, time.monotonic), IotIds(registry, time.monotonic)
        properties = RedisProperties(redis, settings.redis_replicas)
        history = PostgresHistory(postgres, settings.history_days, now_ms)
        senders = GatewaySenders(gateway)
        recorded, thing_data = PostgresCalls(history), BusThingData(bus)
        relays = Relays(Relations(RegistryTopology(registry_channel), time.monotonic))
        relayed = RedisRelayed(redis, settings.redis_replicas)
        things = Things(
            models, iot_ids, relays, properties, relayed, history, recorded, thing_data, senders, thing_observation
        )  # fmt: skip
        desired = DesiredProperties(
            models, RedisDesired(redis, settings.redis_replicas), properties, senders, thing_observation, now_ms
        )
        desired_servicer = DesiredServicer(desired)
        retention = PostgresRetention(history, settings.history_days, now_ms)
        histories = ThingHistories(PostgresPropertyHistories(history), retention, settings.history_days)
        history_servicer = HistoryServicer(histories)
        requests, unreached = GatewayRequests(gateway), UnreachedCalls(iot_ids, thing_data)
        thing_calls = ThingCalls(models, properties, recorded, senders, requests, unreached, thing_observation, now_ms)
        thing_servicer = ThingServicer(ThingReports(models, properties, history), thing_calls)
        call_servicer = ThingCallServicer(thing_calls)

        def add(server: grpc.aio.Server) -> None:
            shadow_pb2_grpc.add_ShadowServiceServicer_to_server(servicer, server)
            things_pb2_grpc.add_ThingServiceServicer_to_server(thing_servicer, server)
            history_pb2_grpc.add_HistoryServiceServicer_to_server(history_servicer, server)
            desired_pb2_grpc.add_DesiredServiceServicer_to_server(desired_servicer, server)
            thing_calls_pb2_grpc.add_ThingCallServiceServicer_to_server(call_servicer, server)

        await stack.enter_async_context(serve_rpc(settings.rpc_listen, add, runtime))
        handlers: Mapping[str, Sequence[Handler]] = {
            DEVICE_SHADOW: [DocumentMessages(documents, observation)],
            DEVICE_LIFECYCLE: [
                DocumentPresence(documents, observation),
                ThingsDeleted([desired.forget, relayed.forget], observation),
            ],
            DEVICE_THING: [ThingMessages([things.handle, desired.handle], thing_observation)],
        }
        appeared = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(redis_health, redis.ping))
            tasks.create_task(watch_bus(bus, (*handlers, THING_DATA, CONTROL), bus_health, appeared))
            tasks.create_task(postgres.watch(postgres_health))
            tasks.create_task(history.keep())
            tasks.create_task(retention.keep())
            await appeared.wait()
            tasks.create_task(bus.tail([CONTROL], ThingControl(models)))
            tasks.create_task(consume(bus, handlers, settings.max_records))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
