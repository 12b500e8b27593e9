"""Signatures of API calls, computed here from open-api §2 alone."""

import base64
import hashlib
import hmac
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.auth.domain import access
from thinghub.auth.domain.access import SignatureAlgorithm, SignatureProof
from thinghub.auth.errors import ProofInvalid, RequestInvalid, SignatureMismatch, TimestampExpired

SECRET = "0123456789abcdefXYZ"


def reference(algorithm: SignatureAlgorithm, secret: str, text: str) -> str:
    if algorithm is SignatureAlgorithm.HMAC_SHA1:
        return base64.b64encode(hmac.new((secret + "&").encode(), text.encode(), hashlib.sha1).digest()).decode()
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def proof(algorithm: SignatureAlgorithm, text: str, signature: str, nonce: str = "n", at: int = 0) -> SignatureProof:
    return SignatureProof(algorithm, "TH01", text, signature, nonce, at)


@given(st.sampled_from(list(SignatureAlgorithm)), st.text(min_size=1, max_size=300))
def test_the_contracts_signature_is_accepted_and_every_other_refused(algorithm: SignatureAlgorithm, text: str) -> None:
    right = reference(algorithm, SECRET, text)
    access.check_signature(proof(algorithm, text, right), SECRET)
    for wrong in (reference(algorithm, SECRET + "x", text), reference(algorithm, SECRET, text + "x"), right[:-1], "ü"):
        with pytest.raises(SignatureMismatch) as refused:
            access.check_signature(proof(algorithm, text, wrong), SECRET)
        assert right not in str(refused.value)


def test_base64_has_a_case_and_hexadecimal_has_none() -> None:
    v1, v3 = SignatureAlgorithm.HMAC_SHA1, SignatureAlgorithm.ACS3_HMAC_SHA256
    access.check_signature(proof(v3, "text", reference(v3, SECRET, "text").upper()), SECRET)
    with pytest.raises(SignatureMismatch):
        access.check_signature(proof(v1, "text", reference(v1, SECRET, "text").swapcase()), SECRET)


@pytest.mark.parametrize(
    ("minutes", "accepted"), [(0, True), (14.9, True), (-14.9, True), (15.1, False), (-15.1, False)]
)
def test_the_timestamp_may_be_15_minutes_away(minutes: float, accepted: bool) -> None:
    now = 1_700_000_000_000
    call = proof(SignatureAlgorithm.HMAC_SHA1, "t", "s", at=int(now + minutes * 60_000))
    if accepted:
        access.check_time(call, now)
    else:
        with pytest.raises(TimestampExpired):
            access.check_time(call, now)


@pytest.mark.parametrize("nonce", ["", "n" * 257])
def test_a_signature_needs_a_nonce(nonce: str) -> None:
    with pytest.raises(ProofInvalid):
        access.check_shape(proof(SignatureAlgorithm.HMAC_SHA1, "t", "s", nonce))


def test_generated_keys_have_our_shape() -> None:
    key_id, secret = access.generate_id(), access.generate_secret()
    assert key_id.startswith("TH")
    assert len(key_id) == 24
    assert key_id.isalnum()
    assert len(secret) >= 30
    assert set(secret) <= set(string.ascii_letters + string.digits + "-_")
    access.check_new_key(key_id, secret, "")


@pytest.mark.parametrize(
    ("key_id", "secret"), [("TH0123", ""), ("", SECRET), ("a b", SECRET), ("TH0123", "short"), ("TH0123", "ü" * 20)]
)
def test_a_given_key_must_be_whole_and_well_formed(key_id: str, secret: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        access.check_new_key(key_id, secret, "")
    assert SECRET not in str(refused.value)
