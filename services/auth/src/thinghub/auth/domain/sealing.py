"""Secrets at rest: AES-256-GCM under a named master key.

A sealed secret is (key id, 12 byte nonce + ciphertext + 16 byte tag). Its *place* (what kind of secret, of whom) is
authenticated with it, so a ciphertext copied to another record does not open. Several master keys may be given: the
first seals, every one opens; `service.rewrap` seals everything anew under the first, after which the others may go.

    format of the master keys:   <id>:<base64 or hex of 32 bytes>   one a line or by commas; # starts a comment
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_KEY_BYTES = 32
_NONCE_BYTES = 12
_TOKEN_INFO = b"thinghub auth bearer tokens 1"

Place = tuple[str, ...]


class MasterKeyError(ValueError):
    """The master keys are absent or malformed; the sentence says what to do, and shows no key."""


class SealBroken(Exception):
    """The secret does not open: sealed with a key that is not given, moved to another record, or damaged."""


@dataclass(frozen=True, slots=True)
class Sealed:
    key_id: str
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class MasterKey:
    id: str
    value: bytes = field(repr=False)


class KeyRing:
    """The master keys, the active one first."""

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        if not keys:
            raise MasterKeyError("no master key is given")
        self.active = keys[0].id
        self.ids = tuple(key.id for key in keys)
        self._ciphers: Mapping[str, AESGCM] = {key.id: AESGCM(key.value) for key in keys}
        self._token_keys: Mapping[str, bytes] = {key.id: _derived(key.value) for key in keys}

    def seal(self, secret: str, place: Place) -> Sealed:
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(
            self.active, nonce + self._ciphers[self.active].encrypt(nonce, secret.encode(), _bound(place, self.active))
        )

    def open(self, sealed: Sealed, place: Place) -> str:
        """Raises SealBroken."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SealBroken(f"master key {sealed.key_id!r} is not given")
        nonce, ciphertext = sealed.ciphertext[:_NONCE_BYTES], sealed.ciphertext[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, _bound(place, sealed.key_id)).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the sealed secret does not open in its place") from error

    def token_key(self, key_id: str) -> bytes | None:
        """Key that signs bearer tokens, derived from the master key of that id."""
        return self._token_keys.get(key_id)


def _bound(place: Place, key_id: str) -> bytes:
    # JSON keeps the parts apart whatever characters they hold.
    return json.dumps([*place, key_id], separators=(",", ":")).encode()


def _derived(master: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_TOKEN_INFO).derive(master)


def parse_master_keys(text: str) -> KeyRing:
    """Raises MasterKeyError."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    keys = [_parse_entry(number, entry) for number, entry in enumerate(entries, 1)]
    if len({key.id for key in keys}) != len(keys):
        raise MasterKeyError("two master keys have the same id")
    return KeyRing(keys)


def _parse_entry(number: int, entry: str) -> MasterKey:
    key_id, colon, encoded = entry.partition(":")
    if not colon or not _KEY_ID.fullmatch(key_id.strip()):
        raise MasterKeyError(f"master key {number} is not <id>:<base64 or hex of {_KEY_BYTES} bytes>")
    value = _decoded(encoded.strip())
    if len(value) != _KEY_BYTES:
        raise MasterKeyError(f"master key {key_id.strip()!r} does not have {_KEY_BYTES} bytes in base64 or hex")
    return MasterKey(key_id.strip(), value)


def _decoded(encoded: str) -> bytes:
    if len(encoded) == 2 * _KEY_BYTES:
        try:
            return bytes.fromhex(encoded)
        except ValueError:
            return b""
    try:
        return base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return b""


def generate_master_key(key_id: str) -> str:
    """A new key as one line of the format above."""
    return f"{key_id}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"
