"""The uplink ledger, short form: load goes on while every part is killed in turn; nothing acknowledged is lost."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.integration.flows.steps import Sink, eventually, new_device, new_product, running_rule
from tests.support.identity import Identity
from tests.support.mqtt_load import Publisher
from tests.support.processes import Processes
from tests.support.servers import KafkaServer, RedisServer

DEVICES = 20
RATE = 12.0
ACKS_BETWEEN = 100


@dataclass
class Ledger:
    sent: int
    acknowledged: int
    rows: int
    delivered: int
    lost: int
    duplicates: int
    kills: int
    acknowledged_between: list[int]
    seconds: float


class Load:
    """Numbered messages from many devices, going on in the background."""

    def __init__(self, publishers: list[Publisher]) -> None:
        self.publishers = publishers

    @property
    def acked(self) -> int:
        return sum(publisher.acked for publisher in self.publishers)

    async def more_acks(self, count: int, deadline: float = 60) -> int:
        """Waits for `count` more PUBACKs and says how many came; a run without them is void."""
        before = self.acked

        async def enough() -> bool:
            return self.acked >= before + count

        await eventually(enough, deadline=deadline)
        return self.acked - before


@pytest.mark.timeout(240)
async def test_every_acknowledged_number_reaches_the_row_sink(
    processes: Processes, kafka_server: KafkaServer, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    api = processes.api()
    product_key = await new_product(api)
    limits = {"UpQos1PerSecond": 200, "UpQos0PerSecond": 200}
    answer = await api.rest("PUT", f"/v1/products/{product_key}/limits", json=limits)
    assert answer.status_code == 200, answer.text
    sink = await Sink(processes, "device text, n integer").create(api)
    await running_rule(api, product_key, "d, n", "RDS", json.dumps(sink.action({"device": "${d}", "n": "${n}"})))
    identities = [await new_device(api, product_key, f"ledger{i:04d}") for i in range(DEVICES)]
    publishers = [publisher(identity) for identity in identities]
    load = Load(publishers)
    host, port = processes.mqtt
    between: list[int] = []
    async with asyncio.TaskGroup() as group:
        for each in publishers:
            group.create_task(each.run(host, port))
        between.append(await load.more_acks(ACKS_BETWEEN))
        kills = [*processes.kills(), killer(redis_server), killer(kafka_server)]
        for kill in kills:
            await kill()
            between.append(await load.more_acks(ACKS_BETWEEN))
        for each in publishers:
            each.stopping = True
    ledger = await settle(load, sink, len(kills), between, started)
    with capsys.disabled():
        print("\nuplink ledger " + json.dumps(ledger.__dict__))
    assert min(ledger.acknowledged_between) >= ACKS_BETWEEN, "void: no acknowledgements between two kills"
    assert ledger.lost == 0


def publisher(identity: Identity) -> Publisher:
    def payload(number: int) -> bytes:
        return json.dumps({"d": identity.device_name, "n": number}).encode()

    return Publisher(identity.login(), identity.topic("update"), payload, window=5, rate=RATE)


def killer(server: KafkaServer | RedisServer) -> Callable[[], Awaitable[None]]:
    async def kill() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(server.start)

    return kill


async def settle(load: Load, sink: Sink, kills: int, between: list[int], started: float) -> Ledger:
    """Waits until the sink holds every acknowledged number, or no longer grows."""
    owed = {(p.login.username.partition("&")[0], n) for p in load.publishers for n in p.acknowledged}

    async def arrived() -> bool:
        return not owed - {(row["device"], row["n"]) for row in await sink.rows()}

    await eventually(arrived, deadline=60)
    rows = [(row["device"], row["n"]) for row in await sink.rows()]
    return Ledger(
        sent=sum(p.sent for p in load.publishers),
        acknowledged=len(owed),
        rows=len(rows),
        delivered=len(set(rows)),
        lost=len(owed - set(rows)),
        duplicates=len(rows) - len(set(rows)),
        kills=kills,
        acknowledged_between=between,
        seconds=round(time.monotonic() - started, 1),
    )
