"""Shadow documents."""

from typing import Annotated

from pydantic import Field, StringConstraints

from thinghub.api_gateway.domain.values import DeviceId, Role
from thinghub.api_gateway.errors import missing
from thinghub.api_gateway.service.messaging import check_exists, in_instance
from thinghub.api_gateway.service.model import REST_ONLY, Name, Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest

# Larger ones are refused by the owner, in the contract's words.
Document = Annotated[str, StringConstraints(max_length=1 << 20)]


class ShadowRequest(Request):
    product_key: Name
    device_name: Name


class GetDeviceShadowResponse(Response):
    shadow_message: str = Field(description="JSON: the answer that the device's own `get` has.")


class UpdateDeviceShadowRequest(ShadowRequest):
    shadow_message: Document = Field(
        description="JSON of at most 16 kB.",
        examples=['{"method":"update","state":{"desired":{"color":"green"}},"version":2}'],
    )
    delta_update: bool = Field(
        False, description="true: only the attributes given change. false: they are all that is desired."
    )


class UpdateDeviceShadowResponse(Response):
    version: int = Field(json_schema_extra=REST_ONLY, description="The version that the document has now.")


async def get_device_shadow(call: Call, request: ShadowRequest) -> GetDeviceShadowResponse:
    device = await _device(call, request)
    return GetDeviceShadowResponse(shadow_message=await call.owners.shadows.get(device))


async def update_device_shadow(call: Call, request: UpdateDeviceShadowRequest) -> UpdateDeviceShadowResponse:
    if not request.shadow_message.strip():
        raise missing("ShadowMessage")
    device = await _device(call, request)
    version = await call.owners.shadows.update(device, request.shadow_message, request.delta_update)
    return UpdateDeviceShadowResponse(version=version)


async def _device(call: Call, request: ShadowRequest) -> DeviceId:
    """Refuses a device that does not exist in the call's instance."""
    await call.owners.policies.check(request.product_key, in_instance(call))
    device = DeviceId(request.product_key, request.device_name)
    await check_exists(call, device)
    return device


_SHADOW = "/v1/products/{ProductKey}/devices/{DeviceName}/shadow"

OPERATIONS = (
    Operation(
        "GetDeviceShadow", "Shadow", Role.READER, False, ShadowRequest, GetDeviceShadowResponse,
        get_device_shadow, Rest("GET", _SHADOW), "Reads a device's shadow document.",
        note="A device that has none yet has an empty one of version 0.",
    ),
    Operation(
        "UpdateDeviceShadow", "Shadow", Role.OPERATOR, True, UpdateDeviceShadowRequest, UpdateDeviceShadowResponse,
        update_device_shadow, Rest("PUT", _SHADOW), "Sets what a device is desired to be.",
        note="Only `state.desired` counts. The version is accepted when it is greater than the document's; -1 empties "
        "the document and sets version 0 first. The string \"null\" in place of `desired` or of an attribute deletes "
        "it. The device is told at once when it is online, and whenever it comes online while anything is desired.",
    ),
)  # fmt: skip
