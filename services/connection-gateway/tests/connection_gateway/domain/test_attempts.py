"""Reasons in words."""

import re
from pathlib import Path

import thinghub_gateway_core
from thinghub.connection_gateway.domain.attempts import CLOSED, REFUSED, UNPROVEN, Attempt, Kind, words
from thinghub.connection_gateway.domain.logins import CODES, OK
from thinghub.connection_gateway.domain.verdicts import CONNACK

CORE = Path(thinghub_gateway_core.__file__).with_suffix(".pyi")


def test_every_refusal_has_words_and_advice() -> None:
    assert REFUSED.keys() == CONNACK.keys() | (CODES.keys() - {OK, "no_session"})
    assert all(said.meaning and said.advice.endswith(".") for said in REFUSED.values())
    assert REFUSED.keys() > UNPROVEN


def test_every_close_of_the_core_has_words() -> None:
    reasons = re.search(r"As in the counters: (.*?), or what `close` was given", CORE.read_text(), re.DOTALL)
    assert reasons is not None
    named = set(re.findall(r"`([a-z_]+)`", reasons[1])) - {"max_partial_bytes"}
    assert {"keep_alive", "eof"} <= named
    assert named <= CLOSED.keys()


def test_a_reason_without_words_is_said_as_it_is() -> None:
    assert words(Attempt(Kind.CLOSED, "moved_away", "", "", 0)).meaning == "moved away"
    assert words(Attempt(Kind.ACCEPTED, "", "", "", 0)).meaning == "accepted"
