"""The checks of Redis and PostgreSQL: that what was acknowledged is kept, and that there is room."""

import asyncio
from collections.abc import Sequence

from thinghub.cli.doctor.deployment import Deployment, Place
from thinghub.cli.doctor.findings import Opinion, ok, refuse, warn
from thinghub.common.postgres import POOL_SIZE
from thinghub.common.postgres_inspection import PostgresState, inspect_postgres
from thinghub.common.redis.inspection import RedisState, inspect_redis

REDIS_OLDEST = (6, 2, 0)
POSTGRES_OLDEST = 14
MEMORY_WARN, MEMORY_REFUSE = 0.75, 0.9
CONNECTIONS_WARN = 0.8
CLOCK_WARN_S, CLOCK_REFUSE_S = 0.5, 5.0

Masters = Sequence[RedisState]


async def ask_redis(place: Place, deployment: Deployment, deadline: float) -> Masters:
    """Raises RedisUnavailable, ValueError."""
    async with asyncio.timeout(deadline):
        return await inspect_redis(place.key[0], deadline)


def redis_version(masters: Masters, place: Place, deployment: Deployment) -> Opinion:
    oldest = min(one.version for one in masters)
    said = f"{'.'.join(map(str, oldest))}, {len(masters)} master{'s' if len(masters) > 1 else ''}"
    return refuse(f"{said}: upgrade it to 6.2 or newer.") if oldest < REDIS_OLDEST else ok(f"{said}.")


def eviction(masters: Masters, place: Place, deployment: Deployment) -> Opinion:
    wrong = sorted({one.policy for one in masters if one.policy != "noeviction"})
    if wrong:
        return refuse(
            f"maxmemory-policy {wrong[0]} throws sessions, queues and shadows away when memory is full: "
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf."
        )
    return ok("nothing is thrown away when memory is full.")


def persistence(masters: Masters, place: Place, deployment: Deployment) -> Opinion:
    if not all(one.append_only for one in masters):
        return refuse("a restart forgets sessions, queues and shadows: set appendonly yes.")
    kinds = {one.fsync for one in masters}
    if None in kinds:
        return warn("CONFIG is refused, so how often it syncs is not known: see that appendfsync is not `no`.")
    if "no" in kinds:
        return refuse("a crash of its machine loses what it was told: set appendfsync everysec or always.")
    if "everysec" in kinds and _is_bus(place, deployment):
        return refuse("the bus is here too, and PUBACK would not mean durable: set appendfsync always.")
    if "everysec" in kinds and not deployment.most("redis_replicas", place.services):
        return warn(
            "a crash of its machine loses the last second: set appendfsync always, or let replicas confirm "
            "(THINGHUB_REDIS_REPLICAS=1)."
        )
    return ok(f"writes reach the disk (appendfsync {', '.join(sorted(str(kind) for kind in kinds))}).")


def replicas(masters: Masters, place: Place, deployment: Deployment) -> Opinion:
    wanted = deployment.most("redis_replicas", place.services)
    fewest = min(one.replicas for one in masters)
    if fewest < wanted:
        return refuse(
            f"{wanted} replicas must confirm a write (THINGHUB_REDIS_REPLICAS) and a master has {fewest}: "
            "every such write fails until replicas are back."
        )
    if masters[0].shape == "single":
        return ok("a single server, without failover." if not fewest else f"a single server, {fewest} replicas.")
    if not fewest:
        return warn("a master has no replica, so there is nothing to fail over to: add one.")
    if not wanted:
        return warn("a failover may lose what was answered: let replicas confirm (THINGHUB_REDIS_REPLICAS=1).")
    if any(one.min_replicas == 0 for one in masters):
        return warn("a master that is cut off goes on taking writes that will be lost: set min-replicas-to-write 1.")
    return ok(f"every master has {fewest} or more replicas, {wanted} of which confirm writes.")


