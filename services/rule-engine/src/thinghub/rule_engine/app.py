"""The rule engine put together: rules from PostgreSQL, messages from the bus, outputs to sinks or back to the bus."""

import asyncio
import ssl
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Never

import grpc.aio

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, Handler
from thinghub.common.errors import Fault
from thinghub.common.postgres import Postgres
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.device_protocol import bus_topics
from thinghub.rule_engine.adapters.auth_secrets import AuthSecrets
from thinghub.rule_engine.adapters.bus_changes import BusChanges
from thinghub.rule_engine.adapters.bus_messages import BusMessages
from thinghub.rule_engine.adapters.bus_parking import RETRY_TOPICS, BusParking
from thinghub.rule_engine.adapters.bus_watch import see_bus
from thinghub.rule_engine.adapters.gateway_devices import GatewayDevices
from thinghub.rule_engine.adapters.postgres_deadletters import PostgresDeadLetters
from thinghub.rule_engine.adapters.postgres_rules import PostgresRules
from thinghub.rule_engine.adapters.registry_products import RegistryProducts
from thinghub.rule_engine.adapters.sinks.functions import FunctionSinks
from thinghub.rule_engine.adapters.sinks.kafka import KafkaSinks
from thinghub.rule_engine.adapters.sinks.kafka_cluster import Clusters
from thinghub.rule_engine.adapters.sinks.rds import RdsSinks
from thinghub.rule_engine.adapters.sinks.rds_pools import Databases
from thinghub.rule_engine.adapters.sinks.republish import RepublishSinks
from thinghub.rule_engine.domain.retries import Delays
from thinghub.rule_engine.entrypoints import messages
from thinghub.rule_engine.entrypoints.consumer import GROUP, consume
from thinghub.rule_engine.entrypoints.control import Control
from thinghub.rule_engine.entrypoints.deadletters import DeadLetterRecords
from thinghub.rule_engine.entrypoints.deadletters_rpc import DeadLetterServicer
from thinghub.rule_engine.entrypoints.messages import Messages
from thinghub.rule_engine.entrypoints.retries import Retries
from thinghub.rule_engine.entrypoints.rpc import RuleServicer
from thinghub.rule_engine.service.catalogue import Catalogue
from thinghub.rule_engine.service.deadletters import DeadLetters
from thinghub.rule_engine.service.engine import Engine
from thinghub.rule_engine.service.lane import Bounds
from thinghub.rule_engine.service.lanes import Kinds, Lanes
from thinghub.rule_engine.service.observation import Observation
from thinghub.rule_engine.service.ownership import Ownership
from thinghub.rule_engine.service.rules import Rules
from thinghub.rule_engine.settings import Settings
from thinghubpb.rule.v1 import deadletters_pb2_grpc, rule_pb2_grpc

TOPICS = (*messages.TOPICS, *RETRY_TOPICS, bus_topics.RULE_DEADLETTER, bus_topics.CONTROL)
MIGRATIONS = "thinghub.rule_engine.migrations"
WAITING_S = 15.0


