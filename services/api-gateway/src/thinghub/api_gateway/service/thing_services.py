"""Calls of devices' services, property sets for many devices, and the record of calls."""

from pydantic import Field

from thinghub.api_gateway.domain.values import DeviceId, DeviceRef, Role, Span
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.devices import DeviceRequest, find, ref_of
from thinghub.api_gateway.service.model import Empty, Members, Name, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.things import MAX_ITEMS, DataRequest

MAX_DEVICES = 100


class InvokeThingServiceRequest(DeviceRequest):
    identifier: Name = Field(description="block:service for a service of a module.")
    args: str = Field("{}", max_length=MAX_ITEMS, description="JSON object, as text.", examples=['{"Speed":3}'])
    qos: int = Field(1, ge=0, le=1)


class Invocation(Members):
    message_id: str
    result: str | None = Field(None, description="JSON of the answer's data; a synchronous service has it.")


class InvokeThingServiceResponse(Response):
    data: Invocation


class ManyRequest(Request):
    product_key: Name
    device_name: list[Name] = Field(default_factory=list, description="1 to 100.")
    qos: int = Field(1, ge=0, le=1)


class InvokeThingsServiceRequest(ManyRequest):
    identifier: Name
    args: str = Field("{}", max_length=MAX_ITEMS, description="JSON object, as text.")


class SetDevicesPropertyRequest(ManyRequest):
    items: str = Field(max_length=MAX_ITEMS, description="JSON object, as text.", examples=['{"LightSwitch":0}'])


class QueryDeviceServiceDataRequest(DataRequest):
    identifier: Text = Field("", description="Empty: every service; set: the property sets.")

    def span(self) -> Span:
        if self.start_time > self.end_time:
            raise Refused("iot.device.QueryDeviceServiceHistoryFailed", "StartTime is after EndTime.")
        return super().span()


class ServiceInfo(Members):
    identifier: str
    name: str
    input_data: str
    output_data: str | None = None
    time: str


class ServiceInfos(Members):
    service_info: list[ServiceInfo]


class ServiceDataPage(Members):
    list: ServiceInfos
    next_time: int | None = None
    next_valid: bool


class QueryDeviceServiceDataResponse(Response):
    data: ServiceDataPage


async def invoke_thing_service(call: Call, request: InvokeThingServiceRequest) -> InvokeThingServiceResponse:
    device = (await find(call, ref_of(request))).device
    sent, result = await call.owners.thing_calls.invoke(device, request.identifier, request.args, request.qos)
    return InvokeThingServiceResponse(data=Invocation(message_id=sent, result=result or None))


async def invoke_things_service(call: Call, request: InvokeThingsServiceRequest) -> Empty:
    names = await _names(call, request)
    await call.owners.thing_calls.invoke_many(request.product_key, names, request.identifier, request.args, request.qos)
    return Empty()


async def set_devices_property(call: Call, request: SetDevicesPropertyRequest) -> Empty:
    names = await _names(call, request)
    await call.owners.thing_calls.set_many(request.product_key, names, request.items, request.qos)
    return Empty()


async def query_device_service_data(
    call: Call, request: QueryDeviceServiceDataRequest
) -> QueryDeviceServiceDataResponse:
    device = (await find(call, ref_of(request))).device
    calls, next_ms = await call.owners.thing_calls.find(device, request.identifier, request.span())
    rows = [
        ServiceInfo(
            identifier=one.identifier,
            name=one.name,
            input_data=one.input,
            output_data=one.output or None,
            time=str(one.time_ms),
        )
        for one in calls
    ]
    page = ServiceDataPage(list=ServiceInfos(service_info=rows), next_time=next_ms or None, next_valid=next_ms > 0)
    return QueryDeviceServiceDataResponse(data=page)


async def _names(call: Call, request: ManyRequest) -> list[str]:
    """Each once. Refuses all when one does not exist in the call's instance."""
    names = list(dict.fromkeys(request.device_name))
    if not names:
        raise Refused("iot.device.NoneDeviceNameElement", "No device is named.")
    if len(names) > MAX_DEVICES:
        raise Refused("iot.device.TooManyDevicesPerTime", f"At most {MAX_DEVICES} devices are called at a time.")
    refs = [DeviceRef(DeviceId(request.product_key, name)) for name in names]
    found = await call.owners.devices.get(call.instance_id, refs, False)
    for name, device in zip(names, found, strict=True):
        if device is None:
            raise Refused("iot.device.NotExistedDevice", f"The device {name[:64]} does not exist.")
    return names


_PRODUCT = "/v1/products/{ProductKey}"
_DEVICE = f"{_PRODUCT}/devices/{{DeviceName}}"
_GROUP = "Thing control & data"
_INVOKE_CODES = {"thing_model_missing": "iot.device.InvokeThingServiceFailed"}
_SET_CODES = {"thing_model_missing": "iot.device.SetDevicePropertyFailed"}

OPERATIONS = (
    Operation(
        "InvokeThingService", _GROUP, Role.OPERATOR, True, InvokeThingServiceRequest, InvokeThingServiceResponse,
        invoke_thing_service, Rest("POST", f"{_DEVICE}/services/{{Identifier}}"), "Calls a service of a device.",
        note="A synchronous service is waited for, 8 s at most: Result is the data of the device's answer. Not "
        "confirmed: a device that is away or silent is iot.messagebroker.OFFLINE, TIMEOUT or HALFCONN as with RRpc, an "
        "answer with a code other than 200 iot.messagebroker.RrpcFailed with that code in the message. Of an "
        "asynchronous service the answer is the message thing/downlink/reply/message; a device that is away without a "
        "persistent session never gets the call, and the message says 9201. MessageId is the id in the message.",
        codes=_INVOKE_CODES,
    ),
    Operation(
        "InvokeThingsService", _GROUP, Role.OPERATOR, True, InvokeThingsServiceRequest, Empty, invoke_things_service,
        Rest("POST", f"{_PRODUCT}/services/{{Identifier}}"), "Calls an asynchronous service of many devices.",
        note="Nothing is sent when one of the devices does not exist; a device named twice is called once.",
        codes=_INVOKE_CODES,
    ),
    Operation(
        "SetDevicesProperty", _GROUP, Role.OPERATOR, True, SetDevicesPropertyRequest, Empty, set_devices_property,
        Rest("POST", f"{_PRODUCT}/properties"), "Asks many devices to set properties.",
        note="Nothing is sent when one of the devices does not exist; a device named twice is asked once.",
        codes=_SET_CODES,
    ),
    Operation(
        "QueryDeviceServiceData", _GROUP, Role.READER, False, QueryDeviceServiceDataRequest,
        QueryDeviceServiceDataResponse, query_device_service_data, Rest("GET", f"{_DEVICE}/services"),
        "Shows the calls of a device's services over time.",
        note="Time is the call's. Property sets are calls of the service set. OutputData is absent while the device "
        "has not answered.",
    ),
)  # fmt: skip
