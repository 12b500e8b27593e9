"""Applying a batch in rounds has the same effect as applying its changes one by one."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.bodies import lifecycle_body, lifecycle_topic, status_body, status_topic
from thinghub.device_protocol.records import Message
from thinghub.device_registry.domain.devices import DeviceId, DeviceStatus
from thinghub.device_registry.domain.status import NotAStatus, StatusChange, read_status, rounds

DEVICE = DeviceId("a1pk", "dev1")


def message(status: str = "online", epoch: int = 5, payload: bytes | None = None, topic: str = "") -> Message:
    body = status_body(
        status,  # type: ignore[arg-type]  # wrong ones are tested too
        product_key="a1pk",
        device_name="dev1",
        iot_id="iot1",
        time_ms=1000,
        last_ms=990,
        client_ip="203.0.113.7",
    )
    topic = topic or status_topic("a1pk", "dev1")
    return Message(1, "a1pk", "dev1", topic, body if payload is None else payload, epoch, received_ms=1000)


def test_statuses_are_read_and_other_messages_passed_over() -> None:
    assert read_status(message()) == StatusChange(DEVICE, True, 5, 1000, "203.0.113.7")
    assert read_status(message("offline")) == StatusChange(DEVICE, False, 5, 0, "203.0.113.7")
    created = lifecycle_body("create", product_key="a1pk", device_name="dev1", iot_id="iot1", time_ms=1)
    assert read_status(message(payload=created, topic=lifecycle_topic("a1pk", "dev1"))) is None


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"1", b"{}", orjson.dumps({"status": "sleeping"}), b'{"status":[]}']
)
def test_a_body_that_is_no_status_is_said_so(payload: bytes) -> None:
    with pytest.raises(NotAStatus):
        read_status(message(payload=payload))


def test_a_status_without_an_epoch_is_said_so() -> None:
    with pytest.raises(NotAStatus):
        read_status(message(epoch=0))


def apply(stored: DeviceStatus, changes: list[StatusChange]) -> DeviceStatus:
    """What the store does, change by change."""
    for change in changes:
        newer = change.epoch > stored.epoch
        if not (newer or (change.epoch == stored.epoch and not change.online)):
            continue
        stored = DeviceStatus(
            change.online,
            stored.activated_ms or (change.online_ms if newer else 0),
            change.online_ms if newer and change.online_ms else stored.last_online_ms,
            change.client_address,
            change.epoch,
        )
    return stored


def in_rounds(stored: DeviceStatus, changes: list[StatusChange]) -> DeviceStatus:
    for one in rounds(changes):
        stored = apply(stored, one)
    return stored


def session(epoch: int) -> list[StatusChange]:
    """Comes and goes."""
    address = f"10.0.0.{epoch}"
    return [StatusChange(DEVICE, True, epoch, epoch * 10, address), StatusChange(DEVICE, False, epoch, 0, address)]


EVENTS = [change for epoch in range(1, 6) for change in session(epoch)]
# Registered anew after a session of epoch 2: the epoch is kept, the rest forgotten.
STARTS = [DeviceStatus(), DeviceStatus(epoch=2), DeviceStatus(True, 10, 10, "10.0.0.1", 1)]


@given(st.sampled_from(STARTS), st.lists(st.sampled_from(EVENTS), max_size=15), st.integers(0, 15))
def test_rounds_end_as_one_by_one_however_the_history_is_cut(
    start: DeviceStatus, history: list[StatusChange], cut: int
) -> None:
    # An offline that comes without its online, and the online later, is no history of the bus: keep those in order.
    history = [one for at, one in enumerate(history) if one.online or EVENTS[EVENTS.index(one) - 1] in history[:at]]
    assert in_rounds(in_rounds(start, history[:cut]), history[cut:]) == apply(start, history)


@given(st.sampled_from(STARTS), st.lists(st.integers(1, 5), max_size=5, unique=True).map(sorted), st.data())
def test_replays_change_nothing(start: DeviceStatus, epochs: list[int], data: st.DataObject) -> None:
    history = [one for epoch in epochs for one in session(epoch)]
    once = again = in_rounds(start, history)
    for _ in range(3):
        again = in_rounds(again, history[data.draw(st.integers(0, len(history))) :])
    assert again == once


def test_the_first_session_activates_and_the_last_is_remembered() -> None:
    history = [one for epoch in (1, 3, 4) for one in session(epoch)]
    assert in_rounds(DeviceStatus(), history) == DeviceStatus(False, 10, 40, "10.0.0.4", 4)


def test_a_round_has_each_device_once_and_sorted() -> None:
    other = StatusChange(DeviceId("a1pk", "dev0"), True, 9, 1, "")
    made = rounds([*session(1), other, *session(2)])
    assert [[(one.device.device_name, one.epoch) for one in turn] for turn in made] == [
        [("dev0", 9), ("dev1", 1)],
        [("dev1", 2)],
    ]
    assert rounds([]) == []
