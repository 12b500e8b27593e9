"""Named secrets: what the `*_ref` members of rule actions point to."""

import re
from dataclasses import dataclass, field

from thinghub.auth.domain.sealing import Place, Sealed
from thinghub.auth.errors import RequestInvalid, SecretNameInvalid

MAX_VALUE_BYTES = 8192
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class NamedSecret:
    name: str
    version: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class StoredSecret:
    name: str
    version: int
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class ResolvedSecret:
    value: str = field(repr=False)
    version: int


def place(instance_id: str, name: str) -> Place:
    return ("named", instance_id, name)


def check_name(name: str) -> None:
    """Raises SecretNameInvalid."""
    if not _NAME.fullmatch(name):
        raise SecretNameInvalid(
            "a secret's name has 1 to 64 letters, digits, dots, dashes, underscores and begins with a letter or digit"
        )


def check_value(value: str) -> None:
    if not 1 <= len(value.encode()) <= MAX_VALUE_BYTES:
        raise RequestInvalid(f"a secret's value has 1 to {MAX_VALUE_BYTES} bytes")
