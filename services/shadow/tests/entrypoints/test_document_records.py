"""Bus records to documents: who came online, who was deleted, what is no record."""

import json

import pytest

from tests.support.shadow_documents import NOW_MS, Bench, MakeBench, message, update, wish
from thinghub.common.bus.port import BusRecord
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bodies import lifecycle_body, lifecycle_topic, status_body, status_topic
from thinghub.device_protocol.records import Message, RecordFormatError, encode_record
from thinghub.shadow.entrypoints.documents import DocumentMessages, DocumentPresence
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.service.document_observation import DocumentObservation
from thinghubpb.bus.v1 import record_pb2

D1, D2 = Device("a1pk", "d1"), Device("a1pk", "d2")
EPOCH = NOW_MS * 1000


def observation() -> DocumentObservation:
    runtime = Runtime.for_tests("shadow")
    return DocumentObservation(runtime.metrics, runtime.tracing)


def record(*messages: Message, value: bytes = b"") -> BusRecord:
    return BusRecord("device.lifecycle", 0, 1, b"", value or encode_record("gateway1", messages), 0)


def status(device: Device, word: str) -> Message:
    product_key, device_name = device
    body = status_body(
        "online" if word == "online" else "offline",
        product_key=product_key,
        device_name=device_name,
        iot_id="i",
        time_ms=NOW_MS,
        last_ms=NOW_MS,
        client_ip="10.0.0.1",
    )
    return Message(1, product_key, device_name, status_topic(product_key, device_name), body, EPOCH)


def deleted(device: Device, at_ms: int) -> Message:
    product_key, device_name = device
    body = lifecycle_body("delete", product_key=product_key, device_name=device_name, iot_id="i", time_ms=at_ms)
    topic = lifecycle_topic(product_key, device_name)
    return Message(1, product_key, device_name, topic, body, received_ms=at_ms)


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


async def test_who_came_online_is_told_and_who_has_left_again_is_not(bench: Bench) -> None:
    for device in (D1, D2):
        await bench.documents.update(device, wish(1), True)
    bench.sent.take()
    presence = DocumentPresence(bench.documents, observation())
    await presence([record(status(D1, "online"), status(D2, "online")), record(status(D2, "offline"))])
    assert [one.device for one in bench.sent.messages] == [D1]


async def test_a_deletion_empties_the_document_and_not_that_of_the_next_device_of_the_name(bench: Bench) -> None:
    presence = DocumentPresence(bench.documents, observation())
    await bench.documents.handle([message(D1, update(1), 1, EPOCH), message(D2, update(1), 1, EPOCH + 5_000_000)])
    await presence([record(deleted(D1, NOW_MS + 1000), deleted(D2, NOW_MS + 1000))])
    assert (await bench.version(D1), await bench.version(D2)) == (0, 1)


async def test_what_cannot_be_read_is_passed_over_and_the_rest_goes_on(bench: Bench) -> None:
    await bench.documents.update(D1, wish(1), True)
    bench.sent.take()
    broken = [
        Message(1, *D2, status_topic(*D2), b"{", EPOCH),
        Message(1, *D2, status_topic(*D2), b"[1]", EPOCH),
        Message(1, *D2, lifecycle_topic(*D2), b"null"),
        Message(1, *D2, "/elsewhere", b"{}"),
    ]
    presence = DocumentPresence(bench.documents, observation())
    await presence([record(value=b"\xff no record"), record(*broken), record(status(D1, "online"))])
    assert len(bench.sent.messages) == 1
    messages = DocumentMessages(bench.documents, observation())
    good = Message(1, *D1, "/shadow/update/a1pk/d1", json.dumps(update(5)).encode(), EPOCH, 1)
    await messages([record(value=b"\xff no record"), record(good)])
    assert await bench.version(D1) == 5


async def test_a_record_of_a_newer_release_waits_for_it(bench: Bench) -> None:
    newer = record_pb2.Record(format=99).SerializeToString()
    with pytest.raises(RecordFormatError):
        await DocumentMessages(bench.documents, observation())([record(value=newer)])


async def test_many_records_are_handled_in_portions(bench: Bench) -> None:
    def one(number: int) -> Message:
        return Message(number, "a1pk", f"d{number}", "/shadow/update", json.dumps(update(1)).encode(), EPOCH, 1)

    records = [record(*(one(1 + start + number) for number in range(400))) for start in range(0, 2400, 400)]
    await DocumentMessages(bench.documents, observation())(records)
    held = await bench.store.read([Device("a1pk", f"d{number}") for number in range(1, 2401)])
    assert {one.shadow.version for one in held} == {1}
    assert len(bench.sent.messages) == 2400
