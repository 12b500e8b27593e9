"""auth, put together.

    gRPC ── Devices ──── credential cache (Redis) ── device_credential (PostgreSQL)
         ├─ Rotations ── the same, with Adoptions: who uses a new secret
         ├─ Products ─── product_secret
         ├─ Callers ──── access_key, nonces (Redis)
         ├─ AccessKeyring
         ├─ SecretBook ─ named_secret
         └─ AuditLog ─── audit_record
    Repair: recent changes into the cache again
    Rewrapping: every secret under the first master key
    AuditKeeping: old audit records deleted

Ready once PostgreSQL has been migrated and Redis was there; from then on ready without either, because known devices
are judged from the cache, and without Redis from PostgreSQL.
"""

import asyncio
import time
import uuid
from pathlib import Path

import grpc

from thinghub.auth.adapters.metrics import CountedOutcomes
from thinghub.auth.adapters.postgres_access_keys import PostgresAccessKeys
from thinghub.auth.adapters.postgres_agreement import PostgresAgreement
from thinghub.auth.adapters.postgres_audit import PostgresAuditRecords
from thinghub.auth.adapters.postgres_devices import PostgresDeviceCredentials
from thinghub.auth.adapters.postgres_rotations import PostgresRotatedSecrets
from thinghub.auth.adapters.postgres_sealed import TABLES, PostgresSealedRecords
from thinghub.auth.adapters.postgres_secrets import PostgresNamedSecrets, PostgresProductSecrets
from thinghub.auth.adapters.redis_credentials import RedisCredentialCache, RedisNonces
from thinghub.auth.adapters.rewrap_progress import ShownProgress
from thinghub.auth.domain.sealing import KeyRing, MasterKeyError, parse_master_keys
from thinghub.auth.entrypoints.audit_rpc import AuditRpc
from thinghub.auth.entrypoints.device_secrets_rpc import DeviceSecretsRpc
from thinghub.auth.entrypoints.master_keys_rpc import MasterKeysRpc
from thinghub.auth.entrypoints.rpc import AuthRpc
from thinghub.auth.errors import StoreUnavailable
from thinghub.auth.service.access_keys import AccessKeyring
from thinghub.auth.service.audit import AuditKeeping, AuditLog
from thinghub.auth.service.callers import Callers
from thinghub.auth.service.devices import Devices
from thinghub.auth.service.known_keys import KnownKeys
from thinghub.auth.service.named_secrets import SecretBook
from thinghub.auth.service.products import Products
from thinghub.auth.service.repair import Repair
from thinghub.auth.service.rewrap import Pace, Rewrapping
from thinghub.auth.service.rotations import Adoptions, Rotations
from thinghub.auth.settings import Settings
from thinghub.common.postgres import Postgres
from thinghub.common.redis import open_redis
from thinghub.common.rpc import serve_rpc
from thinghub.common.runtime import Component, Runtime
from thinghub.common.settings import SettingsError
from thinghubpb.auth.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server as add_audit
from thinghubpb.auth.v1.auth_pb2_grpc import add_AuthServiceServicer_to_server as add_auth
from thinghubpb.auth.v1.device_secrets_pb2_grpc import add_DeviceSecretServiceServicer_to_server as add_device_secrets
from thinghubpb.auth.v1.master_keys_pb2_grpc import add_MasterKeyServiceServicer_to_server as add_master_keys

MIGRATIONS = "thinghub.auth.migrations"
RETRY_S = 0.1


