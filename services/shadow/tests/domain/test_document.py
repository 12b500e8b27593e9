"""Documents: what requests are, what they change, and what is answered (device-mqtt §5)."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.shadow.domain import document_replies as replies
from thinghub.shadow.domain.document import DocumentError, Problem, Shadow, changed, state_of
from thinghub.shadow.domain.document_requests import device_request, server_request

NOW = 1469564576


def after(*messages: object, shadow: Shadow | None = None) -> Shadow:
    for number, message in enumerate(messages):
        shadow = changed(shadow or Shadow(), device_request(json.dumps(message).encode()), NOW + number)
    assert shadow is not None
    return shadow


def update(reported: object, version: object, **more: object) -> dict[str, Any]:
    return {"method": "update", "state": {"reported": reported, **more}, "version": version}


def delete(state: object, version: int) -> dict[str, Any]:
    return {"method": "delete", "state": state, "version": version}


def wanting(desired: dict[str, object], version: int = 1, shadow: Shadow | None = None, delta: bool = True) -> Shadow:
    message = {"method": "update", "state": {"desired": desired}, "version": version}
    return changed(shadow or Shadow(), server_request(orjson.dumps(message), delta), NOW)


def code(message: bytes, shadow: Shadow | None = None) -> int:
    with pytest.raises(DocumentError) as refused:
        state_of(changed(shadow or Shadow(), device_request(message), NOW))
    return refused.value.code


def test_a_report_is_kept_with_its_version_and_time() -> None:
    shadow = after(update({"color": "red", "spot": {"x": 1}}, 1))
    assert (shadow.version, shadow.reported) == (1, {"color": "red", "spot": {"x": 1}})
    assert shadow.reported_at == {"color": NOW, "spot": {"x": NOW}}


def test_later_reports_are_merged_and_only_what_they_name_has_a_new_time() -> None:
    shadow = after(update({"a": 1, "spot": {"x": 1, "y": 1}}, 1), update({"b": [1], "spot": {"y": 2}}, 1700000000000))
    assert shadow.reported == {"a": 1, "b": [1], "spot": {"x": 1, "y": 2}}
    assert shadow.reported_at == {"a": NOW, "b": NOW + 1, "spot": {"x": NOW, "y": NOW + 1}}
    assert shadow.version == 1700000000000


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"update"', 400),
        (b"\xff", 400),
        (b"[" * 5000, 400),
        (b'{"method":"update","state":{"reported":[1]},"version":1}', 400),
        (b'{"method":"update","state":{"reported":{"a":{"b":{"c":{"d":{"e":{}}}}}}},"version":1}', 400),
        (b'{"method":"update","state":{"reported":{"a":[[[[[1]]]]]}},"version":1}', 400),
        (b'{"state":{"reported":{"a":1}},"version":1}', 401),
        (b'{"method":"","state":{"reported":{"a":1}},"version":1}', 401),
        (b'{"method":"update","version":1}', 402),
        (b'{"method":"update","state":"x","version":1}', 402),
        (b'{"method":"update","state":{"reported":{"a":1}},"version":"1"}', 403),
        (b'{"method":"update","state":{"reported":{"a":1}},"version":true}', 403),
        (b'{"method":"update","state":{"reported":{"a":1}},"version":1.5}', 403),
        (b'{"method":"update","state":{"reported":{"a":1}},"version":-2}', 403),
        (b'{"method":"update","state":{"reported":{"a":1}}}', 403),
        (b'{"method":"update","state":{},"version":1}', 404),
        (b'{"method":"update","state":{"desired":{"a":1}},"version":1}', 404),
        (b'{"method":"update","state":{"reported":{}},"version":1}', 405),
        (b'{"method":"destroy","state":{"reported":{"a":1}},"version":1}', 406),
        (b'{"method":7,"state":{"reported":{"a":1}},"version":1}', 406),
        (b"", 407),
        (b" \n", 407),
        (b"{}", 407),
        (b"null", 407),
        (b'{"method":"update","state":{"reported":{"a":1}},"version":0}', 409),
        (b'{"method":"delete","state":{"reported":"null"},"version":0}', 409),
    ],
)
def test_every_wrong_message_has_its_code(message: bytes, expected: int) -> None:
    assert code(message) == expected


def test_five_levels_and_128_attributes_are_served_and_one_more_is_not() -> None:
    assert after(update({"a": {"b": {"c": {"d": {"e": 1}}}}}, 1)).version == 1
    assert after(update({"a": [[[[1]]]]}, 1)).version == 1
    many = {f"a{number}": number for number in range(128)}
    full = after(update(many, 1))
    assert len(full.reported) == 128
    assert code(json.dumps(update({"b": 1}, 2)).encode(), full) == 408
    assert code(json.dumps(update({**many, "b": {"c": 1}}, 2)).encode()) == 408
    assert after(update({"b": 1, "a0": None}, 2), shadow=full).version == 2


def test_sixteen_kilobytes_are_the_most_of_a_message_and_of_a_document() -> None:
    half = after(update({"a": "x" * 10_000}, 1))
    assert code(json.dumps(update({"b": "x" * 10_000}, 2)).encode(), half) == 400
    assert code(json.dumps(update({"a": "x" * 17_000}, 2)).encode()) == 400
    assert after(update({"a": "y" * 16_000}, 2), shadow=half).version == 2


def test_a_version_must_be_greater_and_minus_one_empties_the_document() -> None:
    shadow = wanting({"color": "green"}, 7, after(update({"color": "red"}, 5)))
    for version in (1, 7):
        assert code(json.dumps(update({"color": "blue"}, version)).encode(), shadow) == 409
    reset = after(update({"on": True}, -1), shadow=shadow)
    assert (reset.version, reset.reported, reset.desired) == (0, {"on": True}, {})


@pytest.mark.parametrize("null", ["null", None])
def test_null_deletes_an_attribute_a_branch_or_a_side(null: str | None) -> None:
    shadow = wanting({"a": 2, "b": 1}, 2, after(update({"a": 1, "b": {"c": 1, "d": 2}}, 1)))
    assert after(delete({"reported": {"a": null}}, 3), shadow=shadow).reported == {"b": {"c": 1, "d": 2}}
    one = after(delete({"reported": {"b": {"c": null}}}, 3), shadow=shadow)
    assert (one.reported, one.reported_at) == ({"a": 1, "b": {"d": 2}}, {"a": NOW, "b": {"d": NOW}})
    assert after(delete({"reported": null}, 3), shadow=shadow).reported == {}
    assert after(update({"a": null, "e": 5}, 3), shadow=shadow).reported == {"b": {"c": 1, "d": 2}, "e": 5}
    assert after(update({"b": {"c": null, "d": null}}, 3), shadow=shadow).reported == {"a": 1}
    cleared = after({"method": "update", "state": {"desired": null}, "version": 3}, shadow=shadow)
    assert (cleared.desired, cleared.reported) == ({}, shadow.reported)
    both = after(update({"a": 2}, 3, desired=null), shadow=shadow)
    assert (both.desired, both.reported) == ({}, {"a": 2, "b": {"c": 1, "d": 2}})
    assert after(update({"a": 2}, 3, desired={"a": null, "b": 5}), shadow=shadow).desired == {"b": 1}


def test_a_server_sets_all_that_is_desired_or_only_what_it_names() -> None:
    shadow = wanting({"a": 1, "b": {"c": 1}})
    assert wanting({"b": {"d": 2}}, 2, shadow).desired == {"a": 1, "b": {"c": 1, "d": 2}}
    assert wanting({"b": {"d": 2}}, 2, shadow, delta=False).desired == {"b": {"d": 2}}
    assert wanting({"a": "null"}, 2, shadow).desired == {"b": {"c": 1}}
    clear = server_request(b'{"method":"update","state":{"desired":"null"},"version":2}', False)
    assert changed(shadow, clear, NOW).desired == {}


def test_replies_have_the_published_shape() -> None:
    shadow = wanting({"color": "green"}, 2, after(update({"color": "red", "spot": {"x": 1}}, 1)))
    assert replies.updated(1, NOW) == (
        b'{"method":"reply","payload":{"status":"success","version":1},"timestamp":1469564576}'
    )
    refused = json.loads(replies.refused(Problem.CONFLICT, NOW))
    assert refused["payload"]["status"] == "error"
    assert refused["payload"]["content"]["errorcode"] == "409"
    expected = {
        "payload": {
            "status": "success",
            "state": {"reported": {"color": "red", "spot": {"x": 1}}, "desired": {"color": "green"}},
            "metadata": {
                "reported": {"color": {"timestamp": NOW}, "spot": {"x": {"timestamp": NOW}}},
                "desired": {"color": {"timestamp": NOW}},
            },
        },
        "version": 2,
        "timestamp": NOW + 9,
    }
    assert json.loads(replies.whole(shadow, NOW + 9)) == {"method": "reply", **expected}
    assert json.loads(replies.control(shadow, NOW + 9)) == {"method": "control", **expected}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("null"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
SIDES = st.fixed_dictionaries({}, optional={"reported": JSON, "desired": JSON})
MESSAGES = JSON | st.fixed_dictionaries(
    {
        "method": st.sampled_from(["update", "delete", "get"]),
        "state": SIDES | JSON,
        "version": st.integers(-2, 9) | JSON,
    }
)


@given(st.lists(MESSAGES, max_size=6), st.booleans())
def test_any_message_changes_the_document_or_is_refused_and_trees_stay_in_step(
    messages: list[Any], delta: bool
) -> None:
    shadow = Shadow()
    for number, message in enumerate(messages):
        payload = json.dumps(message).encode()
        try:
            request = server_request(payload, delta) if number % 2 else device_request(payload)
            if request.method != "get":
                shadow = changed(shadow, request, NOW)
        except DocumentError:
            continue
        state_of(shadow)
        for tree, times in ((shadow.reported, shadow.reported_at), (shadow.desired, shadow.desired_at)):
            assert in_step(tree, times)


def in_step(tree: Any, times: Any) -> bool:
    if isinstance(tree, dict):
        return tree.keys() == times.keys() and all(in_step(tree[name], times[name]) for name in tree)
    return times == NOW and tree is not None and tree != "null"
