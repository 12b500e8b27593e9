"""What servers ask devices to do, judged by the thing model, and what devices answer (device-mqtt §4).

thing/service/property/set   {"id","version","params":{"Temp":30.5},"method":"thing.service.property.set"}
thing/service/{service}      the same with the service's input; `{block}:{service}` of a module
..._reply                    {"id","code":200,"data":{...}}
"""

import re
from dataclasses import dataclass
from typing import Final

import orjson

from thinghub.device_protocol import alink
from thinghub.device_protocol.tsl.model import Service
from thinghub.device_protocol.tsl.validator import WHY
from thinghub.shadow.domain.thing_models import Strictness, ThingModel
from thinghub.shadow.domain.thing_posts import SUCCESS, writable
from thinghub.shadow.errors import ServiceArgumentsInvalid, ServiceUnknown

SET: Final = "set"
_SERVICE: Final = "thing/service/"
_PROPERTY_SET: Final = _SERVICE + "property/set"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,50}(:[A-Za-z0-9_]{1,50})?")
_MAX_ID_DIGITS: Final = 18
_INT32: Final = 1 << 31
MAX_MESSAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Command:
    """`below` is the topic below `/sys/{pk}/{dn}/`."""

    identifier: str
    name: str
    below: str
    params: dict[str, object]

    @property
    def method(self) -> str:
        return self.below.replace("/", ".")

    def payload(self, message_id: int) -> bytes:
        return alink.command(str(message_id), self.method, self.params)

    def input(self) -> str:
        return orjson.dumps(self.params).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a device to a command. `id` as the device wrote it; `number` is the id of a call, 0 when it can be none."""

    id: str
    code: int
    message: str
    data: object

    @property
    def number(self) -> int:
        return int(self.id) if self.id.isascii() and self.id.isdigit() and len(self.id) <= _MAX_ID_DIGITS else 0

    def output(self) -> str:
        return orjson.dumps({} if self.data is None else self.data).decode()


def property_set(values: dict[str, object]) -> Command:
    return Command(SET, SET, _PROPERTY_SET, values)


def service_of(identifier: str, model: ThingModel) -> Service:
    """`identifier` of a module's service is `block:service`. Raises ServiceUnknown."""
    service = model.validator.services.get(identifier)
    if service is None:
        raise ServiceUnknown(f"the thing model has no service {identifier[:101]}")
    return service


def service_call(service: Service, arguments: str, model: ThingModel) -> Command:
    """Raises ServiceArgumentsInvalid."""
    values = _object(arguments)
    if values is None:
        raise ServiceArgumentsInvalid("Args is a JSON object that is not nested too deep")
    if model.strictness is not Strictness.NONE and (code := model.validator.input(service.identifier, values)):
        raise ServiceArgumentsInvalid(f"{WHY[code]}: {service.identifier}")
    return Command(service.identifier, service.name, _SERVICE + service.identifier, values)


def answered_service(below: str) -> str:
    """The service whose call is answered on this topic below `/sys/{pk}/{dn}/`, `set` for a property set; empty when
    it is no such topic."""
    if not below.startswith(_SERVICE) or not below.endswith(alink.REPLY):
        return ""
    asked = below.removesuffix(alink.REPLY)
    if asked == _PROPERTY_SET:
        return SET
    identifier = asked.removeprefix(_SERVICE)
    return identifier if _IDENTIFIER.fullmatch(identifier) else ""


def read_answer(payload: bytes) -> Answer:
    """Data that could not be written again is left out. Raises AlinkError."""
    read = alink.parse_answer(payload)
    if not -_INT32 <= read.code < _INT32:
        raise alink.AlinkError("a code has 32 bits")
    return Answer(read.id, read.code, read.message or SUCCESS, read.data if writable(read.data) else None)


def _object(text: str) -> dict[str, object] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and writable(value) else None
