import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.alink import (
    AlinkError,
    Request,
    command,
    parse_answer,
    parse_request,
    reply,
    unreadable,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("written", "echoed"),
    [
        (b'"123"', "123"),
        (b'"1|exp|/sys/pk/dn/thing/event/property/post_reply"', "1|exp|/sys/pk/dn/thing/event/property/post_reply"),
        (b"7", "7"),
        (b"-1", "-1"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"1.50", "1.50"),
        (b"null", ""),
        (b'""', ""),
    ],
)
def test_the_id_is_echoed_as_a_string_with_the_characters_that_came(written: bytes, echoed: str) -> None:
    request = parse_request(b'{"id":' + written + b',"params":{}}')
    assert request.id == echoed
    assert orjson.loads(reply(request, 200))["id"] == echoed


@given(PLAIN_TEXT)
def test_any_text_is_an_id(text: str) -> None:
    assert orjson.loads(reply(parse_request(orjson.dumps({"id": text})), 200))["id"] == text


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        (b'{"ack":0}', False),
        (b'{"ack":1}', True),
        (b"{}", True),
        (b"null", True),
        (b'{"ack":"0"}', False),
        (b"[]", True),
    ],
)
def test_only_ack_0_asks_for_no_reply(system: bytes, wanted: bool) -> None:
    assert parse_request(b'{"id":"1","sys":' + system + b"}").ack is wanted


def test_a_reply_always_has_message_and_data() -> None:
    request = parse_request(b'{"id":"7","params":{},"method":"thing.event.property.post"}')
    assert orjson.loads(reply(request, 200)) == {
        "id": "7",
        "code": 200,
        "message": "success",
        "data": {},
        "method": "thing.event.property.post",
        "version": "1.0",
    }


def test_a_reply_names_the_topics_method_where_the_device_left_it_out() -> None:
    assert orjson.loads(reply(Request("1"), 460, "no", method="thing.x"))["method"] == "thing.x"


@pytest.mark.parametrize("payload", [b"", b"nothing", b"[]", b"1", b'{"id":', b"\xff\xfe", b"[" * 2000])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(AlinkError):
        parse_request(payload)


@given(st.binary(max_size=200))
def test_bytes_never_break_the_parser(payload: bytes) -> None:
    try:
        parse_request(payload)
    except AlinkError:
        return


@given(st.dictionaries(st.sampled_from(["id", "method", "version", "sys", "params", "code", "data", "message"]), JSON))
def test_members_of_any_type_never_break_the_parser(members: dict[str, object]) -> None:
    payload = orjson.dumps(members)
    assert orjson.loads(reply(parse_request(payload), 200))["code"] == 200


def test_hostile_json_costs_bounded_time() -> None:
    deep = b'{"id":1.5,"params":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}"
    wide = orjson.dumps({"id": "1", "params": {str(key): key for key in range(100_000)}})
    started = time.process_time()
    parse_request(deep)
    parse_request(wide)
    assert time.process_time() - started < 1


def test_answers_have_a_code() -> None:
    assert parse_answer(b'{"id":"9","code":200,"data":{}}').code == 200
    assert parse_answer(b'{"id":"9","code":"200"}').code == 200
    for bad in (b'{"id":"9"}', b'{"id":"9","code":true}', b'{"id":"9","code":"x"}'):
        with pytest.raises(AlinkError):
            parse_answer(bad)


def test_a_command_carries_id_version_params_and_method() -> None:
    assert orjson.loads(command("5", "thing.service.property.set", {"a": 1})) == {
        "id": "5", "version": "1.0", "params": {"a": 1}, "method": "thing.service.property.set"
    }  # fmt: skip


def test_bytes_whose_id_nobody_can_tell_are_answered_all_the_same() -> None:
    assert orjson.loads(unreadable(400, "no"))["id"] == ""
