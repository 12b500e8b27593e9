"""The TSL document that is stored and shown: normal form, merged drafts, the slim form."""

from typing import Final

import orjson

from thinghub.device_protocol.tsl.parse import GET, POST, SCHEMA, SET, Json, is_built_in

_FUNCTIONS: Final = ("properties", "events", "services")
_SLIM: Final = {
    "properties": ("identifier", "dataType"),
    "events": ("identifier", "outputData"),
    "services": ("identifier", "inputData", "outputData"),
}


def normal(document: Json, product_key: str) -> Json:
    """The document of a product: its own key, every section there, built-in functions made from the properties. Of a
    document that `parse` has accepted."""
    whole = _module(document)
    blocks = [{**_head(block), **_module(block)} for block in _list(document.get("functionBlocks"))]
    made: Json = {"schema": SCHEMA, "profile": {"productKey": product_key}, **whole}
    if blocks:
        made["functionBlocks"] = blocks
    return made


def merged(document: Json, addition: Json) -> Json:
    """`document` and the functions of `addition` behind its own; a function that both have is there twice, which
    `parse` refuses."""
    functions = {key: [*_own(document, key), *_own(addition, key)] for key in _FUNCTIONS}
    return {**document, **functions}


def with_module(document: Json, identifier: str, name: str, module: Json) -> Json:
    """`document` with that module put in, in the place of one of the same identifier."""
    blocks = [one for one in _list(document.get("functionBlocks")) if one.get("functionBlockId") != identifier]
    block = {"functionBlockId": identifier, "functionBlockName": name or identifier}
    return {**document, "functionBlocks": [*blocks, {**block, **{key: _own(module, key) for key in _FUNCTIONS}}]}


def module_of(document: Json, identifier: str) -> Json | None:
    """The named module as a document, the default one for an empty name; None when there is none."""
    if not identifier:
        return document
    for block in _list(document.get("functionBlocks")):
        if block.get("functionBlockId") == identifier:
            return {"schema": document.get("schema", SCHEMA), "profile": document.get("profile", {}), **block}
    return None


def slim(document: Json) -> Json:
    """What a device needs: identifiers and data types, built-in functions left out."""
    short: Json = {"profile": document.get("profile", {})}
    for key, kept in _SLIM.items():
        short[key] = [{name: one[name] for name in kept if name in one} for one in _own(document, key)]
    blocks = _list(document.get("functionBlocks"))
    if blocks:
        short["functionBlocks"] = [
            {"functionBlockId": block.get("functionBlockId"), **{key: slim(block)[key] for key in _SLIM}}
            for block in blocks
        ]
    return short


def text(document: Json) -> str:
    return orjson.dumps(document).decode()


def _module(members: Json) -> Json:
    properties = _own(members, "properties")
    plain = [_parameter(one) for one in properties]
    writable = [_parameter(one) for one in properties if one.get("accessMode", "rw") == "rw"]
    post = {"identifier": "post", "name": "post", "type": "info", "required": True, "method": POST}
    set_, get = (
        {"identifier": one, "name": one, "required": True, "callType": "async", "method": method}
        for one, method in (("set", SET), ("get", GET))
    )
    return {
        "properties": properties,
        "events": [{**post, "outputData": plain}, *_own(members, "events")],
        "services": [
            {**set_, "inputData": writable, "outputData": []},
            {**get, "inputData": [one["identifier"] for one in properties], "outputData": plain},
            *_own(members, "services"),
        ],
    }


def _head(block: Json) -> Json:
    return {key: block[key] for key in ("functionBlockId", "functionBlockName") if key in block}


def _parameter(one: Json) -> Json:
    return {key: one[key] for key in ("identifier", "name", "dataType") if key in one}


def _own(members: Json, key: str) -> list[Json]:
    """The functions that are not built in."""
    return [one for one in _list(members.get(key)) if not is_built_in(one)]


def _list(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
