"""PubBroadcast: what is refused before a gateway is asked."""

import base64
import secrets
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO = base64.b64encode(b"hello").decode()
LARGE = base64.b64encode(b"x" * 65537).decode()


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "iot.messagebroker.NullMessageContent"),
        ({"MessageContent": "no base64!"}, "iot.messagebroker.MessageContentIsNotBase64Encode"),
        (
            {"MessageContent": HELLO, "TopicFullName": "/broadcast/other/a"},
            "iot.messagebroker.InvalidFormattedTopicName",
        ),
        ({"MessageContent": HELLO, "TopicFullName": "/broadcast/{pk}/"}, "iot.messagebroker.InvalidFormattedTopicName"),
        (
            {"MessageContent": HELLO, "TopicFullName": "/broadcast/{pk}/+"},
            "iot.messagebroker.InvalidFormattedTopicName",
        ),
        ({"MessageContent": HELLO, "TopicFullName": "/sys/{pk}/d/x"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"MessageContent": HELLO, "ProductKey": "nobody"}, "iot.prod.NotExistedProduct"),
    ],
)
async def test_bad_broadcasts_are_refused(platform: "Platform", parameters: dict[str, Any], code: str) -> None:
    api = platform.api()
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    key = str(product["ProductKey"])
    given = {name: value.replace("{pk}", key) for name, value in parameters.items()}
    assert (await api.call("PubBroadcast", **{"ProductKey": key, **given}))["Code"] == code


async def test_a_broadcast_has_at_most_64_kilobytes(platform: "Platform") -> None:
    body = {"ProductKey": "any", "MessageContent": LARGE}
    refused = await platform.api().rest("POST", "/v1/broadcasts", json=body)
    assert (refused.status_code, "MessageContentIsTooLarge" in refused.text) == (413, True)


async def test_the_counts_are_on_the_rest_face_and_the_message_id_on_both(platform: "Platform") -> None:
    api = platform.api()
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    body = {"ProductKey": product["ProductKey"], "MessageContent": HELLO}
    sent = await api.ok("PubBroadcast", **body)
    assert set(sent) - {"RequestId", "Success", "Code", "ErrorMessage"} == {"MessageId"}
    (asked,) = platform.gateways.broadcasts
    assert (asked.product_key, asked.topic, asked.payload) == (product["ProductKey"], "", b"hello")
    assert asked.message_id == sent["MessageId"] > 0
    answer = (await api.rest("POST", "/v1/broadcasts", json=body)).json()
    assert (answer["Sent"], answer["NoSubscriber"], answer["Failed"], answer["UnreachableGateways"]) == (3, 2, 1, 1)
