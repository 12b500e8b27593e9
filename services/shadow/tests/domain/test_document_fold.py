"""Several requests over one document: one write, an answer each, and nothing new from what came before."""

import json

from thinghub.shadow.domain.document import DocumentError, Request
from thinghub.shadow.domain.document_fold import Asked, Held, Place, fold
from thinghub.shadow.domain.document_requests import device_request


def asked(version: int | None, place: Place, reported: object = None) -> Asked:
    message: dict[str, object] = {"method": "get"}
    if version is not None:
        message = {"method": "update", "state": {"reported": reported or {"n": version}}, "version": version}
    return Asked(read(json.dumps(message).encode()), place, 100)


def read(payload: bytes) -> Request | DocumentError:
    try:
        return device_request(payload)
    except DocumentError as error:
        return error


def test_requests_see_what_those_before_them_did_and_are_one_write() -> None:
    folded = fold(Held(), [asked(1, (5, 1)), asked(None, (5, 2)), asked(1, (5, 3)), asked(3, (5, 4))])
    assert [answer.outcome for answer in folded.answers] == ["update", "get", "conflict", "update"]
    assert (folded.held.revision, folded.held.place, folded.held.shadow.version) == (1, (5, 4), 3)
    assert json.loads(folded.answers[1].payload)["version"] == 1
    assert json.loads(folded.state) == {"reported": {"n": 3}, "desired": {}}


def test_a_get_alone_writes_nothing_and_what_is_no_request_moves_no_place() -> None:
    folded = fold(Held(revision=4), [asked(None, (5, 1)), Asked(read(b"{"), (5, 2), 100)])
    assert (folded.state, folded.held) == (b"", Held(revision=4))
    assert [answer.depends for answer in folded.answers] == [False, False]


def test_what_came_before_changes_nothing_and_the_last_one_is_answered_as_it_was() -> None:
    batch = [asked(1, (5, 1)), asked(2, (5, 2))]
    first = fold(Held(), batch)
    again = fold(first.held, batch)
    assert again.held == first.held
    assert [answer.outcome for answer in again.answers] == ["stale", "repeated"]
    assert again.answers[1].payload == first.answers[1].payload
    refused = fold(first.held, [asked(2, (5, 3))])
    repeated = fold(refused.held, [asked(2, (5, 3))])
    assert repeated.answers[0].payload == refused.answers[0].payload
    assert b"409" in repeated.answers[0].payload


def test_an_older_session_changes_nothing_whatever_its_version() -> None:
    newer = fold(Held(), [asked(1, (6, 1))]).held
    late = fold(newer, [asked(900, (5, 77))])
    assert (late.held, late.state, late.answers[0].payload) == (newer, b"", b"")


def test_what_is_no_document_is_answered_with_500() -> None:
    folded = fold(Held(revision=-1), [asked(1, (5, 1)), asked(None, (5, 2))])
    assert folded.state == b""
    assert all(b'"500"' in answer.payload for answer in folded.answers)
