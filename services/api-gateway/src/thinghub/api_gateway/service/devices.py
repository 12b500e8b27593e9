"""Devices and their status."""

from collections.abc import Sequence

from pydantic import Field

from thinghub.api_gateway.domain.times import local, utc
from thinghub.api_gateway.domain.values import Device, DeviceId, DeviceRef, NewDevice, Role, Session
from thinghub.api_gateway.errors import Refused, missing
from thinghub.api_gateway.service.model import Empty, Members, Name, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.common.errors import Fault, RemoteFault, Unavailable

MAX_BATCH = 50


class DeviceRequest(Request):
    """Names a device: by IotId, or by ProductKey and DeviceName. IotId wins."""

    iot_id: Text = ""
    product_key: Text = ""
    device_name: Text = ""


class RegisterDeviceRequest(Request):
    product_key: Name
    device_name: Text = Field("", description="4 to 32 letters, digits and - _ @ . : ; generated when absent.")
    nickname: Text = ""


class RegisteredDevice(Members):
    product_key: str
    device_name: str
    device_secret: str
    iot_id: str
    nickname: str | None = None


class RegisterDeviceResponse(Response):
    data: RegisteredDevice


class QueryDeviceRequest(Request):
    product_key: Name
    current_page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(10, ge=1, le=200)
    next_token: Text = Field("", description="Of the previous answer: pages by key, and wins over CurrentPage.")


class DeviceInfo(Members):
    device_id: str
    product_key: str
    device_name: str
    device_secret: str | None = None
    device_status: str
    device_type: str | None = None
    iot_id: str
    nickname: str | None = None
    gmt_create: str | None = None
    gmt_modified: str | None = None
    utc_create: str | None = None
    utc_modified: str | None = None


class DeviceInfos(Members):
    device_info: list[DeviceInfo]


class QueryDeviceResponse(Response):
    data: DeviceInfos
    page: int
    page_size: int
    page_count: int
    total: int
    next_token: str | None = None


class DeviceDetail(Members):
    product_key: str
    product_name: str
    device_name: str
    device_secret: str | None = None
    iot_id: str
    nickname: str | None = None
    node_type: int
    status: str
    ip_address: str | None = None
    firmware_version: str | None = None
    region: str = "local"
    owner: bool = True
    gmt_create: str | None = None
    gmt_active: str | None = None
    gmt_online: str | None = None
    utc_create: str | None = None
    utc_active: str | None = None
    utc_online: str | None = None


class QueryDeviceDetailResponse(Response):
    data: DeviceDetail


class DeviceState(Members):
    status: str = Field(description="ONLINE, OFFLINE, UNACTIVE or DISABLE.")
    timestamp: int = Field(description="Epoch milliseconds since when.")


class GetDeviceStatusResponse(Response):
    data: DeviceState


class BatchGetDeviceStateRequest(Request):
    product_key: Text = ""
    device_name: list[Name] = Field(default_factory=list)
    iot_id: list[Name] = Field(default_factory=list)


class BatchDeviceState(Members):
    as_address: str | None = None
    device_id: str
    device_name: str
    iot_id: str
    last_online_time: str | None = None
    status: str
    timestamp: int


class DeviceStates(Members):
    device_status: list[BatchDeviceState]


class BatchGetDeviceStateResponse(Response):
    device_status_list: DeviceStates


def ref_of(request: DeviceRequest) -> DeviceRef:
    """Raises Refused for the first name that is missing."""
    if not request.iot_id:
        for name, value in (("ProductKey", request.product_key), ("DeviceName", request.device_name)):
            if not value:
                raise missing(name)
    return DeviceRef(DeviceId(request.product_key, request.device_name), request.iot_id)


async def find(call: Call, ref: DeviceRef, with_secret: bool = False) -> Device:
    """Raises Refused (NotExistedDevice)."""
    (device,) = await call.owners.devices.get(call.instance_id, [ref], with_secret)
    if device is None:
        raise Refused("iot.device.NotExistedDevice", "The device does not exist.")
    return device


