"""The answer of ExplainDevice: its members, and how what is known becomes them."""

from typing import Literal

from pydantic import Field

from thinghub.api_gateway.domain.support import (
    Attempt,
    AttemptKind,
    Away,
    Claim,
    Conclusion,
    Known,
    Live,
    Parent,
    SampledMessage,
)
from thinghub.api_gateway.domain.times import utc
from thinghub.api_gateway.domain.values import Device, DeviceId, LimitMode, Limits, Policy
from thinghub.api_gateway.service.model import Members, Response
from thinghub.api_gateway.service.rotations import RotationInfo

KindName = Literal["accepted", "refused", "closed"]
_KIND_NAMES: dict[AttemptKind, KindName] = {
    AttemptKind.ACCEPTED: "accepted",
    AttemptKind.REFUSED: "refused",
    AttemptKind.CLOSED: "closed",
}


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


class ExplainedGatewayDevice(Members):
    """The gateway device that a sub-device stands behind, by the topology."""

    product_key: str
    device_name: str
    online: bool


class ExplainedTraffic(Members):
    """What the session did since it began, as the gateway that holds it counts."""

    messages_up: int = Field(description="Published and not refused.")
    messages_down: int
    refused_for_permission: int = Field(description="Publishes that were dropped: topics it may not use.")
    refused_for_quota: int = Field(description="Publishes that were dropped: over its limits.")
    quota_delays: int = Field(description="How often its connection was not read for a while.")
    in_flight: int = Field(description="QoS 1 messages to it that it has not acknowledged.")
    queued: int = Field(description="Those that wait behind them.")
    keep_alive_seconds: int
    last_packet_seconds_ago: int
    unsent_bytes: int
    sub_devices: int = Field(description="Online over its connection.")
    subscriptions: list[str] = Field(description="At most 100.")
    behind_product_key: str | None = Field(None, description="Gateway device whose connection carries it.")
    behind_device_name: str | None = None


class ExplainedAway(Members):
    part: str
    why: str


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
    gateway_device: ExplainedGatewayDevice | None = None
    secret_rotation: RotationInfo | None = Field(None, description="Where the device's secret is a rotated one.")
    session: ExplainedSession | None = None
    traffic: ExplainedTraffic | None = None
    attempts: list[ExplainedAttempt] = Field(description="The last ones, newest first.")
    last_close: ExplainedAttempt | None = None
    limits: ExplainedLimits
    messages: list[ExplainedMessage] = Field(description="The last sampled ones, newest first; never a payload.")
    sampled_every: int | None = Field(None, description="One message in so many; 0: none is sampled.")
    away: list[ExplainedAway] = Field(description="Parts of the platform that did not answer.")


def explanation(
    name: DeviceId,
    device: Device | None,
    policy: Policy,
    known: Known | None,
    away: list[Away],
    conclusion: Conclusion,
    parent: Parent | None,
    rotation: RotationInfo | None,
) -> ExplainDeviceResponse:
    last_close = known.last_close if known else None
    return ExplainDeviceResponse(
        product_key=name.product_key,
        device_name=name.device_name,
        healthy=conclusion.healthy,
        cause=conclusion.cause,
        conclusion=conclusion.sentence,
        device=_device(device) if device else None,
        gateway_device=_gateway_device(parent) if parent else None,
        secret_rotation=rotation,
        session=_session(known.session, known) if known else None,
        traffic=_traffic(known.live) if known and known.live else None,
        attempts=[_attempt(one) for one in known.attempts] if known else [],
        last_close=_attempt(last_close) if last_close else None,
        limits=_limits(policy.limits),
        messages=[_message(one) for one in known.messages] if known else [],
        sampled_every=known.sampled_every if known else None,
        away=[ExplainedAway(part=one.part, why=one.why) for one in away],
    )


def _gateway_device(parent: Parent) -> ExplainedGatewayDevice:
    return ExplainedGatewayDevice(
        product_key=parent.device.product_key, device_name=parent.device.device_name, online=parent.online
    )


def _traffic(live: Live) -> ExplainedTraffic:
    return ExplainedTraffic(
        messages_up=live.messages_up,
        messages_down=live.messages_down,
        refused_for_permission=live.refused_permission,
        refused_for_quota=live.refused_quota,
        quota_delays=live.quota_delays,
        in_flight=live.in_flight,
        queued=live.queued,
        keep_alive_seconds=live.keep_alive_s,
        last_packet_seconds_ago=live.last_packet_ms_ago // 1000,
        unsent_bytes=live.out_buffer,
        sub_devices=live.sub_devices,
        subscriptions=list(live.subscriptions),
        behind_product_key=live.behind.product_key if live.behind else None,
        behind_device_name=live.behind.device_name if live.behind else None,
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
