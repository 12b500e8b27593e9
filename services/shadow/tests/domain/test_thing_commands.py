import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.common.errors import Fault
from thinghub.device_protocol.alink import AlinkError
from thinghub.device_protocol.tsl.parse import parse
from thinghub.device_protocol.tsl.validator import Validator
from thinghub.shadow.domain.thing_commands import (
    Command,
    answered_service,
    property_set,
    read_answer,
    service_call,
    service_of,
)
from thinghub.shadow.domain.thing_models import Strictness, ThingModel

INPUT = [{"identifier": "delay", "required": True, "dataType": {"type": "int", "specs": {"max": "9"}}}]
FUNCTIONS = parse(
    {
        "services": [{"identifier": "reboot", "name": "Reboot", "callType": "sync", "inputData": INPUT}],
        "functionBlocks": [{"functionBlockId": "motor", "services": [{"identifier": "spin"}]}],
    }
)


def model(strictness: Strictness = Strictness.FULL) -> ThingModel:
    return ThingModel("pk", 1, Validator(FUNCTIONS), strictness)


def called(identifier: str, arguments: str, strictness: Strictness = Strictness.FULL) -> Command:
    known = model(strictness)
    return service_call(service_of(identifier, known), arguments, known)


def test_a_call_names_its_service_in_topic_and_method() -> None:
    command = called("reboot", '{"delay":3,"more":1}')
    assert (command.below, command.name) == ("thing/service/reboot", "Reboot")
    assert json.loads(command.payload(7)) == {
        "id": "7", "version": "1.0", "params": {"delay": 3, "more": 1}, "method": "thing.service.reboot",
    }  # fmt: skip
    spun = called("motor:spin", "{}")
    assert (spun.below, spun.method) == ("thing/service/motor:spin", "thing.service.motor:spin")
    assert property_set({"Temp": 1}).method == "thing.service.property.set"


DEEP = '{"delay":1,"x":' + "[" * 400 + "]" * 400 + "}"


@pytest.mark.parametrize("arguments", ["", "{", "[]", "null", "{}", '{"delay":10}', '{"delay":"3"}', DEEP])
def test_arguments_that_the_service_does_not_take_are_refused(arguments: str) -> None:
    with pytest.raises(Fault) as refusal:
        called("reboot", arguments)
    assert refusal.value.reason == "service_arguments_invalid"


def test_without_validation_any_object_goes_that_can_be_written() -> None:
    assert called("reboot", '{"delay":"x"}', Strictness.NONE).params == {"delay": "x"}
    for arguments in ("[]", DEEP):
        with pytest.raises(Fault):
            called("reboot", arguments, Strictness.NONE)


@pytest.mark.parametrize("identifier", ["", "spin", "set", "get", "property/set", "motor:", "x" * 5000])
def test_a_service_that_the_thing_model_does_not_have_is_refused(identifier: str) -> None:
    with pytest.raises(Fault) as refusal:
        service_of(identifier, model())
    assert refusal.value.reason == "service_unknown"
    assert len(refusal.value.message) < 200


ANSWERED = [
    ("thing/service/property/set_reply", "set"),
    ("thing/service/reboot_reply", "reboot"),
    ("thing/service/motor:spin_reply", "motor:spin"),
    ("thing/service/reboot_reply_reply", "reboot_reply"),
    ("thing/service/reboot", ""),
    ("thing/service/property/get_reply", ""),
    ("thing/service/_reply", ""),
    ("thing/service/a/b_reply", ""),
    ("thing/service/a b_reply", ""),
    ("thing/event/reboot_reply", ""),
    ("", ""),
]


@pytest.mark.parametrize(("below", "service"), ANSWERED)
def test_the_answered_service_stands_in_the_topic(below: str, service: str) -> None:
    assert answered_service(below) == service


NUMBERS = [("7", 7), (7, 7), ("007", 7), ("-7", 0), ("7.5", 0), (7.5, 0), ("x", 0), ("9" * 18, int("9" * 18)),
           ("9" * 19, 0), (10**30, 0), ("٣", 0), (None, 0), ({}, 0)]  # fmt: skip


@pytest.mark.parametrize(("given_id", "number"), NUMBERS)
def test_the_id_of_a_call_is_a_decimal(given_id: object, number: int) -> None:
    assert read_answer(json.dumps({"id": given_id, "code": 200}).encode()).number == number


def test_data_that_could_not_be_written_again_is_left_out() -> None:
    read = read_answer(b'{"id":"1","code":"200","data":' + b"[" * 400 + b"]" * 400 + b"}")
    assert (read.code, read.message, read.data, read.output()) == (200, "success", None, "{}")
    assert read_answer(b'{"id":"1","code":5,"message":"no","data":{"a":"\\u0000"}}').output() == '{"a":"\\u0000"}'


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"code":null}', b'{"code":4294967296}'])
def test_what_is_no_answer_is_refused(payload: bytes) -> None:
    with pytest.raises(AlinkError):
        read_answer(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(payload: bytes) -> None:
    try:
        read = read_answer(payload)
    except AlinkError:
        return
    orjson.dumps(read.data)
