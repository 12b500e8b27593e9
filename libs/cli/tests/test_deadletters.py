"""`thinghub admin deadletters`: what it asks and prints. The platform's answers are in
tests/integration/flows/dead_letters.py."""

import argparse
from collections.abc import Mapping
from typing import Any

import pytest

from thinghub.cli import api, deadletters
from thinghub.cli.admin import admin_command

LETTER = {
    "DeadLetterId": "4611686018427387911", "RuleId": 100000, "RuleName": "store", "ActionId": 100001, "MessageId": "5",
    "ProductKey": "pk", "DeviceName": "d1", "Topic": "/pk/d1/user/update", "Reason": "check\x1b[31m violated",
    "Tries": 4, "Bytes": 12, "UtcDied": "2026-11-23T02:11:03.123Z", "RedrivenTimes": 0,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """What is asked to be redriven; the API has 2,500 that match."""
    calls: list[Mapping[str, Any]] = []
    left = [2500]

    def post(access: api.Access, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        calls.append(body)
        ids = body.get("DeadLetterIds")
        done = len(ids) if isinstance(ids, list) else min(left[0], int(str(body["Limit"])))
        left[0] -= done
        return {"Redriven": done, "Gone": 0, "More": left[0] > 0}

    monkeypatch.setattr(api, "post", post)
    monkeypatch.setenv("THINGHUB_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("THINGHUB_ACCESS_KEY_SECRET", "secret")
    monkeypatch.setenv("THINGHUB_API", "http://127.0.0.1:1")
    return calls


def test_a_line_says_what_why_and_whose_action_and_obeys_nothing() -> None:
    said = deadletters.line(LETTER)
    assert said.startswith("2026-11-23 02:11:03  4611686018427387911  store (100000)  DELETED (100001)  4 tries  ")
    assert said.endswith(r"check\x1b[31m violated")
    told = deadletters.line(LETTER | {"UtcRedriven": "2026-11-23T03:00:00.000Z", "ActionType": "RDS"})
    assert told.endswith("REDRIVEN 2026-11-23 03:00:00")


def test_all_of_a_rule_are_redriven_in_portions_up_to_the_limit(
    asked: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert admin_command(["deadletters", "redrive", "--rule", "7", "--limit", "1500"]) == 0
    assert [(one["RuleId"], one["Limit"]) for one in asked] == [(7, 1000), (7, 500)]
    assert capsys.readouterr().out == "1500 put back to be tried again\n"


def test_ids_are_redriven_in_portions(asked: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    ids = [str(number) for number in range(1, 1203)]
    assert admin_command(["deadletters", "redrive", "--limit", "5000", *ids]) == 0
    assert [len(one["DeadLetterIds"]) for one in asked] == [1000, 202]
    assert capsys.readouterr().out == "1202 put back to be tried again\n"


@pytest.mark.parametrize("options", [[], ["5", "--rule", "7"]])
def test_a_redrive_says_which(
    asked: list[Mapping[str, Any]], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert admin_command(["deadletters", "redrive", *options]) == 2
    assert (asked, "give ids, or --rule" in capsys.readouterr().err) == ([], True)


def test_what_is_no_id_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="x is not an id"):
        deadletters._id("x")
