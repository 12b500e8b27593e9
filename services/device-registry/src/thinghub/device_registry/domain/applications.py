"""Applications: many devices asked for in one call (open-api §4), and what is wrong with some of them."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from thinghub.device_registry.domain.devices import MAX_NICKNAME, DeviceId
from thinghub.device_registry.domain.names import check_device_name, check_text
from thinghub.device_registry.errors import DeviceNameInvalid, RequestInvalid

MAX_NAMES = 1000
MAX_COUNT = 10_000
MAX_SN = 64
_SECRET = re.compile(r"[!-~]{1,128}")
EXISTS = "a device of this name exists"


class State(StrEnum):
    CHECKED = "checked"
    RUNNING = "running"
    DONE = "done"
    # Over, and no device was made.
    FAILED = "failed"


class Reason(StrEnum):
    NAME = "name"
    NICKNAME = "nickname"
    SECRET = "secret"
    SN = "sn"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device somebody asks for. The secret is an import's."""

    device_name: str
    nickname: str = ""
    sn: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    wanted: Wanted
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A device of an application that is to be made."""

    number: int
    device: DeviceId
    nickname: str
    sn: str
    iot_id: str


@dataclass(frozen=True, slots=True)
class Application:
    """`names` are those made so far; before the start, those that can be made."""

    state: State
    names: Sequence[str]
    refused: Sequence[Refusal]


def sort_out(wanted: Sequence[Wanted], existing: Collection[str], imported: bool) -> tuple[list[Wanted], list[Refusal]]:
    """What can be made and what cannot, each in order. Of two with one name the first can."""
    good: list[Wanted] = []
    refused: list[Refusal] = []
    seen: set[str] = set()
    for one in wanted:
        refusal = _fault(one, imported)
        if refusal is None and one.device_name in existing:
            refusal = Refusal(one, Reason.REPEATED, EXISTS)
        if refusal is None and one.device_name in seen:
            refusal = Refusal(one, Reason.REPEATED, "the name is given twice")
        seen.add(one.device_name)
        if refusal is None:
            good.append(one)
        else:
            refused.append(refusal)
    return good, refused


def _fault(wanted: Wanted, imported: bool) -> Refusal | None:
    try:
        check_device_name(wanted.device_name)
    except DeviceNameInvalid as error:
        return Refusal(wanted, Reason.NAME, error.message)
    try:
        check_text(wanted.nickname, "Nickname", MAX_NICKNAME)
    except RequestInvalid as error:
        return Refusal(wanted, Reason.NICKNAME, error.message)
    if imported and not _SECRET.fullmatch(wanted.secret):
        return Refusal(wanted, Reason.SECRET, "a secret has 1 to 128 printable ASCII characters")
    if len(wanted.sn) > MAX_SN or not wanted.sn.isprintable():
        return Refusal(wanted, Reason.SN, f"a serial number has at most {MAX_SN} printable characters")
    return None
