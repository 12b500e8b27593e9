"""Bearer tokens: JWT, HS256, issued for an access key and dying with it.

`sub` is the access key id, `gen` the moment the key was created (so a key made anew under an old id does not revive
its tokens), header `kid` the master key that the signing key is derived from.
"""

import secrets
from dataclasses import dataclass

import jwt
from jwt.types import Options

from thinghub.auth.domain.access import AccessKey
from thinghub.auth.domain.sealing import KeyRing
from thinghub.auth.errors import RequestInvalid, TokenInvalid

ISSUER = "thinghub"
DEFAULT_SECONDS = 3600
MAX_SECONDS = 24 * 3600
_MAX_TOKEN = 4096
_MEMBERS = ("iss", "sub", "gen", "exp")


@dataclass(frozen=True, slots=True)
class TokenClaims:
    access_key_id: str
    generation: int


def lifetime(seconds: int) -> int:
    """0 is the default. Raises RequestInvalid."""
    if not 0 <= seconds <= MAX_SECONDS:
        raise RequestInvalid(f"a token lives 1 to {MAX_SECONDS} seconds")
    return seconds or DEFAULT_SECONDS


def issue(key: AccessKey, ring: KeyRing, now_ms: int, seconds: int) -> tuple[str, int]:
    """The token, and when it expires in epoch milliseconds."""
    expires = now_ms // 1000 + seconds
    payload: dict[str, object] = {
        "iss": ISSUER,
        "sub": key.id,
        "gen": key.created_ms,
        "iat": now_ms // 1000,
        "exp": expires,
        "jti": secrets.token_hex(8),
    }
    signing_key = ring.token_key(ring.active)
    assert signing_key is not None
    return jwt.encode(payload, signing_key, algorithm="HS256", headers={"kid": ring.active}), expires * 1000


def read(token: str, ring: KeyRing, now_ms: int) -> TokenClaims:
    """Raises TokenInvalid."""
    try:
        payload = _verified(token, ring)
    except jwt.PyJWTError as error:
        raise TokenInvalid("the bearer token is not one of ours") from error
    subject, generation, expires = payload["sub"], payload["gen"], payload["exp"]
    if not isinstance(subject, str) or not isinstance(generation, int) or not isinstance(expires, int):
        raise TokenInvalid("the bearer token is not one of ours")
    if expires * 1000 <= now_ms:
        raise TokenInvalid("the bearer token has expired")
    return TokenClaims(subject, generation)


def _verified(token: str, ring: KeyRing) -> dict[str, object]:
    if len(token) > _MAX_TOKEN:
        raise jwt.InvalidTokenError
    key_id = jwt.get_unverified_header(token).get("kid")
    signing_key = ring.token_key(key_id) if isinstance(key_id, str) else None
    if signing_key is None:
        raise jwt.InvalidTokenError
    # Time is compared by the caller's clock, so that it is an argument here as everywhere.
    options: Options = {"require": list(_MEMBERS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    payload: dict[str, object] = jwt.decode(token, signing_key, algorithms=["HS256"], issuer=ISSUER, options=options)
    return payload
