"""Requests as they come: a device's message, and a server's. Cost is bounded by the size, which is looked at first."""

from collections.abc import Mapping

import orjson

from thinghub.shadow.domain.document import MAX_BYTES, RESET, Change, DocumentError, Method, Problem, Request
from thinghub.shadow.domain.document_tree import NULL, TooDeep, Tree, attributes, is_null, nulls

MAX_VERSION = 2**63 - 1
_METHODS = {method.value: method for method in Method}


def device_request(payload: bytes) -> Request:
    """Raises DocumentError. Of `desired` a device can only take away, for what is desired is not its to say."""
    message = _object(payload)
    method = _method(message)
    if method is Method.GET:
        return Request(method)
    state = _state(message)
    reported, desired = _reported(state), _cleared(state)
    if reported is None and desired is None:
        raise DocumentError(Problem.NO_REPORTED)
    return Request(method, _version(message), reported, desired)


def server_request(payload: bytes, delta: bool) -> Request:
    """Raises DocumentError. Of a server's message only `desired` counts."""
    message = _object(payload)
    if _method(message) is not Method.UPDATE:
        raise DocumentError(Problem.BAD_METHOD)
    state = _state(message)
    if "desired" not in state:
        raise DocumentError(Problem.NO_DESIRED)
    return Request(Method.UPDATE, _version(message), desired=_desired(state["desired"]), replace=not delta)


def _object(payload: bytes) -> Mapping[str, object]:
    if len(payload) > MAX_BYTES:
        raise DocumentError(Problem.TOO_LARGE)
    try:
        message = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise DocumentError(Problem.NOT_JSON if payload.strip() else Problem.EMPTY) from None
    if message is None or message == {}:
        raise DocumentError(Problem.EMPTY)
    if type(message) is not dict:
        raise DocumentError(Problem.NOT_JSON)
    return message


def _method(message: Mapping[str, object]) -> Method:
    name = message.get("method")
    if name is None or name == "":
        raise DocumentError(Problem.NO_METHOD)
    method = _METHODS.get(name) if type(name) is str else None
    if method is None:
        raise DocumentError(Problem.BAD_METHOD)
    return method


def _state(message: Mapping[str, object]) -> Tree:
    state = message.get("state")
    if type(state) is not dict:
        raise DocumentError(Problem.NO_STATE)
    return state


def _version(message: Mapping[str, object]) -> int:
    version = message.get("version")
    if version is None:
        raise DocumentError(Problem.NO_VERSION)
    if type(version) is float and version.is_integer():
        version = int(version)
    if type(version) is not int or not RESET <= version <= MAX_VERSION:
        raise DocumentError(Problem.BAD_VERSION)
    return version


def _reported(state: Tree) -> Change:
    """Null only counts where it is said: an absent member says nothing."""
    if "reported" not in state:
        return None
    reported = state["reported"]
    if is_null(reported):
        return NULL
    if type(reported) is not dict:
        raise DocumentError(Problem.REPORTED_NOT_OBJECT)
    if not reported:
        raise DocumentError(Problem.REPORTED_EMPTY)
    _check_depth(reported)
    return reported


def _cleared(state: Tree) -> Change:
    desired = state.get("desired", {})
    if is_null(desired):
        return NULL
    if type(desired) is not dict:
        return None
    _check_depth(desired)
    return nulls(desired) or None


def _desired(desired: object) -> Change:
    if desired is None:
        raise DocumentError(Problem.DESIRED_NULL)
    if desired == NULL:
        return NULL
    if type(desired) is not dict:
        raise DocumentError(Problem.DESIRED_NOT_OBJECT)
    if not desired:
        raise DocumentError(Problem.DESIRED_EMPTY)
    _check_depth(desired)
    if _has_null(desired):
        raise DocumentError(Problem.DESIRED_VALUE_NULL)
    return desired


def _has_null(tree: Tree) -> bool:
    return any(value is None or (type(value) is dict and _has_null(value)) for value in tree.values())


def _check_depth(tree: Tree) -> None:
    try:
        attributes(tree)
    except TooDeep:
        raise DocumentError(Problem.TOO_DEEP) from None
