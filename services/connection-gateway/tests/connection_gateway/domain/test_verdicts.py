from thinghub.connection_gateway.domain.verdicts import CONNACK, GUESSES, Verdict
from thinghub.device_protocol.codes import Connack


def test_every_verdict_but_ok_has_a_code() -> None:
    assert {verdict.value for verdict in Verdict} - set(CONNACK) == {"ok"}
    assert set(CONNACK) >= GUESSES


def test_nothing_refused_is_answered_as_accepted() -> None:
    assert Connack.ACCEPTED not in CONNACK.values()


def test_what_may_pass_by_itself_is_answered_unavailable() -> None:
    assert CONNACK["auth_unavailable"] is CONNACK["claims_unavailable"] is Connack.UNAVAILABLE
    assert CONNACK["disabled"] is CONNACK["barred"] is Connack.NOT_AUTHORIZED
