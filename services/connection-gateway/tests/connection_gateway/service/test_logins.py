"""Log-ins of sub-devices against a real Redis: what each answer is, and what is left behind when something goes away
between two steps."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.login_site import Site, login
from thinghub.common.redis import Redis, open_redis
from thinghub.connection_gateway.domain.claims import Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import OK
from thinghub.connection_gateway.domain.verdicts import Verdict
from thinghub.connection_gateway.ports import KickTarget

SUB = Device("pk", "sub")


@pytest.fixture
async def redis(redis_url: str, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(redis_url, prefix)
    yield opened
    await opened.close()


@pytest.fixture
async def site(redis: Redis) -> Site:
    return Site(redis)


async def claim_of(site: Site, device: Device = SUB) -> tuple[str, int] | None:
    (claim,) = await site.claims.find([device])
    return (claim.gateway, claim.connection) if claim else None


async def test_a_log_in_claims_with_the_gateways_connection_and_ext_and_says_online(site: Site) -> None:
    gateway = site.gateway(7)
    assert await site.log_in(gateway, SUB) == [OK]
    (claim,) = await site.claims.find([SUB])
    assert claim is not None
    assert (claim.gateway, claim.connection, claim.ext, claim.client) == ("inc-a", 7, 3, "10.0.0.7:4711")
    assert claim.clean
    session = site.table.of(SUB)
    assert session is not None
    assert (session.epoch, session.parent) == (claim.epoch, gateway)
    assert site.others.words() == [("sub", True)]


async def test_each_refusal_has_its_reason_and_leaves_no_claim(site: Site) -> None:
    gateway = site.gateway()
    devices = [Device("pk", name) for name in ("good", "forged", "stranger", "off", "free")] + [Device("nothing", "x")]
    site.others.verdicts = {
        "forged": Verdict.BAD_SIGNATURE,
        "stranger": Verdict.UNKNOWN_DEVICE,
        "off": Verdict.DISABLED,
    }
    site.others.foreign = {"free"}
    reasons = await site.log_in(gateway, *devices)
    assert reasons == [OK, "bad_signature", "unknown_device", "disabled", "no_topology", "unknown_product"]
    assert site.others.asked == 1
    found = await site.claims.find(devices)
    assert [claim is not None for claim in found] == [True, False, False, False, False, False]


@pytest.mark.parametrize("part", ["auth", "topology"])
async def test_a_part_that_is_away_is_said_and_tried_again_later(site: Site, part: str) -> None:
    gateway = site.gateway()
    site.others.away = {part}
    assert await site.log_in(gateway, SUB) == [f"{part}_unavailable"]
    site.others.away = set()
    assert await site.log_in(gateway, SUB) == [OK]


async def test_a_second_log_in_on_the_same_connection_changes_nothing(site: Site) -> None:
    gateway = site.gateway()
    assert await site.log_in(gateway, SUB) == [OK]
    before = await site.claims.find([SUB])
    assert await site.log_in(gateway, SUB) == [OK]
    assert await site.claims.find([SUB]) == before
    assert (len(site.plane.attached), site.plane.closed) == (1, [])
    assert site.others.words() == [("sub", True)]


async def test_another_gateway_device_takes_over_and_no_offline_is_said(site: Site) -> None:
    first, second = site.gateway(1), site.gateway(2)
    await site.log_in(first, SUB)
    old = site.table.of(SUB)
    assert old is not None
    assert await site.log_in(second, SUB) == [OK]
    assert site.plane.closed == [(old.handle, "taken_over")]
    site.end(old)
    await site.released()
    assert await claim_of(site) == ("inc-a", 2)
    assert site.others.words() == [("sub", True), ("sub", True)]


async def test_one_turn_with_two_gateway_devices_ends_with_one_session(site: Site) -> None:
    first, second = site.gateway(1), site.gateway(2)
    assert await site.logins.admit([login(first, SUB), login(second, SUB)]) == ["superseded", OK]
    await site.released()
    assert await claim_of(site) == ("inc-a", 2)


async def test_a_gateway_whose_connection_closes_meanwhile_leaves_no_claim(site: Site) -> None:
    gateway = site.gateway()
    site.claims.meanwhile = lambda: site.plane.gone.add(gateway.handle)
    assert await site.log_in(gateway, SUB) == ["gateway_gone"]
    await site.released()
    assert await claim_of(site) is None
    assert site.others.words() == []


async def test_a_gateway_that_goes_while_it_takes_over_says_that_the_device_is_offline(site: Site) -> None:
    first, second = site.gateway(1), site.gateway(2)
    await site.log_in(first, SUB)
    site.plane.gone.add(second.handle)
    assert await site.log_in(second, SUB) == ["gateway_gone"]
    old = site.table.of(SUB)
    assert old is not None
    site.end(old)
    await site.released()
    assert await claim_of(site) is None
    assert site.others.words()[-1] == ("sub", False)


async def test_a_disable_between_claim_and_session_leaves_no_claim(site: Site) -> None:
    gateway = site.gateway()
    site.claims.meanwhile = lambda: _disable(site)
    assert await site.log_in(gateway, SUB) == ["superseded"]
    await site.released()
    assert await claim_of(site) is None
    assert site.plane.attached == []


def _disable(site: Site) -> None:
    site.table.supersede(SUB, 2**62)


async def test_a_disable_before_the_claim_refuses_it(site: Site) -> None:
    gateway = site.gateway()
    await site.kicks.kick([KickTarget(SUB, reason="disabled", bar_seconds=60)])
    assert await site.log_in(gateway, SUB) == ["barred"]
    assert await claim_of(site) is None


async def test_a_claim_whose_answer_was_lost_is_released(site: Site) -> None:
    gateway = site.gateway()
    site.claims.answer_lost = True
    assert await site.log_in(gateway, SUB) == ["claims_unavailable"]
    assert await claim_of(site) is not None
    await site.released()
    assert await claim_of(site) is None


async def test_a_device_has_a_rate_and_what_is_refused_before_does_not_use_it_up(redis: Redis) -> None:
    site = Site(redis, limit=2)
    gateways = [site.gateway(number) for number in range(1, 4)]
    site.others.foreign = {"sub"}
    for gateway in gateways:
        assert await site.log_in(gateway, SUB) == ["no_topology"]
    site.others.foreign = set()
    assert [await site.log_in(gateway, SUB) for gateway in gateways] == [[OK], [OK], ["login_rate"]]
    assert await claim_of(site) == ("inc-a", 2)


async def test_a_gateway_device_that_guesses_is_slowed_and_others_are_not(site: Site) -> None:
    guesser, other = site.gateway(1), site.gateway(2)
    site.others.verdicts = {"forged": Verdict.BAD_SIGNATURE}
    for _ in range(3):
        assert await site.log_in(guesser, Device("pk", "forged")) == ["bad_signature"]
    assert await site.log_in(guesser, SUB) == ["failure_rate"]
    assert await site.log_in(other, SUB) == [OK]


async def test_so_many_are_online_behind_one_gateway_device_and_no_more(redis: Redis) -> None:
    site = Site(redis, most=2)
    gateway, other = site.gateway(1), site.gateway(2)
    devices = [Device("pk", f"s{number}") for number in range(3)]
    assert await site.log_in(gateway, *devices) == [OK, OK, "too_many_online"]
    assert await site.log_in(gateway, devices[2]) == ["too_many_online"]
    assert await site.log_in(gateway, devices[0]) == [OK]
    assert await site.log_in(other, devices[2]) == [OK]
    gone = site.table.of(devices[0])
    assert gone is not None
    site.end(gone)
    assert await site.log_in(gateway, Device("pk", "s4")) == [OK]


async def test_a_process_has_room_for_so_many_sessions(redis: Redis) -> None:
    site = Site(redis, room=5)
    first, second = site.gateway(1), site.gateway(2)
    devices = [Device("pk", f"s{number}") for number in range(3)]
    logins = [login(first, devices[0]), login(second, devices[1]), login(first, devices[2]), login(second, SUB)]
    assert await site.logins.admit(logins) == [OK, OK, OK, "no_room"]
    assert await site.log_in(first, SUB) == ["no_room"]
    assert len(site.table) == 5


async def test_all_of_a_gateway_end_with_it_each_with_its_own_offline(site: Site) -> None:
    gateway = site.gateway()
    devices = [Device("pk", f"s{number}") for number in range(50)]
    assert await site.log_in(gateway, *devices) == [OK] * 50
    sessions = [session for device in devices if (session := site.table.of(device))]
    for session in sessions:
        site.end(session)
    await site.released()
    assert await site.claims.find(devices) == [None] * 50
    assert site.others.words()[50:] == [(device.device_name, False) for device in devices]


async def test_a_thousand_at_once_cost_one_call_of_auth(site: Site) -> None:
    gateways = [site.gateway(number) for number in range(1, 21)]
    logins = [login(one, Device("pk", f"s{one.handle}-{number}")) for one in gateways for number in range(50)]
    assert await site.logins.admit(logins) == [OK] * 1000
    assert site.others.asked == 1
    assert len(site.others.events) == 1000


async def test_a_sub_device_connected_by_itself_is_ended_by_a_log_in(site: Site) -> None:
    alone = replace(site.gateway(3), device=SUB)
    (claimed,) = await site.claims.claim([Wanted(SUB, 3, True, 0, 1, "10.0.0.3:1")])
    alone = replace(alone, epoch=claimed.epoch, handle=33)
    site.table.accepted(alone)
    assert await site.log_in(site.gateway(1), SUB) == [OK]
    assert site.plane.closed == [(33, "taken_over")]


async def test_a_relation_that_was_removed_during_the_log_in_is_found_later(site: Site) -> None:
    gateway, other = site.gateway(1), Device("pk", "other")
    assert await site.log_in(gateway, SUB, other) == [OK, OK]
    site.others.foreign = {"sub"}
    await site.checks.check()
    await site.checks.check()
    session = site.table.of(SUB)
    assert session is not None
    assert site.plane.closed == [(session.handle, "topology")]


async def test_a_removed_relation_ends_a_sub_device_and_not_one_that_connected_by_itself(site: Site) -> None:
    alone = site.gateway(3)
    await site.claims.claim([Wanted(alone.device, 3, True, 0, 1, "10.0.0.3:1")])
    assert await site.log_in(site.gateway(1), SUB) == [OK]
    end = [KickTarget(device, reason="topology") for device in (alone.device, SUB)]
    kicking = asyncio.create_task(site.kicks.kick(end))
    while not site.plane.closed:
        await asyncio.sleep(0.01)
    session = site.table.of(SUB)
    assert session is not None
    assert site.plane.closed == [(session.handle, "topology")]
    site.end(session)
    assert await kicking == [False, True]
    assert site.table.stands(alone)
