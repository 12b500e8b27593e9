"""QoS 1 publish -> bus -> rule -> row: what each message costs in each process, beside Mosquitto's PUBACK.

    python -m bench [--devices 100] [--window 10] [--seconds 8] [--runs 3] [--payload 256]

Every process is ours or a real server; quotas are on, raised for the product of the bench. CPU per message counts the
messages acknowledged in the span; rows written in it are counted too, so that a backlog shows. Lines of the table are
medians with the spread of the runs.
"""

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from bench import mosquitto
from bench.load import Run, drive
from bench.measure import CpuClock, spread
from tests.integration.flows.steps import Sink, new_device, new_product, running_rule
from tests.support.child import scratch_directory
from tests.support.identity import Identity
from tests.support.mqtt_load import Publisher
from tests.support.processes import Processes
from tests.support.servers import KafkaServer, PostgresServer, RedisServer

LIMIT = 1_000_000


@dataclass(frozen=True)
class Options:
    devices: int
    window: int
    seconds: float
    runs: int
    payload: int


@dataclass(frozen=True)
class Figures:
    """One run: messages acknowledged and rows written a second, CPU microseconds a message by process."""

    rate: float
    rows: float
    cpu_us: dict[str, float]
    per_record: float


@contextlib.contextmanager
def serving(options: Options) -> Iterator[tuple[Processes, dict[str, int]]]:
    """The platform in processes over real servers, and the pid of each part."""
    folder = scratch_directory("bench")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        kafka, redis, postgres = KafkaServer(), RedisServer(), PostgresServer()
        for server in (kafka, redis, postgres):
            stack.callback(server.close)
            server.start()
        platform = Processes(
            folder / "platform",
            bus_url=kafka.url,
            redis_url=redis.url,
            postgres_dsn=postgres.dsn,
            prefix="bench.",
        )
        stack.callback(platform.stop)
        platform.start()
        pids = {name: service.pid for name, service in platform.services.items()}
        yield platform, pids | {"(kafka)": kafka.pid, "(redis)": redis.pid, "(postgres)": postgres.pid}


async def prepare(platform: Processes, options: Options) -> tuple[Sink, list[Identity]]:
    api = platform.api()
    product_key = await new_product(api)
    limits = {"UpQos1PerSecond": LIMIT, "UpQos0PerSecond": LIMIT, "BytesPerSecond": 1 << 30}
    answer = await api.rest("PUT", f"/v1/products/{product_key}/limits", json=limits)
    assert answer.status_code == 200, answer.text
    sink = await Sink(platform, "device text, n bigint").create(api)
    action = json.dumps(sink.action({"device": "${d}", "n": "${n}"}))
    await running_rule(api, product_key, "deviceName() AS d, n", "RDS", action)
    identities = [await new_device(api, product_key, f"bench{i:05d}") for i in range(options.devices)]
    await platform.close_apis()
    return sink, identities


def publishers(identities: Sequence[Identity], options: Options) -> list[Publisher]:
    padding = "x" * max(0, options.payload - 24)
    return [
        Publisher(
            identity.login(),
            identity.topic("update"),
            lambda n: f'{{"n":{n},"p":"{padding}"}}'.encode(),
            window=options.window,
        )
        for identity in identities
    ]


async def measured(
    platform: Processes, pids: dict[str, int], sink: Sink, load: list[Publisher], seconds: float
) -> Figures:
    clock = CpuClock(pids)
    start: dict[str, float] = {}

    def begin() -> None:
        clock.restart()
        start.update(counted(platform))

    connection = await asyncpg.connect(sink.dsn)
    try:
        count = f"SELECT count(*) FROM {sink.table}"
        before = await connection.fetchval(count)
        host, port = platform.mqtt
        run: Run = await drive(load, host, port, warm_up=1.0, seconds=seconds, begin=begin)
        cpu, after = clock.seconds(), counted(platform)
        rows = await connection.fetchval(count) - before
    finally:
        await connection.close()
    messages, records = after["messages"] - start["messages"], after["records"] - start["records"]
    total = max(messages, 1)
    return Figures(
        rate=run.rate,
        rows=rows / (run.seconds + 1.0),
        cpu_us={name: 1e6 * spent / total for name, spent in cpu.items()},
        per_record=messages / max(records, 1),
    )


def counted(platform: Processes) -> dict[str, float]:
    """Messages and records that the gateway has sealed so far."""
    with urllib.request.urlopen(platform.metrics_of("connection-gateway"), timeout=5) as answer:
        text = answer.read().decode()
    return {"messages": total_of(text, "record_messages"), "records": total_of(text, "records")}


def total_of(text: str, name: str) -> float:
    pattern = rf"^thinghub_connection_gateway_core_{name}_total(?:{{[^}}]*}})? ([0-9.e+]+)$"
    found = re.findall(pattern, text, re.MULTILINE)
    if not found:
        raise LookupError(f"the gateway has no metric {name}")
    return sum(float(value) for value in found)


async def peer(identities: Sequence[Identity], options: Options) -> list[float]:
    """CPU microseconds a message of Mosquitto under the same load; empty when it is not installed."""
    command = mosquitto.binary()
    if command is None:
        return []
    figures = []
    with mosquitto.running(command) as (port, pid):
        for _ in range(options.runs):
            clock = CpuClock({"mosquitto": pid})
            load = publishers(identities, options)
            run = await drive(load, "127.0.0.1", port, warm_up=1.0, seconds=options.seconds, begin=clock.restart)
            figures.append(1e6 * clock.seconds()["mosquitto"] / max(run.acknowledged, 1))
    return figures


def report(figures: Sequence[Figures], mosquitto_us: list[float]) -> None:
    names = list(figures[0].cpu_us)
    ours = [sum(us for name, us in f.cpu_us.items() if not name.startswith("(")) for f in figures]
    print(f"acknowledged /s      {spread([f.rate for f in figures])}")
    print(f"rows written /s      {spread([f.rows for f in figures])}")
    print(f"messages a record    {spread([f.per_record for f in figures])}")
    print("CPU us a message")
    for name in names:
        print(f"  {name:<19}{spread([f.cpu_us[name] for f in figures])}")
    print(f"  {'all of ours':<19}{spread(ours)}")
    print(f"  {'(mosquitto)':<19}{spread(mosquitto_us)}" if mosquitto_us else f"  {mosquitto.ABSENT}")
    line = {
        "acknowledged_per_s": [round(f.rate) for f in figures],
        "rows_per_s": [round(f.rows) for f in figures],
        "messages_per_record": [round(f.per_record, 1) for f in figures],
        "cpu_us_per_message": {name: [round(f.cpu_us[name], 2) for f in figures] for name in names},
        "mosquitto_cpu_us": [round(us, 2) for us in mosquitto_us],
    }
    print(json.dumps(line))


async def bench(options: Options) -> None:
    with serving(options) as (platform, pids):
        sink, identities = await prepare(platform, options)
        figures = []
        for number in range(1, options.runs + 1):
            print(f"run {number} of {options.runs} ...", flush=True)
            load = publishers(identities, options)
            figures.append(await measured(platform, pids, sink, load, options.seconds))
        mosquitto_us = await peer(identities, options)
    report(figures, mosquitto_us)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--payload", type=int, default=256)
    given = parser.parse_args()
    asyncio.run(bench(Options(given.devices, given.window, given.seconds, given.runs, given.payload)))