async def serve(settings: Settings, runtime: Runtime) -> None:
    ring = load_master_keys(settings)
    parts = Parts(runtime)
    postgres = Postgres.open(settings.postgres_dsn, settings.postgres_schema, migrations=MIGRATIONS)
    redis = await open_redis(settings.redis_url, settings.redis_prefix)
    store = PostgresDeviceCredentials(postgres)
    cache = RedisCredentialCache(redis, int(settings.cache_days * 86400))
    access_keys = PostgresAccessKeys(postgres)
    known = KnownKeys(access_keys, time.monotonic, settings.key_fresh_seconds, settings.key_stale_seconds)
    keyring = AccessKeyring(access_keys, known, ring, clock_ms)
    rotated = PostgresRotatedSecrets(postgres, store)
    adoptions = Adoptions(rotated, cache, clock_ms, runtime.log)
    rotations = DeviceSecretsRpc(Rotations(rotated, cache, ring, clock_ms), clock_ms)
    repair = Repair(store, cache, time.time, runtime.log, settings.repair_seconds)
    rewrapping = Rewrapping(
        [PostgresSealedRecords(postgres, table) for table in TABLES],
        PostgresAgreement(postgres, uuid.uuid4().hex, ring.active, settings.rewrap_agree_seconds),
        store,
        cache,
        ring,
        ShownProgress(runtime.metrics, parts.master_keys),
        Pace(
            settings.rewrap_seconds,
            settings.rewrap_agree_seconds / 6,
            settings.rewrap_batch,
            settings.rewrap_pause_seconds,
        ),
        runtime.log,
    )
    records = PostgresAuditRecords(postgres)
    keeping = AuditKeeping(records, clock_ms, settings.audit_days, settings.audit_purge_seconds, runtime.log)
    audit = AuditRpc(AuditLog(records, clock_ms))
    rpc = AuthRpc(
        Devices(store, cache, ring, CountedOutcomes(runtime.metrics), runtime.log, clock_ms, adoptions.seen),
        Products(PostgresProductSecrets(postgres), ring),
        Callers(known, RedisNonces(redis), ring, clock_ms),
        keyring,
        SecretBook(PostgresNamedSecrets(postgres), ring),
    )

    def add(server: grpc.aio.Server) -> None:
        add_auth(rpc, server)
        add_audit(audit, server)
        add_device_secrets(rotations, server)
        add_master_keys(MasterKeysRpc(rewrapping), server)

    try:
        async with (
            serve_rpc(settings.rpc_listen, add, runtime),
            asyncio.TaskGroup() as tasks,
        ):
            parts.rpc.ok()
            tasks.create_task(postgres.watch(parts.postgres))
            tasks.create_task(parts.redis.watch(redis.ping))
            tasks.create_task(_start(parts, keyring, settings, runtime))
            tasks.create_task(repair.run())
            tasks.create_task(keeping.run())
            tasks.create_task(adoptions.run())
            tasks.create_task(rewrapping.announce())
            tasks.create_task(rewrapping.run())
    finally:
        await redis.close()
        await postgres.close()


class Parts:
    """`first start` is required: without it auth has no tables. What it lives without later is shown, not required."""

    def __init__(self, runtime: Runtime) -> None:
        self.rpc: Component = runtime.health.component(runtime.service, "rpc")
        self.first_start: Component = runtime.health.component(runtime.service, "first start")
        self.postgres: Component = runtime.health.component(runtime.service, "postgres", required=False)
        self.redis: Component = runtime.health.component(runtime.service, "redis", required=False)
        self.master_keys: Component = runtime.health.component(runtime.service, "master keys", required=False)


async def _start(parts: Parts, keyring: AccessKeyring, settings: Settings, runtime: Runtime) -> None:
    """Waits for both stores to have been there once, then makes the first access key where one is given."""
    while not (parts.postgres.is_ok and parts.redis.is_ok and await _first_key(keyring, settings, runtime)):
        away = [part.name for part in (parts.postgres, parts.redis) if not part.is_ok and part.why != "starting"]
        if away:
            parts.first_start.fail(f"waiting for {' and '.join(away)}")
        await asyncio.sleep(RETRY_S)
    parts.first_start.ok()


async def _first_key(keyring: AccessKeyring, settings: Settings, runtime: Runtime) -> bool:
    secret = settings.bootstrap_access_key_secret.get_secret_value()
    if not secret:
        return True
    try:
        if await keyring.create_first(settings.bootstrap_access_key_id, secret):
            runtime.log.info("made the first access key %s", settings.bootstrap_access_key_id)
    except StoreUnavailable:
        return False
    return True


def load_master_keys(settings: Settings) -> KeyRing:
    """Raises SettingsError, with a sentence that shows no key."""
    try:
        if settings.master_key_file:
            return parse_master_keys(Path(settings.master_key_file).read_text(encoding="utf-8"))
        return parse_master_keys(settings.master_key.get_secret_value())
    except MasterKeyError as error:
        raise SettingsError(f"the master key cannot be used: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"THINGHUB_AUTH_MASTER_KEY_FILE cannot be read: {error}") from None


def clock_ms() -> int:
    return time.time_ns() // 1_000_000
