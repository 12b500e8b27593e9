"""No change is without its audit record, whoever is killed; and what happens while the log cannot be written."""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.flows.steps import eventually
from tests.support.child import scratch_directory
from tests.support.processes import Processes
from tests.support.servers import PostgresServer, RedisServer

PARTS = ("auth", "device-registry", "api-gateway")
CALLERS = 4
KILLS = 3


@pytest.fixture
def platform() -> Iterator[Processes]:
    """The parts that changes of products need."""
    folder = scratch_directory("audit")
    redis, postgres = RedisServer().start(), PostgresServer().start()
    bus = f"streams+{redis.url}"
    started = Processes(
        folder / "platform", bus_url=bus, redis_url=redis.url, postgres_dsn=postgres.dsn, prefix="audit."
    )
    try:
        started.create_topics()
        for name in PARTS:
            started.services[name].start()
        yield started
    finally:
        started.stop()
        redis.close()
        postgres.close()
        shutil.rmtree(folder)


async def created(platform: Processes, name: str) -> bool:
    """Whether the caller was told so."""
    body = {"ProductName": name, "NodeType": 0}
    auth = (platform.key.access_key_id, platform.key.access_key_secret)
    async with httpx.AsyncClient(base_url=platform.api_url, auth=auth, timeout=20, trust_env=False) as http:
        with contextlib.suppress(httpx.HTTPError):
            return (await http.post("/v1/products", json=body)).status_code == 201
    return False


async def listed(platform: Processes, path: str, member: str, **filters: object) -> list[dict[str, Any]]:
    auth = (platform.key.access_key_id, platform.key.access_key_secret)
    async with httpx.AsyncClient(base_url=platform.api_url, auth=auth, timeout=20, trust_env=False) as http:
        answer = await http.get(path, params={name: str(value) for name, value in filters.items()})
    body: dict[str, Any] = answer.json()
    for part in member.split("."):
        body = body[part]
    assert isinstance(body, list)
    return body


@pytest.mark.timeout(180)
async def test_every_change_has_its_record_when_the_api_is_killed(platform: Processes) -> None:
    async def works() -> bool:
        return await created(platform, f"first_{secrets.token_hex(4)}")

    assert await eventually(works, deadline=60), platform.services["api-gateway"].log[-2000:]
    told: list[str] = []
    ended = asyncio.Event()

    async def call() -> None:
        while not ended.is_set():
            name = f"p_{secrets.token_hex(8)}"
            if await created(platform, name):
                told.append(name)
            else:
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(call())
        for _ in range(KILLS):
            before = len(told)
            async with asyncio.timeout(40):
                while len(told) < before + 12:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(platform.services["api-gateway"].kill)
            platform.services["api-gateway"].start()
        ended.set()
    assert await eventually(works, deadline=60)
    records = await listed(platform, "/v1/audit-records", "Records", Action="CreateProduct", Limit=500)
    codes = {one["Target"]["ProductName"]: one.get("Code") for one in records}
    assert {codes.get(name) for name in told} == {"OK"}, "what was told is recorded with its outcome"
    products = await listed(platform, "/v1/products", "Data.List.ProductInfo", PageSize=200)
    assert {one["ProductName"] for one in products} <= codes.keys(), "what was made is recorded, told or not"
    assert set(codes.values()) <= {"OK", "ServiceUnavailable", None}
