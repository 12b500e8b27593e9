"""Data types of a TSL: JSON to values, with a fault for each thing that cannot be or cannot be met.

Numbers of `specs` are text in the vendor's own files and numbers in hand-written ones; both are read.
"""

import math
import re
import sys
from typing import Final

from thinghub.device_protocol.tsl.faults import Faults
from thinghub.device_protocol.tsl.model import DataType, Kind, Member

MAX_TEXT: Final = 10_240
MAX_ARRAY: Final = 512
MAX_ENUM: Final = 100
MAX_STRUCT: Final = 50
MAX_NESTING: Final = 4
MAX_NAME: Final = 100
INT32: Final = (-(2**31), 2**31 - 1)
FLOAT32: Final = (-3.4028234663852886e38, 3.4028234663852886e38)

_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,50}")
_NOTHING = DataType(Kind.TEXT, length=MAX_TEXT)
_RANGES = {Kind.INT: INT32, Kind.FLOAT: FLOAT32, Kind.DOUBLE: (-sys.float_info.max, sys.float_info.max)}


def identifier_of(members: dict[str, object], path: str, faults: Faults) -> str:
    identifier = members.get("identifier")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        faults.add(f"{path}.identifier", "an identifier has 1 to 50 letters, digits and underscores")
        return ""
    return identifier


def name_of(members: dict[str, object], path: str, faults: Faults) -> str:
    """Absent: empty."""
    name = members.get("name", "")
    if not isinstance(name, str) or len(name) > MAX_NAME or "\0" in name:
        faults.add(f"{path}.name", f"a name is a text of at most {MAX_NAME} characters, no NUL among them")
        return ""
    return name


def flag_of(members: dict[str, object], key: str, path: str, faults: Faults) -> bool:
    flag = members.get(key, False)
    if not isinstance(flag, bool):
        faults.add(f"{path}.{key}", "it is true or false")
    return flag is True


def members_of(value: object, path: str, faults: Faults, depth: int = 0, most: int = MAX_STRUCT) -> tuple[Member, ...]:
    """Members of a struct, or parameters of an event or a service. Absent: none."""
    entries = faults.listing(value, path)
    if len(entries) > most:
        faults.add(path, f"there are at most {most} members")
        return ()
    found: list[Member] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        here = f"{path}[{index}]"
        members = faults.mapping(entry, here)
        if members is None:
            continue
        identifier = identifier_of(members, here, faults)
        if identifier and identifier in seen:
            faults.add(f"{here}.identifier", f"{identifier} is there twice")
        seen.add(identifier)
        data_type = type_of(members.get("dataType"), f"{here}.dataType", faults, depth + 1)
        required = flag_of(members, "required", here, faults)
        found.append(Member(identifier, name_of(members, here, faults), data_type, required))
    return tuple(found)


def type_of(value: object, path: str, faults: Faults, depth: int = 0) -> DataType:
    members = faults.mapping(value, path)
    if members is None:
        return _NOTHING
    try:
        kind = Kind(str(members.get("type")).lower())
    except ValueError:
        faults.add(f"{path}.type", f"a type is one of {', '.join(Kind)}")
        return _NOTHING
    if depth > MAX_NESTING:
        faults.add(path, f"types are nested at most {MAX_NESTING} levels deep")
        return _NOTHING
    specs, here = members.get("specs"), f"{path}.specs"
    if kind is Kind.STRUCT:
        struct = members_of(specs, here, faults, depth)
        if specs is None or specs == []:
            faults.add(here, "a struct has members")
        return DataType(kind, members=struct)
    if specs is None:
        specs = {}
    given = faults.mapping(specs, here)
    if given is None:
        return _NOTHING
    if kind in (Kind.INT, Kind.FLOAT, Kind.DOUBLE):
        return _number(kind, given, here, faults)
    if kind in (Kind.ENUM, Kind.BOOL):
        return _choice(kind, given, here, faults)
    if kind is Kind.TEXT:
        return DataType(kind, length=_count(given, "length", MAX_TEXT, here, faults))
    if kind is Kind.ARRAY:
        item = type_of(given.get("item"), f"{here}.item", faults, depth + 1)
        if item.kind is Kind.ARRAY:
            faults.add(f"{here}.item.type", "the elements of an array are no arrays")
        return DataType(kind, length=_count(given, "size", MAX_ARRAY, here, faults), item=item)
    return DataType(kind)


def _number(kind: Kind, specs: dict[str, object], path: str, faults: Faults) -> DataType:
    least, most = _RANGES.get(kind, (None, None))
    minimum, maximum = (_bound(kind, specs, key, path, faults) for key in ("min", "max"))
    step = _bound(kind, specs, "step", path, faults)
    if minimum is not None and maximum is not None and minimum > maximum:
        faults.add(f"{path}.min", f"min {minimum:g} is more than max {maximum:g}: no value would do")
    if step is not None and step <= 0:
        faults.add(f"{path}.step", "a step is more than 0")
    elif step is not None and minimum is not None and maximum is not None and 0 <= maximum - minimum < step:
        faults.add(f"{path}.step", "a step is at most max - min")
    unit = specs.get("unit", "")
    return DataType(
        kind,
        least if minimum is None else minimum,
        most if maximum is None else maximum,
        unit=unit if isinstance(unit, str) else "",
    )


def _bound(kind: Kind, specs: dict[str, object], key: str, path: str, faults: Faults) -> float | None:
    value = specs.get(key)
    if value is None or value == "":
        return None
    number = _as_number(value)
    if number is None:
        faults.add(f"{path}.{key}", "it is a number")
        return None
    least, most = _RANGES.get(kind, (-math.inf, math.inf))
    if not least <= number <= most:
        faults.add(f"{path}.{key}", f"it is outside of what {kind} can hold")
        return None
    if kind is Kind.INT and number != int(number):
        faults.add(f"{path}.{key}", "it is a whole number")
        return None
    return int(number) if kind is Kind.INT else number


def _as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _choice(kind: Kind, specs: dict[str, object], path: str, faults: Faults) -> DataType:
    options: set[int] = set()
    for key in specs:
        if re.fullmatch(r"-?[0-9]{1,10}", key) and INT32[0] <= int(key) <= INT32[1]:
            options.add(int(key))
        else:
            faults.add(f'{path}["{key[:50]}"]', "the key of a choice is an integer")
    if len(specs) > MAX_ENUM:
        faults.add(path, f"an enum has at most {MAX_ENUM} values")
    if kind is Kind.BOOL:
        if not options <= {0, 1}:
            faults.add(path, "a bool is 0 or 1")
        return DataType(kind, options=frozenset((0, 1)))
    if not specs:
        faults.add(path, "an enum has values")
    elif len(options) != len(specs):
        faults.add(path, "two keys of the enum are the same number")
    return DataType(kind, options=frozenset(options))


def _count(specs: dict[str, object], key: str, most: int, path: str, faults: Faults) -> int:
    value = specs.get(key)
    if value is None or value == "":
        return most
    number = _as_number(value)
    if number is None or number != int(number) or not 1 <= number <= most:
        faults.add(f"{path}.{key}", f"it is 1 to {most}")
        return most
    return int(number)
