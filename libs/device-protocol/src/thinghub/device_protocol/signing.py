"""Device signatures: hexadecimal HMAC of the signed content under the device's secret (device-mqtt §1)."""

import hashlib
import hmac
from enum import StrEnum


class SignMethod(StrEnum):
    HMAC_MD5 = "hmacmd5"
    HMAC_SHA1 = "hmacsha1"
    HMAC_SHA256 = "hmacsha256"


_DIGESTS = {
    SignMethod.HMAC_MD5: hashlib.md5,
    SignMethod.HMAC_SHA1: hashlib.sha1,
    SignMethod.HMAC_SHA256: hashlib.sha256,
}


def sign(method: SignMethod, secret: str, content: bytes) -> str:
    """Lower-case hexadecimal HMAC."""
    return hmac.new(secret.encode(), content, _DIGESTS[method]).hexdigest()


def verify(method: SignMethod, secret: str, content: bytes, password: str) -> bool:
    """Whether `password` is the signature, in either case of hexadecimal; the comparison takes constant time."""
    return hmac.compare_digest(sign(method, secret, content).encode(), password.lower().encode())
