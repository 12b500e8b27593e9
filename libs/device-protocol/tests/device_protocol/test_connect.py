import pytest

from thinghub.device_protocol.codes import Connack
from thinghub.device_protocol.connect import BadUser, ConnectClaims, MalformedClientId, parse_connect, signed_content
from thinghub.device_protocol.signing import SignMethod, sign, verify

USER = "dev1&a1B2"
C3 = "a1B2.dev1|timestamp=2524608000000,_v=sdk-c-3.0.1,securemode=2,signmethod=hmacsha256,lan=C,gw=0,ext=0|"
C4 = "a1B2.dev1|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,signmethod=hmacsha256,ext=3|"

# Client ids captured from real SDKs (device-mqtt §1): client id, signed part, method, timestamp, securemode, ext, _ss.
OBSERVED = [
    (
        "a1B2&dev1|securemode=2,signmethod=hmacsha1,ext=1,_ss=1,lan=Python,_v=1.2.13,timestamp=1795411796|",
        ("a1B2&dev1", SignMethod.HMAC_SHA1, "1795411796", 2, 1, True),
    ),
    (
        "a1B2&dev1|securemode=3,signmethod=hmacsha1,timestamp=1795411849968,lan=NodeJS,_v=1.2.8|",
        ("a1B2&dev1", SignMethod.HMAC_SHA1, "1795411849968", 3, 0, False),
    ),
    (
        "a1B2&dev1_aliyun-iot-device-sdk-js|securemode=3,\n        signmethod=hmacsha1,\n     timestamp=1795411849968|",
        ("a1B2&dev1_aliyun-iot-device-sdk-js", SignMethod.HMAC_SHA1, "1795411849968", 3, 0, False),
    ),
    (C3, ("a1B2.dev1", SignMethod.HMAC_SHA256, "2524608000000", 2, 0, False)),
    (C4, ("a1B2.dev1", SignMethod.HMAC_SHA256, "2524608000000", 2, 3, True)),
    ("x|securemode=3|", ("x", SignMethod.HMAC_MD5, "", 3, 0, False)),
    ("x| signmethod = hmacSha1 , novalue,_m=1,ext=1", ("x", SignMethod.HMAC_SHA1, "", 0, 1, False)),
    ("x|authType=connwl,securemode=-2,_ss=1,ext=3,lan=C|", ("x", SignMethod.HMAC_MD5, "", -2, 3, True)),
]


@pytest.mark.parametrize(("client_id", "expected"), OBSERVED)
def test_observed_client_ids_are_understood(client_id: str, expected: tuple[object, ...]) -> None:
    claims = parse_connect(client_id, USER, "AB")
    seen = (claims.client_id, claims.sign_method, claims.timestamp, claims.securemode, claims.ext, claims.ss)
    assert seen == expected
    assert (claims.product_key, claims.device_name, claims.device) == ("a1B2", "dev1", "a1B2/dev1")


@pytest.mark.parametrize(
    "client_id", ["", "a1B2&dev1", "|securemode=3|", "x" * 65 + "|securemode=3|", "x|signmethod=rot13|", "x|ext=many|"]
)
def test_a_client_id_without_sense_is_answered_with_2(client_id: str) -> None:
    with pytest.raises(MalformedClientId) as refusal:
        parse_connect(client_id, USER, "AB")
    assert refusal.value.code is Connack.BAD_CLIENT_ID


@pytest.mark.parametrize(
    "username", ["", "dev1", "&a1B2", "dev1&", "d/1&a1B2", "d+&a1B2", "dev1&a}B", "x" * 65 + "&a1B2"]
)
def test_a_user_name_that_names_no_device_is_answered_with_4(username: str) -> None:
    with pytest.raises(BadUser) as refusal:
        parse_connect("x|securemode=3|", username, "AB")
    assert refusal.value.code is Connack.BAD_CREDENTIALS


def claims(timestamp: str) -> ConnectClaims:
    keys = f"timestamp={timestamp}" if timestamp else "securemode=3"
    return parse_connect(f"12345|{keys}|", "device&pk", "")


def test_signed_content_has_the_timestamp_only_when_it_was_sent() -> None:
    assert signed_content(claims("789")) == b"clientId12345deviceNamedeviceproductKeypktimestamp789"
    assert signed_content(claims("")) == b"clientId12345deviceNamedeviceproductKeypk"


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        (SignMethod.HMAC_SHA1, "fafd82a3d602b37fb0fa8b7892f24a477f851a14"),
        (SignMethod.HMAC_MD5, "14b198324fe55e1d3c88f2e705e201ee"),
        (SignMethod.HMAC_SHA256, "6074a46a91b1ebb2cc4ea42790ad0e80202c9843859fc292e57c4eb19fad9e57"),
    ],
)
def test_the_reference_vectors_verify_in_either_case(method: SignMethod, signature: str) -> None:
    content = signed_content(claims("789"))
    assert sign(method, "secret", content) == signature
    assert verify(method, "secret", content, signature)
    assert verify(method, "secret", content, signature.upper())
    assert not verify(method, "other", content, signature)
    assert not verify(method, "secret", content, "ключ")
