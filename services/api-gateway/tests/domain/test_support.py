"""What is concluded from what is known of a device."""

import dataclasses

import pytest

from thinghub.api_gateway.domain.support import (
    GATEWAYS,
    REGISTRY,
    Attempt,
    AttemptKind,
    Away,
    Claim,
    Conclusion,
    Known,
    Live,
    Parent,
    conclude,
)
from thinghub.api_gateway.domain.values import Device, DeviceId

NAME = DeviceId("pk", "attic")
NOW = 1_790_000_000_000
DEVICE = Device(NAME, "iot", activated_ms=NOW - 10_000_000, last_online_ms=NOW - 5_000_000)
OFFLINE = Claim(False, "", "", 0, False, 0, "")
ONLINE = Claim(True, "inc", "gw:9103", 7, True, NOW - 60_000, "10.0.0.7:4711")
SECRET = "re-flash it with the registered secret."


def refused(ago_s: int, reason: str = "bad_signature", host: str = "10.0.0.7") -> Attempt:
    return Attempt(AttemptKind.REFUSED, reason, "wrong signature", SECRET, f"{host}:4711", "gw", NOW - ago_s * 1000)


def accepted(ago_s: int, host: str = "10.0.0.7") -> Attempt:
    return Attempt(AttemptKind.ACCEPTED, "", "accepted", "", f"{host}:4711", "gw", NOW - ago_s * 1000)


def closed(ago_s: int, reason: str = "keep_alive", host: str = "10.0.0.7") -> Attempt:
    return Attempt(AttemptKind.CLOSED, reason, "fell silent", "It lost power.", f"{host}:1", "gw", NOW - ago_s * 1000)


def known(*attempts: Attempt, session: Claim = OFFLINE, alive: bool = True) -> Known:
    return Known(session, alive and session.online, 0, attempts, (), 0)


def concluded(device: Device | None, what: Known | None) -> Conclusion:
    away = [] if what else [Away(GATEWAYS, "Redis: no answer")]
    return conclude(NAME, device, what, NOW, away=away)


def test_a_row_of_refusals_is_counted_with_address_and_advice() -> None:
    what = known(refused(1), refused(2), refused(3), refused(4), closed(50), refused(60))
    said = concluded(DEVICE, what)
    assert (said.healthy, said.cause) == (False, "refused")
    assert said.sentence == (
        "Its last 4 connects were refused: wrong signature, from 10.0.0.7 (last at 2026-09-21 14:13:19 UTC). " + SECRET
    )


def test_a_row_ends_where_the_reason_changes_and_names_every_address() -> None:
    said = concluded(DEVICE, known(refused(1), refused(2, host="10.0.0.8"), refused(3, "disabled")))
    assert "last 2 connects" in said.sentence
    assert "from 10.0.0.7, 10.0.0.8 " in said.sentence
    assert "Its last connect was" in concluded(DEVICE, known(refused(1))).sentence


def test_an_online_device_is_healthy_and_strangers_under_its_name_are_mentioned() -> None:
    said = concluded(DEVICE, known(accepted(60), session=ONLINE))
    assert (said.healthy, said.cause) == (True, "online")
    assert said.sentence == "It is online since 2026-09-21 14:12:20 UTC from 10.0.0.7."
    said = concluded(DEVICE, known(refused(5, host="10.9.9.9"), accepted(60), session=ONLINE))
    assert said.healthy
    assert "another connect was refused since: wrong signature, from 10.9.9.9" in said.sentence


def test_a_closed_session_tells_why_and_since_when() -> None:
    said = concluded(DEVICE, known(closed(30), accepted(90)))
    assert said.cause == "closed"
    assert said.sentence == (
        "It is offline since 2026-09-21 14:12:50 UTC: fell silent. It lost power. It has not tried to connect since."
    )


def test_takeovers_in_a_row_are_two_devices_with_one_identity() -> None:
    fights = [one for n in range(3) for one in (accepted(n * 9 + 1, f"10.0.0.{n}"), closed(n * 9 + 1, "taken_over"))]
    said = concluded(DEVICE, known(*fights, session=ONLINE))
    assert (said.healthy, said.cause) == (False, "identity_used_twice")
    assert "taken over 3 times" in said.sentence
    long_ago = [dataclasses.replace(one, time_ms=one.time_ms - 3_600_000) for one in fights]
    assert concluded(DEVICE, known(*long_ago, session=ONLINE)).healthy
    assert concluded(DEVICE, known(refused(0, "connect_rate"), *fights)).cause == "identity_used_twice"
    assert concluded(DEVICE, known(refused(0), *fights)).cause == "refused"


