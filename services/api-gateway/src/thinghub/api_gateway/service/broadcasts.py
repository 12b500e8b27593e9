"""Messages to all online devices of a product: PubBroadcast."""

import base64
import binascii

from pydantic import Field

from thinghub.api_gateway.domain.topics import check_broadcast
from thinghub.api_gateway.domain.values import Broadcast, Role
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.messaging import in_instance
from thinghub.api_gateway.service.model import REST_ONLY, Name, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_PAYLOAD = 64 * 1024


class PubBroadcastRequest(Request):
    product_key: Name
    topic_full_name: Text = Field(
        "", description="/broadcast/{ProductKey}/...: to its subscribers. Absent: to every online device."
    )
    message_content: str = Field(description="Base64 of at most 64 kB.", examples=["aGVsbG8="])


class PubBroadcastResponse(Response):
    message_id: int
    sent: int = Field(json_schema_extra=REST_ONLY, description="Devices it was written to.")
    no_subscriber: int = Field(json_schema_extra=REST_ONLY, description="Online devices that did not subscribe.")
    not_sent: int = Field(alias="Failed", json_schema_extra=REST_ONLY)
    unreachable_gateways: int = Field(json_schema_extra=REST_ONLY, description="What their devices got is not known.")


async def pub_broadcast(call: Call, request: PubBroadcastRequest) -> PubBroadcastResponse:
    payload = decode(request.message_content)
    if request.topic_full_name:
        check_broadcast(request.topic_full_name, request.product_key)
    await call.owners.policies.check(request.product_key, in_instance(call))
    message_id = call.owners.message_ids.next()
    reached = await call.owners.gateways.broadcast(
        Broadcast(request.product_key, request.topic_full_name, payload, message_id)
    )
    return PubBroadcastResponse(
        message_id=message_id,
        sent=reached.sent,
        no_subscriber=reached.no_subscriber,
        not_sent=reached.failed,
        unreachable_gateways=len(reached.unreachable),
    )


def decode(text: str) -> bytes:
    """Raises Refused."""
    if len(text) > MAX_PAYLOAD * 4 // 3 + 4:
        raise _too_large()
    try:
        payload = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(
            "iot.messagebroker.MessageContentIsNotBase64Encode", "The message content is not base64."
        ) from error
    if len(payload) > MAX_PAYLOAD:
        raise _too_large()
    return payload


def _too_large() -> Refused:
    return Refused("iot.messagebroker.MessageContentIsTooLarge", f"A broadcast has at most {MAX_PAYLOAD} bytes.")


OPERATIONS = (
    Operation(
        "PubBroadcast", "Messaging", Role.OPERATOR, True, PubBroadcastRequest, PubBroadcastResponse,
        pub_broadcast, Rest("POST", "/v1/broadcasts"),
        "Sends a QoS 0 message to the online devices of a product, or to those that subscribed to a topic.",
        note="Answers once every gateway has sent it. One a second for a product, one a minute without a topic "
        "(Throttling.Api); nothing is kept for devices that are away.",
    ),
)  # fmt: skip
