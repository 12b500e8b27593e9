"""Everybody who sends and receives in a run, at one pace, and the account of what they saw."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass

import asyncpg
import httpx

from bench.ledger.account import Arrival, Direction, reckon
from bench.ledger.bus_order import numbers_on_bus
from bench.ledger.caller import Caller
from bench.ledger.result import Options
from bench.ledger.roamer import Downlinker, Roamer, Uplinker
from tests.integration.flows.steps import Sink, new_device, new_product, running_rule
from tests.support.processes import Processes
from tests.support.servers import KafkaServer

PREFIX = "ledger."
QUOTA = 200


@dataclass
class Load:
    """Everybody who sends, and the pace they keep together."""

    uplinkers: list[Uplinker]
    downlinkers: list[Downlinker]
    callers: list[Caller]

    @property
    def roamers(self) -> list[Roamer]:
        return [*self.uplinkers, *self.downlinkers]

    @property
    def senders(self) -> list[Uplinker | Caller]:
        return [*self.uplinkers, *self.callers]

    @property
    def up(self) -> int:
        return sum(len(one.acknowledged) for one in self.uplinkers)

    @property
    def down(self) -> int:
        return sum(len(one.acknowledged) for one in self.callers)

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(sum((one.outcomes for one in self.callers), Counter[str]()))

    @property
    def arrived(self) -> int:
        return sum(len(one.arrived) for one in self.downlinkers)


class Pace:
    """Lets each sender have its share of the rate since `begin`; nobody before it."""

    def __init__(self, per_sender: float) -> None:
        self._per_sender, self._began = per_sender, 0.0

    def begin(self) -> None:
        self._began = time.monotonic()

    def allows(self, sent: int) -> bool:
        return bool(self._began) and sent < (time.monotonic() - self._began) * self._per_sender


async def prepared(platform: Processes, http: httpx.AsyncClient, options: Options, pace: Pace) -> tuple[Load, Sink]:
    api = platform.api()
    product_key = await new_product(api)
    limits = {"UpQos1PerSecond": QUOTA, "UpQos0PerSecond": QUOTA, "DownPerSecond": QUOTA}
    answer = await api.rest("PUT", f"/v1/products/{product_key}/limits", json=limits)
    assert answer.status_code == httpx.codes.OK, answer.text
    sink = await Sink(platform, "device text, n integer, a integer, place bigserial").create(api)
    action = sink.action({"device": "${d}", "n": "${n}", "a": "${a}"})
    await running_rule(api, product_key, "d, n, a", "RDS", json.dumps(action))
    gateways = list(platform.mqtt_of.values())
    up = [await new_device(api, product_key, f"up{number:04d}") for number in range(options.devices)]
    down = [await new_device(api, product_key, f"down{number:04d}") for number in range(options.devices)]
    return Load(
        [Uplinker(one, gateways, options.seed, pace.allows) for one in up],
        [Downlinker(one, gateways, options.seed) for one in down],
        [Caller(one, http, platform.key, pace.allows) for one in down],
    ), sink


async def rows(sink: Sink) -> list[tuple[str, int, int]]:
    """Device, number, try; in the order in which they were written."""
    connection = await asyncpg.connect(sink.dsn)
    try:
        return [tuple(row) for row in await connection.fetch(f"SELECT device, n, a FROM {sink.table} ORDER BY place")]
    finally:
        await connection.close()


async def uplink(load: Load, sink: Sink, kafka: KafkaServer) -> tuple[Direction, int]:
    """The account, and how many rows were written out of order."""
    arrived: dict[str, list[Arrival]] = {}
    for name, number, attempt in await rows(sink):
        arrived.setdefault(name, []).append((number, attempt, False))
    sent, promised = sum(one.sent for one in load.uplinkers), {one.name: one.acknowledged for one in load.uplinkers}
    order = await asyncio.to_thread(numbers_on_bus, kafka.bootstrap, PREFIX)
    return reckon(sent, promised, arrived, order), reckon(sent, promised, arrived).reordered


def downlink(load: Load) -> Direction:
    account = reckon(
        sum(one.sent for one in load.callers),
        {one.name: one.acknowledged for one in load.callers},
        {one.name: arrivals(one) for one in load.downlinkers},
    )
    account.refused_by_policy = sum(one.refused for one in load.callers)
    return account


def arrivals(device: Downlinker) -> list[Arrival]:
    came = ((json.loads(payload), marked) for payload, marked in device.arrived)
    return [(int(body["n"]), int(body["a"]), marked) for body, marked in came]
