"""ota, put together.

    gRPC ── Store, FirmwareService, JobService ── PostgreSQL, device-registry
    Records <── device.ota, device.lifecycle ── ReportService ── PostgreSQL; answers by the gateways' Deliver
    RolloutLoop ── tasks from jobs, upgrade messages by Deliver
    AnnouncingLoop ── outbox ── ota.data
    package port (HTTP and HTTPS) ── Store ── a directory, or a bucket of an S3 store

Ready while PostgreSQL is there and packages can be kept, once the bus topics were seen. Without a gateway or the
registry, tasks wait; without the bus, what devices say waits there.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Never

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicMissing
from thinghub.common.errors import Fault
from thinghub.common.http.listener import Listener
from thinghub.common.http.protocol import http_config
from thinghub.common.http.tls import server_context
from thinghub.common.postgres import Postgres
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Component, Runtime
from thinghub.common.settings import SettingsError
from thinghub.device_protocol.bus_topics import OTA_DATA
from thinghub.ota.adapters.bus_announcer import BusAnnouncer
from thinghub.ota.adapters.file_packages import FilePackages
from thinghub.ota.adapters.gateway_client import GatewayDevices
from thinghub.ota.adapters.metrics import CountedOta
from thinghub.ota.adapters.postgres_reports import PostgresOutbox, PostgresReports
from thinghub.ota.adapters.postgres_rollout import PostgresRollout
from thinghub.ota.adapters.postgres_store import PostgresFirmwares, PostgresJobs, PostgresUploads
from thinghub.ota.adapters.registry_client import RpcRegistry
from thinghub.ota.adapters.s3_packages import Access, S3Packages
from thinghub.ota.domain.places import Directory, place_of
from thinghub.ota.entrypoints.packages import application
from thinghub.ota.entrypoints.records import GROUP, TOPICS, Records
from thinghub.ota.entrypoints.rpc import OtaRpc
from thinghub.ota.ports.packages import Packages
from thinghub.ota.service.firmware import FirmwareService, Store
from thinghub.ota.service.jobs import JobService
from thinghub.ota.service.packages import Offers
from thinghub.ota.service.reports import ReportService
from thinghub.ota.service.rollout import AnnouncingLoop, RolloutLoop
from thinghub.ota.settings import Settings
from thinghubpb.ota.v1 import ota_pb2_grpc

MIGRATIONS = "thinghub.ota.migrations"
CHECK_S = 1.0
MAX_RECORDS = 64


async def serve(settings: Settings, runtime: Runtime, bound: Callable[[str], None] | None = None) -> None:
    """Runs until cancelled. `bound` is told the public URL of the package port once it accepts connections."""
    parts = Parts(runtime)
    tls = server_context(settings.tls_cert_file, settings.tls_key_file, "the certificate of the package port")
    async with AsyncExitStack() as stack:
        postgres = Postgres.open(settings.postgres_dsn, settings.postgres_schema, migrations=MIGRATIONS)
        stack.push_async_callback(postgres.close)
        bus = await open_bus(settings.bus_url, settings.bus_prefix, runtime)
        stack.push_async_callback(bus.close)
        registry = RpcRegistry(await stack.enter_async_context(channel(settings.registry_target, runtime)))
        devices = GatewayDevices(await stack.enter_async_context(channel(settings.gateway_target, runtime)))
        counts, packages, uploads = (
            CountedOta(runtime.metrics),
            packages_at(settings),
            PostgresUploads(postgres),
        )
        store = Store(
            uploads,
            packages,
            clock_ms,
            settings.max_package_bytes,
            settings.upload_seconds,
            settings.download_seconds,
        )
        offers = Offers(store)
        announcing = AnnouncingLoop(PostgresOutbox(postgres), BusAnnouncer(bus), runtime.log)
        rollout = RolloutLoop(
            PostgresRollout(postgres),
            registry,
            devices,
            offers,
            counts,
            clock_ms,
            round(settings.retry_seconds * 1000),
            announcing,
            runtime.log,
        )
        resend_ms = round(settings.resend_seconds * 1000)
        reports = ReportService(
            PostgresReports(postgres), registry, devices, offers, counts, clock_ms, resend_ms, rollout.wake
        )
        firmware = FirmwareService(PostgresFirmwares(postgres), uploads, registry, clock_ms)
        jobs = JobService(PostgresJobs(postgres), firmware, registry, clock_ms, rollout.wake)

        config = http_config(application(store, packages, counts))
        listener = Listener(config, tls, runtime, settings.max_connections, settings.shutdown_seconds / 2)
        host, port = await stack.enter_async_context(listener.listening(settings.listen_host, settings.listen_port))
        offers.base = settings.public_url.rstrip("/") or f"http://{_named(host)}:{port}"
        runtime.log.info("packages on %s:%d, HTTP%s", host, port, " and HTTPS" if tls else "")
        rpc = OtaRpc(store, firmware, jobs, offers)
        await stack.enter_async_context(
            serve_rpc(
                settings.rpc_listen, lambda server: ota_pb2_grpc.add_OtaServiceServicer_to_server(rpc, server), runtime
            )
        )
        parts.ports.ok()
        if bound is not None:
            bound(offers.base)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(postgres.watch(parts.postgres))
            tasks.create_task(_watch_packages(packages, parts.packages))
            tasks.create_task(_watch_bus(bus, parts))
            await parts.prepared(CHECK_S / 10)
            tasks.create_task(rollout.run())
            tasks.create_task(announcing.run())
            tasks.create_task(
                bus.consume(GROUP, TOPICS, Records(reports, counts, runtime.log), max_records=MAX_RECORDS)
            )


class Parts:
    def __init__(self, runtime: Runtime) -> None:
        self.ports: Component = runtime.health.component(runtime.service, "ports")
        self.postgres: Component = runtime.health.component(runtime.service, "postgres")
        self.packages: Component = runtime.health.component(runtime.service, "packages")
        self.topics: Component = runtime.health.component(runtime.service, "bus topics")
        self.bus: Component = runtime.health.component(runtime.service, "bus", required=False)

    async def prepared(self, poll_s: float) -> None:
        """Waits for the schema and the topics, so that a first start without them waits instead of failing."""
        while not (self.postgres.is_ok and self.topics.is_ok):
            await asyncio.sleep(poll_s)


async def _watch_bus(bus: Bus, parts: Parts) -> Never:
    """`bus topics` stays ok once it was: what ota answers needs no bus."""
    while True:
        try:
            await bus.ping()
            for topic in () if parts.topics.is_ok else (*TOPICS, OTA_DATA):
                await bus.partitions(topic)
            parts.bus.ok()
            parts.topics.ok()
        except TopicMissing as error:
            parts.topics.fail(f"{error.message}; `thinghub admin topics` creates them")
        except Fault as error:
            parts.bus.fail(error.message)
            if not parts.topics.is_ok:
                parts.topics.fail("the bus is away")
        await asyncio.sleep(CHECK_S)


async def _watch_packages(packages: Packages, component: Component) -> Never:
    while True:
        try:
            await packages.prepare()
            component.ok()
        except Fault as error:
            component.fail(error.message)
        await asyncio.sleep(packages.check_s if component.is_ok else CHECK_S)


def packages_at(settings: Settings) -> Packages:
    """The store of packages that the settings name; nothing is asked of it yet. Raises SettingsError."""
    try:
        place = place_of(settings.packages_url)
    except ValueError as error:
        raise SettingsError(f"THINGHUB_OTA_PACKAGES_URL: {error}") from None
    if isinstance(place, Directory):
        return FilePackages(place.path)
    try:
        ca = Path(settings.s3_ca_file).read_bytes() if settings.s3_ca_file else b""
    except OSError as error:
        raise SettingsError(f"s3_ca_file cannot be used: {error}") from None
    secret = settings.s3_secret_access_key.get_secret_value()
    return S3Packages(place, Access(settings.s3_access_key_id, secret, ca, settings.s3_timeout_seconds))


def _named(host: str) -> str:
    """An address that listens everywhere is reached on this machine by loopback; others need `public_url`."""
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{named}]" if ":" in named else named


def clock_ms() -> int:
    return time.time_ns() // 1_000_000
