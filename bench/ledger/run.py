"""One run: the platform, the load both ways, the faults, the settling, and what is found at the end."""

import asyncio
import contextlib
import json
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import asyncpg
import httpx

from bench.ledger.account import Arrival, Direction, reckon
from bench.ledger.bus_order import numbers_on_bus
from bench.ledger.caller import Caller
from bench.ledger.faults import Fault, Harm
from bench.ledger.refusals import Refusals
from bench.ledger.roamer import Downlinker, Roamer, Uplinker
from bench.ledger.statuses import mismatches
from tests.integration.flows.steps import Sink, new_device, new_product, running_rule
from tests.support.child import scratch_directory
from tests.support.processes import Processes
from tests.support.servers import KafkaServer, PostgresServer, RedisServer

PREFIX = "ledger."
QUOTA = 200
FROZEN_LEASES = 2.7
PROGRESS_MESSAGES, PROGRESS_SECONDS, SETTLE_SECONDS, REPORT_SECONDS = 20, 60.0, 120.0, 5.0


@dataclass(frozen=True)
class Options:
    messages: int
    gateways: int
    devices: int
    rate: float
    seconds: float
    seed: int
    kills: int
    freezes: int
    lease: float


@dataclass
class Result:
    """`stalled` names faults after which messages did not flow again; `restarted` what ended by itself."""

    options: Options
    up: Direction
    down: Direction
    status_mismatches: list[str]
    kills: int
    freezes: int
    seconds: float
    stalled: list[str]
    restarted: list[str]
    sessions_forgotten: int
    unpromised: int
    pubacks_out_of_order: int
    rows_reordered: int
    refused_reasons: dict[str, int]
    outcomes: dict[str, int]
    connects: int
    hops: int

    @property
    def clean(self) -> bool:
        wrong = self.status_mismatches or self.stalled or self.pubacks_out_of_order
        return self.up.clean and self.down.clean and not wrong


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


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[tuple[Processes, RedisServer, KafkaServer]]:
    folder = scratch_directory("ledger")
    env = {
        "THINGHUB_CONNECTION_GATEWAY_LEASE_SECONDS": str(options.lease),
        "THINGHUB_CONNECTION_GATEWAY_CONNECTS_PER_MINUTE": "120",
        "THINGHUB_CONNECTION_GATEWAY_FAILURES_PER_MINUTE": "60000",
        "THINGHUB_RULE_ENGINE_OUTAGE_SECONDS": "5",
    }
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        kafka, redis, postgres = KafkaServer(), RedisServer(), PostgresServer()
        for server in (kafka, redis, postgres):
            stack.callback(server.close)
            await asyncio.to_thread(server.start)
        platform = Processes(
            folder / "platform",
            bus_url=kafka.url,
            redis_url=redis.url,
            postgres_dsn=postgres.dsn,
            prefix=PREFIX,
            env=env,
            gateways=options.gateways,
        )
        stack.callback(platform.stop)
        await asyncio.to_thread(platform.start)
        stack.push_async_callback(platform.close_apis)
        yield platform, redis, kafka


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


