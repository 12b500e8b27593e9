from thinghub.api_gateway.errors import CODES, NULL_CODES, REASONS, Refused, refused_by_owner
from thinghub.common.errors import FailedPrecondition, RemoteFault, Unavailable


def test_every_reason_and_null_code_is_a_known_code() -> None:
    assert set(REASONS.values()) <= CODES.keys()
    assert set(NULL_CODES.values()) <= CODES.keys()


def test_an_owners_reason_becomes_the_public_code() -> None:
    refused = refused_by_owner(RemoteFault("NotFound", "device_not_found", "no such device"))
    assert (refused.code, refused.status, refused.message) == ("iot.device.NotExistedDevice", 404, "no such device")
    assert refused.business


def test_an_operation_may_name_another_code() -> None:
    fault = RemoteFault("NotFound", "secret_not_found", "no secret x")
    assert refused_by_owner(fault).code == "iot.secret.NotExistedSecret"
    overrides = {"secret_not_found": "iot.rule.ParseRuleActionConfigError"}
    assert refused_by_owner(fault, overrides).code == "iot.rule.ParseRuleActionConfigError"


def test_an_unknown_reason_is_a_system_exception_that_tells_nothing() -> None:
    for fault in (RemoteFault("Internal", "internal", "secret text"), FailedPrecondition("secret text")):
        refused = refused_by_owner(fault)
        assert refused.code == "iot.system.SystemException"
        assert "secret" not in refused.message


def test_an_owner_that_is_away_is_service_unavailable() -> None:
    told = RemoteFault("Unavailable", "gateways_not_told", "")
    for fault in (Unavailable("10.0.0.1 refused"), RemoteFault("Unavailable", "store_unavailable", ""), told):
        refused = refused_by_owner(fault)
        assert (refused.code, refused.status) == ("ServiceUnavailable", 503)
        assert "10.0.0.1" not in refused.message


def test_the_position_of_an_sql_error_is_told() -> None:
    refused = refused_by_owner(RemoteFault("InvalidArgument", "sql_invalid", "unexpected word", position="7"))
    assert refused.message == "unexpected word (position 7)"
    assert refused.details == {"position": "7"}


def test_kinds_are_told_apart_by_their_code() -> None:
    assert not Refused("MissingParameter", "x").business
    assert Refused("iot.prod.NullProductKey", "x").business
