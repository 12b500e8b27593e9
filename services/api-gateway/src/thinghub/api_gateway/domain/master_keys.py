"""Master keys by id, and what is sealed with them. No key is known here."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MasterKeyUse:
    """`records` by kind of secret."""

    key_id: str
    active: bool
    given: bool
    records: Mapping[str, int]
