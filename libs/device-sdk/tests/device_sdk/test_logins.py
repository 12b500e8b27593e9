"""Log-ins of sub-devices step by step: the platform's answers are written down here, also those of other platforms."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, cast

import pytest

from thinghub.device_sdk import (
    Backoff,
    ConnectedElsewhere,
    Device,
    DuplicateLogin,
    Identity,
    NoSession,
    NotConnected,
    NoTopology,
    Options,
    ReplyError,
    SessionError,
    SubDeviceDeleted,
    SubDeviceDisabled,
    SubDeviceName,
)
from thinghub.device_sdk.connection import Connection
from thinghub.device_sdk.logins import Logins
from thinghub.device_sdk.requests import Requests
from thinghub.device_sdk.sub_connection import SubConnection

GATEWAY = Identity("gpk", "gate", "secret")
OPTIONS = Options(backoff=Backoff(0.01, 0.05), deadline=2, logins_per_second=10_000)

Answer = Callable[[str, list[str]], None]


class Line:
    """A connection of the gateway, in place of Link."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()


class Platform:
    """In place of Connection and Requests: `answer(what, device names)` raises what the platform refuses with."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.answer, self.line = answer, Line()
        self.failure = None
        self.answering = asyncio.Event()
        self.answering.set()

    @property
    def connected(self) -> bool:
        return not self.line.lost.is_set()

    async def up(self) -> Line:
        while self.line.lost.is_set():
            await asyncio.sleep(0.001)
        return self.line

    async def resubscribe(self, _link: Line, _wanted: Sequence[tuple[str, int]]) -> None:
        pass

    async def ask_on(self, topic: str, _method: str, params: Any, _send: object, _deadline: float) -> object:
        what = topic.rpartition("/")[2]
        entries = params["deviceList"] if what == "batch_login" else params
        named = [one["deviceName"] for one in (entries if isinstance(entries, list) else [entries])]
        self.asked.append((what, named))
        await self.answering.wait()
        self.answer(what, named)
        return {}


class Behind:
    """Sub-devices of a gateway whose platform answers so."""

    def __init__(self, many: int, answer: Answer) -> None:
        self.platform = Platform(answer)
        connection, requests = cast(Connection, self.platform), cast(Requests, self.platform)
        names = [Identity("pk", f"sub{number}", "secret") for number in range(many)]
        self.members = [SubConnection(connection, name, OPTIONS, None) for name in names]
        self.refused: list[SessionError] = []
        self.logins = Logins(GATEWAY, connection, requests, OPTIONS, lambda: self.members, self.refused.append)

    async def all_in(self) -> None:
        for member in self.members:
            member.want()
        self.logins.wake()
        await self.online(len(self.members))

    async def online(self, many: int) -> None:
        async with asyncio.timeout(5):
            while sum(member.connected for member in self.members) != many:
                await asyncio.sleep(0.002)

    @property
    def sizes(self) -> list[tuple[str, int]]:
        return [(what, len(named)) for what, named in self.platform.asked]


def welcome(_what: str, _named: list[str]) -> None:
    """Everyone."""


@pytest.fixture
async def running() -> AsyncIterator[Callable[..., Behind]]:
    tasks: list[asyncio.Task[None]] = []

    def make(many: int, answer: Answer = welcome) -> Behind:
        made = Behind(many, answer)
        tasks.append(asyncio.create_task(made.logins.run()))
        return made

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_batches_have_fifty_at_most_and_one_alone_is_no_batch(running: Callable[..., Behind]) -> None:
    many = running(120)
    await many.all_in()
    assert many.sizes == [("batch_login", 50), ("batch_login", 50), ("batch_login", 20)]
    one = running(1)
    await one.all_in()
    assert one.sizes == [("login", 1)]


async def test_after_a_break_all_are_logged_in_again(running: Callable[..., Behind]) -> None:
    behind = running(60)
    await behind.all_in()
    behind.platform.line.lost.set()
    assert not any(member.connected for member in behind.members)
    behind.platform.line = Line()
    behind.logins.wake()
    await behind.online(60)
    assert len(behind.platform.asked) == 4


async def test_a_break_in_the_middle_of_a_login_is_a_login_on_the_next_connection(
    running: Callable[..., Behind],
) -> None:
    behind = running(3)
    behind.platform.answering.clear()
    entering = asyncio.create_task(behind.all_in())
    while not behind.platform.asked:
        await asyncio.sleep(0.001)
    behind.platform.line.lost.set()
    behind.platform.answering.set()
    behind.platform.line = Line()
    await entering
    assert behind.sizes == [("batch_login", 3), ("batch_login", 3)]


async def test_a_batch_refused_without_names_is_tried_one_by_one(running: Callable[..., Behind]) -> None:
    def answer(what: str, named: list[str]) -> None:
        if "sub1" in named:
            raise ReplyError(6401, "topological relation not exist")

    behind = running(3, answer)
    for member in behind.members:
        member.want()
    behind.logins.wake()
    await behind.online(2)
    assert behind.sizes == [("batch_login", 3), ("login", 1), ("login", 1), ("login", 1)]
    assert [type(error) for error in behind.refused] == [NoTopology]
    with pytest.raises(NoTopology):
        await behind.members[1].up()


async def test_of_a_batch_refused_with_names_the_others_are_logged_in(running: Callable[..., Behind]) -> None:
    def answer(what: str, named: list[str]) -> None:
        if what == "batch_login":
            bad = {"productKey": "pk", "deviceName": "sub0", "code": 522, "message": "disabled"}
            slow = {"productKey": "pk", "deviceName": "sub2", "code": 429, "message": "too fast"}
            raise ReplyError(522, "disabled", [bad, slow])

    behind = running(3, answer)
    for member in behind.members:
        member.want()
    behind.logins.wake()
    await behind.online(2)
    assert [(type(error), error.device) for error in behind.refused] == [
        (SubDeviceDisabled, SubDeviceName("pk", "sub0"))
    ]
    assert behind.sizes == [("batch_login", 3), ("login", 1)], "429 was tried again"


@pytest.mark.parametrize("code", [429, 500])
async def test_what_may_pass_is_tried_again_later_and_later(running: Callable[..., Behind], code: int) -> None:
    left = 4

    def answer(_what: str, _named: list[str]) -> None:
        nonlocal left
        left -= 1
        if left:
            raise ReplyError(code, "not now")

    behind = running(1, answer)
    await behind.all_in()
    assert len(behind.platform.asked) == 4
    assert behind.members[0].attempts == 3


async def test_one_that_is_logged_in_already_is_logged_in(running: Callable[..., Behind]) -> None:
    def answer(_what: str, _named: list[str]) -> None:
        raise ReplyError(527, "duplicate")

    await running(1, answer).all_in()


async def test_a_logout_follows_the_login_that_was_on_its_way(running: Callable[..., Behind]) -> None:
    behind = running(2)
    behind.platform.answering.clear()
    for member in behind.members:
        member.want()
    behind.logins.wake()
    while not behind.platform.asked:
        await asyncio.sleep(0.001)
    leaving = asyncio.create_task(behind.logins.log_out(behind.members, 5))
    await asyncio.sleep(0.01)
    behind.platform.answering.set()
    await leaving
    assert behind.sizes == [("batch_login", 2), ("batch_logout", 2)]
    with pytest.raises(NotConnected):
        await behind.members[0].up()


async def test_a_session_that_is_lost_again_and_again_is_made_later_and_later(running: Callable[..., Behind]) -> None:
    behind = running(1)
    await behind.all_in()
    for attempt in range(1, 4):
        behind.logins.again(behind.members[0])
        assert behind.members[0].attempts == attempt
        await behind.online(1)
    assert len(behind.platform.asked) == 4


class Service(Protocol):
    async def deliver(self, topic: str, payload: bytes) -> None: ...


@pytest.mark.parametrize("where", ["/ext/error/{}", "/ext/session/{}/combine/logout_reply"])
async def test_each_error_of_a_session_has_its_class(
    device: Callable[..., Device], uplinks: Service, where: str
) -> None:
    """As this platform tells them, and as older ones did."""
    errors: asyncio.Queue[SessionError] = asyncio.Queue(20)
    one = device()
    one.gateway.on_error(errors.put)
    topic = where.format(f"{one.identity.product_key}/{one.identity.device_name}")
    kinds = {
        427: ConnectedElsewhere, 520: NoSession, 521: SubDeviceDeleted, 522: SubDeviceDisabled, 527: DuplicateLogin,
        6401: NoTopology, 6287: SessionError,
    }  # fmt: skip
    async with one:
        for code in kinds:
            data = {"productKey": "pk", "deviceName": "dn"}
            body = {"id": "1", "code": code, "message": "why", "data": data}
            await uplinks.deliver(topic, json.dumps(body).encode())
        for code, kind in kinds.items():
            error = await asyncio.wait_for(errors.get(), 10)
            assert (type(error), error.code, error.message) == (kind, code, "why")
            assert error.device == SubDeviceName("pk", "dn")
