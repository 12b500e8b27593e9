"""Access keys: who may call the API, and how a call proves it (open-api §2)."""

import base64
import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from thinghub.auth.domain.sealing import Place, Sealed
from thinghub.auth.errors import ProofInvalid, RequestInvalid, SignatureMismatch, TimestampExpired

WINDOW_MS = 15 * 60 * 1000
NONCE_SECONDS = 1800  # both sides of the window
MAX_NONCE = 256
_MAX_DESCRIPTION = 256
_ID = re.compile(r"[A-Za-z0-9._-]{4,128}")
_ID_LETTERS = string.ascii_letters + string.digits


class Role(IntEnum):
    READER = 1
    OPERATOR = 2
    ADMINISTRATOR = 3


class SignatureAlgorithm(Enum):
    HMAC_SHA1 = "HMAC-SHA1"
    ACS3_HMAC_SHA256 = "ACS3-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """`instance_id` empty: every instance."""

    id: str
    role: Role
    instance_id: str
    description: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class StoredAccessKey:
    key: AccessKey
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class SignatureProof:
    algorithm: SignatureAlgorithm
    access_key_id: str
    string_to_sign: str = field(repr=False)
    signature: str = field(repr=False)
    nonce: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class BasicProof:
    access_key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerProof:
    token: str = field(repr=False)


CallerProof = SignatureProof | BasicProof | BearerProof


def place(access_key_id: str) -> Place:
    return ("access-key", access_key_id)


def is_id(text: str) -> bool:
    """Whether an access key could have this id: what else callers send is not worth a query."""
    return _ID.fullmatch(text) is not None


def generate_id() -> str:
    """24 characters beginning `TH`."""
    return "TH" + "".join(secrets.choice(_ID_LETTERS) for _ in range(22))


def generate_secret() -> str:
    """40 URL-safe characters, 240 bits."""
    return secrets.token_urlsafe(30)


def check_scope(instance_id: str, after: str = "") -> None:
    """What goes into rows and queries as it came. Raises RequestInvalid."""
    if len(instance_id) > 128 or len(after) > 128 or not (instance_id + after).isprintable():
        raise RequestInvalid("an instance id and a page's start have at most 128 printable characters")


def check_new_key(access_key_id: str, secret: str, description: str) -> None:
    if bool(access_key_id) != bool(secret):
        raise RequestInvalid("give both the access key id and its secret, or neither")
    if access_key_id and not is_id(access_key_id):
        raise RequestInvalid("an access key id has 4 to 128 letters, digits, dots, dashes and underscores")
    if secret and not (16 <= len(secret) <= 256 and secret.isascii() and secret.isprintable()):
        raise RequestInvalid("an access key secret has 16 to 256 printable ASCII characters")
    if len(description) > _MAX_DESCRIPTION or "\0" in description:
        raise RequestInvalid(f"a description has at most {_MAX_DESCRIPTION} characters")


def sign(algorithm: SignatureAlgorithm, secret: str, string_to_sign: str) -> str:
    content = string_to_sign.encode()
    if algorithm is SignatureAlgorithm.HMAC_SHA1:
        return base64.b64encode(hmac.digest(f"{secret}&".encode(), content, hashlib.sha1)).decode()
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def check_shape(proof: SignatureProof) -> None:
    """Raises ProofInvalid."""
    if not proof.access_key_id or not proof.signature or not proof.string_to_sign:
        raise ProofInvalid("the signature, its access key id or the signed text is absent")
    if not 1 <= len(proof.nonce) <= MAX_NONCE:
        raise ProofInvalid(f"the signature nonce has 1 to {MAX_NONCE} characters")


def check_time(proof: SignatureProof, now_ms: int) -> None:
    """Raises TimestampExpired."""
    if abs(now_ms - proof.timestamp_ms) > WINDOW_MS:
        raise TimestampExpired("the timestamp is more than 15 minutes away from the platform's clock")


def check_signature(proof: SignatureProof, secret: str) -> None:
    """Raises SignatureMismatch."""
    given = proof.signature
    if proof.algorithm is SignatureAlgorithm.ACS3_HMAC_SHA256:
        given = given.lower()
    wanted = sign(proof.algorithm, secret, proof.string_to_sign)
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise SignatureMismatch("the signature does not match")
