"""Topology: the sub-devices behind a gateway.

Unconfirmed of the contract, and decided: a device that is no gateway has no sub-devices, rather than its own gateway;
a request to add is a success when the gateway is away, as with Pub: nobody received it, and nothing is kept.
"""

import json
from collections.abc import Sequence

from pydantic import Field

from thinghub.api_gateway.domain.values import DeviceId, DeviceRef, Role, SubDeviceProof
from thinghub.api_gateway.errors import invalid, missing
from thinghub.api_gateway.service.devices import DeviceRequest, query_device_detail, ref_of
from thinghub.api_gateway.service.model import Empty, Members, Name, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_NAMED = 100
MAX_ADDED = 10


class GetThingTopoRequest(DeviceRequest):
    page_no: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(10, ge=1, le=50)


class TopoDevice(Members):
    iot_id: str
    product_key: str
    device_name: str


class TopoDevices(Members):
    device_info: list[TopoDevice] = Field(alias="deviceInfo")


class TopoPage(Members):
    list_: TopoDevices = Field(alias="List")
    current_page: int
    page_size: int
    page_count: int
    total: int


class GetThingTopoResponse(Response):
    data: TopoPage


class RemoveThingTopoResponse(Response):
    data: bool


class NotifyAddThingTopoRequest(Request):
    gw_iot_id: Text = ""
    gw_product_key: Text = ""
    gw_device_name: Text = ""
    device_list_str: Name = Field(
        max_length=20_000,
        description="A JSON array of at most 100 devices.",
        examples=['[{"productKey":"a1","deviceName":"sensor1"}]'],
    )


class TopoAddItem(Members):
    product_key: Text = ""
    device_name: Text = ""
    client_id: Text = ""
    timestamp: Text = ""
    sign_method: Text = Field("", description="hmacSha256, hmacSha1 or hmacMd5, which is the default.")
    sign: Text = Field("", description="As a gateway signs thing/topo/add, under the sub-device's secret.")


class BatchAddThingTopoRequest(Request):
    gw_product_key: Name
    gw_device_name: Name
    topo_add_item: list[TopoAddItem] = Field(default_factory=list, description="1 to 10.")


class TopoMessage(Members):
    message_id: str


class NotifyAddThingTopoResponse(Response):
    data: TopoMessage


class GatewayDetail(Members):
    product_key: str
    product_name: str
    device_name: str
    device_secret: str | None = None
    iot_id: str = Field(alias="iotId")
    node_type: str
    status: str
    ip_address: str | None = None
    region: str = Field(alias="region")
    gmt_create: str | None = None
    gmt_active: str | None = None
    gmt_online: str | None = None
    utc_create: str | None = None
    utc_active: str | None = None
    utc_online: str | None = None


class GetGatewayBySubDeviceResponse(Response):
    data: GatewayDetail


