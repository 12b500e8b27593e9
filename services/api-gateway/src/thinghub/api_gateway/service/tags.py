"""Tags of devices: keys with values, set by callers and by the devices themselves.

Unconfirmed of the contract, and decided: a call merges into what is there; values that are no texts are kept as JSON
writes them; deleting a tag that is not there succeeds; what SDKs report of themselves is not among Props.
"""

import json
from collections.abc import Mapping

from pydantic import Field

from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.devices import DeviceRequest, ref_of
from thinghub.api_gateway.service.model import REST_ONLY, Empty, Name, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_TAGS = 100


class SaveDevicePropRequest(DeviceRequest):
    props: str = Field(description="A JSON object of 1 to 100 keys.", examples=['{"room":"hall"}'])


class QueryDevicePropResponse(Response):
    props: str = Field(description="A JSON object.")
    system_props: str = Field(
        json_schema_extra=REST_ONLY, description="A JSON object: what the device's SDK reported of itself."
    )


class DeleteDevicePropRequest(DeviceRequest):
    prop_key: Name


async def save_device_prop(call: Call, request: SaveDevicePropRequest) -> Empty:
    await call.owners.tags.save(call.instance_id, ref_of(request), read_props(request.props))
    return Empty()


def read_props(text: str) -> Mapping[str, str]:
    """Raises Refused."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise Refused("iot.device.InvalidFormattedDevicePropertiesString", "Props is a JSON object.")
    if not members:
        raise Refused("iot.device.NoneDeviceProperties", "No tag is given.")
    if len(members) > MAX_TAGS:
        raise Refused("iot.device.TooManyDevicePropertiesPerTime", f"A call sets at most {MAX_TAGS} tags.")
    return {_text(key): _text(value) for key, value in members.items()}


def _text(value: object) -> str:
    text = value if isinstance(value, str) else None
    if isinstance(value, bool | int | float):
        text = json.dumps(value)
    try:
        if text is not None:
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise Refused("iot.device.InvalidFormattedDevicePropertiesString", "Keys and values of tags are texts.")


async def query_device_prop(call: Call, request: DeviceRequest) -> QueryDevicePropResponse:
    user, system = await call.owners.tags.get(call.instance_id, ref_of(request))
    return QueryDevicePropResponse(props=_json(user), system_props=_json(system))


def _json(tags: Mapping[str, str]) -> str:
    return json.dumps(tags, ensure_ascii=False, separators=(",", ":"))


async def delete_device_prop(call: Call, request: DeleteDevicePropRequest) -> Empty:
    await call.owners.tags.delete(call.instance_id, ref_of(request), request.prop_key)
    return Empty()


_TAGS = "/v1/products/{ProductKey}/devices/{DeviceName}/tags"

OPERATIONS = (
    Operation(
        "SaveDeviceProp", "Tags", Role.OPERATOR, True, SaveDevicePropRequest, Empty,
        save_device_prop, Rest("POST", _TAGS), "Sets tags of a device; its other tags stay.",
        note="A device has at most 100 tags. A key has 1 to 128 characters, a value at most 1024 (not confirmed).",
    ),
    Operation(
        "QueryDeviceProp", "Tags", Role.READER, False, DeviceRequest, QueryDevicePropResponse,
        query_device_prop, Rest("GET", _TAGS), "Reads the tags of a device.",
        note="`{}` when there are none. What the SDK reports of itself is kept apart.",
    ),
    Operation(
        "DeleteDeviceProp", "Tags", Role.OPERATOR, True, DeleteDevicePropRequest, Empty,
        delete_device_prop, Rest("DELETE", _TAGS + "/{PropKey}"), "Deletes a tag of a device.",
        note="A tag that is not there is deleted already.",
    ),
)  # fmt: skip
