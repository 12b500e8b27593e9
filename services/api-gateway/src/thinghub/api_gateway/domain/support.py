"""Why a device does not work: what is known of it, and the one sentence that follows.

The facts come from the registry and from a gateway; reasons come with their words, because whoever refused a connect or
ended a session knows best what it meant. Deciding here is only which of the facts explains the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from thinghub.api_gateway.domain.values import Device, DeviceId

# So many takeovers in so short a time are two devices with one identity, not one that moves.
FIGHTS, FIGHT_MS = 3, 600_000
REGISTRY, GATEWAYS, AUTH = "device-registry", "connection-gateway", "auth"


class AttemptKind(IntEnum):
    UNSPECIFIED = 0
    ACCEPTED = 1
    REFUSED = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class Attempt:
    """Members as in gateway.v1.Attempt."""

    kind: AttemptKind
    reason: str
    meaning: str
    advice: str
    client_address: str
    gateway_address: str
    time_ms: int

    @property
    def host(self) -> str:
        return self.client_address.rpartition(":")[0] or self.client_address


@dataclass(frozen=True, slots=True)
class SampledMessage:
    """Members as in gateway.v1.SampledMessage."""

    topic: str
    size: int
    qos: int
    received_ms: int
    message_id: int
    traceparent: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A device's presence, whole. Members as in gateway.v1.Session."""

    online: bool
    gateway: str
    gateway_address: str
    epoch: int
    clean: bool
    connected_ms: int
    client_address: str


@dataclass(frozen=True, slots=True)
class Live:
    """What its gateway counts of a session. Members as in gateway.v1.LiveSession."""

    messages_up: int
    messages_down: int
    refused_permission: int
    refused_quota: int
    quota_delays: int
    in_flight: int
    queued: int
    keep_alive_s: int
    last_packet_ms_ago: int
    out_buffer: int
    sub_devices: int
    subscriptions: Sequence[str]
    behind: DeviceId | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the gateways know. Attempts and messages are newest first; `sampled_every` 0: no message is sampled; `live`
    None: there is no session, or its gateway did not answer."""

    session: Claim
    gateway_alive: bool
    barred_ms: int
    attempts: Sequence[Attempt]
    messages: Sequence[SampledMessage]
    sampled_every: int
    live: Live | None = None

    @property
    def last_close(self) -> Attempt | None:
        return next((one for one in self.attempts if one.kind is AttemptKind.CLOSED), None)


@dataclass(frozen=True, slots=True)
class Parent:
    """The gateway device that a sub-device stands behind."""

    device: DeviceId
    online: bool


@dataclass(frozen=True, slots=True)
class Away:
    """A part of the platform that did not answer, and why, as far as a caller is told."""

    part: str
    why: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`cause` is a word for programs, `sentence` says what is wrong and what to do."""

    healthy: bool
    cause: str
    sentence: str


def conclude(
    name: DeviceId,
    device: Device | None,
    known: Known | None,
    now_ms: int,
    *,
    away: Sequence[Away] = (),
    parent: Parent | None = None,
) -> Conclusion:
    """`device` None: there is none, or the registry is away; `known` None: the gateways are."""
    missing = {one.part: one.why for one in away}
    if device is None and REGISTRY not in missing:
        return _unregistered(name, known)
    if device is not None and device.disabled:
        return _problem("disabled", "It is disabled: connects are refused until it is enabled again (EnableThing).")
    if known is None:
        why = missing.get(GATEWAYS, "")
        return _problem("gateways_away", f"Whether it is online cannot be told now: connection-gateway, {why}.")
    if fighting := _fighting(known, now_ms):
        return fighting
    if known.session.online and known.gateway_alive:
        return _dropped(known) or _online(known)
    if known.session.online:
        return _stranded(known)
    return _offline(device, known, parent)


def _unregistered(name: DeviceId, known: Known | None) -> Conclusion:
    tried = _refusals(known.attempts) if known else []
    seen = f" Somebody tries to connect under this name, {_from(tried)}." if tried else ""
    return _problem(
        "not_registered",
        f"No device {name.device_name} is registered in product {name.product_key}: register it, or correct the names "
        f"in the firmware; capitals matter.{seen}",
    )


def _fighting(known: Known, now_ms: int) -> Conclusion | None:
    """Also of a device that is offline this moment, unless something else refuses it by now."""
    takeovers = [one for one in known.attempts if one.reason == "taken_over" and one.time_ms > now_ms - FIGHT_MS]
    refused = known.attempts[:1] if not known.session.online else []
    if len(takeovers) < FIGHTS or any(one.reason not in ("", "taken_over", "connect_rate") for one in refused):
        return None
    hosts = _hosts([*takeovers, *(one for one in known.attempts if one.kind is AttemptKind.ACCEPTED)])
    return _problem(
        "identity_used_twice",
        f"It was taken over {len(takeovers)} times in the last {FIGHT_MS // 60_000} minutes, by connects from {hosts}: "
        "two devices use this identity, or one connects again before its old connection is gone. Give each its own.",
    )


