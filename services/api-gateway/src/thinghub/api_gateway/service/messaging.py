"""Messages to devices: Pub and RRpc.

Pub succeeds with a MessageId once the message is queued, handed to the owner, or known to have no receiver, and fails
only when the platform could not store or forward it (invariants §2). So the registry's database is not asked before
the gateways are: who has no session is looked up afterwards, to tell an absent device from an unknown one.
"""

import base64
import binascii

from pydantic import Field

from thinghub.api_gateway.domain.topics import check_subscribable, device_and_short_name
from thinghub.api_gateway.domain.values import DeviceId, DeviceRef, Downlink, Outcome, Policy, Reply, ReplyCode, Role
from thinghub.api_gateway.errors import Refused, invalid
from thinghub.api_gateway.service.model import REST_ONLY, Members, Name, Request, Response, Text, Topic
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.policies import Check
from thinghub.common.errors import Fault, RemoteFault, Unavailable

MAX_PAYLOAD = 256 * 1024
MAX_WAIT_MS = 10_000
MIN_RRPC_MS, MAX_RRPC_MS = 1000, 8000
RRPC_NAMES = {
    ReplyCode.SUCCESS: "SUCCESS",
    ReplyCode.TIMEOUT: "TIMEOUT",
    ReplyCode.OFFLINE: "OFFLINE",
    ReplyCode.HALFCONN: "HALFCONN",
}
RRPC_FAILURES = {
    "TIMEOUT": ("iot.messagebroker.TIMEOUT", "The device did not answer in time."),
    "OFFLINE": ("iot.messagebroker.OFFLINE", "The device is offline."),
    "HALFCONN": (
        "iot.messagebroker.HALFCONN",
        "The device did not acknowledge the request; its connection may be dead.",
    ),
    "UNKNOW": ("iot.messagebroker.RrpcFailed", "The platform could not forward the request."),
}


class UserProperty(Members):
    key: Text = ""
    value: Text = ""


class PubRequest(Request):
    product_key: Name
    topic_full_name: Topic = Field(examples=["/a1B2c3D4e5F/dev1/user/get"])
    message_content: str = Field("", description="Base64 of at most 256 kB.", examples=["aGVsbG8="])
    qos: int = Field(0, description="0 or 1.")
    device_name: Text = Field("", description="When given, the topic's own device name must be the same.")
    message_expiry_interval: int = Field(0, ge=0, le=604_800, description="Seconds the message stays worth delivering.")
    user_prop: list[UserProperty] = Field(
        default_factory=list, description="Accepted; devices of MQTT 3.1.1 do not receive it."
    )
    wait_ms: int = Field(
        0, ge=0, le=MAX_WAIT_MS, json_schema_extra=REST_ONLY, description="Time to wait for a QoS 1 acknowledgement."
    )


class PubResponse(Response):
    message_id: str
    outcome: str = Field(
        json_schema_extra=REST_ONLY,
        description="delivered, sent, queued, displaced (queued; the oldest of a full queue gave way), no_subscriber, "
        "offline, timeout or expired.",
    )


class RRpcRequest(Request):
    product_key: Name
    device_name: Name
    request_base64_byte: str = Field(description="Base64 of at most 256 kB.", examples=["cGluZw=="])
    timeout: int = Field(description="Milliseconds, 1000 to 8000.", examples=[5000])
    topic: Text = Field("", description="Custom RRPC: the topic below /ext/rrpc/{id}. Absent: the system topic.")


class RRpcResponse(Response):
    rrpc_code: str = Field(description="SUCCESS, TIMEOUT, OFFLINE, HALFCONN or UNKNOW.")
    message_id: int | None = None
    payload_base64_byte: str | None = None


async def pub(call: Call, request: PubRequest) -> PubResponse:
    payload = decode_payload(request.message_content)
    if request.qos not in (0, 1):
        raise invalid("Qos", "it is 0 or 1")
    device_name, short_name = device_and_short_name(request.topic_full_name, request.product_key)
    if request.device_name and request.device_name != device_name:
        raise Refused("iot.messagebroker.InvalidFormattedTopicName", "The topic belongs to another device.")

    def allowed(policy: Policy) -> None:
        in_instance(call)(policy)
        check_subscribable(request.topic_full_name, short_name, policy.topic_classes)

    await call.owners.policies.check(request.product_key, allowed)
    message = Downlink(
        DeviceId(request.product_key, device_name), request.topic_full_name, payload, request.qos,
        call.owners.message_ids.next(), request.message_expiry_interval * 1000,
    )  # fmt: skip
    (outcome,) = await call.owners.gateways.deliver([message], request.wait_ms if request.qos else 0)
    if outcome in (Outcome.FAILED, Outcome.UNSPECIFIED):
        raise Refused("iot.messagebroker.PublishMessageFailed", "The platform could not forward the message.")
    if outcome is Outcome.OFFLINE:
        await check_exists(call, message.device)
    return PubResponse(message_id=str(message.message_id), outcome=outcome.name.lower())


