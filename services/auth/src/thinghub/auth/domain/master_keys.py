"""What is known of a master key: whether it seals, whether it is given, and what only it opens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from thinghub.auth.domain.sealing import KeyRing


class Kind(Enum):
    """What is sealed."""

    DEVICE = "device"
    FORMER_DEVICE = "former_device"
    PRODUCT = "product"
    ACCESS_KEY = "access_key"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """`records` has the kinds that the key opens records of."""

    key_id: str
    active: bool
    given: bool
    records: Mapping[Kind, int]


def uses(ring: KeyRing, counts: Mapping[Kind, Mapping[str, int]]) -> list[KeyUse]:
    """Of every key that is given or needed: the given ones in their order, then those that are missing."""
    needed = sorted({key_id for by_key in counts.values() for key_id in by_key} - set(ring.ids))
    return [
        KeyUse(
            key_id,
            key_id == ring.active,
            key_id in ring.ids,
            {kind: by_key[key_id] for kind, by_key in counts.items() if by_key.get(key_id)},
        )
        for key_id in (*ring.ids, *needed)
    ]


def lack(keys: Iterable[KeyUse]) -> str:
    """A sentence that names the keys that are missing; empty when none is."""
    missing = [key for key in keys if not key.given and key.records]
    return "; ".join(
        f"master key {key.key_id!r} is not given and only it opens {_told(key.records)}" for key in missing
    )


def _told(records: Mapping[Kind, int]) -> str:
    return ", ".join(f"{count} {kind.value.replace('_', ' ')} secrets" for kind, count in records.items())
