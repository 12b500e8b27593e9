"""`ThingModelJson` of CreateThingModel as TSL members.

The action's own spelling differs from TSL: `dataType` is a name in capitals with `dataSpecs` or `dataSpecsList` beside
it, `rwFlag` for the access, `outputdata`, `inputParams` and `outputParams` for parameters. TSL members are taken as
they are, so either spelling does. What makes no sense is carried over and refused by `parse`, with the TSL's path.
"""

from typing import Final

from thinghub.device_protocol.tsl.parse import Json

_ACCESS: Final = {"READ_WRITE": "rw", "READ_ONLY": "r"}
_EVENTS: Final = {"INFO_EVENT_TYPE": "info", "ALERT_EVENT_TYPE": "alert", "ERROR_EVENT_TYPE": "error"}
_DEPTH: Final = 8


def functions_of(given: Json) -> Json:
    """properties, events and services of a ThingModelJson, as TSL."""
    return {
        "properties": [_property(one) for one in _entries(given, "properties")],
        "events": [_event(one) for one in _entries(given, "events")],
        "services": [_service(one) for one in _entries(given, "services")],
    }


def _entries(given: Json, key: str) -> list[object]:
    value = given.get(key)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _property(one: object) -> object:
    if not isinstance(one, dict):
        return one
    made = _kept(one, "identifier", "name", "desc", "required", "accessMode")
    if "rwFlag" in one:
        made["accessMode"] = _word(_ACCESS, one["rwFlag"])
    made["dataType"] = _type(one)
    return made


def _event(one: object) -> object:
    if not isinstance(one, dict):
        return one
    made = _kept(one, "identifier", "name", "desc", "required", "type", "method", "outputData")
    if "eventName" in one:
        made["name"] = one["eventName"]
    if "eventType" in one:
        made["type"] = _word(_EVENTS, one["eventType"])
    for key in ("outputdata", "outputParams"):
        if key in one:
            made["outputData"] = _parameters(one[key])
    return made


def _service(one: object) -> object:
    if not isinstance(one, dict):
        return one
    made = _kept(one, "identifier", "name", "desc", "required", "callType", "method", "inputData", "outputData")
    if "serviceName" in one:
        made["name"] = one["serviceName"]
    if isinstance(made.get("callType"), str):
        made["callType"] = str(made["callType"]).lower()
    for key, given in (("inputData", "inputParams"), ("outputData", "outputParams")):
        if given in one:
            made[key] = _parameters(one[given])
    return made


def _parameters(value: object, depth: int = 0) -> object:
    if not isinstance(value, list):
        return value
    return [
        {**_kept(one, "identifier", "name", "required"), "dataType": _type(one, depth)}
        if isinstance(one, dict)
        else one
        for one in value
    ]


def _type(one: Json, depth: int = 0) -> object:
    """The type of a property, a parameter or a struct's member (whose type is `childDataType`)."""
    kind = one.get("childDataType") or one.get("dataType")
    if not isinstance(kind, str) or depth > _DEPTH:
        return kind
    specs, listed = one.get("dataSpecs"), one.get("dataSpecsList")
    kind = kind.lower()
    if kind == "struct":
        return {"type": kind, "specs": _parameters(listed, depth + 1)}
    if kind in ("enum", "bool") and isinstance(listed, list):
        pairs = [(one.get("value"), one.get("name", "")) for one in listed if isinstance(one, dict)]
        return {"type": kind, "specs": {str(value): name for value, name in pairs}}
    if kind == "array" and isinstance(specs, dict):
        return {"type": kind, "specs": {"size": specs.get("size"), "item": _item(specs, depth + 1)}}
    kept = {key: value for key, value in specs.items() if key != "dataType"} if isinstance(specs, dict) else {}
    return {"type": kind, "specs": kept}


def _item(specs: Json, depth: int) -> object:
    return _type({**specs, "dataType": specs.get("childDataType")}, depth)


def _kept(one: Json, *names: str) -> Json:
    return {name: one[name] for name in names if name in one and one[name] is not None}


def _word(words: dict[str, str], value: object) -> object:
    return words.get(value, value) if isinstance(value, str) else value
