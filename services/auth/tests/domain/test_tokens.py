import os

import jwt
import pytest

from thinghub.auth.domain import tokens
from thinghub.auth.domain.access import AccessKey, Role
from thinghub.auth.domain.sealing import KeyRing, MasterKey
from thinghub.auth.errors import RequestInvalid, TokenInvalid

NOW = 1_700_000_000_000
OLD, NEW = MasterKey("old", os.urandom(32)), MasterKey("new", os.urandom(32))
RING = KeyRing([OLD])
KEY = AccessKey("TH01", Role.READER, "", "", NOW - 5)


def test_a_token_names_its_key_until_it_expires() -> None:
    token, expires_ms = tokens.issue(KEY, RING, NOW, 60)
    assert expires_ms == NOW + 60_000
    claims = tokens.read(token, RING, NOW + 59_000)
    assert (claims.access_key_id, claims.generation) == ("TH01", NOW - 5)
    with pytest.raises(TokenInvalid, match="expired"):
        tokens.read(token, RING, NOW + 60_000)


def test_a_token_survives_a_new_master_key_and_ends_with_its_own() -> None:
    token, _ = tokens.issue(KEY, RING, NOW, 60)
    assert tokens.read(token, KeyRing([NEW, OLD]), NOW).access_key_id == "TH01"
    with pytest.raises(TokenInvalid):
        tokens.read(token, KeyRing([NEW]), NOW)


def test_a_forged_token_is_refused() -> None:
    token, _ = tokens.issue(KEY, RING, NOW, 60)
    payload = jwt.decode(token, options={"verify_signature": False})
    forged = [
        "",
        "x.y.z",
        token[:-4] + "AAAA",
        token + "a" * 5000,
        jwt.encode(payload, "another key of enough length 012345", algorithm="HS256", headers={"kid": "old"}),
        jwt.encode(payload, "", algorithm="none", headers={"kid": "old"}),
        jwt.encode(payload, OLD.value, algorithm="HS256", headers={"kid": "old"}),
        jwt.encode(payload, RING.token_key("old") or b"", algorithm="HS256"),
        jwt.encode({**payload, "iss": "x"}, RING.token_key("old") or b"", algorithm="HS256", headers={"kid": "old"}),
        jwt.encode({**payload, "gen": "1"}, RING.token_key("old") or b"", algorithm="HS256", headers={"kid": "old"}),
    ]
    for one in forged:
        with pytest.raises(TokenInvalid):
            tokens.read(one, RING, NOW)


def test_lifetimes_are_bounded() -> None:
    assert tokens.lifetime(0) == tokens.DEFAULT_SECONDS
    for seconds in (-1, tokens.MAX_SECONDS + 1):
        with pytest.raises(RequestInvalid):
            tokens.lifetime(seconds)
