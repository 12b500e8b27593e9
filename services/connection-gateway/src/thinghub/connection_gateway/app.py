"""connection-gateway, put together.

    core (Rust) ──events──> Pump ─┬─ Connects ── auth, policies (registry), Admission: claims (Redis), Kicks
                                  ├─ SubDevices, Logins ── the same for sub-devices; Notices ──> gateway devices
                                  ├─ Closing ─── releases claims, status events (bus)
                                  ├─ Records ─── bus, whose answer goes back to the core
                                  ├─ Subscriptions, Outboxes <── Keeping: persistent sessions (Redis) <─ Delivery
                                  ├─ Pushes <─── Delivery  <─┐
                                  └─ Requests <──────────────┴── GatewayRpc (other services, other gateways)
    Presence (lease) ── Vigil ─┬─ Expiry: sessions of gateways that died
                               └─ Reassertion: own claims, after an outage of Redis

Starting: a worker id and the topics' partitions first, because the core is built with them; then RPC, the gateway's
lease, and only then the listeners. From then on the gateway keeps its connections whatever else goes away; new
connects need Redis and auth, so without either it is not ready.
"""

import asyncio
import time
import uuid
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Literal

import grpc

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicMissing
from thinghub.common.errors import Fault
from thinghub.common.redis import Redis, open_redis
from thinghub.common.redis.workers import WorkerLease
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Component, Runtime
from thinghub.connection_gateway.adapters.auth_client import GrpcAuthenticator
from thinghub.connection_gateway.adapters.core import CoreConnections, CoreFigures, core_rules
from thinghub.connection_gateway.adapters.metrics import event_counter, watch_queues
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
from thinghub.connection_gateway.domain.outbox import Window
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import SessionTable
from thinghub.connection_gateway.domain.vigil import Vigil
from thinghub.connection_gateway.entrypoints.control import Control
from thinghub.connection_gateway.entrypoints.events import Pump
from thinghub.connection_gateway.entrypoints.rpc import GatewayRpc
from thinghub.connection_gateway.service.admission import Admission
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.broadcasts import Broadcasts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.connects import ConnectLimits, Connects
from thinghub.connection_gateway.service.delivery import Delivery
from thinghub.connection_gateway.service.expiry import Expiry
from thinghub.connection_gateway.service.explain import Explain
from thinghub.connection_gateway.service.inspection import Inspection
from thinghub.connection_gateway.service.keeping import Keeping
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.logins import LoginLimits, Logins
from thinghub.connection_gateway.service.lookup import Lookup
from thinghub.connection_gateway.service.notices import Notices
from thinghub.connection_gateway.service.ntp import Ntp
from thinghub.connection_gateway.service.outboxes import Outboxes
from thinghub.connection_gateway.service.policies import Policies
from thinghub.connection_gateway.service.pushes import Pushes
from thinghub.connection_gateway.service.reassertion import Reassertion
from thinghub.connection_gateway.service.records import Records
from thinghub.connection_gateway.service.refusals import Refusals
from thinghub.connection_gateway.service.requests import Requests
from thinghub.connection_gateway.service.sub_devices import SubDevices
from thinghub.connection_gateway.service.subscriptions import Subscriptions
from thinghub.connection_gateway.service.topology_checks import TopologyChecks
from thinghub.connection_gateway.service.traced import TracedMessages
from thinghub.connection_gateway.settings import Settings
from thinghub.device_protocol.bus_topics import BUS_TOPICS, DEVICE_LIFECYCLE, BusTopic
from thinghub.device_protocol.message_ids import MessageIds
from thinghub.device_protocol.topics import TOPICS, Category, topic_rules
from thinghub_gateway_core import Core
from thinghubpb.gateway.v1.gateway_pb2_grpc import add_GatewayServiceServicer_to_server

RETRY_SECONDS = 1.0
# Between two looks at what connected persistent sessions keep.
RENEW_SECONDS = 30.0
# A worker id outlives a long outage of Redis: the core keeps making ids with it meanwhile.
WORKER_LEASE_SECONDS = 300.0

