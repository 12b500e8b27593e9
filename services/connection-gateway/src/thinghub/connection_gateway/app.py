"""connection-gateway, put together.

    core (Rust) ──events──> Pump ─┬─ Connects ─────────────────┬─ auth, policies, topology (registry)
                                  ├─ SubDevices ── Logins ─────┴─ Admission ── claims (Redis), Kicks
                                  ├─ Closing ── releases claims, status events (bus); Notices ──> gateway devices
                                  ├─ Attempts, TracedMessages ── what support asks for (Redis) ──> Explain
                                  ├─ Records ── bus, whose answer goes back to the core
                                  ├─ Subscriptions, Outboxes <── Keeping: queues of persistent sessions (Redis) <─┐
                                  ├─ Pushes <─── Ntp, Broadcasts, Delivery ───────────────────────────────────────┘
                                  └─ Requests (RRPC)
    GatewayRpc (other services, other gateways) ──> Delivery, Broadcasts, Requests, Kicks, Lookup, Explain
    Presence (lease) ── Vigil ─┬─ Expiry: sessions of gateways that died
                               └─ Reassertion: own claims, after an outage of Redis
    Control (control topic) ──> Policies; every few minutes policies and topology (TopologyChecks) are compared

Where it is done: `adapters/building.py` the core and its listeners, `adapters/parts.py` health,
`service/session_services.py` and `service/message_services.py` the services on the ports of `service/outside.py`; here
the adapters behind those ports, and the order of start and stop.

Starting: a worker id and the topics' partitions first, because the core is built with them; then RPC, the gateway's
lease, and only then the listeners. From then on the gateway keeps its connections whatever else goes away; new
connects need Redis and auth, so without either it is not ready.
"""

import asyncio
import time
import uuid
from collections.abc import Coroutine

import grpc

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus
from thinghub.common.redis import Redis, open_redis
from thinghub.common.redis.workers import WorkerLease
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.connection_gateway.adapters.auth_client import GrpcAuthenticator
from thinghub.connection_gateway.adapters.building import build_core, open_listeners
from thinghub.connection_gateway.adapters.core import CoreConnections, CoreFigures
from thinghub.connection_gateway.adapters.metrics import event_counter, watch_queues
from thinghub.connection_gateway.adapters.parts import Parts, partitions_of
from thinghub.connection_gateway.adapters.peers import GrpcPeers
from thinghub.connection_gateway.adapters.presence import Presence
from thinghub.connection_gateway.adapters.redis_attempts import RedisAttempts, traced_messages
from thinghub.connection_gateway.adapters.redis_claims import RedisClaims
from thinghub.connection_gateway.adapters.redis_estates import RedisEstates
from thinghub.connection_gateway.adapters.redis_queues import Bounds, RedisQueues
from thinghub.connection_gateway.adapters.redis_roster import RedisRoster
from thinghub.connection_gateway.adapters.registry_client import GrpcPolicySource, GrpcTopology
from thinghub.connection_gateway.adapters.status_events import BusStatusEvents
from thinghub.connection_gateway.adapters.watches import leased_worker, watch_worker
from thinghub.connection_gateway.entrypoints.control import Control
from thinghub.connection_gateway.entrypoints.events import Pump
from thinghub.connection_gateway.entrypoints.rpc import GatewayRpc
from thinghub.connection_gateway.service.message_services import MessageServices
from thinghub.connection_gateway.service.outside import Outside
from thinghub.connection_gateway.service.records import Records
from thinghub.connection_gateway.service.session_services import SessionServices
from thinghub.connection_gateway.settings import Settings
from thinghub.device_protocol.bus_topics import BUS_TOPICS, DEVICE_LIFECYCLE, BusTopic
from thinghub.device_protocol.topics import TOPICS, Category, topic_rules
from thinghub_gateway_core import Core
from thinghubpb.gateway.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server

_PUBLISHED = {row.category for row in TOPICS if row.up}
# What devices publish to the bus, in the order of the core's streams; and what the gateway itself answers.
STREAMS: tuple[BusTopic, ...] = tuple(topic for topic in BUS_TOPICS if topic.category in _PUBLISHED)
LOCAL = frozenset({Category.RRPC, Category.NTP, Category.SESSION})
# A worker id outlives a long outage of Redis: the core keeps making ids with it meanwhile.
WORKER_LEASE_SECONDS = 300.0


async def serve(settings: Settings, runtime: Runtime) -> None:
    parts = Parts(runtime)
    incarnation = uuid.uuid4().hex[:16]
    redis = await open_redis(settings.redis_url, settings.redis_prefix)
    bus = await open_bus(settings.bus_url, settings.bus_prefix, runtime)
    lease = WorkerLease(redis, incarnation, WORKER_LEASE_SECONDS)
    try:
        async with asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(lease.hold(parts.worker))
            worker = await leased_worker(lease)
            streams = [await partitions_of(bus, topic.name, parts.bus) for topic in STREAMS]
            lifecycle = await partitions_of(bus, DEVICE_LIFECYCLE, parts.bus)
            rules = topic_rules({topic.category: at for at, topic in enumerate(STREAMS) if topic.category}, LOCAL)
            core = build_core(settings, incarnation, worker, streams, rules)
            try:
                await Gateway(settings, runtime, parts, incarnation, lease, redis, bus, core, lifecycle).run()
            finally:
                holding.cancel()
                await asyncio.to_thread(core.stop)
    finally:
        await bus.close()
        await redis.close()