async def get_thing_topo(call: Call, request: GetThingTopoRequest) -> GetThingTopoResponse:
    devices, total = await call.owners.topology.sub_devices(
        call.instance_id, ref_of(request), request.page_no, request.page_size
    )
    infos = [
        TopoDevice(iot_id=one.iot_id, product_key=one.device.product_key, device_name=one.device.device_name)
        for one in devices
    ]
    return GetThingTopoResponse(
        data=TopoPage(
            list_=TopoDevices(device_info=infos),
            current_page=request.page_no,
            page_size=request.page_size,
            page_count=-(-total // request.page_size),
            total=total,
        )
    )


async def batch_add_thing_topo(call: Call, request: BatchAddThingTopoRequest) -> Empty:
    items = request.topo_add_item
    if not 1 <= len(items) <= MAX_ADDED:
        raise invalid("TopoAddItem", f"a call adds 1 to {MAX_ADDED} sub-devices")
    proofs = [
        SubDeviceProof(
            DeviceId(one.product_key, one.device_name), one.client_id, one.timestamp, one.sign_method, one.sign
        )
        for one in items
    ]
    gateway = DeviceRef(DeviceId(request.gw_product_key, request.gw_device_name))
    await call.owners.topology.add(call.instance_id, gateway, proofs)
    return Empty()


async def remove_thing_topo(call: Call, request: DeviceRequest) -> RemoveThingTopoResponse:
    await call.owners.topology.remove(call.instance_id, ref_of(request))
    return RemoveThingTopoResponse(data=True)


async def notify_add_thing_topo(call: Call, request: NotifyAddThingTopoRequest) -> NotifyAddThingTopoResponse:
    gateway = gateway_ref(request)
    devices = read_devices(request.device_list_str)
    message_id = call.owners.message_ids.next()
    await call.owners.topology.notify_add(call.instance_id, gateway, devices, message_id)
    return NotifyAddThingTopoResponse(data=TopoMessage(message_id=str(message_id)))


def gateway_ref(request: NotifyAddThingTopoRequest) -> DeviceRef:
    """Raises Refused for the first name that is missing."""
    if not request.gw_iot_id:
        for name, given in (("GwProductKey", request.gw_product_key), ("GwDeviceName", request.gw_device_name)):
            if not given:
                raise missing(name)
    return DeviceRef(DeviceId(request.gw_product_key, request.gw_device_name), request.gw_iot_id)


def read_devices(text: str) -> Sequence[DeviceId]:
    """Raises Refused."""
    try:
        entries = json.loads(text)
        names = [(one["productKey"], one["deviceName"]) for one in entries]
        named = isinstance(entries, list) and all(_is_name(name) for pair in names for name in pair)
    except (ValueError, RecursionError, KeyError, TypeError):
        named, names = False, []
    if not named or not 1 <= len(names) <= MAX_NAMED:
        raise invalid("DeviceListStr", f"it is a JSON array of 1 to {MAX_NAMED} {{productKey, deviceName}}")
    return [DeviceId(*pair) for pair in names]


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name != "" and name.isprintable()


async def get_gateway_by_sub_device(call: Call, request: DeviceRequest) -> GetGatewayBySubDeviceResponse:
    gateway = await call.owners.topology.gateway_of(call.instance_id, ref_of(request))
    named = DeviceRequest(product_key=gateway.device.product_key, device_name=gateway.device.device_name)
    detail = (await query_device_detail(call, named)).data
    shown = {name: part for name, part in dict(detail).items() if name in GatewayDetail.model_fields}
    return GetGatewayBySubDeviceResponse(data=GatewayDetail(**(shown | {"node_type": str(detail.node_type)})))


_DEVICE = "/v1/products/{ProductKey}/devices/{DeviceName}"
_GATEWAY = "/v1/products/{GwProductKey}/devices/{GwDeviceName}"

OPERATIONS = (
    Operation(
        "GetThingTopo", "Topology", Role.READER, False, GetThingTopoRequest, GetThingTopoResponse,
        get_thing_topo, Rest("GET", f"{_DEVICE}/sub-devices"), "Lists the sub-devices behind a gateway.",
        note="In the order of product keys and names. A device that is no gateway has none (not confirmed).",
    ),
    Operation(
        "GetGatewayBySubDevice", "Topology", Role.READER, False, DeviceRequest, GetGatewayBySubDeviceResponse,
        get_gateway_by_sub_device, Rest("GET", f"{_DEVICE}/gateway"), "Reads the gateway that a device stands behind.",
        note="DeviceSecret is shown to administrators only. Without a gateway: iot.device.QueryTopoRelationFailed (not "
        "confirmed).",
    ),
    Operation(
        "BatchAddThingTopo", "Topology", Role.OPERATOR, True, BatchAddThingTopoRequest, Empty,
        batch_add_thing_topo, Rest("POST", f"{_GATEWAY}/sub-devices"), "Puts up to 10 sub-devices behind a gateway.",
        note="All or none. A device that stands behind another gateway moves; both gateways are told by "
        "thing/topo/change.",
    ),
    Operation(
        "RemoveThingTopo", "Topology", Role.OPERATOR, True, DeviceRequest, RemoveThingTopoResponse,
        remove_thing_topo, Rest("DELETE", f"{_DEVICE}/gateway"), "Takes a sub-device from behind its gateway.",
        codes={"topology_not_found": "iot.device.RemoveTopoRelationFailed"},
        note="Its session ends and the gateway is told by thing/topo/change, as soon as gateways can be reached.",
    ),
    Operation(
        "NotifyAddThingTopo", "Topology", Role.OPERATOR, True, NotifyAddThingTopoRequest, NotifyAddThingTopoResponse,
        notify_add_thing_topo, Rest("POST", f"{_GATEWAY}/sub-device-requests"),
        "Asks a gateway to add sub-devices to its topology.",
        note="The gateway adds them by thing/topo/add, or not. A success also when it is away; nothing is kept for it.",
    ),
)  # fmt: skip
