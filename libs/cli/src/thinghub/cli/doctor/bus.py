"""The checks of the bus: Kafka's copies and elections, and that the topics are those of the platform's table."""

import asyncio
from collections.abc import Iterable

from thinghub.cli.doctor.deployment import Deployment, Place
from thinghub.cli.doctor.findings import Opinion, ok, refuse, warn
from thinghub.common.bus import open_bus
from thinghub.common.bus.inspection import BusState, Inspected, TopicState
from thinghub.common.bus.port import BusUnavailable
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import BUS_TOPICS

TABLE = {topic.name: topic for topic in BUS_TOPICS}
ENOUGH_COPIES = 3


async def ask(place: Place, deployment: Deployment, deadline: float) -> BusState:
    """Raises BusUnavailable, and ValueError for an address of no known kind."""
    bus = await open_bus(*place.key, Runtime.for_tests("doctor"))
    try:
        if not isinstance(bus, Inspected):
            raise BusUnavailable("this bus cannot say how it is set up")
        async with asyncio.timeout(deadline):
            return await bus.inspect(list(TABLE))
    finally:
        await bus.close()


def topics(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    missing = [name for name in TABLE if name not in state.topics]
    if missing:
        return refuse(f"{_named(missing)} missing: run `thinghub admin topics`.")
    return ok(f"all {len(TABLE)} topics are there.")


def partitions(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    differ = [
        f"{one.name} has {one.partitions} instead of {TABLE[one.name].partitions}"
        for one in state.topics.values()
        if one.partitions != TABLE[one.name].partitions
    ]
    if differ:
        return warn(f"{_listed(differ)}: right only where `thinghub admin topics --partitions` was told so.")
    return ok("every topic has the partitions of the table.")


def retention(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    differ = [
        f"{one.name} keeps {_hours(one.retention_s)} instead of {_hours(TABLE[one.name].retention_s)}"
        for one in state.topics.values()
        if one.retention_s != TABLE[one.name].retention_s
    ]
    if differ:
        return warn(f"{_listed(differ)}: set retention.ms, else messages are lost early or disks fill.")
    return ok("every topic keeps its messages as long as the table says.")


def copies(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    if not state.replicated:
        return ok("this bus leaves copies to its Redis server.")
    fewest = min((one.replicas for one in state.topics.values()), default=0)
    if state.brokers == 1:
        return warn("one broker holds the only copy: run three, with default.replication.factor=3.")
    if fewest < 2 and state.topics:
        few = [one.name for one in state.topics.values() if one.replicas < 2]
        return refuse(
            f"{_listed(few)} {_have(few)} one copy on {state.brokers} brokers, and what was acknowledged is lost with "
            "a disk: reassign with three replicas."
        )
    if fewest < min(ENOUGH_COPIES, state.brokers):
        return warn(f"topics have {fewest} copies on {state.brokers} brokers: reassign them with three replicas.")
    return ok(f"{state.brokers} brokers, {fewest} copies of every partition.")


def in_sync(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    replicated = [one for one in state.topics.values() if one.replicas > 1]
    impossible = [one.name for one in state.topics.values() if one.in_sync_needed > one.replicas]
    if impossible:
        return refuse(f"{_listed(impossible)} can never be written: lower min.insync.replicas below the replicas.")
    alone = [one.name for one in replicated if one.in_sync_needed < 2]
    if alone:
        return refuse(
            f"{_listed(alone)}: one copy is enough for an acknowledgement, which a lost broker then belies: "
            "set min.insync.replicas=2."
        )
    if any(one.in_sync_needed == one.replicas for one in replicated):
        return warn("every copy must confirm, so one broker away stops the platform: add a replica.")
    return ok("an acknowledgement means two copies." if replicated else "there is one copy to confirm.")


def elections(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    unclean = [one.name for one in state.topics.values() if one.unclean_election]
    if unclean:
        return refuse(
            f"{_listed(unclean)} may elect a leader that lacks messages: set unclean.leader.election.enable=false."
        )
    return ok("no leader is elected that lacks messages.")


def health(state: BusState, place: Place, deployment: Deployment) -> Opinion:
    leaderless = _count(state.topics.values(), "leaderless")
    lagging = _count(state.topics.values(), "lagging")
    if leaderless:
        return refuse(f"{leaderless} partitions have no leader, their devices cannot publish: bring brokers back.")
    if lagging:
        return warn(f"{lagging} partitions lack a copy in sync: look at the brokers that are behind or away.")
    return ok("every partition has its leader and its copies.")


def _count(topics: Iterable[TopicState], what: str) -> int:
    return sum(getattr(topic, what) for topic in topics)


def _named(names: list[str]) -> str:
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'}"


def _have(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _listed(words: list[str], most: int = 3) -> str:
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def _hours(seconds: int) -> str:
    return "for ever" if seconds < 0 else f"{seconds / 3600:g} h"
