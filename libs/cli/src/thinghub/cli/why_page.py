"""What `thinghub why` prints: the conclusion first, then a section for each part that has something to say.

Names and topics are devices' own; what a terminal would obey is shown escaped.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Answer = Mapping[str, Any]
"""Any: JSON, of the shape that operation ExplainDevice documents."""

Paint = Callable[[str, str], str]

RED, GREEN, YELLOW, DIM, PLAIN = "\x1b[31;1m", "\x1b[32;1m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
WIDTH = 12
_KINDS = {"accepted": GREEN, "refused": RED, "closed": YELLOW}


def page(answer: Answer, colours: bool) -> str:
    paint = _painted if colours else _unpainted
    name = f"{_shown(answer['DeviceName'])} of {_shown(answer['ProductKey'])}"
    verdict = paint(GREEN, "works") if answer["Healthy"] else paint(RED, "does not work")
    lines = [f"{name} {verdict}", _shown(answer["Conclusion"]), ""]
    for title, rows in _sections(answer, paint):
        for number, row in enumerate(rows):
            lines.append(f"{paint(DIM, title.ljust(WIDTH)) if number == 0 else ' ' * WIDTH}{row}")
    return "\n".join(lines)


def _sections(answer: Answer, paint: Paint) -> Iterable[tuple[str, list[str]]]:
    yield "device", [_device(answer.get("Device"), answer["Away"])]
    if answer.get("SecretRotation"):
        yield "secret", [_secret(answer["SecretRotation"])]
    if answer.get("GatewayDevice"):
        yield "behind", [_behind(answer["GatewayDevice"])]
    yield "session", [_session(answer.get("Session"))]
    if answer.get("Traffic"):
        yield "traffic", _traffic(answer["Traffic"])
    nothing = "none is remembered" if answer.get("Session") else "not known now"
    yield "attempts", [_attempt(one, paint) for one in answer["Attempts"][:10]] or [nothing]
    if answer.get("LastClose"):
        yield "last close", [_attempt(answer["LastClose"], paint)]
    yield "limits", _limits(answer["Limits"])
    yield "messages", _messages(answer)
    if answer["Away"]:
        yield "away", [f"{one['Part']} ({_shown(one['Why'])}): what it would say is missing" for one in answer["Away"]]


def _device(device: Answer | None, away: list[Answer]) -> str:
    if device is None:
        return "not known now" if any(one["Part"] == "device-registry" for one in away) else "not registered"
    active = f"active since {_time(device['UtcActive'])}" if device.get("UtcActive") else "never active"
    state = "DISABLED" if device["Disabled"] else "enabled"
    return f"{state}, {active}, registered {_time(device.get('UtcCreate'))}, IotId {_shown(device['IotId'])}"


def _secret(rotation: Answer) -> str:
    stops = "stops" if rotation["UnderWay"] else "stopped"
    used = "it has not used the new one" + (" yet" if rotation["UnderWay"] else "")
    if rotation["NewSecretUsed"]:
        used = f"it used the new one first {_time(rotation['UtcNewSecretUsed'])}"
    until = _time(rotation["UtcFormerUntil"])
    return f"rotated {_time(rotation['UtcStarted'])}, the former one {stops} {until}; {used}"


def _session(session: Answer | None) -> str:
    if session is None:
        return "not known now"
    barred = f"; barred for {session['BarredSeconds']} s" if session["BarredSeconds"] else ""
    if "Gateway" not in session:
        return f"offline{barred}"
    state = "online" if session["Online"] else "offline, claimed by a gateway that is gone"
    kept = "clean session" if session["Clean"] else "persistent session"
    return (
        f"{state} since {_time(session['UtcConnected'])} from {_shown(session['ClientAddress'])} on gateway "
        f"{_shown(session['GatewayAddress'])} ({session['Gateway']}), {kept}, epoch {session['Epoch']}{barred}"
    )


def _behind(gateway: Answer) -> str:
    state = "online" if gateway["Online"] else "OFFLINE"
    return f"gateway device {_shown(gateway['ProductKey'])}/{_shown(gateway['DeviceName'])}, {state}"


def _traffic(traffic: Answer) -> list[str]:
    """Since the session began; what is nothing is left out, but for the messages."""
    counts = [
        (traffic["RefusedForPermission"], "dropped for their topic"),
        (traffic["RefusedForQuota"], "dropped over quota"),
        (traffic["QuotaDelays"], "delays over quota"),
        (traffic["InFlight"], "not acknowledged by it"),
        (traffic["Queued"], "queued behind those"),
        (traffic["UnsentBytes"], "bytes it has not taken"),
        (traffic["SubDevices"], "sub-devices online over its connection"),
    ]
    sums = [f"{traffic['MessagesUp']} up, {traffic['MessagesDown']} down"]
    sums += [f"{many} {what}" for many, what in counts if many]
    last = f"last packet {traffic['LastPacketSecondsAgo']} s ago, keep-alive {traffic['KeepAliveSeconds']} s"
    rows = [f"{'; '.join(sums)}; {last}"]
    if traffic["Subscriptions"]:
        rows.append(f"subscribed to {', '.join(_shown(one) for one in traffic['Subscriptions'])}")
    return rows


def _attempt(attempt: Answer, paint: Paint) -> str:
    kind = paint(_KINDS[attempt["Kind"]], attempt["Kind"].ljust(8))
    meaning = "" if attempt["Kind"] == "accepted" else f"  {_shown(attempt['Meaning'])}"
    return f"{_time(attempt.get('UtcTime'))}  {kind}  {_shown(attempt['ClientAddress'])}{meaning}".rstrip()


def _limits(limits: Answer) -> list[str]:
    over = f"over quota QoS 1 is {limits['OverQuota']}, QoS 0 dropped"
    what = "only counted (observe)" if limits["Mode"] == "observe" else over
    up = f"up {limits['UpQos0PerSecond']} QoS 0 and {limits['UpQos1PerSecond']} QoS 1"
    rates = f"{up}, down {limits['DownPerSecond']} messages/s, {limits['BytesPerSecond']} bytes/s"
    return [f"{rates}, {limits['Subscriptions']} subscriptions; {what}"]


def _messages(answer: Answer) -> list[str]:
    rows = [
        f"{_time(one.get('UtcTime'))}  {_shown(one['Topic'])}  {one['Size']} bytes, QoS {one['Qos']}, "
        f"trace {_shown(one['TraceId'])}, id {one['MessageId']}"
        for one in answer["Messages"]
    ]
    if rows:
        return rows
    every = answer.get("SampledEvery")
    if every is None:
        return ["not known now"]
    if every == 0:
        return ["none is sampled: the gateways' trace ratio is 0 (THINGHUB_CONNECTION_GATEWAY_TRACE_RATIO)"]
    return [f"none of its messages was sampled lately (one in {every} is)"]


def _time(utc: str | None) -> str:
    """`2026-11-23 02:11:03`, UTC."""
    return utc[:19].replace("T", " ") if utc else "never"


def _shown(text: object) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def _painted(colour: str, text: str) -> str:
    return f"{colour}{text}{PLAIN}"


def _unpainted(colour: str, text: str) -> str:
    return text