_PUBLISHED = {row.category for row in TOPICS if row.up}
# What devices publish to the bus, in the order of the core's streams; and what the gateway itself answers.
STREAMS: tuple[BusTopic, ...] = tuple(topic for topic in BUS_TOPICS if topic.category in _PUBLISHED)
LOCAL = frozenset({Category.RRPC, Category.NTP, Category.SESSION})


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
            core = build_core(settings, incarnation, worker, streams)
            try:
                await Gateway(settings, runtime, parts, incarnation, lease, redis, bus, core, lifecycle).run()
            finally:
                holding.cancel()
                await asyncio.to_thread(core.stop)
    finally:
        await bus.close()
        await redis.close()


class Parts:
    """What this gateway depends on. Without the registry, products already known are served."""

    def __init__(self, runtime: Runtime) -> None:
        self.worker = runtime.health.component(runtime.service, "worker id")
        self.redis = runtime.health.component(runtime.service, "redis")
        self.bus = runtime.health.component(runtime.service, "bus")
        self.auth = runtime.health.component(runtime.service, "auth")
        self.registry = runtime.health.component(runtime.service, "registry", required=False)
        self.listeners = runtime.health.component(runtime.service, "listeners")


async def partitions_of(bus: Bus, topic: str, component: Component) -> int:
    """Waits for the topic to exist: the core is built with the number of its partitions."""
    while True:
        try:
            return await bus.partitions(topic)
        except TopicMissing:
            component.fail(f"topic {topic} is missing; `thinghub admin topics` creates it")
        except Fault as fault:
            component.fail(fault.message)
        await asyncio.sleep(RETRY_SECONDS)


def build_core(settings: Settings, incarnation: str, worker: int, streams: Sequence[int]) -> Core:
    """Raises ValueError when the certificate does not load."""
    core = Core(
        {
            "origin": incarnation,
            "worker_id": worker,
            "max_connections": settings.max_connections,
            "delivery_timeout_ms": settings.acknowledge_seconds * 1000,
            "max_sub_sessions": settings.max_sessions,
            "record_linger_ms": settings.record_linger_ms,
            "record_timeout_ms": settings.record_timeout_ms,
            "keep_alive_min_s": settings.keep_alive_min_s,
            "keep_alive_max_s": settings.keep_alive_max_s,
            "trace_every": sampled_every(settings),
        }
    )
    if settings.tls_cert_file:
        core.set_tls(Path(settings.tls_cert_file).read_bytes(), Path(settings.tls_key_file).read_bytes())
    core.set_streams(list(streams))
    indexes = {topic.category: index for index, topic in enumerate(STREAMS) if topic.category}
    core.set_topic_table(core_rules(topic_rules(indexes, LOCAL)))
    core.start()
    return core


