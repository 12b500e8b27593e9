"""Log-ins of sub-devices against a real Redis: what each answer is, and what is left behind when something goes away
between two steps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from thinghub.common.errors import Unavailable
from thinghub.common.redis import Redis, open_redis
from thinghub.common.runtime import Runtime
from thinghub.connection_gateway.adapters.peers import GrpcPeers
from thinghub.connection_gateway.adapters.redis_attempts import RedisAttempts
from thinghub.connection_gateway.adapters.redis_claims import RedisClaims
from thinghub.connection_gateway.domain.claims import Claimed, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import OK
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.domain.verdicts import Verdict
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Authenticated, KickTarget, ProductPolicy, Pushed, StatusEvent
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.logins import Login, LoginLimits, Logins
from thinghub.connection_gateway.service.policies import Policies
from thinghub.device_protocol.connect import Signed
from thinghub.device_protocol.signing import SignMethod
from thinghub.device_protocol.sub_devices import SubDeviceProof

SUB = Device("pk", "sub")


@dataclass
class Plane:
    """The connection plane, as far as sessions go. `gone` connections attach nobody."""

    attached: list[Session] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)

    def attach(self, sessions: Sequence[Session]) -> list[int]:
        handles = []
        for one in sessions:
            assert one.parent is not None
            if one.parent.handle in self.gone:
                handles.append(0)
            else:
                self.attached.append(one)
                handles.append(10_000 + len(self.attached))
        return handles

    def close(self, sessions: Sequence[tuple[int, str]]) -> None:
        self.closed.extend(sessions)

    def policy_version(self, product_key: str) -> int:
        return 0 if product_key == "nothing" else 1

    def accept(self, sessions: Sequence[Session]) -> list[int]:
        raise AssertionError(sessions)

    def reject(self, refusals: Sequence[tuple[int, int, str]]) -> None:
        raise AssertionError(refusals)

    def deliver(self, messages: Sequence[Pushed]) -> None:
        raise AssertionError(messages)

    def set_policy(self, policy: ProductPolicy) -> None:
        raise AssertionError(policy)

    def drop_policy(self, product_key: str) -> None: ...


@dataclass
class Others:
    """auth, device-registry, other gateways and the bus, as the test has them answer."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    asked: int = 0
    events: list[StatusEvent] = field(default_factory=list)

    async def authenticate(self, claims: Sequence[Signed]) -> list[Authenticated]:
        if "auth" in self.away:
            raise Unavailable("auth is away")
        self.asked += 1
        return [Authenticated(self.verdicts.get(one.device_name, Verdict.OK), "iot") for one in claims]

    async def held(self, gateway: Device, devices: Sequence[Device]) -> list[bool]:
        if "topology" in self.away:
            raise Unavailable("registry is away")
        return [device.device_name not in self.foreign for device in devices]

    async def policies(self, product_keys: Sequence[str]) -> list[ProductPolicy | None]:
        return [None] * len(product_keys)

    async def emit(self, events: Sequence[StatusEvent]) -> None:
        self.events.extend(events)

    def words(self) -> list[tuple[str, bool]]:
        return [(one.session.device.device_name, one.online) for one in self.events]


class Site:
    """One gateway process without its sockets."""

    def __init__(self, redis: Redis, name: str = "inc-a", limit: int = 0, most: int = 1500) -> None:
        self.plane, self.others, self.table = Plane(), Others(), SessionTable()
        self.claims = Interrupted(redis, name, f"{name}:1")
        self.closing = Closing(self.plane, self.claims, self.table, self.others, lambda: 1)
        peers = GrpcPeers(Runtime.for_tests("connection-gateway"))
        self.kicks = Kicks(name, self.claims, peers, self.table, self.closing, _counted)
        policies = Policies(self.others, self.plane)
        limits = LoginLimits(Rates(limit), Rates(3), True, most)
        attempts = Attempts(RedisAttempts(redis), policies.need, 0, lambda: 1, _counted)
        self.logins = Logins(
            self.plane,
            self.others,
            self.others,
            policies,
            self.claims,
            self.table,
            self.kicks,
            self.closing,
            self.others,
            limits,
            attempts,
            lambda: 1,
            _counted,
        )

    def gateway(self, number: int = 1) -> Session:
        session = Session(Device("pk", f"gw{number}"), 1, number, 3, "iot", f"10.0.0.{number}:4711", 1).under(number)
        self.table.accepted(session)
        return session

    async def log_in(self, gateway: Session, *devices: Device) -> list[str]:
        return await self.logins.admit([login(gateway, device) for device in devices])

    def end(self, session: Session) -> None:
        """The core says that it is closed and flushed."""
        self.closing.on_closed(session.handle)
        self.closing.on_flushed([session.handle])

    async def released(self) -> None:
        releasing = asyncio.create_task(self.closing.run())
        async with asyncio.timeout(5):
            while len(self.closing._waiting):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        releasing.cancel()


class Interrupted(RedisClaims):
    """Claims, with what the test wants to happen after a claim and before its answer is read."""

    meanwhile: Callable[[], None] | None = None
    answer_lost = False

    async def claim(self, wanted: Sequence[Wanted]) -> list[Claimed]:
        claimed = await super().claim(wanted)
        if self.meanwhile is not None:
            self.meanwhile()
        if self.answer_lost:
            raise ClaimsUnavailable("the answer was lost")
        return claimed


def _counted(_: str) -> None: ...


def login(gateway: Session, device: Device) -> Login:
    proof = SubDeviceProof(device.product_key, device.device_name, "c", SignMethod.HMAC_SHA1, "1", False, "00")
    return Login(gateway, proof)


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
    assert claim.clean is False
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
