import json

import pytest

from thinghub.device_protocol import ota

PACKAGE = ota.Package("https://h/p", 432945, "2.0.0", "m", "s", "SHA256", "MCU")


def test_informs_name_a_version_and_a_module() -> None:
    assert ota.read_inform(b'{"id":1,"params":{"version":"1.0.1","module":"MCU"}}') == ota.Inform("1.0.1", "MCU")
    assert ota.read_inform(b'{"params":{"version":"1"}}') == ota.Inform("1", "default")
    assert ota.read_inform(b'{"params":{"version":"1","module":null}}') == ota.Inform("1", "default")


@pytest.mark.parametrize(("step", "read"), [("50", 50), (1, 1), (100, 100), ("-1", -1), (-4, -4)])
def test_steps_are_numbers_or_their_text(step: object, read: int) -> None:
    payload = json.dumps({"id": 1, "params": {"step": step, "desc": "d" * 300, "module": "m"}}).encode()
    assert ota.read_progress(payload) == ota.Progress(read, "d" * 255, "m")


@pytest.mark.parametrize("step", [0, 101, -5, "", "x", None, 1.5, True, [], "9" * 5000])
def test_other_steps_are_malformed(step: object) -> None:
    with pytest.raises(ota.MalformedOta):
        ota.read_progress(json.dumps({"params": {"step": step}}).encode())


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'"x"', b'{"params":[]}', b'{"params":{"version":""}}', b"[" * 100_000, b"\xff\xfe"]
)
def test_other_informs_are_malformed(payload: bytes) -> None:
    with pytest.raises(ota.MalformedOta):
        ota.read_inform(payload)


def test_a_push_has_what_clients_need_spelled_as_they_compare_it() -> None:
    message = json.loads(ota.push_message(1507707025, PACKAGE))
    assert message == {
        "code": "1000",
        "data": {
            "size": 432945,
            "version": "2.0.0",
            "url": "https://h/p",
            "md5": "m",
            "sign": "s",
            "signMethod": "SHA256",
            "module": "MCU",
        },
        "id": 1507707025,
        "message": "success",
    }
    md5 = ota.Package("u", 1, "2", "m", "s", "MD5", "default", difference=True, udi="{}")
    data = json.loads(ota.push_message(1, md5))["data"]
    assert (data["signMethod"], data["isDiff"], data["extData"]) == ("Md5", 1, {"_package_udi": "{}"})


@pytest.mark.parametrize(("given", "back"), [('"1|a"', "1|a"), ("7", "7"), ("null", "null")])
def test_a_reply_gives_the_id_back_as_text(given: str, back: str) -> None:
    ask = ota.read_ask(f'{{"id":{given},"params":{{}}}}'.encode())
    assert json.loads(ota.firmware_get_reply(ask, None)) == {
        "id": back,
        "code": 200,
        "message": "success",
        "data": {},
        "method": "thing.ota.firmware.get",
        "version": "1.0",
    }


def test_a_request_is_answered_with_its_own_id() -> None:
    ask = ota.read_ask(b'{"id":1,"params":{"version":"1.0.1"}}')
    assert json.loads(ota.request_answer(ask, None))["message"] == "none upgrade operation of the device."
    assert json.loads(ota.request_answer(ask, PACKAGE))["id"] == 1
