"""Flat wire parameters to nested members, guided by the shape of the request.

    DeviceName.1=d1&DeviceName.2=d2                  -> {"DeviceName": ["d1", "d2"]}
    Tag.1.TagKey=k&Tag.1.TagValue=v                  -> {"Tag": [{"TagKey": "k", "TagValue": "v"}]}

Indexes count from 1; gaps close up. An empty value counts as absent: the typed SDKs send one for an unset text.
Parameters outside the shape are ignored, as the contract's clients send more than any operation reads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from thinghub.api_gateway.errors import invalid

MAX_ITEMS = 1000
_INDEX = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shape:
    """Members of a request by how they nest: `scalars`, `lists` of text, `objects` (lists of objects of scalars)."""

    scalars: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    objects: Mapping[str, frozenset[str]] = field(default_factory=dict)


def nest(parameters: Mapping[str, str], shape: Shape) -> dict[str, object]:
    """Raises Refused (InvalidParameter) for an index that is not 1 to 1000, or a list given without one."""
    members: dict[str, object] = {}
    lists: dict[str, dict[int, str]] = {}
    objects: dict[str, dict[int, dict[str, str]]] = {}
    for name, value in parameters.items():
        if name in shape.scalars:
            if value:
                members[name] = value
            continue
        head, _, tail = name.partition(".")
        if head in shape.lists:
            lists.setdefault(head, {})[_index(name, tail)] = value
        elif head in shape.objects:
            number, _, member = tail.partition(".")
            index = _index(name, number)
            if member in shape.objects[head]:
                objects.setdefault(head, {}).setdefault(index, {})[member] = value
    members.update({name: [items[i] for i in sorted(items)] for name, items in lists.items()})
    members.update({name: [items[i] for i in sorted(items)] for name, items in objects.items()})
    return members


def _index(name: str, text: str) -> int:
    if not _INDEX.fullmatch(text) or int(text) > MAX_ITEMS:
        raise invalid(name, f"a list is given as {name.partition('.')[0]}.1, .2, ... up to {MAX_ITEMS}")
    return int(text)