async def rrpc(call: Call, request: RRpcRequest) -> RRpcResponse:
    payload = decode_payload(request.request_base64_byte)
    if not MIN_RRPC_MS <= request.timeout <= MAX_RRPC_MS:
        raise Refused("iot.messagebroker.InvalidTimeoutValue", f"Timeout is {MIN_RRPC_MS} to {MAX_RRPC_MS} ms.")
    if request.topic and (not request.topic.startswith("/") or any(mark in request.topic for mark in "+#")):
        raise Refused("iot.messagebroker.InvalidFormattedTopicName", "Topic begins with / and has no wildcard.")
    await call.owners.policies.check(request.product_key, in_instance(call))
    device = DeviceId(request.product_key, request.device_name)
    reply = await call.owners.gateways.request(device, payload, request.topic, request.timeout)
    if reply.code is ReplyCode.OFFLINE:
        await check_exists(call, device)
    return rrpc_response(reply)


def rrpc_response(reply: Reply) -> RRpcResponse:
    name = RRPC_NAMES.get(reply.code, "UNKNOW")
    response = RRpcResponse(
        rrpc_code=name,
        message_id=reply.message_id or None,
        payload_base64_byte=base64.b64encode(reply.payload).decode() if name == "SUCCESS" else None,
    )
    return response if name == "SUCCESS" else response.failed(*RRPC_FAILURES[name])


def decode_payload(text: str) -> bytes:
    """Raises Refused when the text is not base64 or the payload too large. The empty payload is allowed."""
    if len(text) > MAX_PAYLOAD * 4 // 3 + 4:
        raise Refused("iot.messagebroker.MessageContentIsTooLarge", f"A message has at most {MAX_PAYLOAD} bytes.")
    try:
        payload = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(
            "iot.messagebroker.MessageContentIsNotBase64Encode", "The message content is not base64."
        ) from error
    if len(payload) > MAX_PAYLOAD:
        raise Refused("iot.messagebroker.MessageContentIsTooLarge", f"A message has at most {MAX_PAYLOAD} bytes.")
    return payload


def in_instance(call: Call) -> Check:
    """Refuses a product that does not exist in the call's instance."""

    def check(policy: Policy) -> None:
        if not policy.found or (call.instance_id and policy.instance_id != call.instance_id):
            raise Refused("iot.prod.NotExistedProduct", "The product does not exist.")

    return check


async def check_exists(call: Call, device: DeviceId) -> None:
    """Raises Refused for a device that does not exist. A registry that is away cannot say so: then it passes."""
    try:
        (found,) = await call.owners.devices.get(call.instance_id, [DeviceRef(device)], False)
    except Fault as fault:
        if isinstance(fault, Unavailable) or (isinstance(fault, RemoteFault) and fault.kind == "Unavailable"):
            return
        raise
    if found is None:
        raise Refused("iot.device.NotExistedDevice", "The device does not exist.")


OPERATIONS = (
    Operation(
        "Pub", "Messaging", Role.OPERATOR, True, PubRequest, PubResponse,
        pub, Rest("POST", "/v1/messages", defaults={"WaitMs": 2000}), "Sends a message to a device's custom topic.",
        form=("MessageContent",),
        note="Success means queued, handed to the device's connection, or known to have no receiver; the REST face's "
        "`Outcome` tells which. The RPC face does not wait for the device's acknowledgement. With QoS 1 a device whose "
        "session is persistent (cleanSession=0) has the message queued until it acknowledges it, for 7 days or "
        "MessageExpiryInterval.",
    ),
    Operation(
        "RRpc", "Messaging", Role.OPERATOR, True, RRpcRequest, RRpcResponse,
        rrpc, Rest("POST", "/v1/products/{ProductKey}/devices/{DeviceName}/rrpc"),
        "Sends a request to a device and waits for its response.",
        form=("RequestBase64Byte",),
        note="Only RrpcCode SUCCESS is Success true. Otherwise the RPC face answers Success false with Code "
        "iot.messagebroker.TIMEOUT, OFFLINE, HALFCONN or RrpcFailed, and RrpcCode all the same, so that a caller who "
        "checks either one is not misled; the REST face answers 200 with `RrpcCode`.",
    ),
)  # fmt: skip
