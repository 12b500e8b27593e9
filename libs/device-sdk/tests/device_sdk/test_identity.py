import json
from pathlib import Path

import pytest

import tests.support.identity
from thinghub.device_sdk import Endpoint, Identity, SignMethod
from thinghub.device_sdk.identity import login

THING = Identity("a1Pk", "dev:1", "secret")


@pytest.mark.parametrize("method", SignMethod)
def test_the_signature_is_the_reference_s(method: SignMethod) -> None:
    made = login(THING, method=method, timestamp=1700000000000, ext=1, secure=False)
    wanted = tests.support.identity.Identity("a1Pk", "dev:1", "secret").login(method=method.value, ext=1)
    assert (made.username, made.password) == (wanted.username, wanted.password)
    assert made.client_id.startswith(f"a1Pk.dev:1|securemode=3,signmethod={method.value},timestamp=1700000000000,ext=1")


def test_over_tls_the_client_id_says_so() -> None:
    assert "|securemode=2," in login(THING, method=SignMethod.HMAC_SHA1, timestamp=1, ext=0, secure=True).client_id


def test_secrets_are_not_printed() -> None:
    made = login(THING, method=SignMethod.HMAC_SHA256, timestamp=1, ext=0, secure=False)
    assert "secret" not in repr(THING)
    assert made.password not in repr(made)


def test_endpoints_are_read_from_what_the_platform_writes(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps({"mqtt": "[::1]:1883", "mqtts": "127.0.0.1:8883", "ca": "unused"}))
    assert Endpoint.from_file(file) == Endpoint("::1", 1883)


def test_topics() -> None:
    assert THING.custom("update") == THING.custom("user/update") == "/a1Pk/dev:1/user/update"
    assert THING.sys("thing/x") == "/sys/a1Pk/dev:1/thing/x"
    assert THING.own("/shadow/get") == "/shadow/get/a1Pk/dev:1"