def sampled_every(settings: Settings) -> int:
    """One message in so many is traced; 0: none."""
    return round(1 / settings.trace_ratio) if settings.trace_ratio else 0


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
        count = event_counter(runtime.metrics)
        next_id = MessageIds(self.worker, now_ms).next
        self.auth_channel = channel(settings.auth_target, runtime)
        self.registry_channel = channel(settings.registry_target, runtime)
        self.authenticator = GrpcAuthenticator(self.auth_channel)
        self.source = GrpcPolicySource(self.registry_channel)
        self.claims = RedisClaims(redis, incarnation, keep_ms=settings.session_keep_seconds * 1000)
        self.peers = GrpcPeers(runtime)
        self.connections = CoreConnections(core)
        self.events = BusStatusEvents(bus, incarnation, lifecycle_partitions)
        self.table = SessionTable()
        self.policies = Policies(self.source, self.connections)
        self.closing = Closing(self.connections, self.claims, self.table, self.events, now_ms)
        bounds = Bounds(settings.queue_messages, settings.queue_bytes, settings.queue_seconds * 1000)
        keep_ms = settings.session_keep_seconds * 1000
        self.queues = RedisQueues(redis, incarnation, bounds, keep_ms, settings.redis_replicas)
        self.subscriptions = Subscriptions(self.connections, self.queues, count)
        self.outboxes = Outboxes(
            self.connections,
            self.queues,
            self.closing,
            self.table,
            Window(settings.queue_window),
            settings.max_inflight_queued,
            settings.max_inflight_queued_bytes,
            min(RENEW_SECONDS, settings.session_keep_seconds / 4),
            count,
        )
        self.keeping = Keeping(incarnation, self.queues, self.outboxes, self.peers, self.table, count)
        self.estates = RedisEstates(redis, incarnation)
        self.vigil = Vigil(settings.lease_seconds, time.monotonic())
        self.expiry = Expiry(
            self.estates,
            self.events,
            lambda: self.vigil.trusts(time.monotonic()),
            settings.lease_seconds / 6,
            now_ms,
            count,
        )
        self.reassertion = Reassertion(
            self.estates,
            self.table,
            self.closing,
            self.events,
            settings.reassert_per_second,
            settings.claims_check_seconds,
            self.outboxes.look,
            now_ms,
            count,
        )
        self.kicks = Kicks(
            incarnation, self.claims, self.peers, self.table, self.closing, self.outboxes, self.queues, count
        )
        self.pushes = Pushes(self.connections, settings.max_inflight_downlinks)
        self.records = Records(bus, [topic.name for topic in STREAMS], core, runtime.tracing, count)
        self.lookup = Lookup(incarnation, self.claims, self.table)
        self.delivery = Delivery(incarnation, self.claims, self.peers, self.table, self.pushes, self.keeping, now_ms)
        self.requests = Requests(
            incarnation,
            self.worker,
            next_id,
            self.claims,
            self.peers,
            self.table,
            self.pushes,
            settings.max_inflight_requests,
            count,
        )
        remembered = RedisAttempts(redis)
        self.attempts = Attempts(
            remembered, self.policies.need, settings.remembered_per_second, time.monotonic, now_ms, count
        )
        self.traced = TracedMessages(remembered, traced_messages, count)
        self.refusals = Refusals()
        per_device = Rates(settings.connects_per_minute)
        limits = ConnectLimits(per_device, Rates(settings.failures_per_minute), settings.connects_enforce)
        admission = Admission(
            self.claims, self.table, self.kicks, self.closing, self.events, self.attempts, self.outboxes, now_ms
        )
        self.connects = Connects(
            self.connections,
            self.authenticator,
            self.policies,
            admission,
            limits,
            self.attempts,
            self.refusals,
            now_ms,
            count,
        )
        topology = GrpcTopology(self.registry_channel)
        self.topology_checks = TopologyChecks(topology, self.table, self.closing)
        self.logins = Logins(
            self.connections,
            self.authenticator,
            topology,
            self.policies,
            admission,
            self.table,
            LoginLimits(
                per_device,
                Rates(settings.failures_per_minute),
                settings.connects_enforce,
                settings.max_sub_devices,
                settings.max_sessions,
            ),
            now_ms,
            count,
        )
        self.sub_devices = SubDevices(
            self.logins,
            self.table,
            self.closing,
            self.pushes,
            self.refusals,
            self.attempts,
            settings.sub_devices_per_second,
            count,
        )
        self.inspection = Inspection(self.connections, self.table)
        self.notices = Notices(self.table, self.pushes, next_id, time.monotonic, count)
        self.ntp = Ntp(self.pushes, now_ms, count)
        self.pump = Pump(
            core,
            self.connects,
            self.closing,
            self.pushes,
            self.outboxes,
            self.subscriptions,
            self.table,
            self.requests,
            self.ntp,
            self.sub_devices,
            self.notices,
            self.records,
            self.inspection,
            self.attempts,
            self.traced,
        )
        self.broadcasts = Broadcasts(
            incarnation,
            RedisRoster(redis),
            self.peers,
            self.table,
            self.pushes,
            settings.broadcast_per_second,
            settings.broadcast_all_seconds,
            settings.broadcast_topic_seconds,
            count,
        )
        self.explain = Explain(
            incarnation,
            self.lookup,
            self.claims,
            remembered,
            self.inspection,
            self.peers,
            sampled_every(settings),
        )
        self.rpc = GatewayRpc(
            self.delivery, self.requests, self.kicks, self.lookup, self.broadcasts, self.explain, count
        )

    async def run(self) -> None:
        """Serves until cancelled, then stops in order."""
        self._export()
        try:
            async with (
                serve_rpc(self.settings.rpc_listen, self._add, self.runtime) as target,
                asyncio.TaskGroup() as tasks,
            ):
                address = self.settings.rpc_advertise or target
                self.estates.address = address
                self.claims.address = self.lookup.address = self.attempts.address = address
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
            presence.keep(self.parts.redis, self.vigil, self.reassertion.want),
            self.expiry.run(),
            self.reassertion.run(),
            self.parts.bus.watch(self.bus.ping),
            self.parts.auth.watch(self.authenticator.ping),
            self.parts.registry.watch(self.source.ping),
            watch_worker(self.lease, self.worker),
            self.connects.run(),
            self.sub_devices.run(),
            self.refusals.run(),
            self.closing.run(),
            self.subscriptions.run(),
            self.outboxes.run(),
            self.events.run(),
            self.records.run(),
            self.requests.run(),
            self.attempts.run(),
            self.traced.run(),
            self.policies.watch(self.settings.policy_check_seconds),
            self.topology_checks.watch(self.settings.policy_check_seconds),
            Control(self.bus, self.policies).run(),
        ]

    async def _listen(self) -> None:
        """Opens the listeners once the lease was written: whoever is claimed here must be found."""
        while not self.parts.redis.is_ok:
            await asyncio.sleep(0.05)
        settings, opened = self.settings, {}
        if settings.mqtt_port >= 0:
            mode: Literal["sniff", "never"] = "sniff" if settings.tls_cert_file else "never"
            opened["mqtt"] = self.core.listen(settings.mqtt_host, settings.mqtt_port, mode)
        if settings.mqtts_port >= 0 and settings.tls_cert_file:
            opened["mqtts"] = self.core.listen(settings.mqtt_host, settings.mqtts_port, "always")
        where = ", ".join(f"{name} on {settings.mqtt_host}:{port}" for name, port in opened.items())
        self.runtime.log.info("accepting %s", where or "no devices", extra={"listeners": opened})
        self.parts.listeners.ok()

    async def _stop(self, presence: Presence) -> None:
        """No new devices, the others closed, their uplink on the bus, claims and lease given up; within a bound."""
        self.parts.listeners.fail("stopping")
        budget = self.settings.shutdown_seconds * 0.7
        self.core.stop_listening()
        self.connects.stop()
        self.sub_devices.stop()
        self.closing.close(self.table.live(), "shutdown")
        released = await self.closing.drained(budget * 0.6)
        if not released:
            self.runtime.log.warning("%d sessions were not released in time", len(self.table) + self.table.leaving)
        await self.attempts.drained(budget * 0.1)
        if not await self.events.drained(budget * 0.3):
            self.runtime.log.warning("status events did not reach the bus in time")
        await presence.give_up(released=released)
        self.pump.stop()

    def _export(self) -> None:
        self.runtime.metrics.registry.register(CoreFigures(self.core))
        watch_queues(
            self.runtime.metrics,
            {
                "records": lambda: self.records.held,
                "downlinks": lambda: len(self.pushes),
                "queued downlinks": lambda: len(self.outboxes),
                "subscriptions": lambda: len(self.subscriptions),
                "leaving": lambda: self.table.leaving,
                "attempts": lambda: len(self.attempts),
                "logins": lambda: len(self.sub_devices),
            },
        )


def now_ms() -> int:
    return time.time_ns() // 1_000_000