def test_a_device_that_connects_too_often_is_told_why_its_last_session_ended() -> None:
    said = concluded(DEVICE, known(refused(1, "connect_rate"), closed(3), accepted(4)))
    assert said.sentence.endswith("The last one ended at 2026-09-21 14:13:17 UTC: fell silent.")


@pytest.mark.parametrize(
    ("device", "what", "cause", "word"),
    [
        (None, known(refused(1, "unknown_device")), "not_registered", "Somebody tries to connect under this name"),
        (None, known(), "not_registered", "No device attic is registered in product pk"),
        (None, None, "not_registered", "register it"),
        (dataclasses.replace(DEVICE, disabled=True), known(refused(1)), "disabled", "EnableThing"),
        (dataclasses.replace(DEVICE, disabled=True), None, "disabled", "EnableThing"),
        (DEVICE, None, "gateways_away", "cannot be told now: connection-gateway, Redis: no answer."),
        (DEVICE, known(session=ONLINE, alive=False), "gateway_gone", "gw:9103"),
        (DEVICE, known(accepted(5)), "offline", "why was not recorded"),
        (DEVICE, known(), "not_seen", "last seen online 2026-09-21"),
        (dataclasses.replace(DEVICE, activated_ms=0), known(), "never_connected", "never connected"),
    ],
)
def test_every_cause_has_its_sentence(device: Device | None, what: Known | None, cause: str, word: str) -> None:
    said = concluded(device, what)
    assert (said.healthy, said.cause) == (False, cause)
    assert word in said.sentence


def test_without_the_registry_the_gateways_decide() -> None:
    away = [Away(REGISTRY, "it cannot be reached")]
    assert conclude(NAME, None, known(session=ONLINE), NOW, away=away).healthy
    assert conclude(NAME, None, known(refused(1)), NOW, away=away).cause == "refused"
    assert conclude(NAME, None, known(), NOW, away=away).cause == "not_seen"


HUB = DeviceId("pk", "hub")
QUIET = Live(5, 5, 0, 0, 0, 0, 0, 60, 100, 0, 0, (), None)


def online(live: Live) -> Conclusion:
    return concluded(DEVICE, dataclasses.replace(known(session=ONLINE), live=live))


def test_an_online_device_whose_messages_vanish_has_a_problem() -> None:
    assert online(QUIET).healthy
    said = online(dataclasses.replace(QUIET, refused_permission=3))
    assert (said.healthy, said.cause) == (False, "not_permitted")
    assert "3 of its publishes went to topics that it may not use" in said.sentence
    said = online(dataclasses.replace(QUIET, refused_quota=4))
    assert (said.healthy, said.cause) == (False, "over_quota")
    assert "SetProductLimits" in said.sentence


def test_what_holds_an_online_device_back_is_mentioned() -> None:
    said = online(dataclasses.replace(QUIET, quota_delays=7, queued=2, in_flight=100, behind=HUB))
    assert said.healthy
    assert "from 10.0.0.7, behind gateway device pk/hub." in said.sentence
    assert "Its limits held it back 7 times" in said.sentence
    assert "2 messages wait for it: it has not acknowledged 100 earlier ones." in said.sentence


def test_a_sub_device_is_away_because_its_gateway_device_is() -> None:
    gone, there = Parent(HUB, False), Parent(HUB, True)
    for what in (known(), known(closed(3))):
        said = conclude(NAME, DEVICE, what, NOW, parent=gone)
        assert (said.cause, "pk/hub, which is offline itself" in said.sentence) == ("gateway_device_away", True)
    assert conclude(NAME, DEVICE, known(refused(1)), NOW, parent=gone).cause == "refused"
    assert conclude(NAME, DEVICE, known(closed(3)), NOW, parent=there).cause == "closed"
    assert "is online and does not log it in" in conclude(NAME, DEVICE, known(), NOW, parent=there).sentence