async def run(options: Options, say: Callable[[str], None]) -> Result:
    began = time.monotonic()
    say(f"seed {options.seed}: starting Kafka, Redis, PostgreSQL and {options.gateways} gateways ...")
    async with serving(options) as (platform, redis, kafka), httpx.AsyncClient(base_url=platform.api_url) as http:
        pace = Pace(options.rate / options.devices)
        load, sink = await prepared(platform, http, options, pace)
        refusals = Refusals(platform)
        harm = Harm(platform, redis, kafka, refusals, options.lease * FROZEN_LEASES)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.run()) for one in load.roamers]
            tasks += [group.create_task(one.run()) for one in load.callers]
            helpers = [group.create_task(one) for one in (harm.supervise(), refusals.watch(), reports(load, say))]
            await until(lambda: all(one.subscribed for one in load.downlinkers), PROGRESS_SECONDS)
            pace.begin()
            done, stalled = await harmed(options, harm, load, say)
            await settled(load, sink, say)
            wrong = await mismatches(platform.api(), load.roamers, SETTLE_SECONDS)
            await refusals.read()
            for one in load.roamers:
                one.leaving = True
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(tasks, timeout=20)
            for task in tasks:
                task.cancel()
        up, rows_reordered = await uplink(load, sink, kafka)
        up.refused_by_policy = sum(refusals.by_reason.values())
        outcomes: dict[str, int] = {}
        for caller in load.callers:
            for word, count in caller.outcomes.items():
                outcomes[word] = outcomes.get(word, 0) + count
        return Result(
            options=options,
            up=up,
            down=downlink(load),
            status_mismatches=wrong,
            kills=sum(fault.how == "kill" for fault in done),
            freezes=sum(fault.how == "freeze" for fault in done),
            seconds=round(time.monotonic() - began, 1),
            stalled=stalled,
            restarted=harm.restarted,
            sessions_forgotten=sum(one.forgotten for one in load.downlinkers),
            unpromised=sum(len(one.unpromised) for one in load.callers),
            pubacks_out_of_order=sum(one.out_of_order for one in load.uplinkers),
            rows_reordered=rows_reordered,
            refused_reasons=refusals.by_reason,
            outcomes=outcomes,
            connects=sum(one.connects for one in load.roamers),
            hops=sum(one.hops for one in load.roamers),
        )


async def harmed(options: Options, harm: Harm, load: Load, say: Callable[[str], None]) -> tuple[list[Fault], list[str]]:
    """Does the faults while messages flow, then goes on until there are enough messages. Returns what was done."""
    done: list[Fault] = []
    stalled: list[str] = []
    started = time.monotonic()
    await more(load)
    for fault in harm.plan(random.Random(options.seed), options.kills, options.freezes):
        at, flows = time.monotonic(), "back"
        try:
            await harm.do(fault)
            await more(load)
        except TimeoutError:
            stalled.append(str(fault))
            flows = "messages do not flow"
        done.append(fault)
        say(f"{fault}: {flows} after {time.monotonic() - at:.0f} s")
    while min(load.up, load.down) < options.messages or time.monotonic() - started < options.seconds:
        before = load.up + load.down
        await asyncio.sleep(PROGRESS_SECONDS if before == load.up + load.down else 1)
        if before == load.up + load.down:
            stalled.append("the end")
            break
    return done, stalled


async def more(load: Load) -> None:
    """Waits for more acknowledgements each way, without which a fault would fall into a pause."""
    up, down = load.up + PROGRESS_MESSAGES, load.down + PROGRESS_MESSAGES
    await until(lambda: load.up >= up and load.down >= down, PROGRESS_SECONDS)


async def settled(load: Load, sink: Sink, say: Callable[[str], None]) -> None:
    """Nobody sends anew; every second device leaves; waits until what was promised is there, or the time is over."""
    say("settling ...")
    for caller in load.callers:
        caller.stopping = True
    for one in load.roamers:
        one.settled = True

    def all_there() -> bool:
        owed = any(one.owes for one in load.senders)
        return not owed and all(
            caller.acknowledged <= {number for number, _, _ in arrivals(device)}
            for caller, device in zip(load.callers, load.downlinkers, strict=True)
        )

    with contextlib.suppress(TimeoutError):
        await until(all_there, SETTLE_SECONDS)
    deadline = time.monotonic() + SETTLE_SECONDS
    promised = {(one.name, number) for one in load.uplinkers for number in one.acknowledged}
    while promised - {(name, n) for name, n, _ in await rows(sink)} and time.monotonic() < deadline:
        await asyncio.sleep(1)
    for one in load.roamers[::2]:
        one.leaving = True


async def until(check: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.1)


async def reports(load: Load, say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        online = sum(one.up for one in load.roamers)
        say(f"  acknowledged up {load.up}, down {load.down}, arrived down {load.arrived}; {online} devices online")


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
