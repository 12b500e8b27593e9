"""Shadow updates: bus -> shadow -> Redis -> reply; what each costs in the shadow service and in Redis.

    python -m bench.shadow [--updates 60000] [--devices 10000] [--attributes 5] [--batch 100] [--runs 3]

The service is a process of its own over a real Kafka and Redis. The bench writes the records that gateways would
(`--batch` updates each, every update of `--attributes` attributes and of the next device) and takes the replies in a
gateway's place. Updates a second per core are those of one second of CPU of the service and Redis together.
"""

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.measure import CpuClock, spread
from tests.support.child import free_port, scratch_directory
from tests.support.gateway_calls import GatewayCalls
from tests.support.platform import Service
from tests.support.processes import answers
from tests.support.servers import KafkaServer, PostgresServer, RedisServer
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicSpec
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import DEVICE_SHADOW, specs
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.gateway.v1 import gateway_pb2

PRODUCT = "a1benchShadow"
GOAL = 15_000


@dataclass(frozen=True)
class Options:
    updates: int
    devices: int
    attributes: int
    batch: int
    runs: int


class Replies(GatewayCalls):
    """A gateway whose devices get everything."""

    def __init__(self) -> None:
        super().__init__()
        self.successes = 0

    async def deliver(self, request: gateway_pb2.DeliverRequest, context: object) -> gateway_pb2.DeliverResponse:
        self.successes += sum(b'"success"' in message.payload for message in request.messages)
        sent = [
            gateway_pb2.Delivery(message_id=message.message_id, outcome=gateway_pb2.OUTCOME_SENT)
            for message in request.messages
        ]
        return gateway_pb2.DeliverResponse(deliveries=sent)


class Load:
    """Records as gateways pack them: by partition, each device's sequence and version rising."""

    def __init__(self, options: Options, partitions: int) -> None:
        self._options = options
        names = [f"dev{number:06d}" for number in range(options.devices)]
        self._by_partition: dict[int, list[str]] = {}
        for name in names:
            self._by_partition.setdefault(device_partition(PRODUCT, name, partitions), []).append(name)
        self._round = 0

    def records(self, updates: int) -> Iterator[tuple[int, bytes]]:
        left = updates
        while left > 0:
            self._round += 1
            for partition, names in self._by_partition.items():
                for start in range(0, len(names), self._options.batch):
                    some = names[start : start + min(self._options.batch, left)]
                    if not some:
                        return
                    left -= len(some)
                    yield partition, encode_record("bench", [self._message(name) for name in some])

    def _message(self, name: str) -> Message:
        reported = {f"attribute{number}": self._round + number for number in range(self._options.attributes)}
        update = {"method": "update", "state": {"reported": reported}, "version": self._round}
        topic = f"/shadow/update/{PRODUCT}/{name}"
        payload = json.dumps(update).encode()
        now_ms = time.time_ns() // 1_000_000
        return Message(self._round, PRODUCT, name, topic, payload, 1, self._round, now_ms, handle=1, qos=1)


@contextlib.asynccontextmanager
async def serving(replies: Replies) -> AsyncIterator[tuple[Bus, dict[str, int], str]]:
    """The bus, the pids that count, and the address of the service's metrics."""
    folder = scratch_directory("bench")
    runtime = Runtime.for_tests("bench")
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        kafka, redis, postgres = KafkaServer(), RedisServer(), PostgresServer()
        for server in (kafka, redis, postgres):
            stack.callback(server.close)
            await asyncio.to_thread(server.start)
        bus = await open_bus(kafka.url, "", runtime)
        stack.push_async_callback(bus.close)
        await bus.ensure_topics([TopicSpec(one.name, one.partitions, one.retention_s, one.groups) for one in specs()])
        gateway = await stack.enter_async_context(replies.serving(f"127.0.0.1:{free_port()}"))
        port = free_port()
        env = {
            "THINGHUB_REDIS_URL": redis.url,
            "THINGHUB_BUS_URL": kafka.url,
            "THINGHUB_POSTGRES_DSN": postgres.dsn,
            "THINGHUB_SHADOW_GATEWAY_TARGET": gateway,
            "THINGHUB_SHADOW_METRICS_PORT": str(port),
            "THINGHUB_SHADOW_RPC_LISTEN": f"127.0.0.1:{free_port()}",
        }
        service = Service("shadow", [sys.executable, "-m", "thinghub.shadow.main"], env, Path(folder))
        stack.callback(service.stop)
        service.start()
        await asyncio.to_thread(service.wait_until, lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        yield bus, {"shadow": service.pid, "(redis)": redis.pid}, f"http://127.0.0.1:{port}/metrics"


async def drive(bus: Bus, load: Load, replies: Replies, updates: int) -> float:
    """Seconds from the first record to the last reply."""
    wanted, begin = replies.successes + updates, time.monotonic()
    sending: set[asyncio.Task[None]] = set()
    for partition, record in load.records(updates):
        sending.add(asyncio.create_task(bus.publish(DEVICE_SHADOW, partition, record)))
        if len(sending) >= 64:
            _, sending = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    if sending:
        await asyncio.wait(sending)
    async with asyncio.timeout(120):
        while replies.successes < wanted:
            await asyncio.sleep(0.01)
    return time.monotonic() - begin


def outcomes(metrics: str) -> dict[str, int]:
    """What became of the requests, as the service counts them."""
    with urllib.request.urlopen(metrics, timeout=5) as answer:
        text = answer.read().decode()
    pattern = r'^thinghub_shadow_document_requests_total\{outcome="(\w+)"\} ([0-9.e+]+)$'
    return {name: int(float(value)) for name, value in re.findall(pattern, text, re.MULTILINE)}


async def bench(options: Options) -> None:
    replies = Replies()
    rates: list[float] = []
    cpu: dict[str, list[float]] = {}
    async with serving(replies) as (bus, pids, metrics):
        load = Load(options, await bus.partitions(DEVICE_SHADOW))
        await drive(bus, load, replies, options.devices)
        for number in range(1, options.runs + 1):
            print(f"run {number} of {options.runs} ...", flush=True)
            clock = CpuClock(pids)
            rates.append(options.updates / await drive(bus, load, replies, options.updates))
            for name, seconds in clock.seconds().items():
                cpu.setdefault(name, []).append(1e6 * seconds / options.updates)
        counted = outcomes(metrics)
    report(rates, cpu, counted)


def report(rates: list[float], cpu: dict[str, list[float]], counted: dict[str, int]) -> None:
    together = [sum(values) for values in zip(*cpu.values(), strict=True)]
    per_core = [1e6 / value for value in together]
    print(f"answered /s          {spread(rates)}")
    print("CPU us an update")
    for name, values in cpu.items():
        print(f"  {name:<19}{spread(values)}")
    print(f"updates /s per core  {spread(per_core)}, goal {GOAL}")
    print(f"outcomes             {counted}")
    print(json.dumps({"per_core": [round(value) for value in per_core], "cpu_us": cpu, "answered_per_s": rates}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.shadow", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--attributes", type=int, default=5)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(bench(Options(given.updates, given.devices, given.attributes, given.batch, given.runs)))


if __name__ == "__main__":
    main()