class Gateway:
    """Everything between the core and the world, and its order of start and stop."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        parts: Parts,
        incarnation: str,
        lease: WorkerLease,
        redis: Redis,
        bus: Bus,
        core: Core,
        lifecycle_partitions: int,
    ) -> None:
        self.settings, self.runtime, self.parts = settings, runtime, parts
        self.incarnation, self.lease, self.redis, self.bus, self.core = incarnation, lease, redis, bus, core
        self.worker = lease.current()
        keep_ms = settings.session_keep_seconds * 1000
        bounds = Bounds(settings.queue_messages, settings.queue_bytes, settings.queue_seconds * 1000)
        count = event_counter(runtime.metrics)
        self.auth_channel = channel(settings.auth_target, runtime)
        self.registry_channel = channel(settings.registry_target, runtime)
        self.authenticator = GrpcAuthenticator(self.auth_channel)
        self.source = GrpcPolicySource(self.registry_channel)
        self.claims = RedisClaims(redis, incarnation, keep_ms=keep_ms)
        self.estates = RedisEstates(redis, incarnation)
        self.peers = GrpcPeers(runtime)
        self.events = BusStatusEvents(bus, incarnation, lifecycle_partitions)
        outside = Outside(
            gateway=incarnation,
            connections=CoreConnections(core),
            authenticator=self.authenticator,
            policies=self.source,
            topology=GrpcTopology(self.registry_channel),
            claims=self.claims,
            queues=RedisQueues(redis, incarnation, bounds, keep_ms, settings.redis_replicas),
            estates=self.estates,
            peers=self.peers,
            events=self.events,
            remembered=RedisAttempts(redis),
            roster=RedisRoster(redis),
            count=count,
        )
        records = Records(bus, [topic.name for topic in STREAMS], core, runtime.tracing, count)
        self.sessions = SessionServices(settings, outside, now_ms)
        self.messages = MessageServices(settings, outside, self.sessions, records, self.worker, traced_messages, now_ms)
        self.pump = Pump(core, self.sessions, self.messages)
        self.rpc = GatewayRpc(self.messages, self.sessions.kicks, count)

    async def run(self) -> None:
        """Serves until cancelled, then stops in order."""
        self._export()
        try:
            async with (
                serve_rpc(self.settings.rpc_listen, self._add, self.runtime) as target,
                asyncio.TaskGroup() as tasks,
            ):
                address = self.settings.rpc_advertise or target
                self.estates.address = self.claims.address = address
                self.messages.lookup.address = self.sessions.attempts.address = address
                presence = Presence(self.redis, self.incarnation, address, self.settings.lease_seconds)
                for job in self._jobs(presence):
                    tasks.create_task(job)
                self.pump.start()
                await self._listen()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    await self._stop(presence)
        finally:
            await self.peers.close()
            await self.auth_channel.close(None)
            await self.registry_channel.close(None)

    def _add(self, server: grpc.aio.Server) -> None:
        add_GatewayServiceServicer_to_server(self.rpc, server)

    def _jobs(self, presence: Presence) -> list[Coroutine[None, None, None]]:
        return [
            presence.keep(self.parts.redis, self.sessions.vigil, self.sessions.reassertion.want),
            self.parts.bus.watch(self.bus.ping),
            self.parts.auth.watch(self.authenticator.ping),
            self.parts.registry.watch(self.source.ping),
            watch_worker(self.lease, self.worker),
            self.events.run(),
            *self.sessions.jobs(),
            *self.messages.jobs(),
            Control(self.bus, self.sessions.policies).run(),
        ]

    async def _listen(self) -> None:
        """Opens the listeners once the lease was written: whoever is claimed here must be found."""
        while not self.parts.redis.is_ok:
            await asyncio.sleep(0.05)
        open_listeners(self.core, self.settings, self.runtime.log)
        self.parts.listeners.ok()

    async def _stop(self, presence: Presence) -> None:
        """No new devices, the others closed, their uplink on the bus, claims and lease given up; within a bound."""
        self.parts.listeners.fail("stopping")
        budget = self.settings.shutdown_seconds * 0.7
        self.core.stop_listening()
        released = await self.sessions.stop(budget * 0.6)
        if not released:
            table = self.sessions.table
            self.runtime.log.warning("%d sessions were not released in time", len(table) + table.leaving)
        await self.sessions.attempts.drained(budget * 0.1)
        if not await self.events.drained(budget * 0.3):
            self.runtime.log.warning("status events did not reach the bus in time")
        await presence.give_up(released=released)
        self.pump.stop()

    def _export(self) -> None:
        self.runtime.metrics.registry.register(CoreFigures(self.core))
        watch_queues(self.runtime.metrics, {**self.sessions.waiting(), **self.messages.waiting()})


def now_ms() -> int:
    return time.time_ns() // 1_000_000
