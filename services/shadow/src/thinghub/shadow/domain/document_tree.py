"""Attribute trees: what one side of a shadow holds, and beside it since when.

A tree is a JSON object; objects in it are branches, everything else (lists too) is an attribute. The tree of times has
the same branches and epoch seconds in place of attributes. A null, or the contract's literal "null", takes an attribute
or a branch away. No function changes what it is given.
"""

from collections.abc import Mapping
from typing import Final

Tree = Mapping[str, object]
MAX_ATTRIBUTES = 128
MAX_LEVELS = 5
NULL: Final = "null"


class TooDeep(ValueError):
    """More than MAX_LEVELS objects or lists inside each other."""


def is_null(value: object) -> bool:
    return value is None or value == NULL


def attributes(tree: Tree, levels: int = MAX_LEVELS) -> int:
    """Number of attributes; an empty branch counts as one. Raises TooDeep, and looks no deeper than that."""
    count = len(tree)
    for value in tree.values():
        if type(value) is dict:
            if levels <= 1:
                raise TooDeep
            count += max(attributes(value, levels - 1) - 1, 0)
        elif type(value) is list:
            _check_list(value, levels - 1)
    return count


def _check_list(items: list[object], levels: int) -> None:
    if levels < 1:
        raise TooDeep
    for item in items:
        if type(item) is dict:
            _check_list(list(item.values()), levels - 1)
        elif type(item) is list:
            _check_list(item, levels - 1)


def merge(tree: Tree, times: Tree, change: Tree, now_s: int) -> tuple[Tree, Tree]:
    """The change over the tree: branches are merged, attributes replaced, nulls taken away."""
    new, new_times = dict(tree), dict(times)
    for name, value in change.items():
        if value is None or value == NULL:
            new.pop(name, None)
            new_times.pop(name, None)
        elif type(value) is dict:
            branch, branch_times = merge(_branch(tree, name), _branch(times, name), value, now_s)
            _put(new, new_times, name, branch, branch_times, kept=bool(branch) or not value)
        else:
            new[name] = value
            new_times[name] = now_s
    return new, new_times


def remove(tree: Tree, times: Tree, names: Tree) -> tuple[Tree, Tree]:
    """The tree without the attributes named, whatever values they are named with; a non-empty object names what is in a
    branch."""
    new, new_times = dict(tree), dict(times)
    for name, value in names.items():
        if type(value) is dict and value and type(tree.get(name)) is dict:
            branch, branch_times = remove(_branch(tree, name), _branch(times, name), value)
            _put(new, new_times, name, branch, branch_times, kept=bool(branch))
        else:
            new.pop(name, None)
            new_times.pop(name, None)
    return new, new_times


def nulls(change: Tree) -> Tree:
    """What of a change only takes away."""
    found: dict[str, object] = {}
    for name, value in change.items():
        if is_null(value):
            found[name] = None
        elif type(value) is dict and (below := nulls(value)):
            found[name] = below
    return found


def metadata(times: Tree) -> dict[str, object]:
    """The times as the contract shows them: `{"timestamp": seconds}` for each attribute."""
    return {name: metadata(value) if isinstance(value, dict) else {"timestamp": value} for name, value in times.items()}


def _branch(tree: Tree, name: str) -> Tree:
    value = tree.get(name)
    return value if type(value) is dict else {}


def _put(
    tree: dict[str, object], times: dict[str, object], name: str, branch: Tree, branch_times: Tree, *, kept: bool
) -> None:
    if kept:
        tree[name], times[name] = branch, branch_times
    else:
        tree.pop(name, None)
        times.pop(name, None)
