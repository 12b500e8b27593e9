"""The shadow document: what a request makes of it (device-mqtt §5).

A version is accepted only if it is greater than the document's; -1 empties the document and sets it to version 0 before
the rest of the request is done (which of both the contract means is unconfirmed: the vendor's page says "clears the
shadow and sets its version to 0").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import orjson

from thinghub.shadow.domain.document_tree import MAX_ATTRIBUTES, Tree, attributes, merge, remove

MAX_BYTES = 16 * 1024
RESET = -1
EMPTY: Tree = {}


class Problem(StrEnum):
    """What is wrong with a request."""

    EMPTY = "empty"
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NO_METHOD = "no_method"
    BAD_METHOD = "bad_method"
    NO_STATE = "no_state"
    NO_VERSION = "no_version"
    BAD_VERSION = "bad_version"
    NO_REPORTED = "no_reported"
    REPORTED_NOT_OBJECT = "reported_not_object"
    REPORTED_EMPTY = "reported_empty"
    TOO_MANY_REPORTED = "too_many_reported"
    NO_DESIRED = "no_desired"
    DESIRED_NULL = "desired_null"
    DESIRED_NOT_OBJECT = "desired_not_object"
    DESIRED_EMPTY = "desired_empty"
    DESIRED_VALUE_NULL = "desired_value_null"
    TOO_MANY_DESIRED = "too_many_desired"
    CONFLICT = "conflict"
    FAILED = "failed"


# Code and text of the answer to a device.
DEVICE_ERRORS: Mapping[Problem, tuple[int, str]] = {
    Problem.NOT_JSON: (400, "the shadow message is not a JSON object"),
    Problem.TOO_LARGE: (400, f"a shadow has at most {MAX_BYTES} bytes"),
    Problem.TOO_DEEP: (400, "a shadow has at most 5 levels"),
    Problem.REPORTED_NOT_OBJECT: (400, "reported is not an object"),
    Problem.NO_METHOD: (401, "the shadow message has no method"),
    Problem.NO_STATE: (402, "the shadow message has no state"),
    Problem.NO_VERSION: (403, "version is not a number"),
    Problem.BAD_VERSION: (403, "version is not a number"),
    Problem.NO_REPORTED: (404, "state has no reported"),
    Problem.REPORTED_EMPTY: (405, "reported is empty"),
    Problem.BAD_METHOD: (406, "the method is none of update, get, delete"),
    Problem.EMPTY: (407, "the shadow message is empty"),
    Problem.TOO_MANY_REPORTED: (408, f"reported has more than {MAX_ATTRIBUTES} attributes"),
    Problem.CONFLICT: (409, "the version is not greater than the shadow's"),
    Problem.FAILED: (500, "the platform could not process the request"),
}


class DocumentError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def code(self) -> int:
        """As a device is told."""
        return DEVICE_ERRORS.get(self.problem, DEVICE_ERRORS[Problem.FAILED])[0]


@dataclass(frozen=True, slots=True)
class Shadow:
    """`changed_s` and the leaves of the times are epoch seconds."""

    version: int = 0
    changed_s: int = 0
    reported: Tree = field(default_factory=dict)
    desired: Tree = field(default_factory=dict)
    reported_at: Tree = field(default_factory=dict)
    desired_at: Tree = field(default_factory=dict)


class Method(StrEnum):
    UPDATE = "update"
    GET = "get"
    DELETE = "delete"


Change = Tree | Literal["null"] | None
"""What is said of one side: attributes, that all of it goes, or nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """`replace`: what is desired is all that is desired from now on."""

    method: Method
    version: int = 0
    reported: Change = None
    desired: Change = None
    replace: bool = False


def changed(shadow: Shadow, request: Request, now_s: int) -> Shadow:
    """The shadow after an update or a delete. Raises DocumentError."""
    version = request.version
    if version == RESET:
        shadow, version = Shadow(), 0
    elif version <= shadow.version:
        raise DocumentError(Problem.CONFLICT)
    deletes = request.method is Method.DELETE
    reported, reported_at = _side(shadow.reported, shadow.reported_at, request.reported, deletes, now_s)
    old_desired, old_desired_at = (EMPTY, EMPTY) if request.replace else (shadow.desired, shadow.desired_at)
    desired, desired_at = _side(old_desired, old_desired_at, request.desired, deletes, now_s)
    if request.reported is not None and attributes(reported) > MAX_ATTRIBUTES:
        raise DocumentError(Problem.TOO_MANY_REPORTED)
    if request.desired is not None and attributes(desired) > MAX_ATTRIBUTES:
        raise DocumentError(Problem.TOO_MANY_DESIRED)
    return Shadow(version, now_s, reported, desired, reported_at, desired_at)


def state_of(shadow: Shadow) -> bytes:
    """The state as JSON. Raises DocumentError when it is over MAX_BYTES."""
    state = orjson.dumps({"reported": shadow.reported, "desired": shadow.desired})
    if len(state) > MAX_BYTES:
        raise DocumentError(Problem.TOO_LARGE)
    return state


def _side(tree: Tree, times: Tree, change: Change, deletes: bool, now_s: int) -> tuple[Tree, Tree]:
    if change is None:
        return tree, times
    if isinstance(change, str):
        return EMPTY, EMPTY
    return remove(tree, times, change) if deletes else merge(tree, times, change, now_s)
