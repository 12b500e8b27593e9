from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import CODES, OK, Step, outcome

ONE, TWO = Device("pk", "one"), Device("pk", "two")
NAMED_ONE = {"productKey": "pk", "deviceName": "one"}
NAMED_TWO = {"productKey": "pk", "deviceName": "two"}


def test_one_device_is_answered_with_an_empty_object() -> None:
    assert outcome(Step.LOGIN, [(ONE, OK)]) == (200, "success", {})
    assert outcome(Step.LOGIN, [(ONE, "bad_signature")]) == (6287, "invalid sign", {})


def test_a_batch_is_answered_with_those_that_are_online_now() -> None:
    assert outcome(Step.BATCH_LOGIN, [(ONE, OK), (TWO, OK)]) == (200, "success", [NAMED_ONE, NAMED_TWO])


def test_a_batch_that_failed_in_part_has_the_first_code_and_a_list_of_those_that_failed() -> None:
    code, message, data = outcome(Step.BATCH_LOGIN, [(ONE, OK), (TWO, "no_topology")])
    assert (code, message) == (6401, CODES["no_topology"][1])
    assert data == [{**NAMED_TWO, "code": 6401, "message": message}]


def test_a_request_that_names_nobody_has_one_code_for_the_whole() -> None:
    assert outcome(Step.BATCH_LOGIN, [], "malformed")[::2] == (460, [])
    assert outcome(Step.LOGOUT, [], "malformed")[::2] == (460, {})


def test_the_codes_are_the_contracts() -> None:
    codes = {reason: int(code) for reason, (code, _) in CODES.items()}
    assert codes["malformed"] == 460
    assert codes["bad_signature"] == 6287
    assert codes["unknown_device"] == 6100
    assert codes["no_topology"] == 6401
    assert codes["disabled"] == codes["barred"] == 522
    assert codes["too_many_online"] == 428
    assert codes["login_rate"] == codes["overloaded"] == 429
    assert codes["duplicate"] == 527
    assert codes["no_session"] == 520
    assert codes["superseded"] == 427
    assert codes["internal"] == codes["auth_unavailable"] == codes["claims_unavailable"] == 500
