"""Desired properties: what a device is wanted to be, with a version a property."""

import json
from collections.abc import Mapping

from pydantic import Field

from thinghub.api_gateway.domain.values import DeviceId, Role
from thinghub.api_gateway.service.devices import DeviceRequest, find, ref_of
from thinghub.api_gateway.service.model import Members, Name, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.things import MAX_ITEMS

MAX_IDENTIFIERS = 10


class SetDeviceDesiredPropertyRequest(DeviceRequest):
    items: str = Field(max_length=MAX_ITEMS, description="JSON object, as text.", examples=['{"LightSwitch":0}'])
    versions: str = Field(
        "",
        max_length=MAX_ITEMS,
        description="JSON object, as text: versions that must be the stored ones, 0 for a property that never was "
        "desired. Left out: whatever they are.",
        examples=['{"LightSwitch":0}'],
    )


class SetDesired(Members):
    message_id: str
    versions: str = Field(description="JSON object of the versions now.")


class SetDeviceDesiredPropertyResponse(Response):
    data: SetDesired


class QueryDeviceDesiredPropertyRequest(DeviceRequest):
    identifier: list[Name] = Field(
        default_factory=list, max_length=MAX_IDENTIFIERS, description="At most 10. None: every property."
    )
    function_block_id: Text = Field("", description="A module, when no Identifier is given; empty is the default one.")


class DesiredPropertyInfo(Members):
    identifier: str
    name: str
    data_type: str
    unit: str | None = None
    value: str | None = None
    time: str | None = None
    version: int = Field(description="0: never was desired.")


class DesiredPropertyInfos(Members):
    desired_property_info: list[DesiredPropertyInfo]


class DesiredPropertyList(Members):
    list: DesiredPropertyInfos


class QueryDeviceDesiredPropertyResponse(Response):
    data: DesiredPropertyList


class ClearDeviceDesiredPropertyRequest(DeviceRequest):
    identifies: list[Name] = Field(min_length=1, max_length=200, description="1 to 200 properties.")


class ClearedDesired(Members):
    versions: str = Field(description="JSON object of the versions, which clearing leaves as they are.")


class ClearDeviceDesiredPropertyResponse(Response):
    data: ClearedDesired


async def set_device_desired_property(
    call: Call, request: SetDeviceDesiredPropertyRequest
) -> SetDeviceDesiredPropertyResponse:
    device = await _device(call, request)
    sent, versions = await call.owners.desired.set(device, request.items, request.versions)
    return SetDeviceDesiredPropertyResponse(data=SetDesired(message_id=sent, versions=_json(versions)))


async def query_device_desired_property(
    call: Call, request: QueryDeviceDesiredPropertyRequest
) -> QueryDeviceDesiredPropertyResponse:
    device = await _device(call, request)
    found = await call.owners.desired.get(device, request.identifier, request.function_block_id)
    rows = [
        DesiredPropertyInfo(
            identifier=one.identifier,
            name=one.name,
            data_type=one.data_type,
            unit=one.unit or None,
            value=one.value if one.time_ms else None,
            time=str(one.time_ms) if one.time_ms else None,
            version=one.version,
        )
        for one in found
    ]
    infos = DesiredPropertyInfos(desired_property_info=rows)
    return QueryDeviceDesiredPropertyResponse(data=DesiredPropertyList(list=infos))


async def clear_device_desired_property(
    call: Call, request: ClearDeviceDesiredPropertyRequest
) -> ClearDeviceDesiredPropertyResponse:
    versions = await call.owners.desired.clear(await _device(call, request), request.identifies)
    return ClearDeviceDesiredPropertyResponse(data=ClearedDesired(versions=_json(versions)))


async def _device(call: Call, request: DeviceRequest) -> DeviceId:
    """Refuses a device that does not exist in the call's instance."""
    return (await find(call, ref_of(request))).device


def _json(versions: Mapping[str, int]) -> str:
    return json.dumps(versions, separators=(",", ":"), sort_keys=True)


_DESIRED = "/v1/products/{ProductKey}/devices/{DeviceName}/desired-properties"
_GROUP = "Desired property"

OPERATIONS = (
    Operation(
        "SetDeviceDesiredProperty", _GROUP, Role.OPERATOR, True, SetDeviceDesiredPropertyRequest,
        SetDeviceDesiredPropertyResponse, set_device_desired_property, Rest("POST", _DESIRED),
        "Sets what properties of a device are desired to be.",
        note="Stored when the call succeeds; all of Items or nothing. A version begins at 1 and rises by one with "
        "every set, also of an equal value; one that is not the stored one refuses the call. A device that is online "
        "is sent a property set at once (QoS 0); any other asks when it comes. A reported value that meets the desired "
        "one clears nothing.",
    ),
    Operation(
        "QueryDeviceDesiredProperty", _GROUP, Role.READER, False, QueryDeviceDesiredPropertyRequest,
        QueryDeviceDesiredPropertyResponse, query_device_desired_property, Rest("POST", _DESIRED + "/query"),
        "Shows what properties of a device are desired to be.",
        note="A property that nothing is desired of has its version alone.",
    ),
    Operation(
        "ClearDeviceDesiredProperty", _GROUP, Role.OPERATOR, True, ClearDeviceDesiredPropertyRequest,
        ClearDeviceDesiredPropertyResponse, clear_device_desired_property, Rest("POST", _DESIRED + "/clear"),
        "Clears what properties of a device are desired to be.", form=("Identifies",),
        note="Whatever their versions, which stay, so that a version never means two values.",
    ),
)  # fmt: skip
