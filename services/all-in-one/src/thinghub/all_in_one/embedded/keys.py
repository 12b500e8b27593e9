"""Secrets made once per data directory, mode 0600: the key that seals auth's store, and the first access key."""

import base64
import json
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from thinghub.all_in_one.embedded.places import Places, write_private

ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class AccessKey:
    access_key_id: str
    access_key_secret: str


def ensure_master_key(places: Places) -> Path:
    """A file of one line as auth reads it: a key id and 32 random bytes in base64."""
    file = places.secrets / "master.key"
    if not file.exists():
        write_private(file, b"1:" + base64.b64encode(secrets.token_bytes(32)) + b"\n")
    return file


def ensure_access_key(places: Places) -> AccessKey:
    file = places.secrets / "access-key.json"
    if not file.exists():
        made = {"access_key_id": f"TH{_random(22)}", "access_key_secret": _random(30)}
        write_private(file, json.dumps(made).encode())
    kept = json.loads(file.read_bytes())
    return AccessKey(kept["access_key_id"], kept["access_key_secret"])


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
