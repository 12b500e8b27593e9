"""Property posts: bus -> shadow -> Redis, PostgreSQL, thing.data -> reply; what each costs.

    python -m bench.properties [--posts 60000] [--devices 10000] [--properties 20] [--batch 100] [--runs 3]

The service is a process of its own over a real Kafka, Redis and PostgreSQL. The bench writes the records that gateways
would (`--batch` posts each, every post of all `--properties` and of the next device), answers for device-registry, and
takes the replies in a gateway's place. Posts a second per core are those of one second of CPU of the service; what the
servers cost is shown beside it.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.measure import CpuClock, spread
from bench.shadow import Replies
from tests.support.child import free_port, scratch_directory
from tests.support.platform import Service
from tests.support.processes import answers
from tests.support.servers import KafkaServer, PostgresServer, RedisServer
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicSpec
from thinghub.common.rpc import serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import DEVICE_THING, specs
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.registry.v1 import registry_pb2, registry_pb2_grpc, things_pb2, things_pb2_grpc

PRODUCT = "a1benchThings"
GOAL = 20_000


@dataclass(frozen=True)
class Options:
    posts: int
    devices: int
    properties: int
    batch: int
    runs: int


class Models(things_pb2_grpc.ThingModelServiceServicer):
    """A registry that knows one thing model."""

    def __init__(self, properties: int) -> None:
        specs = {"min": "0", "max": "1000000"}
        self._tsl = json.dumps(
            {
                "properties": [
                    {"identifier": f"p{number}", "dataType": {"type": "int", "specs": specs}}
                    for number in range(properties)
                ]
            }
        )

    async def GetEffectiveThingModels(
        self, request: things_pb2.GetEffectiveThingModelsRequest, context: object
    ) -> things_pb2.GetEffectiveThingModelsResponse:
        models = [
            things_pb2.EffectiveThingModel(found=True, product_key=key, version=1, tsl=self._tsl)
            for key in request.product_keys
        ]
        return things_pb2.GetEffectiveThingModelsResponse(models=models)


class Devices(registry_pb2_grpc.RegistryServiceServicer):
    """A registry that knows every device."""

    async def GetDevices(
        self, request: registry_pb2.GetDevicesRequest, context: object
    ) -> registry_pb2.GetDevicesResponse:
        found = [
            registry_pb2.FoundDevice(found=True, device=registry_pb2.Device(iot_id=ref.device.device_name))
            for ref in request.refs
        ]
        return registry_pb2.GetDevicesResponse(devices=found)


class Load:
    """Records as gateways pack them: by partition, each device's sequence rising."""

    def __init__(self, options: Options, partitions: int) -> None:
        self._options = options
        self._by_partition: dict[int, list[str]] = {}
        for number in range(options.devices):
            name = f"dev{number:06d}"
            self._by_partition.setdefault(device_partition(PRODUCT, name, partitions), []).append(name)
        self._round = 0
        self._id = time.time_ns()

    def records(self, posts: int) -> Iterator[tuple[int, bytes]]:
        left = posts
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
        self._id += 1
        params = {f"p{number}": self._round + number for number in range(self._options.properties)}
        post = {"id": str(self._round), "version": "1.0", "params": params, "method": "thing.event.property.post"}
        topic = f"/sys/{PRODUCT}/{name}/thing/event/property/post"
        now_ms = time.time_ns() // 1_000_000
        return Message(
            self._id, PRODUCT, name, topic, json.dumps(post).encode(), 1, self._round, now_ms, handle=1, qos=1
        )


@contextlib.asynccontextmanager
async def serving(replies: Replies, properties: int) -> AsyncIterator[tuple[Bus, dict[str, int]]]:
    """The bus, and the pids that count."""
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

        # The bench asks for two of a registry's many methods.
        models, devices = Models(properties), Devices()  # type: ignore[abstract]

        def add(server: grpc.aio.Server) -> None:
            things_pb2_grpc.add_ThingModelServiceServicer_to_server(models, server)
            registry_pb2_grpc.add_RegistryServiceServicer_to_server(devices, server)

        registry = await stack.enter_async_context(serve_rpc(f"127.0.0.1:{free_port()}", add, runtime))
        port = free_port()
        env = {
            "THINGHUB_REDIS_URL": redis.url,
            "THINGHUB_BUS_URL": kafka.url,
            "THINGHUB_POSTGRES_DSN": postgres.dsn,
            "THINGHUB_SHADOW_GATEWAY_TARGET": gateway,
            "THINGHUB_SHADOW_REGISTRY_TARGET": registry,
            "THINGHUB_SHADOW_METRICS_PORT": str(port),
            "THINGHUB_SHADOW_RPC_LISTEN": f"127.0.0.1:{free_port()}",
        }
        service = Service("shadow", [sys.executable, "-m", "thinghub.shadow.main"], env, Path(folder))
        stack.callback(service.stop)
        service.start()
        await asyncio.to_thread(service.wait_until, lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        yield bus, {"shadow": service.pid, "(redis)": redis.pid}


async def drive(bus: Bus, load: Load, replies: Replies, posts: int) -> float:
    """Seconds from the first record to the last reply."""
    wanted, begin = replies.successes + posts, time.monotonic()
    sending: set[asyncio.Task[None]] = set()
    for partition, record in load.records(posts):
        sending.add(asyncio.create_task(bus.publish(DEVICE_THING, partition, record)))
        if len(sending) >= 64:
            _, sending = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    if sending:
        await asyncio.wait(sending)
    async with asyncio.timeout(180):
        while replies.successes < wanted:
            await asyncio.sleep(0.01)
    return time.monotonic() - begin


async def bench(options: Options) -> None:
    replies = Replies()
    rates: list[float] = []
    cpu: dict[str, list[float]] = {}
    async with serving(replies, options.properties) as (bus, pids):
        load = Load(options, await bus.partitions(DEVICE_THING))
        await drive(bus, load, replies, options.devices)
        for number in range(1, options.runs + 1):
            print(f"run {number} of {options.runs} ...", flush=True)
            clock = CpuClock(pids)
            rates.append(options.posts / await drive(bus, load, replies, options.posts))
            for name, seconds in clock.seconds().items():
                cpu.setdefault(name, []).append(1e6 * seconds / options.posts)
    report(rates, cpu)


def report(rates: list[float], cpu: dict[str, list[float]]) -> None:
    per_core = [1e6 / value for value in cpu["shadow"]]
    print(f"answered /s          {spread(rates)}")
    print("CPU us a post")
    for name, values in cpu.items():
        print(f"  {name:<19}{spread(values)}")
    print(f"posts /s per core    {spread(per_core)}, goal {GOAL}")
    print(json.dumps({"per_core": [round(value) for value in per_core], "cpu_us": cpu, "answered_per_s": rates}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.properties", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--properties", type=int, default=20)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(bench(Options(given.posts, given.devices, given.properties, given.batch, given.runs)))


if __name__ == "__main__":
    main()
