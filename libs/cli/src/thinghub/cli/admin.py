"""`thinghub admin ...`: what an operator does beside the API, directly on the platform's parts."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from thinghub.cli import api
from thinghub.cli.audit import add_audit
from thinghub.cli.deadletters import add_deadletters
from thinghub.cli.keys import add_keys
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import BusUnavailable, TopicSpec
from thinghub.common.runtime import Process, Runtime
from thinghub.common.settings import ServiceSettings, load
from thinghub.device_protocol import bus_topics

DEADLINE_SECONDS = 60.0
PAUSE_SECONDS = 0.5

log = logging.getLogger("thinghub.cli.admin")


def admin_command(arguments: Sequence[str]) -> int:
    """operate the platform's parts: bus topics, the audit log, master keys, dead letters"""
    parser = argparse.ArgumentParser(prog="thinghub admin", description="Operates the platform's parts.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    topics = verbs.add_parser("topics", help="create the bus topics that are missing")
    topics.add_argument("--bus-url", help="default: THINGHUB_BUS_URL")
    topics.add_argument("--bus-prefix", help="put before every topic name; default: THINGHUB_BUS_PREFIX")
    topics.add_argument("--partitions", type=_partitions, action="append", default=[], metavar="TOPIC=N")
    add_audit(verbs)
    add_keys(verbs)
    add_deadletters(verbs)
    given = parser.parse_args(arguments)
    if "answer" in given:
        return _answered(given)
    chosen = {"bus_url": given.bus_url, "bus_prefix": given.bus_prefix}
    settings = load(ServiceSettings, metrics_port=-1, **{name: value for name, value in chosen.items() if value})
    process = Process("admin", settings)
    runtime = process.runtime("admin")
    return process.run(lambda: _topics(settings, runtime, dict(given.partitions)))


def _answered(given: argparse.Namespace) -> int:
    """A verb that asks the API. Exit code 2: it could not be asked, or refused."""
    try:
        given.answer(given)
    except api.CannotAsk as problem:
        print(f"thinghub: {problem}", file=sys.stderr)
        return 2
    except api.Refused as refused:
        print(f"thinghub: {refused} ({refused.code})", file=sys.stderr)
        return 2
    return 0


async def create_topics(url: str, prefix: str, runtime: Runtime, partitions: dict[str, int] | None = None) -> list[str]:
    """Creates what is missing of the platform's bus topics; returns the names created. Raises BusUnavailable when the
    bus stays away for a minute."""
    specs = [
        TopicSpec(spec.name, spec.partitions, spec.retention_s, spec.groups, spec.max_bytes)
        for spec in bus_topics.specs(partitions)
    ]
    bus = await open_bus(url, prefix, runtime)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    return await bus.ensure_topics(specs)
                except BusUnavailable as error:
                    log.warning("the bus is away, trying again: %s", error)
                    await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError:
        raise BusUnavailable(f"the bus stayed away for {DEADLINE_SECONDS:.0f} s") from None
    finally:
        await bus.close()


async def _topics(settings: ServiceSettings, runtime: Runtime, partitions: dict[str, int]) -> None:
    created = await create_topics(settings.bus_url, settings.bus_prefix, runtime, partitions)
    names = {topic.name for topic in bus_topics.BUS_TOPICS}
    print(f"{len(created)} of {len(names)} topics created{': ' if created else ''}{', '.join(created)}")


def _partitions(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in {topic.name for topic in bus_topics.BUS_TOPICS} or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not TOPIC=N with a topic of the platform")
    return name, int(number)
