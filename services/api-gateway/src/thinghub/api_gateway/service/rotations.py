"""Rotation of a device's secret: two are good for a time. REST only; the public contract has no such action."""

from typing import Literal

from pydantic import Field, SecretStr

from thinghub.api_gateway.domain.rotation import SecretRotation
from thinghub.api_gateway.domain.times import utc
from thinghub.api_gateway.domain.values import DeviceId, DeviceRef, Role
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.model import Members, Name, Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest

DEFAULT_OVERLAP_SECONDS = 7 * 24 * 3600
MAX_OVERLAP_SECONDS = 90 * 24 * 3600


class RotationRequest(Request):
    product_key: Name
    device_name: Name


class RotateDeviceSecretRequest(RotationRequest):
    device_secret: SecretStr = Field(SecretStr(""), max_length=256, description="Generated when absent.")
    overlap_seconds: int = Field(
        DEFAULT_OVERLAP_SECONDS, ge=0, le=MAX_OVERLAP_SECONDS, description="How long the former secret stays good."
    )


class FinishDeviceSecretRotationRequest(RotationRequest):
    keep: Literal["new", "former"] = Field("new", description="former: takes the rotation back.")


class RotationInfo(Members):
    under_way: bool = Field(description="The former secret is still good.")
    utc_started: str | None = None
    utc_former_until: str | None = Field(None, description="When the former secret stops, or stopped.")
    new_secret_used: bool = Field(description="The device has proved itself by the new secret.")
    utc_new_secret_used: str | None = Field(None, description="When it first did.")


class RotationResponse(Response):
    rotation: RotationInfo | None = Field(None, description="Absent when the secret is not a rotated one.")


class RotateDeviceSecretResponse(Response):
    device_secret: str
    rotation: RotationInfo


def rotation_info(rotation: SecretRotation) -> RotationInfo | None:
    if not rotation.started_ms:
        return None
    return RotationInfo(
        under_way=rotation.under_way,
        utc_started=utc(rotation.started_ms),
        utc_former_until=utc(rotation.former_until_ms),
        new_secret_used=rotation.adopted_ms > 0,
        utc_new_secret_used=utc(rotation.adopted_ms),
    )


async def rotate_device_secret(call: Call, request: RotateDeviceSecretRequest) -> RotateDeviceSecretResponse:
    device = await _device(call, request)
    secret, rotation = await call.owners.device_secrets.rotate(
        device, request.device_secret.get_secret_value(), request.overlap_seconds * 1000
    )
    info = rotation_info(rotation)
    assert info is not None
    return RotateDeviceSecretResponse(device_secret=secret, rotation=info)


async def finish_device_secret_rotation(call: Call, request: FinishDeviceSecretRotationRequest) -> RotationResponse:
    rotation = await call.owners.device_secrets.finish(await _device(call, request), request.keep == "former")
    return RotationResponse(rotation=rotation_info(rotation))


async def get_device_secret_rotation(call: Call, request: RotationRequest) -> RotationResponse:
    rotation = await call.owners.device_secrets.rotation(await _device(call, request))
    return RotationResponse(rotation=rotation_info(rotation))


async def _device(call: Call, request: RotationRequest) -> DeviceId:
    """The device, if it exists in the caller's instance: auth does not know whose a device is."""
    ref = DeviceRef(DeviceId(request.product_key, request.device_name))
    (device,) = await call.owners.devices.get(call.instance_id, [ref], False)
    if device is None:
        raise Refused("iot.device.NotExistedDevice", "The device does not exist.")
    return device.device


_PATH = "/v1/products/{ProductKey}/devices/{DeviceName}/secret-rotation"

OPERATIONS = (
    Operation(
        "RotateDeviceSecret", "Administration", Role.ADMINISTRATOR, True, RotateDeviceSecretRequest,
        RotateDeviceSecretResponse, rotate_device_secret, Rest("POST", _PATH),
        "Gives a device a new secret; the former one stays good for a time.", rpc=False,
        note="From now on the device's secret is the new one wherever it is shown. A call that is repeated with the "
        "same DeviceSecret answers the same; another rotation is refused until this one has ended.",
    ),
    Operation(
        "FinishDeviceSecretRotation", "Administration", Role.ADMINISTRATOR, True, FinishDeviceSecretRotationRequest,
        RotationResponse, finish_device_secret_rotation, Rest("POST", f"{_PATH}/finish"),
        "Stops the former secret of a device now, or takes the rotation back.", rpc=False,
    ),
    Operation(
        "GetDeviceSecretRotation", "Administration", Role.READER, False, RotationRequest, RotationResponse,
        get_device_secret_rotation, Rest("GET", _PATH),
        "Tells how far the rotation of a device's secret is.", rpc=False, note="It shows no secret.",
    ),
)  # fmt: skip
