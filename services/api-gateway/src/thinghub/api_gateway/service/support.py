"""Support: why a device does not work. REST only; the public contract has no such action."""

import logging
import time

from thinghub.api_gateway.domain.support import AUTH, GATEWAYS, REGISTRY, Away, Known, Parent, conclude
from thinghub.api_gateway.domain.values import Device, DeviceId, DeviceRef, Role
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.explanation import ExplainDeviceResponse, explanation
from thinghub.api_gateway.service.model import Name, Request
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.rotations import RotationInfo, rotation_info
from thinghub.common.errors import Fault, RemoteFault, Unavailable

log = logging.getLogger(__name__)


class ExplainDeviceRequest(Request):
    product_key: Name
    device_name: Name


async def explain_device(call: Call, request: ExplainDeviceRequest) -> ExplainDeviceResponse:
    name = DeviceId(request.product_key, request.device_name)
    policy = await call.owners.products.policy(name.product_key)
    if not policy.found or (call.instance_id and policy.instance_id != call.instance_id):
        raise Refused("iot.prod.NotExistedProduct", f"There is no product {name.product_key}.")
    away: list[Away] = []
    device = await _registered(call, name, away)
    known = await _known(call, name, away)
    parent = await _parent(call, device) if device and known else None
    rotation = await _rotation(call, device, away) if device else None
    conclusion = conclude(
        name,
        device,
        known,
        time.time_ns() // 1_000_000,
        away=away,
        parent=parent,
    )
    return explanation(name, device, policy, known, away, conclusion, parent, rotation)


async def _registered(call: Call, name: DeviceId, away: list[Away]) -> Device | None:
    try:
        (device,) = await call.owners.devices.get(call.instance_id, [DeviceRef(name)], False)
    except Fault as fault:
        _note_away(fault, REGISTRY, away)
        return None
    return device


async def _known(call: Call, name: DeviceId, away: list[Away]) -> Known | None:
    try:
        (known,) = await call.owners.gateways.explain([name])
    except Fault as fault:
        _note_away(fault, GATEWAYS, away)
        return None
    return known


async def _rotation(call: Call, device: Device, away: list[Away]) -> RotationInfo | None:
    try:
        return rotation_info(await call.owners.device_secrets.rotation(device.device))
    except Fault as fault:
        _note_away(fault, AUTH, away)
        return None


async def _parent(call: Call, device: Device) -> Parent | None:
    """None as well while that cannot be found out: it is a hint."""
    try:
        gateway = await call.owners.topology.gateway_of(call.instance_id, DeviceRef(device.device))
        (session,) = await call.owners.gateways.sessions([gateway.device])
    except Fault as fault:
        log.debug("no gateway device is told: %s", fault)
        return None
    return Parent(gateway.device, session.online)


def _note_away(fault: Fault, part: str, away: list[Away]) -> None:
    """Half an answer is worth giving when the other half cannot be had. What a part says of itself is told."""
    if isinstance(fault, RemoteFault) and fault.kind == "Unavailable":
        away.append(Away(part, fault.message or "it lacks a part that it needs"))
    elif isinstance(fault, Unavailable):
        away.append(Away(part, "it cannot be reached"))
    else:
        raise fault


OPERATIONS = (
    Operation(
        "ExplainDevice", "Support", Role.READER, False, ExplainDeviceRequest, ExplainDeviceResponse,
        explain_device, Rest("GET", "/v1/products/{ProductKey}/devices/{DeviceName}/why"),
        "Says why a device does, or does not, work.", rpc=False,
        note="A device that is not registered is explained too: connects under its name may be remembered. What a "
        "part that is away would say is left out, and the part named in Away. Remembered are the last 10 refusals "
        "(a day; an hour where anybody could have caused them), the last 20 connects and closes (a week) and the last "
        "10 sampled messages (a day), as far as each gateway's allowance goes.",
    ),
)  # fmt: skip
