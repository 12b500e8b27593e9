"""TSL text to a thing model, and the document that is kept.

Built-in functions (event `post`, services `set` and `get`) follow from the properties. They are made anew, so a stored
TSL never contradicts itself; a given one that names a property the TSL does not have is refused.
"""

from collections.abc import Iterable
from typing import Final

import orjson

from thinghub.device_protocol.tsl.faults import Faults
from thinghub.device_protocol.tsl.model import Event, Fault, Property, Service, ThingModel, TslInvalid
from thinghub.device_protocol.tsl.types import flag_of, identifier_of, members_of, name_of, type_of

MAX_BYTES: Final = 1 << 20
MAX_FUNCTIONS: Final = 300
MAX_MODULES: Final = 200
MAX_PARAMETERS: Final = 300
RESERVED: Final = frozenset({"set", "get", "post", "property", "event", "time", "value"})
SCHEMA: Final = "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json"
EVENT_TYPES: Final = ("info", "alert", "error")
POST, SET, GET = "thing.event.property.post", "thing.service.property.set", "thing.service.property.get"
_BUILT_IN: Final = {"post": POST, "set": SET, "get": GET}

Json = dict[str, object]


def read_document(text: str) -> Json:
    """The TSL as JSON. Raises TslInvalid."""
    if len(text) > MAX_BYTES:
        raise TslInvalid((Fault("$", f"a TSL has at most {MAX_BYTES} characters"),))
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise TslInvalid((Fault("$", f"it is not JSON: {error.msg} at {error.pos}"),)) from error
    if not isinstance(document, dict):
        raise TslInvalid((Fault("$", "it is an object"),))
    return document


def parse(document: Json) -> ThingModel:
    """Raises TslInvalid with the path of each fault."""
    faults = Faults()
    modules = [_Module(document, "$", "", faults)]
    blocks = faults.listing(document.get("functionBlocks"), "$.functionBlocks")
    if len(blocks) > MAX_MODULES:
        faults.add("$.functionBlocks", f"a thing model has at most {MAX_MODULES} modules")
        blocks = []
    seen: set[str] = set()
    for index, entry in enumerate(blocks):
        path = f"$.functionBlocks[{index}]"
        block = faults.mapping(entry, path)
        if block is None:
            continue
        identifier = identifier_of({"identifier": block.get("functionBlockId")}, path, faults)
        if identifier in seen:
            faults.add(f"{path}.functionBlockId", f"{identifier} is there twice")
        seen.add(identifier)
        modules.append(_Module(block, path, f"{identifier}:", faults))
    faults.check()
    return ThingModel(
        tuple(one for module in modules for one in module.properties),
        tuple(one for module in modules for one in module.events),
        tuple(one for module in modules for one in module.services),
    )


class _Module:
    def __init__(self, members: Json, path: str, prefix: str, faults: Faults) -> None:
        self._prefix = prefix
        self._faults = faults
        self._known: set[str] = set()
        lists = {key: faults.listing(members.get(key), f"{path}.{key}") for key in ("properties", "events", "services")}
        if sum(map(len, lists.values())) > MAX_FUNCTIONS + len(_BUILT_IN):
            faults.add(path, f"a module has at most {MAX_FUNCTIONS} functions")
            lists = {key: [] for key in lists}
        self.properties = tuple(self._properties(lists["properties"], f"{path}.properties"))
        self._known = {one.identifier.removeprefix(prefix) for one in self.properties}
        self.events = tuple(self._events(lists["events"], f"{path}.events"))
        self.services = tuple(self._services(lists["services"], f"{path}.services"))

    def _entries(self, entries: list[object], path: str) -> Iterable[tuple[Json, str, str]]:
        """Members, path and identifier of each function that has a name of its own."""
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            here = f"{path}[{index}]"
            members = self._faults.mapping(entry, here)
            if members is None:
                continue
            identifier = identifier_of(members, here, self._faults)
            if identifier and identifier in seen:
                self._faults.add(f"{here}.identifier", f"{identifier} is there twice")
            seen.add(identifier)
            if is_built_in(members):
                self._built_in(members, here)
            elif identifier in RESERVED:
                self._faults.add(f"{here}.identifier", f"{identifier} is reserved")
            else:
                yield members, here, identifier

    def _built_in(self, members: Json, path: str) -> None:
        for key in ("inputData", "outputData"):
            for index, entry in enumerate(self._faults.listing(members.get(key), f"{path}.{key}")):
                named = entry.get("identifier") if isinstance(entry, dict) else entry
                if not isinstance(named, str) or named not in self._known:
                    self._faults.add(f"{path}.{key}[{index}]", "it names a property that the TSL does not have")

    def _properties(self, entries: list[object], path: str) -> Iterable[Property]:
        for members, here, identifier in self._entries(entries, path):
            access = members.get("accessMode", "rw")
            if access not in ("rw", "r"):
                self._faults.add(f"{here}.accessMode", "it is rw or r")
            yield Property(
                self._prefix + identifier,
                name_of(members, here, self._faults),
                type_of(members.get("dataType"), f"{here}.dataType", self._faults),
                access == "rw",
                flag_of(members, "required", here, self._faults),
            )

    def _events(self, entries: list[object], path: str) -> Iterable[Event]:
        for members, here, identifier in self._entries(entries, path):
            kind = members.get("type", "info")
            if kind not in EVENT_TYPES:
                self._faults.add(f"{here}.type", "it is info, alert or error")
            self._method(members, here, f"thing.event.{self._prefix}{identifier}.post")
            outputs = members_of(members.get("outputData"), f"{here}.outputData", self._faults, most=MAX_PARAMETERS)
            yield Event(self._prefix + identifier, name_of(members, here, self._faults), str(kind), outputs)

    def _services(self, entries: list[object], path: str) -> Iterable[Service]:
        for members, here, identifier in self._entries(entries, path):
            call = members.get("callType", "async")
            if call not in ("async", "sync"):
                self._faults.add(f"{here}.callType", "it is async or sync")
            self._method(members, here, f"thing.service.{self._prefix}{identifier}")
            inputs = members_of(members.get("inputData"), f"{here}.inputData", self._faults, most=MAX_PARAMETERS)
            outputs = members_of(members.get("outputData"), f"{here}.outputData", self._faults, most=MAX_PARAMETERS)
            name = name_of(members, here, self._faults)
            yield Service(self._prefix + identifier, name, call == "sync", inputs, outputs)

    def _method(self, members: Json, path: str, expected: str) -> None:
        method = members.get("method", expected)
        if method != expected and method != expected.replace(self._prefix, "", 1):
            self._faults.add(f"{path}.method", f"it is {expected}")


def is_built_in(members: Json) -> bool:
    """Of a function: `post`, `set` or `get` with the method of its name."""
    identifier = members.get("identifier")
    return isinstance(identifier, str) and _BUILT_IN.get(identifier, "") == members.get("method", "-")
