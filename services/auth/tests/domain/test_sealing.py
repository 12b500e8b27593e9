import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.auth.domain.sealing import KeyRing, MasterKey, MasterKeyError, SealBroken, Sealed, parse_master_keys

RING = KeyRing([MasterKey("k1", os.urandom(32))])
PLACE = ("device", "a1pk", "dev1")


@given(st.text(max_size=200), st.tuples(st.text(max_size=20), st.text(max_size=20)))
def test_what_was_sealed_opens_in_its_place(secret: str, place: tuple[str, ...]) -> None:
    assert RING.open(RING.seal(secret, place), place) == secret


@pytest.mark.parametrize("other", [("device", "a1pk", "dev2"), ("product", "a1pk", "dev1"), ("device", "a1pkdev1"), ()])
def test_a_ciphertext_moved_to_another_record_does_not_open(other: tuple[str, ...]) -> None:
    sealed = RING.seal("secret", PLACE)
    with pytest.raises(SealBroken):
        RING.open(sealed, other)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_noticed(position: int, change: int) -> None:
    sealed = RING.seal("secret", PLACE)
    damaged = bytearray(sealed.ciphertext)
    damaged[position % len(damaged)] ^= change
    with pytest.raises(SealBroken):
        RING.open(Sealed(sealed.key_id, bytes(damaged)), PLACE)


def test_the_first_key_seals_and_every_key_opens() -> None:
    old, new = MasterKey("old", os.urandom(32)), MasterKey("new", os.urandom(32))
    sealed = KeyRing([old]).seal("secret", PLACE)
    both = KeyRing([new, old])
    assert both.open(sealed, PLACE) == "secret"
    assert both.seal("secret", PLACE).key_id == "new"
    with pytest.raises(SealBroken, match="old"):
        KeyRing([new]).open(sealed, PLACE)


def test_the_same_secret_is_never_sealed_alike() -> None:
    assert RING.seal("secret", PLACE).ciphertext != RING.seal("secret", PLACE).ciphertext


def test_keys_are_read_from_lines_and_commas_in_base64_and_hex() -> None:
    first, second, third = os.urandom(32), os.urandom(32), os.urandom(32)
    text = f"""
    # rotated in spring
    new: {base64.b64encode(first).decode()}   # the active one
    old:{second.hex()},older:{base64.urlsafe_b64encode(third).decode()}
    """
    ring = parse_master_keys(text)
    assert ring.active == "new"
    assert (
        parse_master_keys(f"old:{second.hex()}").open(KeyRing([MasterKey("old", second)]).seal("x", PLACE), PLACE)
        == "x"
    )
    assert ring.open(KeyRing([MasterKey("older", third)]).seal("x", PLACE), PLACE) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "no colon",
        "k1:short",
        "k1:" + "zz" * 32,
        "bad id!:" + "00" * 32,
        f"a:{'00' * 32},a:{'11' * 32}",
    ],
)
def test_a_malformed_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(MasterKeyError) as refused:
        parse_master_keys(text)
    assert "00" * 32 not in str(refused.value)
    assert "short" not in str(refused.value)
