"""Thing models of products. The rules of a TSL itself are the device contract's (`device_protocol.tsl`)."""

import re
from dataclasses import dataclass
from typing import Final

from thinghub.device_protocol.tsl import creation, document
from thinghub.device_protocol.tsl.model import TslInvalid
from thinghub.device_protocol.tsl.parse import MAX_BYTES, Json, parse, read_document
from thinghub.device_registry.errors import RequestInvalid, ThingModelInvalid, ThingModelNotFound

MAX_VERSIONS: Final = 1000
_VERSION = re.compile(r"[A-Za-z0-9_.\-]{1,32}")
_MODULE = re.compile(r"[A-Za-z0-9_]{1,50}")


@dataclass(frozen=True, slots=True)
class ThingModelVersion:
    """`version` rises with every publication, `model_version` is its name."""

    version: int
    model_version: str
    description: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class EffectiveThingModel:
    """What is in force for a product, and how strictly; `version` 0 and an empty TSL when nothing was published."""

    product_key: str
    version: int
    tsl: str
    validate_type: int
    not_stored: bool
    instance_id: str
    device_type: str


def imported(draft: str, product_key: str, tsl: str, module: str, module_name: str) -> str:
    """The draft with that TSL in place of the whole, or of one module. Raises ThingModelInvalid."""
    given = _read(tsl)
    old = _draft(draft)
    if module:
        return _finished(document.with_module(old, _module_id(module), module_name, given), product_key)
    blocks = given.get("functionBlocks", old.get("functionBlocks", []))
    return _finished({**given, "functionBlocks": blocks}, product_key)


def extended(draft: str, product_key: str, functions: str, module: str, module_name: str) -> str:
    """The draft with functions added, in TSL or in the spelling of CreateThingModel. Raises ThingModelInvalid."""
    added = creation.functions_of(_read(functions))
    old = _draft(draft)
    if not module:
        return _finished(document.merged(old, added), product_key)
    whole = document.merged(document.module_of(old, _module_id(module)) or {}, added)
    return _finished(document.with_module(old, module, module_name, whole), product_key)


def shown(tsl: str, product_key: str, module: str, simple: bool) -> str:
    """As a caller wants to see it. Raises ThingModelNotFound for a module that is not there."""
    part = document.module_of(_read(tsl) if tsl else document.normal({}, product_key), module)
    if part is None:
        raise ThingModelNotFound("the thing model has no such module")
    return document.text(document.slim(part) if simple else part)


def check_model_version(model_version: str) -> None:
    if model_version and not _VERSION.fullmatch(model_version):
        raise RequestInvalid("a ModelVersion has 1 to 32 letters, digits, dots, hyphens and underscores")


def _read(text: str) -> Json:
    try:
        return read_document(text)
    except TslInvalid as error:
        raise _refused(error) from error


def _draft(text: str) -> Json:
    return _read(text) if text else {}


def _module_id(module: str) -> str:
    if not _MODULE.fullmatch(module):
        raise RequestInvalid("a FunctionBlockId has 1 to 50 letters, digits and underscores")
    return module


def _finished(made: Json, product_key: str) -> str:
    try:
        parse(made)
    except TslInvalid as error:
        raise _refused(error) from error
    text = document.text(document.normal(made, product_key))
    if len(text) > MAX_BYTES:
        raise ThingModelInvalid(f"a TSL has at most {MAX_BYTES} characters, built-in functions included", position="$")
    return text


def _refused(error: TslInvalid) -> ThingModelInvalid:
    return ThingModelInvalid(str(error), position=error.faults[0].path)
