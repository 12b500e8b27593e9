"""Support: why a device does not work. REST only; the public contract has no such action."""

import time
from typing import Literal

from pydantic import Field

from thinghub.api_gateway.domain.support import Attempt, AttemptKind, Claim, Conclusion, Known, SampledMessage, conclude
from thinghub.api_gateway.domain.times import utc
from thinghub.api_gateway.domain.values import Device, DeviceId, DeviceRef, LimitMode, Limits, Policy, Role
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.model import Members, Name, Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.common.errors import Fault, RemoteFault, Unavailable

KindName = Literal["accepted", "refused", "closed"]
_KIND_NAMES: dict[AttemptKind, KindName] = {
    AttemptKind.ACCEPTED: "accepted",
    AttemptKind.REFUSED: "refused",
    AttemptKind.CLOSED: "closed",
}


class ExplainDeviceRequest(Request):
    product_key: Name
    device_name: Name


class ExplainedDevice(Members):
    """What the registry says."""

    iot_id: str
    nickname: str | None = None
    product_name: str
    disabled: bool
    activated: bool = Field(description="It was online at least once.")
    utc_create: str | None = None
    utc_active: str | None = None
    utc_online: str | None = None


class ExplainedSession(Members):
    online: bool
    gateway: str | None = Field(None, description="The gateway process (its incarnation).")
    gateway_address: str | None = None
    gateway_alive: bool | None = Field(None, description="false: the gateway is gone, and the device with it.")
    utc_connected: str | None = None
    client_address: str | None = None
    clean: bool | None = None
    epoch: int | None = None
    barred_seconds: int = Field(0, description="For so long connects are refused whatever they prove.")


class ExplainedAttempt(Members):
    """A connect, or the end of a session."""

    kind: KindName
    reason: str | None = None
    meaning: str
    advice: str | None = None
    client_address: str
    gateway_address: str
    utc_time: str | None


class ExplainedLimits(Members):
    """In force for each device of the product, a second."""

    mode: Literal["enforce", "observe"]
    up_qos0_per_second: int
    up_qos1_per_second: int
    down_per_second: int
    bytes_per_second: int
    subscriptions: int
    over_quota: Literal["delayed", "dropped"] = Field(description="What becomes of QoS 1 over quota.")


class ExplainedMessage(Members):
    topic: str
    size: int
    qos: int
    message_id: str
    trace_id: str
    utc_time: str | None


class ExplainDeviceResponse(Response):
    product_key: str
    device_name: str
    healthy: bool
    cause: str = Field(description="A word for programs, as online, refused, closed, disabled, not_registered.")
    conclusion: str
    device: ExplainedDevice | None = None
    session: ExplainedSession | None = None
    attempts: list[ExplainedAttempt] = Field(description="The last ones, newest first.")
    last_close: ExplainedAttempt | None = None
    limits: ExplainedLimits
    messages: list[ExplainedMessage] = Field(description="The last sampled ones, newest first; never a payload.")
    sampled_every: int | None = Field(None, description="One message in so many; 0: none is sampled.")
    away: list[str] = Field(description="Parts of the platform that did not answer.")


async def explain_device(call: Call, request: ExplainDeviceRequest) -> ExplainDeviceResponse:
    name = DeviceId(request.product_key, request.device_name)
    policy = await call.owners.products.policy(name.product_key)
    if not policy.found or (call.instance_id and policy.instance_id != call.instance_id):
        raise Refused("iot.prod.NotExistedProduct", f"There is no product {name.product_key}.")
    away: list[str] = []
    device = await _registered(call, name, away)
    known = await _known(call, name, away)
    now_ms = time.time_ns() // 1_000_000
    return _answer(name, device, policy, known, away, conclude(name, device, known, now_ms, "device-registry" in away))


async def _registered(call: Call, name: DeviceId, away: list[str]) -> Device | None:
    try:
        (device,) = await call.owners.devices.get(call.instance_id, [DeviceRef(name)], False)
    except Fault as fault:
        _note_away(fault, "device-registry", away)
        return None
    return device


async def _known(call: Call, name: DeviceId, away: list[str]) -> Known | None:
    try:
        (known,) = await call.owners.gateways.explain([name])
    except Fault as fault:
        _note_away(fault, "connection-gateway", away)
        return None
    return known


