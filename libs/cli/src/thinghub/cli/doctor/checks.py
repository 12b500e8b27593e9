"""The table of checks, and how they are run: each place is asked once, within a deadline, and then judged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from thinghub.cli.doctor import bus, host, stores
from thinghub.cli.doctor.deployment import Deployment, Place
from thinghub.cli.doctor.findings import Finding, Opinion, Verdict
from thinghub.common.errors import Fault
from thinghub.common.logs import redact_text

# Any: the state that a part's question gives is what its judges take; the row keeps them together.
Ask = Callable[[Place, Deployment, float], Awaitable[Any]]
Judge = Callable[[Any, Place, Deployment], Opinion]
HostJudge = Callable[[host.HostState, Deployment], Opinion]

HOST: dict[str, HostJudge] = {
    "environment": host.environment,
    "open files": host.open_files,
    "conntrack": host.conntrack,
    "master key": host.master_key,
    "certificates": host.certificates,
}
PARTS: dict[str, tuple[str, Ask, dict[str, Judge]]] = {
    "bus": (
        "the bus",
        bus.ask,
        {
            "topics": bus.topics,
            "partitions": bus.partitions,
            "retention": bus.retention,
            "copies": bus.copies,
            "in sync": bus.in_sync,
            "elections": bus.elections,
            "health": bus.health,
        },
    ),
    "redis": (
        "Redis",
        stores.ask_redis,
        {
            "version": stores.redis_version,
            "eviction": stores.eviction,
            "persistence": stores.persistence,
            "replicas": stores.replicas,
            "memory": stores.memory,
            "clock": stores.redis_clock,
        },
    ),
    "postgres": (
        "PostgreSQL",
        stores.ask_postgres,
        {
            "version": stores.postgres_version,
            "writable": stores.writable,
            "connections": stores.connections,
            "schemas": stores.schemas,
            "clock": stores.postgres_clock,
        },
    ),
}
MARGIN_SECONDS = 6.0  # a client that was told to stop may take so long to close


async def run(deployment: Deployment, deadline: float) -> AsyncIterator[list[Finding]]:
    """The findings of one place after another, as they come; a part that is away is one finding."""
    questions = [asyncio.create_task(_host(deployment, deadline))]
    for part, places in deployment.places.items():
        questions += [asyncio.create_task(_place(part, place, len(places), deployment, deadline)) for place in places]
    try:
        for answer in asyncio.as_completed(questions):
            yield await answer
    finally:
        for question in questions:
            question.cancel()


async def _host(deployment: Deployment, deadline: float) -> list[Finding]:
    try:
        state = await host.ask(deployment, deadline)
    except TimeoutError:
        return [Finding("host", Verdict.AWAY, f"its files were not read in {deadline:g} s: look at its disks.")]
    return [_finding(f"host {name}", judge(state, deployment)) for name, judge in HOST.items()]


async def _place(part: str, place: Place, of: int, deployment: Deployment, deadline: float) -> list[Finding]:
    title, ask, judges = PARTS[part]
    where = part if of == 1 else f"{part} ({', '.join(place.names)})"
    try:
        async with asyncio.timeout(deadline + MARGIN_SECONDS):
            state = await ask(place, deployment, deadline)
    except TimeoutError:
        why = f"no answer in {deadline:g} s"
    except Fault as fault:
        why = fault.message
    except ValueError as error:
        why = str(error) if "@" not in str(error) else "its address cannot be read"
    else:
        return [_finding(f"{where} {name}", judge(state, place, deployment)) for name, judge in judges.items()]
    sentence = f"{title} cannot be asked ({redact_text(why)}): see that it runs, and that its variable names it."
    return [Finding(where, Verdict.AWAY, sentence)]


def _finding(check: str, opinion: Opinion) -> Finding:
    return Finding(check, opinion.verdict, redact_text(opinion.sentence))
