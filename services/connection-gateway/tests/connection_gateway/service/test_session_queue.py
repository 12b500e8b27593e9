"""What gateway devices ask, before it is done: order, bounds, what is done together, what is forgotten."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from tests.support.login_site import Site
from thinghub.common.redis import open_redis
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.service.notices import FOREIGN_PER_SECOND, Foreign
from thinghub.connection_gateway.service.sub_devices import MAX_PAYLOAD, MAX_WAITING_HERE, SessionMessage

Reply = dict[str, object]


def entry(device: str) -> dict[str, str]:
    return {"productKey": "pk", "deviceName": device, "clientId": "c", "sign": "00"}


def asked(gateway: Session, step: str, *devices: str, number: int | str = 1) -> SessionMessage:
    entries = [entry(device) for device in devices]
    params = {"deviceList": entries} if step.startswith("batch") else entries[0]
    topic = f"/ext/session/pk/{gateway.device.device_name}/combine/{step}"
    return SessionMessage(gateway.handle, topic, json.dumps({"id": number, "params": params}).encode(), 1)


def replies(site: Site) -> list[Reply]:
    return [json.loads(one.payload) for one in site.plane.pushed]


async def replied(site: Site, many: int) -> list[Reply]:
    async with asyncio.timeout(10):
        while len(site.plane.pushed) < many:
            await asyncio.sleep(0.01)
    return replies(site)


def codes(answers: Sequence[Reply]) -> list[object]:
    return [one["code"] for one in answers]


@pytest.fixture
async def site(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    redis = await open_redis(redis_url, prefix)
    site = Site(redis)
    running = asyncio.create_task(site.sub_devices.run())
    yield site
    running.cancel()
    await redis.close()


async def test_the_log_ins_of_many_gateways_are_one_call(site: Site) -> None:
    site.others.slow = asyncio.Event()
    gateways = [site.gateway(number) for number in range(1, 41)]
    site.sub_devices.submit([asked(gateways[0], "login", "first")])
    await asyncio.sleep(0.05)
    assert site.others.asked == 1
    site.sub_devices.submit(
        [asked(one, "batch_login", *(f"s{one.handle}-{number}" for number in range(10))) for one in gateways[1:]]
    )
    site.others.slow.set()
    answers = await replied(site, 40)
    assert codes(answers) == [200] * 40
    assert site.others.asked == 2


async def test_what_one_connection_asks_is_done_in_its_order(site: Site) -> None:
    gateway = site.gateway()
    steps = ["login", "logout", "login", "logout", "logout", "login", "login"]
    site.sub_devices.submit([asked(gateway, step, "sub", number=number) for number, step in enumerate(steps)])
    answers = await replied(site, len(steps))
    assert [one["id"] for one in answers] == [str(number) for number in range(len(steps))]
    assert codes(answers) == [200, 200, 200, 200, 520, 200, 200]
    assert len(site.plane.attached) == 3


async def test_a_gateway_that_waits_does_not_hold_the_others_up(site: Site) -> None:
    slow = site.others.slow = asyncio.Event()
    first, second = site.gateway(1), site.gateway(2)
    site.sub_devices.submit([asked(first, "login", "one")])
    await asyncio.sleep(0.05)
    site.others.slow = None
    site.sub_devices.submit([asked(second, "login", "two")])
    assert codes(await replied(site, 1)) == [200]
    assert site.plane.pushed[0].handle == second.handle
    slow.set()
    assert codes(await replied(site, 2)) == [200, 200]


async def test_one_connection_is_served_at_its_pace(redis_url: str, prefix: str) -> None:
    redis = await open_redis(redis_url, prefix)
    site = Site(redis, pace=100)
    running = asyncio.create_task(site.sub_devices.run())
    gateway = site.gateway()
    began = asyncio.get_running_loop().time()
    for batch in range(4):
        site.sub_devices.submit([asked(gateway, "batch_login", *(f"s{batch}-{number}" for number in range(50)))])
    assert codes(await replied(site, 4)) == [200] * 4
    # A hundred, a rest of a second, the other hundred.
    assert asyncio.get_running_loop().time() - began >= 0.9
    assert site.others.asked == 2
    running.cancel()
    await redis.close()


async def test_a_body_longer_than_any_log_in_is_not_read(site: Site) -> None:
    gateway = site.gateway()
    long = asked(gateway, "login", "sub")
    site.sub_devices.submit([replace(long, payload=long.payload[:-1] + b" " * MAX_PAYLOAD + b"}")])
    assert codes(replies(site)) == [460]


async def test_a_connection_that_asks_for_too_much_is_told_so_and_others_are_served(site: Site) -> None:
    slow = site.others.slow = asyncio.Event()
    greedy, modest = site.gateway(1), site.gateway(2)
    site.sub_devices.submit([asked(greedy, "login", "first")])
    await asyncio.sleep(0.05)
    for batch in range(MAX_WAITING_HERE // 50 + 1):
        site.sub_devices.submit([asked(greedy, "batch_login", *(f"s{batch}-{number}" for number in range(50)))])
    site.others.slow = None
    assert codes(replies(site)) == [429]
    assert len(site.sub_devices) == MAX_WAITING_HERE
    site.sub_devices.submit([asked(modest, "login", "modest")])
    assert codes(await replied(site, 2)) == [429, 200]
    slow.set()
    await replied(site, MAX_WAITING_HERE // 50 + 3)
    assert len(site.sub_devices) == 0


async def test_what_waits_behind_a_connection_that_closed_is_forgotten(site: Site) -> None:
    slow = site.others.slow = asyncio.Event()
    gateway = site.gateway()
    site.sub_devices.submit([asked(gateway, "login", "first")])
    await asyncio.sleep(0.05)
    site.sub_devices.submit([asked(gateway, "login", f"s{number}") for number in range(100)])
    site.plane.gone.add(gateway.handle)
    site.end(gateway)
    site.sub_devices.closed([gateway.handle])
    assert len(site.sub_devices) == 0
    slow.set()
    await asyncio.sleep(0.1)
    assert (site.others.asked, site.plane.attached) == (1, [])
    site.sub_devices.submit([asked(gateway, "login", "after the end")])
    await site.released()
    assert await site.claims.find([Device("pk", "first")]) == [None]


async def test_a_defect_is_answered_500_and_the_next_turn_works(site: Site) -> None:
    gateway = site.gateway()
    site.plane.broken = True
    site.sub_devices.submit([asked(gateway, "login", "sub")])
    assert codes(await replied(site, 1)) == [500]
    site.plane.broken = False
    site.sub_devices.submit([asked(gateway, "login", "sub")])
    assert codes(await replied(site, 2)) == [500, 200]


async def test_while_stopping_the_answer_is_500(site: Site) -> None:
    gateway = site.gateway()
    site.sub_devices.stop()
    site.sub_devices.submit([asked(gateway, "login", "sub")])
    assert codes(replies(site)) == [500]


async def test_publishes_for_strangers_are_told_a_few_times_a_second_for_each_connection(site: Site) -> None:
    first, second = site.gateway(1), site.gateway(2)
    stranger = Device("pk", "stranger")
    for _ in range(50):
        site.notices.foreign([Foreign(first.handle, stranger), Foreign(999, stranger)])
    site.notices.foreign([Foreign(second.handle, stranger)])
    told = [one.handle for one in site.plane.pushed]
    assert told == [first.handle] * FOREIGN_PER_SECOND + [second.handle]
    site.seconds += 1
    site.notices.foreign([Foreign(first.handle, stranger)])
    assert len(site.plane.pushed) == FOREIGN_PER_SECOND + 2
    notice = replies(site)[0]
    assert (notice["id"], notice["code"]) == ("77", 520)
    assert notice["data"] == {"productKey": "pk", "deviceName": "stranger"}


@pytest.mark.parametrize(
    ("reason", "code"), [("taken_over", 427), ("deleted", 521), ("disabled", 522), ("topology", 6401), ("kicked", 500)]
)
async def test_who_lost_its_session_by_force_is_told_with_its_code(site: Site, reason: str, code: int) -> None:
    gateway = site.gateway()
    await site.log_in(gateway, Device("pk", "sub"))
    session = site.table.of(Device("pk", "sub"))
    assert session is not None
    site.end(session)
    site.notices.ended([(session, reason)])
    assert codes(replies(site)) == [code]
    assert site.plane.pushed[0].topic == "/ext/error/pk/gw1"


async def test_a_log_out_and_the_end_of_the_gateway_are_told_nobody(site: Site) -> None:
    gateway = site.gateway()
    await site.log_in(gateway, Device("pk", "sub"))
    session = site.table.of(Device("pk", "sub"))
    assert session is not None
    site.notices.ended([(session, "logout"), (gateway, "disabled")])
    site.end(gateway)
    site.notices.ended([(session, "disabled")])
    assert site.plane.pushed == []
