"""ExplainDevice: what each part says in one answer, who may ask, and what is said while a part is away."""

import secrets
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import Key, OpenApi
from thinghubpb.device.v1.device_pb2 import DeviceId
from thinghubpb.gateway.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


async def made_device(api: OpenApi) -> tuple[str, str]:
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    name = f"d_{secrets.token_hex(4)}"
    await api.ok("RegisterDevice", ProductKey=product["ProductKey"], DeviceName=name)
    return str(product["ProductKey"]), name


def path(product_key: str, device_name: str) -> str:
    return f"/v1/products/{product_key}/devices/{device_name}/why"


def refused(ms: int) -> pb.Attempt:
    return pb.Attempt(
        kind=pb.Attempt.KIND_REFUSED, reason="bad_signature", meaning="wrong signature", advice="Re-flash it.",
        client_address="10.0.0.7:4711", gateway_address="gw:9103", time_ms=ms,
    )  # fmt: skip


async def test_a_device_is_explained_by_what_every_part_says(platform: "Platform") -> None:
    product_key, name = await made_device(platform.api())
    await platform.rest("PUT", f"/v1/products/{product_key}/limits", json={"UpQos1PerSecond": 7, "DropQos1": True})
    now = time.time_ns() // 1_000_000
    closed = pb.Attempt(
        kind=pb.Attempt.KIND_CLOSED, reason="eof", meaning="closed", client_address="10.0.0.7:1", time_ms=now - 9000
    )
    message = pb.SampledMessage(topic=f"/{product_key}/{name}/user/update", size=12, qos=1, received_ms=now,
                                message_id=2**62 + 1, traceparent=TRACE)  # fmt: skip
    platform.gateways.known[name] = pb.Explanation(
        session=pb.Session(), barred_ms=1500, attempts=[refused(now), refused(now - 1), closed], messages=[message]
    )
    platform.gateways.sampled_every = 10
    answer = await platform.rest("GET", path(product_key, name))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["Healthy"], body["Cause"]) == (False, "refused")
    assert body["Conclusion"].startswith("Its last 2 connects were refused: wrong signature, from 10.0.0.7 ")
    assert (body["Device"]["Disabled"], body["Device"]["Activated"]) == (False, False)
    assert body["Session"] == {"Online": False, "BarredSeconds": 2}
    assert [one["Kind"] for one in body["Attempts"]] == ["refused", "refused", "closed"]
    assert body["LastClose"]["Reason"] == "eof"
    assert (body["Limits"]["UpQos1PerSecond"], body["Limits"]["UpQos0PerSecond"]) == (7, 30)
    assert (body["Limits"]["Mode"], body["Limits"]["OverQuota"]) == ("enforce", "dropped")
    assert body["Messages"][0]["TraceId"] == "0123456789abcdef0123456789abcdef"
    assert body["Messages"][0]["MessageId"] == str(2**62 + 1)
    assert (body["SampledEvery"], body["Away"]) == (10, [])


async def test_an_online_device_is_told_with_its_gateway(platform: "Platform") -> None:
    product_key, name = await made_device(platform.api())
    session = pb.Session(
        online=True, gateway="inc", gateway_address="gw:9103", epoch=7, clean=True, connected_ms=1000,
        client_address="10.0.0.7:4711",
    )  # fmt: skip
    live = pb.LiveSession(
        messages_up=5, quota_delays=2, subscriptions=["/a/b"], keep_alive_s=60, last_packet_ms_ago=2500,
        behind=DeviceId(product_key="pk", device_name="hub"),
    )  # fmt: skip
    platform.gateways.known[name] = pb.Explanation(session=session, gateway_alive=True, live=live)
    body = (await platform.rest("GET", path(product_key, name))).json()
    assert (body["Healthy"], body["Cause"]) == (True, "online")
    assert body["Session"] == {
        "Online": True, "Gateway": "inc", "GatewayAddress": "gw:9103", "GatewayAlive": True, "Clean": True,
        "UtcConnected": "1970-01-01T00:00:01.000Z", "ClientAddress": "10.0.0.7:4711", "Epoch": 7, "BarredSeconds": 0,
    }  # fmt: skip
    assert body["Traffic"] == {
        "MessagesUp": 5, "MessagesDown": 0, "RefusedForPermission": 0, "RefusedForQuota": 0, "QuotaDelays": 2,
        "InFlight": 0, "Queued": 0, "KeepAliveSeconds": 60, "LastPacketSecondsAgo": 2, "UnsentBytes": 0,
        "SubDevices": 0, "Subscriptions": ["/a/b"], "BehindProductKey": "pk", "BehindDeviceName": "hub",
    }  # fmt: skip


async def test_names_that_are_not_registered_are_explained_when_their_product_is(platform: "Platform") -> None:
    product_key, name = await made_device(platform.api())
    platform.gateways.known["nobody"] = pb.Explanation(attempts=[refused(time.time_ns() // 1_000_000)])
    body = (await platform.rest("GET", path(product_key, "nobody"))).json()
    assert body["Cause"] == "not_registered"
    assert "10.0.0.7" in body["Conclusion"]
    assert "Device" not in body
    answer = await platform.rest("GET", path("a1nothing", name))
    assert (answer.status_code, answer.json()["code"]) == (404, "iot.prod.NotExistedProduct")


async def test_while_no_gateway_answers_the_registry_alone_does(platform: "Platform") -> None:
    product_key, name = await made_device(platform.api())
    platform.gateways.away = True
    body = (await platform.rest("GET", path(product_key, name))).json()
    assert body["Cause"] == "gateways_away"
    assert body["Away"] == [{"Part": "connection-gateway", "Why": "no gateway"}]
    assert "Session" not in body
    assert body["Attempts"] == []
    platform.gateways.away = False
    await platform.api().ok("DisableThing", ProductKey=product_key, DeviceName=name)
    platform.gateways.away = True
    assert (await platform.rest("GET", path(product_key, name))).json()["Cause"] == "disabled"


async def test_a_reader_may_ask_a_stranger_may_not_and_no_secret_is_told(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    detail = await api.ok("QueryDeviceDetail", ProductKey=product_key, DeviceName=name)
    made = (await platform.rest("POST", "/v1/access-keys", json={"Role": "reader"})).json()
    for key in (platform.key, Key(made["AccessKeyId"], made["AccessKeySecret"])):
        answer = await platform.rest("GET", path(product_key, name), key)
        assert answer.status_code == 200
        assert detail["Data"]["DeviceSecret"] not in answer.text
        assert "Secret" not in answer.text
    bound = {"Role": "reader", "BoundInstanceId": f"iot-{secrets.token_hex(4)}"}
    other = (await platform.rest("POST", "/v1/access-keys", json=bound)).json()
    answer = await platform.rest("GET", path(product_key, name), Key(other["AccessKeyId"], other["AccessKeySecret"]))
    assert (answer.status_code, answer.json()["code"]) == (404, "iot.prod.NotExistedProduct")
