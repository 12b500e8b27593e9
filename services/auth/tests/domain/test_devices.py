"""The vectors and rules of device-mqtt §1."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.auth.domain.devices import Credential, DeviceId, Proof, Verdict, judge, place
from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import KeyRing, MasterKey
from thinghub.device_protocol.signing import SignMethod, sign

NOW = 1_700_000_000_000
RING = KeyRing([MasterKey("k1", os.urandom(32))])
DEVICE = DeviceId("pk", "device")
CONTENT = b"clientId12345deviceNamedeviceproductKeypktimestamp789"
VECTORS = {
    SignMethod.HMAC_SHA1: "fafd82a3d602b37fb0fa8b7892f24a477f851a14",
    SignMethod.HMAC_MD5: "14b198324fe55e1d3c88f2e705e201ee",
    SignMethod.HMAC_SHA256: "6074a46a91b1ebb2cc4ea42790ad0e80202c9843859fc292e57c4eb19fad9e57",
}


def credential(secret: str = "secret", disabled: bool = False, deleted: bool = False) -> Credential:
    sealed = None if deleted else RING.seal(secret, place(DEVICE))
    return Credential(DEVICE, 7, "iot1", disabled, deleted, sealed)


@pytest.mark.parametrize(("method", "password"), VECTORS.items())
def test_the_reference_vectors_are_accepted_in_either_case(method: SignMethod, password: str) -> None:
    for given_password in (password, password.upper()):
        judged = judge(Proof(DEVICE, method, CONTENT, given_password), credential(), RING, NOW)
        assert (judged.verdict, judged.iot_id, judged.version) == (Verdict.OK, "iot1", 7)


@given(
    st.sampled_from(list(SignMethod)), st.text(min_size=1, max_size=64), st.binary(max_size=200), st.text(max_size=80)
)
def test_only_the_signature_of_this_secret_and_content_is_accepted(
    method: SignMethod, secret: str, content: bytes, other: str
) -> None:
    stored = credential(secret)
    right = sign(method, secret, content)
    assert judge(Proof(DEVICE, method, content, right), stored, RING, NOW).verdict is Verdict.OK
    if other.lower() != right:
        assert judge(Proof(DEVICE, method, content, other), stored, RING, NOW).verdict is Verdict.BAD_SIGNATURE
    assert judge(Proof(DEVICE, method, content + b"x", right), stored, RING, NOW).verdict is Verdict.BAD_SIGNATURE


def test_a_method_that_is_not_served_is_a_bad_signature() -> None:
    assert judge(Proof(DEVICE, None, CONTENT, "00"), credential(), RING, NOW).verdict is Verdict.BAD_SIGNATURE


def test_only_the_owner_of_the_secret_learns_that_a_device_is_disabled() -> None:
    stored = credential(disabled=True)
    right = Proof(DEVICE, SignMethod.HMAC_SHA1, CONTENT, VECTORS[SignMethod.HMAC_SHA1])
    assert judge(right, stored, RING, NOW).verdict is Verdict.DISABLED
    assert (
        judge(Proof(DEVICE, SignMethod.HMAC_SHA1, CONTENT, "00" * 20), stored, RING, NOW).verdict
        is Verdict.BAD_SIGNATURE
    )


@pytest.mark.parametrize("stored", [None, credential(deleted=True)])
def test_a_deleted_device_is_unknown(stored: Credential | None) -> None:
    proof = Proof(DEVICE, SignMethod.HMAC_SHA1, CONTENT, VECTORS[SignMethod.HMAC_SHA1])
    assert judge(proof, stored, RING, NOW).verdict is Verdict.UNKNOWN_DEVICE


def test_no_password_shows_in_a_proofs_text() -> None:
    password = VECTORS[SignMethod.HMAC_SHA1]
    assert password not in repr(Proof(DEVICE, SignMethod.HMAC_SHA1, CONTENT, password))


def test_two_secrets_are_good_until_the_former_ones_time_is_over() -> None:
    former = RING.seal("former", place(DEVICE))
    rotation = Rotation(NOW - 1000, NOW + 1000, 0, former)
    stored = Credential(DEVICE, 7, "iot1", False, False, RING.seal("new", place(DEVICE)), rotation)
    by_former, by_new, by_other = (
        Proof(DEVICE, SignMethod.HMAC_SHA1, CONTENT, sign(SignMethod.HMAC_SHA1, secret, CONTENT))
        for secret in ("former", "new", "other")
    )
    for now_ms, verdict in ((NOW, Verdict.OK), (NOW + 999, Verdict.OK), (NOW + 1000, Verdict.BAD_SIGNATURE)):
        assert judge(by_former, stored, RING, now_ms).verdict is verdict
        assert judge(by_new, stored, RING, now_ms).verdict is Verdict.OK
        assert judge(by_other, stored, RING, now_ms).verdict is Verdict.BAD_SIGNATURE
    assert judge(by_former, stored, RING, NOW).adopted is None
    assert judge(by_new, stored, RING, NOW).adopted == rotation
    known = replace(stored, rotation=replace(rotation, adopted_ms=NOW))
    assert judge(by_new, known, RING, NOW).adopted is None