def _note_away(fault: Fault, part: str, away: list[str]) -> None:
    """Half an answer is worth giving when the other half cannot be had."""
    if not (isinstance(fault, Unavailable) or (isinstance(fault, RemoteFault) and fault.kind == "Unavailable")):
        raise fault
    away.append(part)


def _answer(
    name: DeviceId,
    device: Device | None,
    policy: Policy,
    known: Known | None,
    away: list[str],
    conclusion: Conclusion,
) -> ExplainDeviceResponse:
    last_close = known.last_close if known else None
    return ExplainDeviceResponse(
        product_key=name.product_key,
        device_name=name.device_name,
        healthy=conclusion.healthy,
        cause=conclusion.cause,
        conclusion=conclusion.sentence,
        device=_device(device) if device else None,
        session=_session(known.session, known) if known else None,
        attempts=[_attempt(one) for one in known.attempts] if known else [],
        last_close=_attempt(last_close) if last_close else None,
        limits=_limits(policy.limits),
        messages=[_message(one) for one in known.messages] if known else [],
        sampled_every=known.sampled_every if known else None,
        away=away,
    )


def _device(device: Device) -> ExplainedDevice:
    return ExplainedDevice(
        iot_id=device.iot_id,
        nickname=device.nickname or None,
        product_name=device.product_name,
        disabled=device.disabled,
        activated=device.activated_ms > 0,
        utc_create=utc(device.created_ms),
        utc_active=utc(device.activated_ms),
        utc_online=utc(device.last_online_ms),
    )


def _session(claim: Claim, known: Known) -> ExplainedSession:
    barred = -(-known.barred_ms // 1000)
    if not claim.online:
        return ExplainedSession(online=False, barred_seconds=barred)
    return ExplainedSession(
        online=known.gateway_alive,
        gateway=claim.gateway,
        gateway_address=claim.gateway_address,
        gateway_alive=known.gateway_alive,
        utc_connected=utc(claim.connected_ms),
        client_address=claim.client_address,
        clean=claim.clean,
        epoch=claim.epoch,
        barred_seconds=barred,
    )


def _attempt(attempt: Attempt) -> ExplainedAttempt:
    return ExplainedAttempt(
        kind=_KIND_NAMES[attempt.kind],
        reason=attempt.reason or None,
        meaning=attempt.meaning,
        advice=attempt.advice or None,
        client_address=attempt.client_address,
        gateway_address=attempt.gateway_address,
        utc_time=utc(attempt.time_ms),
    )


def _limits(limits: Limits) -> ExplainedLimits:
    return ExplainedLimits(
        mode="observe" if limits.mode is LimitMode.OBSERVE else "enforce",
        up_qos0_per_second=limits.up_qos0_per_second,
        up_qos1_per_second=limits.up_qos1_per_second,
        down_per_second=limits.down_per_second,
        bytes_per_second=limits.bytes_per_second,
        subscriptions=limits.subscriptions,
        over_quota="dropped" if limits.drop_qos1 else "delayed",
    )


def _message(message: SampledMessage) -> ExplainedMessage:
    """A traceparent is 00-trace-span-flags; an id is text because it is beyond what JSON readers keep exact."""
    return ExplainedMessage(
        topic=message.topic,
        size=message.size,
        qos=message.qos,
        message_id=str(message.message_id),
        trace_id=message.traceparent[3:35],
        utc_time=utc(message.received_ms),
    )


OPERATIONS = (
    Operation(
        "ExplainDevice", "Support", Role.READER, False, ExplainDeviceRequest, ExplainDeviceResponse,
        explain_device, Rest("GET", "/v1/products/{ProductKey}/devices/{DeviceName}/why"),
        "Says why a device does, or does not, work.", rpc=False,
        note="A device that is not registered is explained too: connects under its name may be remembered. What a "
        "part that is away would say is left out, and the part named in Away. Remembered are the last 10 refusals "
        "(a day; an hour where anybody could have caused them), the last 20 connects and closes (a week) and the last "
        "10 sampled messages (a day), as far as each gateway's allowance goes.",
    ),
)  # fmt: skip