def _dropped(known: Known) -> Conclusion | None:
    """Online, and yet what it sends vanishes: refused publishes are acknowledged like any other."""
    live = known.live
    if live is None:
        return None
    since = f"It is online, but since {moment(known.session.connected_ms)}"
    if live.refused_permission:
        return _problem(
            "not_permitted",
            f"{since} {live.refused_permission} of its publishes went to topics that it may not use, and were dropped: "
            "compare its topics with the product's topic classes (QueryProductTopic).",
        )
    if live.refused_quota:
        return _problem(
            "over_quota",
            f"{since} {live.refused_quota} of its publishes were over its limits, and were dropped: let it send less, "
            "or raise the product's limits (SetProductLimits).",
        )
    return None


def _online(known: Known) -> Conclusion:
    session, live = known.session, known.live
    behind = f", behind gateway device {_named(live.behind)}" if live and live.behind else ""
    sentence = f"It is online since {moment(session.connected_ms)} from {_host(session.client_address)}{behind}."
    if live and live.quota_delays:
        sentence += f" Its limits held it back {live.quota_delays} times: it sends more than they let through."
    if live and live.queued:
        sentence += f" {live.queued} messages wait for it: it has not acknowledged {live.in_flight} earlier ones."
    strangers = [one for one in _refusals(known.attempts) if one.time_ms > session.connected_ms]
    if strangers:
        sentence += f" Under its name another connect was refused since: {strangers[0].meaning}, {_from(strangers)}."
    return Conclusion(True, "online", sentence)


def _stranded(known: Known) -> Conclusion:
    return _problem(
        "gateway_gone",
        f"Its gateway ({known.session.gateway_address}) is gone, so it is offline, and it has not connected to another "
        "one yet. Look at the gateways; if they are well, at the device's reconnecting.",
    )


def _offline(device: Device | None, known: Known, parent: Parent | None) -> Conclusion:
    last = known.attempts[0] if known.attempts else None
    if last is not None and last.kind is AttemptKind.REFUSED:
        return _refused(_refusals(known.attempts), known.last_close)
    if parent is not None and not parent.online:
        return _problem(
            "gateway_device_away",
            f"It stands behind gateway device {_named(parent.device)}, which is offline itself: ask why of that one.",
        )
    if last is None:
        return _never_seen(device, parent)
    if last.kind is AttemptKind.CLOSED:
        sentence = f"It is offline since {moment(last.time_ms)}: {last.meaning}. {last.advice}".rstrip()
        return _problem("closed", f"{sentence} It has not tried to connect since.")
    return _problem(
        "offline", f"It connected at {moment(last.time_ms)} from {last.host} and is gone; why was not recorded."
    )


def _refused(run: Sequence[Attempt], last_close: Attempt | None) -> Conclusion:
    many = f"last {len(run)} connects were" if len(run) > 1 else "last connect was"
    sentence = f"Its {many} refused: {run[0].meaning}, {_from(run)}. {run[0].advice}".rstrip()
    if run[0].reason == "connect_rate" and last_close is not None:
        sentence += f" The last one ended at {moment(last_close.time_ms)}: {last_close.meaning}."
    return _problem("refused", sentence)


def _never_seen(device: Device | None, parent: Parent | None) -> Conclusion:
    look = "Look at its power, its network, and the host name and port it connects to."
    if parent is not None:
        look = f"Its gateway device {_named(parent.device)} is online and does not log it in: look there."
    if device is None:
        return _problem("not_seen", f"It is offline and no connect of it is remembered. {look}")
    if device.activated_ms:
        was = f", last seen online {moment(device.last_online_ms)}" if device.last_online_ms else ""
        return _problem("not_seen", f"It is offline{was}, and no connect of it is remembered since. {look}")
    return _problem("never_connected", f"It has never connected, and no attempt is remembered. {look}")


def _refusals(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The newest refusals in a row that have one reason."""
    run: list[Attempt] = []
    for one in attempts:
        if one.kind is not AttemptKind.REFUSED or (run and one.reason != run[0].reason):
            break
        run.append(one)
    return run


def _problem(cause: str, sentence: str) -> Conclusion:
    return Conclusion(False, cause, sentence)


def _from(run: Sequence[Attempt]) -> str:
    return f"from {_hosts(run)} (last at {moment(run[0].time_ms)})"


def _hosts(attempts: Sequence[Attempt]) -> str:
    return ", ".join(dict.fromkeys(one.host for one in attempts))


def _named(device: DeviceId) -> str:
    return f"{device.product_key}/{device.device_name}"


def _host(address: str) -> str:
    return address.rpartition(":")[0] or address


def moment(ms: int) -> str:
    """UTC, to the second."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