def memory(masters: Masters, place: Place, deployment: Deployment) -> Opinion:
    if not all(one.memory_bound for one in masters):
        return warn("maxmemory is not set, so the system kills Redis when memory ends: set it to what it may use.")
    fullest = max(one.memory_used / one.memory_bound for one in masters)
    said = f"{fullest:.0%} of maxmemory is used"
    if fullest >= MEMORY_REFUSE:
        return refuse(f"{said}, and at 100 % devices cannot connect: raise maxmemory or add masters.")
    if fullest >= MEMORY_WARN:
        return warn(f"{said}: raise maxmemory or add masters.")
    return ok(f"{said}.")


def redis_clock(masters: Masters, place: Place, deployment: Deployment) -> Opinion:
    worst = max(masters, key=lambda one: abs(one.clock_ahead_s))
    return _clock(worst.clock_ahead_s, worst.clock_error_s)


async def ask_postgres(place: Place, deployment: Deployment, deadline: float) -> PostgresState:
    """Raises PostgresUnavailable."""
    schemas = {
        str(service.settings.postgres_schema): service.migrations
        for service in place.services
        if service.settings is not None
    }
    return await inspect_postgres(place.key[0], schemas, deadline)


def postgres_version(state: PostgresState, place: Place, deployment: Deployment) -> Opinion:
    said = f"{state.version[0]}.{state.version[1]}"
    if state.version[0] < POSTGRES_OLDEST:
        return refuse(f"{said}: upgrade it to {POSTGRES_OLDEST} or newer.")
    return ok(f"{said}.")


def writable(state: PostgresState, place: Place, deployment: Deployment) -> Opinion:
    if state.read_only:
        return refuse("it takes no writes (a standby, or read-only by its settings): name the primary in the address.")
    return ok("it takes writes.")


def connections(state: PostgresState, place: Place, deployment: Deployment) -> Opinion:
    pools = len(place.services) * POOL_SIZE * deployment.processes
    room = state.max_connections - state.kept - state.others
    said = (
        f"{len(place.services)} pools of {POOL_SIZE} in {deployment.processes} process"
        f"{'' if deployment.processes == 1 else 'es'} each take {pools} of {room} connections that are free for them"
    )
    if pools > room:
        return refuse(f"{said}: raise max_connections.")
    if pools > room * CONNECTIONS_WARN:
        return warn(f"{said}: raise max_connections before adding processes.")
    return ok(f"{said}.")


def schemas(state: PostgresState, place: Place, deployment: Deployment) -> Opinion:
    broken = [f"{name}: {one.broken}" for name, one in state.schemas.items() if one.broken]
    if broken:
        return refuse(f"{'; '.join(broken)}: install the release that made the database.")
    absent = [name for name, one in state.schemas.items() if not one.made]
    if absent:
        return warn(f"{', '.join(absent)} not made yet: each service makes its own at its start.")
    pending = [f"{name} ({', '.join(one.pending)})" for name, one in state.schemas.items() if one.pending]
    if pending:
        return warn(f"migrations wait in {'; '.join(pending)}: they are applied when the services start.")
    newer = [name for name, one in state.schemas.items() if one.newer]
    if newer:
        return warn(f"{', '.join(newer)} were made by a newer release than this one: upgrade this host.")
    return ok(f"{len(state.schemas)} schemas are up to date.")


def postgres_clock(state: PostgresState, place: Place, deployment: Deployment) -> Opinion:
    return _clock(state.clock_ahead_s, state.clock_error_s)


def _clock(ahead_s: float, error_s: float) -> Opinion:
    certain = max(0.0, abs(ahead_s) - error_s)
    said = f"its clock is {abs(ahead_s):.3f} s {'ahead of' if ahead_s >= 0 else 'behind'} this host's"
    if certain >= CLOCK_REFUSE_S:
        return refuse(f"{said}: let both follow a time server (chrony, NTP).")
    if certain >= CLOCK_WARN_S:
        return warn(f"{said}: see that both follow a time server (chrony, NTP).")
    return ok(f"{said}.")


def _is_bus(place: Place, deployment: Deployment) -> bool:
    return any(bus.key[0].removeprefix("streams+") == place.key[0] for bus in deployment.places["bus"])
