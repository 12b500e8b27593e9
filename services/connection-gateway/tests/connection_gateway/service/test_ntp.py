"""The gateway answers what time it is."""

import json
import time

import pytest

from tests.support.gateways import Hub
from thinghub.connection_gateway.service.ntp import device_time


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_a_device_is_told_the_time_without_subscribing(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    base = f"/ext/ntp/{identity.product_key}/{identity.device_name}"
    for qos in (0, 1):
        before = now_ms()
        device.publish(f"{base}/request", b'{"deviceSendTime":"1571724098000"}', qos=qos)
        answer = await device.receive()
        assert (answer.topic, answer.qos) == (f"{base}/response", qos)
        times = json.loads(answer.payload)
        assert set(times) == {"deviceSendTime", "serverRecvTime", "serverSendTime"}
        assert times["deviceSendTime"] == "1571724098000"
        assert before - 1 <= int(times["serverRecvTime"]) <= int(times["serverSendTime"]) <= now_ms() + 1


async def test_what_is_no_question_gets_no_answer_and_the_next_one_does(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    topic = f"/ext/ntp/{identity.product_key}/{identity.device_name}/request"
    for payload in (b"", b"[]", b"\xff", b"{}", b'{"deviceSendTime":null}', b"[" * 500, b" " * 10_000):
        device.publish(topic, payload)
    device.publish(topic, b'{"deviceSendTime":17}')
    assert json.loads((await device.receive()).payload)["deviceSendTime"] == "17"
    assert device.inbox.empty()


@pytest.mark.parametrize(
    ("payload", "time_text"),
    [
        (b'{"deviceSendTime":"1571724098000"}', "1571724098000"),
        (b'{"deviceSendTime":1571724098000}', "1571724098000"),
        (b'{"deviceSendTime":1571724098000.50}', "1571724098000.50"),
        (b'{"deviceSendTime":"' + b"1" * 65 + b'"}', None),
        (b'{"deviceSendTime":true}', None),
    ],
)
def test_the_devices_time_is_echoed_as_it_was_written(payload: bytes, time_text: str | None) -> None:
    assert device_time(payload) == time_text
