import asyncio

import pytest

from thinghub.device_sdk.inbox import Inbox, matches


@pytest.mark.parametrize(
    ("filter_", "topic", "expected"),
    [
        ("/a/b", "/a/b", True),
        ("/a/+", "/a/b", True),
        ("/a/+", "/a/b/c", False),
        ("/a/#", "/a/b/c", True),
        ("/a/#", "/a", True),
        ("/a/#", "/b", False),
        ("/a/+/c", "/a//c", True),
        ("#", "/a", True),
        ("/a/b", "/a", False),
    ],
)
def test_filters_match_as_mqtt_says(filter_: str, topic: str, expected: bool) -> None:
    assert matches(filter_, topic) is expected


async def test_qos_0_beyond_the_bound_is_dropped_and_counted() -> None:
    inbox = Inbox(2, 1.0)
    for number in range(5):
        await inbox.receive("/t", bytes([number]), 0)
    assert inbox.dropped == 3


async def test_qos_1_beyond_the_bound_waits_and_all_are_handled_in_order() -> None:
    inbox, handled = Inbox(2, 1.0), list[int]()

    async def handle(_topic: str, payload: bytes) -> None:
        handled.append(payload[0])

    inbox.route("/t", handle)
    received = [asyncio.create_task(inbox.receive("/t", bytes([number]), 1)) for number in range(10)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in received)
    running = asyncio.create_task(inbox.run())
    await asyncio.wait_for(asyncio.gather(*received), 5)
    assert handled == list(range(10))
    running.cancel()


async def test_a_handler_that_fails_or_hangs_does_not_stop_the_next() -> None:
    inbox, handled = Inbox(10, 0.05), list[bytes]()

    async def handle(_topic: str, payload: bytes) -> None:
        if payload == b"hang":
            await asyncio.sleep(60)
        if payload == b"fail":
            raise ValueError(payload)
        handled.append(payload)

    inbox.route("/t", handle)
    running = asyncio.create_task(inbox.run())
    for payload in (b"fail", b"hang", b"good"):
        await asyncio.wait_for(inbox.receive("/t", payload, 1), 5)
    assert handled == [b"good"]
    running.cancel()


async def test_what_was_not_handled_when_it_ends_is_not_acknowledged() -> None:
    inbox = Inbox(10, 1.0)
    receiving = asyncio.create_task(inbox.receive("/t", b"", 1))
    running = asyncio.create_task(inbox.run())
    inbox.route("/t", lambda _topic, _payload: asyncio.sleep(60))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(inbox.receive("/t", b"", 1))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({receiving, late}, timeout=5)
    assert late.cancelled()
