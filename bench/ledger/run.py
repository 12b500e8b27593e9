"""One run: the platform, the load both ways, the faults, the settling, and what is found at the end."""

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import httpx

from bench.ledger.faults import Fault, Harm
from bench.ledger.load import PREFIX, Load, Pace, arrivals, downlink, prepared, rows, uplink
from bench.ledger.refusals import Refusals
from bench.ledger.result import Options, Result
from bench.ledger.statuses import mismatches
from bench.ledger.stores import Part, redis_env, redis_parts
from tests.integration.flows.steps import Sink
from tests.support.child import scratch_directory
from tests.support.processes import Processes
from tests.support.servers import KafkaServer, PostgresServer, RedisCluster, RedisServer

FROZEN_LEASES = 2.7
PROGRESS_MESSAGES, PROGRESS_SECONDS, SETTLE_SECONDS, REPORT_SECONDS = 20, 60.0, 120.0, 5.0
LEAVE_SECONDS = 20.0


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[tuple[Processes, RedisServer | RedisCluster, KafkaServer]]:
    folder = scratch_directory("ledger")
    env = {
        "THINGHUB_CONNECTION_GATEWAY_LEASE_SECONDS": str(options.lease),
        "THINGHUB_CONNECTION_GATEWAY_CONNECTS_PER_MINUTE": "120",
        "THINGHUB_CONNECTION_GATEWAY_FAILURES_PER_MINUTE": "60000",
        "THINGHUB_RULE_ENGINE_OUTAGE_SECONDS": "5",
    }
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        kafka, postgres = KafkaServer(), PostgresServer()
        redis = RedisServer() if options.redis == "single" else RedisCluster()
        for server in (kafka, redis, postgres):
            stack.callback(server.close)
            await asyncio.to_thread(server.start)
        platform = Processes(
            folder / "platform",
            bus_url=kafka.url,
            redis_url=redis.url,
            postgres_dsn=postgres.dsn,
            prefix=PREFIX,
            env=env | redis_env(redis),
            gateways=options.gateways,
        )
        stack.callback(platform.stop)
        await asyncio.to_thread(platform.start)
        stack.push_async_callback(platform.close_apis)
        yield platform, redis, kafka


async def run(options: Options, say: Callable[[str], None]) -> Result:
    began = time.monotonic()
    say(f"seed {options.seed}: starting Kafka, Redis, PostgreSQL and {options.gateways} gateways ...")
    async with serving(options) as (platform, redis, kafka), httpx.AsyncClient(base_url=platform.api_url) as http:
        pace = Pace(options.rate / options.devices)
        load, sink = await prepared(platform, http, options, pace)
        refusals = Refusals(platform)
        stores: dict[str, Part] = {**redis_parts(redis), "kafka": kafka}
        harm = Harm(platform, stores, refusals, options.lease * FROZEN_LEASES)
        async with flowing(load, harm.supervise(), refusals.watch(), reports(load, say)):
            await until(lambda: all(one.subscribed for one in load.downlinkers), PROGRESS_SECONDS)
            pace.begin()
            done, stalled = await harmed(options, harm, load, say)
            await settled(load, sink, say)
            wrong = await mismatches(platform.api(), load.roamers, SETTLE_SECONDS)
            await refusals.read()
        if options.logs:
            keep_logs(platform, Path(options.logs))
        up, rows_reordered = await uplink(load, sink, kafka)
        up.refused_by_policy = sum(refusals.by_reason.values())
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
            outcomes=load.outcomes,
            connects=sum(one.connects for one in load.roamers),
            hops=sum(one.hops for one in load.roamers),
        )


@contextlib.asynccontextmanager
async def flowing(load: Load, *helpers: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Devices and callers run, and those who help; whoever fails ends the run."""
    async with asyncio.TaskGroup() as group:
        devices = [group.create_task(one.run()) for one in load.roamers]
        others = [group.create_task(one.run()) for one in load.callers]
        others += [group.create_task(one) for one in helpers]
        yield
        for one in load.roamers:
            one.leaving = True
        for task in others:
            task.cancel()
        _, late = await asyncio.wait(devices, timeout=LEAVE_SECONDS)
        for task in late:
            task.cancel()


def keep_logs(platform: Processes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, service in platform.services.items():
        (folder / f"{name}.log").write_text(service.log)


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
        try:
            await more(load)
        except TimeoutError:
            stalled.append("the last fault")
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
