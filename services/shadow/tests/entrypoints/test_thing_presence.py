import json

from tests.support.shadow_things import GATEWAY, NOW_MS, SUB, ThingBench
from thinghub.common.bus.port import BusRecord
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bodies import lifecycle_topic
from thinghub.device_protocol.records import Message, encode_record
from thinghub.shadow.entrypoints.thing_presence import ThingsDeleted
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.service.document_observation import DocumentObservation


def record(*messages: Message) -> BusRecord:
    return BusRecord("device.lifecycle", 0, 1, b"", encode_record("", list(messages)), NOW_MS)


def said(device: Device, action: object, received_ms: int, number: int = 1) -> Message:
    payload = action if isinstance(action, bytes) else json.dumps({"action": action}).encode()
    return Message(
        id=number, product_key=device.product_key, device_name=device.device_name, topic=lifecycle_topic(*device),
        payload=payload, received_ms=received_ms,
    )  # fmt: skip


async def test_a_device_made_anew_under_the_name_begins_with_nothing(things: ThingBench) -> None:
    runtime = Runtime.for_tests("shadow")
    observation = DocumentObservation(runtime.metrics, runtime.tracing)
    deleted = ThingsDeleted([things.desired.forget, things.relayed.forget], observation)
    for device, items in ((GATEWAY, {"Load": 1}), (SUB, {"Temp": 1})):
        await things.post("thing/event/property/post", items, device)
        await things.desired.set(device, json.dumps(items), "")
        things.kept.sent.clear()
    await deleted([record(said(GATEWAY, "disable", NOW_MS), said(SUB, b"[]", NOW_MS), said(SUB, b"{", NOW_MS))])
    assert await things.latest(GATEWAY, "Load") == [1]
    await deleted([BusRecord("device.lifecycle", 0, 1, b"", b"\xff", NOW_MS), record(said(GATEWAY, "delete", NOW_MS))])
    assert await things.latest(GATEWAY, "Load") == [None]
    (shown,) = await things.desired.get(GATEWAY, ["Load"], "")
    assert shown.desired.version == 0
    assert await things.latest(SUB, "Temp") == [1]
