"""CONNECT: who a device says it is (device-mqtt §1).

    client id   ${clientId}|securemode=2,signmethod=hmacsha1,timestamp=...,ext=1,_ss=1|
    user name   {dn}&{pk}
    password    hex HMAC of clientId..deviceName..productKey..[timestamp..] under the device's secret

Real clients put newlines and spaces around keys, leave out the last bar, add keys of their own and order them as they
like; all of that is accepted. `timestamp` takes part in the signature and is compared with no clock.
"""

import re
from dataclasses import dataclass, field
from typing import Protocol

from thinghub.device_protocol.codes import Connack
from thinghub.device_protocol.signing import SignMethod

MAX_CLIENT_ID = 64
# Wider than what the registry hands out, because identities may come from outside; narrow enough for topics and keys.
_PRODUCT_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEVICE_NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
_INTEGER = re.compile(r"-?[0-9]{1,9}")


class ConnectError(ValueError):
    """The CONNECT cannot be understood; `code` answers it, `reason` counts it."""

    code = Connack.BAD_CREDENTIALS
    reason = "malformed"


class MalformedClientId(ConnectError):
    code = Connack.BAD_CLIENT_ID
    reason = "malformed_client_id"


class BadUser(ConnectError):
    code = Connack.BAD_CREDENTIALS
    reason = "bad_user"


@dataclass(frozen=True, slots=True)
class ConnectClaims:
    """What a CONNECT claims, not yet proven. `client_id` is the signed part; `timestamp` is "" when it was not sent."""

    product_key: str
    device_name: str
    client_id: str
    sign_method: SignMethod
    timestamp: str
    securemode: int
    ext: int
    ss: bool
    auth_type: str
    password: str = field(repr=False)

    @property
    def device(self) -> str:
        """`pk/dn`, as in every key."""
        return f"{self.product_key}/{self.device_name}"


def parse_connect(client_id: str, username: str, password: str) -> ConnectClaims:
    """Raises MalformedClientId or BadUser."""
    signed, keys = _split_client_id(client_id)
    product_key, device_name = named_device(username)
    return ConnectClaims(
        product_key=product_key,
        device_name=device_name,
        client_id=signed,
        sign_method=_sign_method(keys),
        timestamp=keys.get("timestamp", ""),
        securemode=_integer(keys, "securemode"),
        ext=max(_integer(keys, "ext"), 0),
        ss=keys.get("_ss", "") == "1",
        auth_type=keys.get("authType", ""),
        password=password.strip(),
    )


class Signed(Protocol):
    """An identity with a signature under it, of a CONNECT or of a sub-device's log-in."""

    @property
    def product_key(self) -> str: ...
    @property
    def device_name(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def sign_method(self) -> SignMethod: ...
    @property
    def timestamp(self) -> str: ...
    @property
    def password(self) -> str: ...


def signed_content(claims: Signed) -> bytes:
    """The bytes under the signature: names and values without separators, `timestamp` only when it was sent."""
    content = f"clientId{claims.client_id}deviceName{claims.device_name}productKey{claims.product_key}"
    if claims.timestamp:
        content += f"timestamp{claims.timestamp}"
    return content.encode()


def names_device(product_key: str, device_name: str) -> bool:
    """Whether these may be a device's names: they go into topics and keys."""
    return bool(_PRODUCT_KEY.fullmatch(product_key) and _DEVICE_NAME.fullmatch(device_name))


def named_device(username: str) -> tuple[str, str]:
    """ProductKey and DeviceName that a user name claims. Raises BadUser."""
    device_name, ampersand, product_key = username.strip().rpartition("&")
    if not ampersand or not names_device(product_key, device_name):
        raise BadUser("the user name is not {deviceName}&{productKey}")
    return product_key, device_name


def _split_client_id(client_id: str) -> tuple[str, dict[str, str]]:
    signed, bar, rest = client_id.partition("|")
    if not bar:
        raise MalformedClientId("the client id has no |key=value,...| part")
    if not 1 <= len(signed) <= MAX_CLIENT_ID:
        raise MalformedClientId(f"the client id before | must have 1 to {MAX_CLIENT_ID} characters")
    pairs = (pair.partition("=") for pair in rest.partition("|")[0].split(","))
    return signed, {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _sign_method(keys: dict[str, str]) -> SignMethod:
    name = keys.get("signmethod") or SignMethod.HMAC_MD5
    try:
        return SignMethod(name.lower())
    except ValueError as error:
        raise MalformedClientId("the sign method is not served") from error


def _integer(keys: dict[str, str], name: str) -> int:
    text = keys.get(name, "")
    if not text:
        return 0
    if not _INTEGER.fullmatch(text):
        raise MalformedClientId(f"{name} is not a number")
    return int(text)
