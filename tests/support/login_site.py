"""One gateway process without its sockets: log-ins of sub-devices on a real Redis, where the test says what the
connection plane and the other services answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thinghub.common.errors import Unavailable
from thinghub.common.redis import Redis
from thinghub.common.runtime import Runtime
from thinghub.connection_gateway.adapters.peers import GrpcPeers
from thinghub.connection_gateway.adapters.redis_attempts import RedisAttempts
from thinghub.connection_gateway.adapters.redis_claims import KEEP_MS, RedisClaims
from thinghub.connection_gateway.adapters.redis_queues import Bounds, RedisQueues
from thinghub.connection_gateway.domain.claims import Claimed, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outbox import Window
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.domain.verdicts import Verdict
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Authenticated, ProductPolicy, Pushed, StatusEvent
from thinghub.connection_gateway.service.admission import Admission
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.logins import Login, LoginLimits, Logins
from thinghub.connection_gateway.service.notices import Notices
from thinghub.connection_gateway.service.outboxes import Outboxes
from thinghub.connection_gateway.service.policies import Policies
from thinghub.connection_gateway.service.pushes import Pushes
from thinghub.connection_gateway.service.refusals import Refusals
from thinghub.connection_gateway.service.sub_devices import SubDevices
from thinghub.connection_gateway.service.topology_checks import TopologyChecks
from thinghub.device_protocol.connect import Signed
from thinghub.device_protocol.signing import SignMethod
from thinghub.device_protocol.sub_devices import SubDeviceProof


@dataclass
class Plane:
    """The connection plane, as far as sessions go. `gone` connections attach nobody."""

    attached: list[Session] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    pushed: list[Pushed] = field(default_factory=list)
    broken: bool = False

    def attach(self, sessions: Sequence[Session]) -> list[int]:
        if self.broken:
            raise RuntimeError("broken")
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

    def confirm_subscriptions(self, tokens: Sequence[int]) -> None:
        raise AssertionError(tokens)

    def fail_subscriptions(self, tokens: Sequence[int]) -> None:
        raise AssertionError(tokens)

    def policy_version(self, product_key: str) -> int:
        return 0 if product_key == "nothing" else 1

    def accept(self, sessions: Sequence[Session]) -> list[int]:
        raise AssertionError(sessions)

    def reject(self, refusals: Sequence[tuple[int, int, str]]) -> None:
        raise AssertionError(refusals)

    def deliver(self, messages: Sequence[Pushed]) -> None:
        self.pushed.extend(messages)

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
    slow: asyncio.Event | None = None
    events: list[StatusEvent] = field(default_factory=list)

    async def authenticate(self, claims: Sequence[Signed]) -> list[Authenticated]:
        if "auth" in self.away:
            raise Unavailable("auth is away")
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
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

    def __init__(
        self, redis: Redis, name: str = "inc-a", limit: int = 0, most: int = 1500, pace: int = 0, room: int = 60_000
    ) -> None:
        self.plane, self.others, self.table = Plane(), Others(), SessionTable()
        self.claims = Interrupted(redis, name, f"{name}:1")
        self.closing = Closing(self.plane, self.claims, self.table, self.others, lambda: 1)
        peers = GrpcPeers(Runtime.for_tests("connection-gateway"))
        queues = RedisQueues(redis, name, Bounds(), KEEP_MS)
        outboxes = Outboxes(self.plane, queues, self.closing, self.table, Window(), 1000, 1 << 20, 30, _counted)
        self.kicks = Kicks(name, self.claims, peers, self.table, self.closing, outboxes, queues, _counted)
        policies = Policies(self.others, self.plane)
        limits = LoginLimits(Rates(limit), Rates(3), True, most, room)
        attempts = Attempts(RedisAttempts(redis), policies.need, 0, lambda: 0.0, lambda: 1, _counted)
        admission = Admission(
            self.claims, self.table, self.kicks, self.closing, self.others, attempts, outboxes, lambda: 1
        )
        self.logins = Logins(
            self.plane,
            self.others,
            self.others,
            policies,
            admission,
            self.table,
            limits,
            lambda: 1,
            _counted,
        )
        self.checks = TopologyChecks(self.others, self.table, self.closing)
        self.refusals, self.seconds = Refusals(), 1.0
        self.pushes = Pushes(self.plane, 100_000)
        self.sub_devices = SubDevices(
            self.logins, self.table, self.closing, self.pushes, self.refusals, attempts, pace, _counted
        )
        self.notices = Notices(self.table, self.pushes, lambda: 77, lambda: self.seconds, _counted)

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