async def serve(settings: Settings, runtime: Runtime) -> None:
    """Runs until cancelled. Ready when the rules are loaded and the bus has its topics; sinks do not matter to that."""
    store_health = runtime.health.component(runtime.service, "postgres")
    bus_health = runtime.health.component(runtime.service, "bus")
    observation = Observation(runtime.metrics, runtime.tracing)
    async with AsyncExitStack() as stack:
        postgres = Postgres.open(settings.postgres_dsn, settings.postgres_schema, migrations=MIGRATIONS)
        stack.push_async_callback(postgres.close)
        bus = await open_bus(settings.bus_url, settings.bus_prefix, runtime)
        stack.push_async_callback(bus.close)
        auth = await stack.enter_async_context(channel(settings.auth_target, runtime))
        registry = await stack.enter_async_context(channel(settings.registry_target, runtime))
        gateway = await stack.enter_async_context(channel(settings.gateway_target, runtime))
        secrets = AuthSecrets(auth)
        databases = Databases(secrets, settings.sink_seconds)
        stack.push_async_callback(databases.close)
        ownership = Ownership(RegistryProducts(registry), time.monotonic)
        clusters = Clusters(secrets, settings.sink_seconds)
        stack.push_async_callback(clusters.close)
        kinds = {
            **_kinds(databases, ownership, gateway, bus, observation),
            "KAFKA": KafkaSinks(clusters),
            "FC": _functions(settings, secrets),
        }
        parking = BusParking(bus, GROUP)
        lanes = await stack.enter_async_context(_lanes(settings, kinds, parking, observation))

        store = PostgresRules(postgres)
        engine = Engine(lanes, observation)
        catalogue = Catalogue(store, engine, observation, settings.reload_seconds)
        rules = Rules(store, kinds, ownership, BusChanges(bus), catalogue, now_ms)
        kept_letters = PostgresDeadLetters(postgres)
        letters = DeadLetters(kept_letters, parking, now_ms)

        def add(server: grpc.aio.Server) -> None:
            rule_pb2_grpc.add_RuleServiceServicer_to_server(RuleServicer(rules, engine.status), server)
            deadletters_pb2_grpc.add_DeadLetterServiceServicer_to_server(DeadLetterServicer(letters), server)

        await stack.enter_async_context(serve_rpc(settings.rpc_listen, add, runtime))
        retries = Retries(engine, catalogue.reload, now_ms)
        appeared = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(postgres.watch(store_health))
            tasks.create_task(bus_health.watch(partial(see_bus, bus, TOPICS, appeared)))
            tasks.create_task(catalogue.run())
            tasks.create_task(_listen(bus, appeared, catalogue))
            tasks.create_task(_count_waiting(parking, observation))
            await catalogue.loaded.wait()
            tasks.create_task(letters.purge(settings.dead_letter_days, settings.dead_letters_kept))
            await appeared.wait()
            own: dict[str, Handler] = dict.fromkeys(messages.TOPICS, Messages(engine, observation))
            own[bus_topics.RULE_DEADLETTER] = DeadLetterRecords(kept_letters)
            waiting = dict.fromkeys(RETRY_TOPICS, retries)
            tasks.create_task(consume(bus, own, waiting, settings.max_records))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _kinds(
    databases: Databases, ownership: Ownership, gateway: grpc.aio.Channel, bus: Bus, observation: Observation
) -> Kinds:
    def count(outcome: str, number: int) -> None:
        observation.results("REPUBLISH", outcome, number)

    return {
        "RDS": RdsSinks(databases),
        "REPUBLISH": RepublishSinks(ownership, GatewayDevices(gateway), BusMessages(bus), count),
    }


def _functions(settings: Settings, secrets: AuthSecrets) -> FunctionSinks:
    tls = ssl.create_default_context()
    return FunctionSinks(secrets, settings.fc_networks, settings.fc_connections, settings.sink_seconds, tls)


def _lanes(settings: Settings, kinds: Kinds, parking: BusParking, observation: Observation) -> Lanes:
    bounds = Bounds(settings.queue_outputs, settings.batch_outputs, settings.hold_seconds)
    delays = Delays(settings.refused_seconds, settings.outage_seconds)
    return Lanes(kinds, parking, observation, bounds, delays, now_ms, {"FC": settings.fc_connections})


async def _listen(bus: Bus, appeared: asyncio.Event, catalogue: Catalogue) -> Never:
    await appeared.wait()
    await bus.tail([bus_topics.CONTROL], Control(catalogue))


async def _count_waiting(parking: BusParking, observation: Observation) -> Never:
    while True:
        await asyncio.sleep(WAITING_S)
        try:
            for place, count in (await parking.waiting()).items():
                observation.waiting.labels(place).set(count)
        except Fault:
            continue  # the bus is away, which its health says