def state_of(device: Device, session: Session) -> tuple[str, int]:
    """Status and since when (epoch ms): DISABLE over ONLINE over OFFLINE, UNACTIVE when it never was online."""
    if device.disabled:
        return "DISABLE", device.modified_ms
    if session.online:
        return "ONLINE", session.connected_ms
    if device.activated_ms:
        return "OFFLINE", device.last_online_ms
    return "UNACTIVE", device.created_ms


def projected(device: Device) -> Session:
    """The registry's view, for lists: behind by as much as its event consumer is."""
    return Session(device.online, device.last_online_ms, device.client_address)


async def register_device(call: Call, request: RegisterDeviceRequest) -> RegisterDeviceResponse:
    device = await call.owners.devices.register(
        NewDevice(call.instance_id, request.product_key, request.device_name, request.nickname)
    )
    return registered(device)


def registered(device: Device) -> RegisterDeviceResponse:
    return RegisterDeviceResponse(
        data=RegisteredDevice(
            product_key=device.device.product_key,
            device_name=device.device.device_name,
            device_secret=device.device_secret,
            iot_id=device.iot_id,
            nickname=device.nickname or None,
        )
    )


async def query_device(call: Call, request: QueryDeviceRequest) -> QueryDeviceResponse:
    devices, total, token = await call.owners.devices.list(
        call.instance_id, request.product_key, request.next_token, request.current_page, request.page_size,
        call.shows_secrets,
    )  # fmt: skip
    infos = [
        DeviceInfo(
            device_id=device.iot_id,
            product_key=device.device.product_key,
            device_name=device.device.device_name,
            device_secret=device.device_secret or None,
            device_status=state_of(device, projected(device))[0],
            iot_id=device.iot_id,
            nickname=device.nickname or None,
            gmt_create=local(device.created_ms),
            gmt_modified=local(device.modified_ms),
            utc_create=utc(device.created_ms),
            utc_modified=utc(device.modified_ms),
        )
        for device in devices
    ]
    return QueryDeviceResponse(
        data=DeviceInfos(device_info=infos),
        page=request.current_page,
        page_size=request.page_size,
        page_count=-(-total // request.page_size),
        total=total,
        next_token=token or None,
    )


async def query_device_detail(call: Call, request: DeviceRequest) -> QueryDeviceDetailResponse:
    device = await find(call, ref_of(request), call.shows_secrets)
    session = await _session_or_projection(call, device)
    online_ms = session.connected_ms if session.online else device.last_online_ms
    return QueryDeviceDetailResponse(
        data=DeviceDetail(
            product_key=device.device.product_key,
            product_name=device.product_name,
            device_name=device.device.device_name,
            device_secret=device.device_secret or None,
            iot_id=device.iot_id,
            nickname=device.nickname or None,
            node_type=device.node_type,
            status=state_of(device, session)[0],
            ip_address=_host(session.client_address or device.client_address),
            gmt_create=local(device.created_ms),
            gmt_active=local(device.activated_ms),
            gmt_online=local(online_ms),
            utc_create=utc(device.created_ms),
            utc_active=utc(device.activated_ms),
            utc_online=utc(online_ms),
        )
    )


async def _session_or_projection(call: Call, device: Device) -> Session:
    """A detail is worth giving while no gateway answers; its status is then the registry's."""
    try:
        (session,) = await call.owners.gateways.sessions([device.device])
    except Fault as fault:
        if isinstance(fault, Unavailable) or (isinstance(fault, RemoteFault) and fault.kind == "Unavailable"):
            return projected(device)
        raise
    return session


async def get_device_status(call: Call, request: DeviceRequest) -> GetDeviceStatusResponse:
    device = await find(call, ref_of(request))
    (session,) = await call.owners.gateways.sessions([device.device])
    status, since_ms = state_of(device, session)
    return GetDeviceStatusResponse(data=DeviceState(status=status, timestamp=since_ms))


async def batch_get_device_state(call: Call, request: BatchGetDeviceStateRequest) -> BatchGetDeviceStateResponse:
    found = await call.owners.devices.get(call.instance_id, _refs(request), False)
    devices = [device for device in found if device is not None]
    if not devices:
        raise Refused("iot.device.NotExistedDevice", "None of the devices exists.")
    sessions = await call.owners.gateways.sessions([device.device for device in devices])
    return BatchGetDeviceStateResponse(
        device_status_list=DeviceStates(
            device_status=[_batch_state(device, session) for device, session in zip(devices, sessions, strict=True)]
        )
    )


def _refs(request: BatchGetDeviceStateRequest) -> Sequence[DeviceRef]:
    if request.iot_id:
        refs = [DeviceRef(DeviceId("", ""), iot_id) for iot_id in request.iot_id]
    elif not request.product_key:
        raise missing("ProductKey")
    else:
        refs = [DeviceRef(DeviceId(request.product_key, name)) for name in request.device_name]
    if not refs:
        raise Refused("iot.device.NoneDeviceNameElement", "No device is named.")
    if len(refs) > MAX_BATCH:
        raise Refused("iot.device.TooManyDevicesPerTime", f"At most {MAX_BATCH} devices are asked for in one call.")
    return refs


def _batch_state(device: Device, session: Session) -> BatchDeviceState:
    status, since_ms = state_of(device, session)
    return BatchDeviceState(
        as_address=session.client_address or None,
        device_id=device.iot_id,
        device_name=device.device.device_name,
        iot_id=device.iot_id,
        last_online_time=utc(session.connected_ms if session.online else device.last_online_ms),
        status=status,
        timestamp=since_ms,
    )


def _host(address: str) -> str | None:
    return address.rpartition(":")[0] or address or None


async def disable_thing(call: Call, request: DeviceRequest) -> Empty:
    await call.owners.devices.set_enabled(call.instance_id, ref_of(request), False)
    return Empty()


async def enable_thing(call: Call, request: DeviceRequest) -> Empty:
    await call.owners.devices.set_enabled(call.instance_id, ref_of(request), True)
    return Empty()


async def delete_device(call: Call, request: DeviceRequest) -> Empty:
    await call.owners.devices.delete(call.instance_id, ref_of(request))
    return Empty()


_DEVICE = "/v1/products/{ProductKey}/devices/{DeviceName}"

OPERATIONS = (
    Operation(
        "RegisterDevice", "Devices", Role.ADMINISTRATOR, True, RegisterDeviceRequest, RegisterDeviceResponse,
        register_device, Rest("POST", "/v1/products/{ProductKey}/devices", 201), "Registers a device.",
    ),
    Operation(
        "QueryDevice", "Devices", Role.READER, False, QueryDeviceRequest, QueryDeviceResponse,
        query_device, Rest("GET", "/v1/products/{ProductKey}/devices"), "Lists the devices of a product.",
        note="DeviceStatus is the registry's projection, moments behind. DeviceSecret is shown to administrators only.",
    ),
    Operation(
        "QueryDeviceDetail", "Devices", Role.READER, False, DeviceRequest, QueryDeviceDetailResponse,
        query_device_detail, Rest("GET", _DEVICE), "Reads one device.",
        note="While no gateway answers, Status is the registry's projection. DeviceSecret is for administrators only.",
    ),
    Operation(
        "GetDeviceStatus", "Devices", Role.READER, False, DeviceRequest, GetDeviceStatusResponse,
        get_device_status, Rest("GET", f"{_DEVICE}/status"), "Says whether a device is online, as its session says.",
    ),
    Operation(
        "BatchGetDeviceState", "Devices", Role.READER, False, BatchGetDeviceStateRequest, BatchGetDeviceStateResponse,
        batch_get_device_state, Rest("POST", "/v1/device-states"), "Status of up to 50 devices.",
        note="Devices that do not exist are left out; when none exists the answer is iot.device.NotExistedDevice. "
        "IotId wins over ProductKey and DeviceName.",
    ),
    Operation(
        "DisableThing", "Devices", Role.OPERATOR, True, DeviceRequest, Empty,
        disable_thing, Rest("POST", f"{_DEVICE}/disable"), "Disables a device and ends its session.",
    ),
    Operation(
        "EnableThing", "Devices", Role.OPERATOR, True, DeviceRequest, Empty,
        enable_thing, Rest("POST", f"{_DEVICE}/enable"), "Lets a disabled device connect again.",
    ),
    Operation(
        "DeleteDevice", "Devices", Role.ADMINISTRATOR, True, DeviceRequest, Empty,
        delete_device, Rest("DELETE", _DEVICE), "Deletes a device, its credentials and its session.",
    ),
)  # fmt: skip
