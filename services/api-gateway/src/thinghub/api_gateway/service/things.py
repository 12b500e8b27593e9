"""What devices reported by their thing model, and setting their properties."""

from pydantic import Field

from thinghub.api_gateway.domain.values import DeviceId, Role, Span
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.devices import DeviceRequest, find, ref_of
from thinghub.api_gateway.service.model import Members, Name, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_ITEMS = 65_536


class DataRequest(DeviceRequest):
    start_time: int = Field(ge=0, le=1 << 52, description="Epoch milliseconds.")
    end_time: int = Field(ge=0, le=1 << 52, description="Epoch milliseconds, included.")
    page_size: int = Field(ge=1, le=100, examples=[10])
    asc: int = Field(0, ge=0, le=1, description="0 newest first, 1 oldest first.")

    def span(self) -> Span:
        if self.start_time > self.end_time:
            raise Refused("iot.device.QueryDeviceAttrDataHistoryFailed", "StartTime is after EndTime.")
        return Span(self.start_time, self.end_time, self.page_size, self.asc == 1)


class QueryDevicePropertyStatusRequest(DeviceRequest):
    function_block_id: Text = Field("", description="A module; empty is the default one.")


class PropertyStatusInfo(Members):
    identifier: str
    name: str
    data_type: str
    unit: str | None = None
    value: str | None = None
    time: str | None = None


class PropertyStatusInfos(Members):
    property_status_info: list[PropertyStatusInfo]


class PropertyStatusList(Members):
    list: PropertyStatusInfos


class QueryDevicePropertyStatusResponse(Response):
    data: PropertyStatusList


class QueryDevicePropertyDataRequest(DataRequest):
    identifier: Name


class PropertyInfo(Members):
    time: str
    value: str


class PropertyInfos(Members):
    property_info: list[PropertyInfo]


class PropertyData(Members):
    list: PropertyInfos
    next_time: int | None = None
    next_valid: bool


class QueryDevicePropertyDataResponse(Response):
    data: PropertyData


class QueryDeviceEventDataRequest(DataRequest):
    identifier: Text = Field("", description="Empty: every event.")
    event_type: Text = Field("", description="info, alert or error; empty: every type.")


class EventInfo(Members):
    event_type: str
    identifier: str
    name: str
    output_data: str
    time: str


class EventInfos(Members):
    event_info: list[EventInfo]


class EventDataPage(Members):
    list: EventInfos
    next_time: int | None = None
    next_valid: bool


class QueryDeviceEventDataResponse(Response):
    data: EventDataPage


class SetDevicePropertyRequest(DeviceRequest):
    items: str = Field(max_length=MAX_ITEMS, description="JSON object, as text.", examples=['{"LightSwitch":0}'])
    qos: int = Field(1, ge=0, le=1)


class SentMessage(Members):
    message_id: str


class SetDevicePropertyResponse(Response):
    data: SentMessage


async def query_device_property_status(
    call: Call, request: QueryDevicePropertyStatusRequest
) -> QueryDevicePropertyStatusResponse:
    reported = await call.owners.things.latest(await _device(call, request), request.function_block_id)
    rows = [
        PropertyStatusInfo(
            identifier=one.identifier,
            name=one.name,
            data_type=one.data_type,
            unit=one.unit or None,
            value=one.value if one.time_ms else None,
            time=str(one.time_ms) if one.time_ms else None,
        )
        for one in reported
    ]
    infos = PropertyStatusInfos(property_status_info=rows)
    return QueryDevicePropertyStatusResponse(data=PropertyStatusList(list=infos))


async def query_device_property_data(
    call: Call, request: QueryDevicePropertyDataRequest
) -> QueryDevicePropertyDataResponse:
    device = await _device(call, request)
    values, next_ms = await call.owners.things.values(device, request.identifier, request.span())
    rows = [PropertyInfo(time=str(one.time_ms), value=one.value) for one in values]
    page = PropertyData(list=PropertyInfos(property_info=rows), next_time=next_ms or None, next_valid=next_ms > 0)
    return QueryDevicePropertyDataResponse(data=page)


async def query_device_event_data(call: Call, request: QueryDeviceEventDataRequest) -> QueryDeviceEventDataResponse:
    device = await _device(call, request)
    events, next_ms = await call.owners.things.events(device, request.identifier, request.event_type, request.span())
    rows = [
        EventInfo(
            event_type=one.type,
            identifier=one.identifier,
            name=one.name,
            output_data=one.value,
            time=str(one.time_ms),
        )
        for one in events
    ]
    page = EventDataPage(list=EventInfos(event_info=rows), next_time=next_ms or None, next_valid=next_ms > 0)
    return QueryDeviceEventDataResponse(data=page)


async def set_device_property(call: Call, request: SetDevicePropertyRequest) -> SetDevicePropertyResponse:
    device = await _device(call, request)
    sent = await call.owners.things.set(device, request.items, request.qos)
    return SetDevicePropertyResponse(data=SentMessage(message_id=sent))


async def _device(call: Call, request: DeviceRequest) -> DeviceId:
    """Refuses a device that does not exist in the call's instance."""
    return (await find(call, ref_of(request))).device


_DEVICE = "/v1/products/{ProductKey}/devices/{DeviceName}"
_GROUP = "Thing control & data"

OPERATIONS = (
    Operation(
        "QueryDevicePropertyStatus", _GROUP, Role.READER, False, QueryDevicePropertyStatusRequest,
        QueryDevicePropertyStatusResponse, query_device_property_status, Rest("GET", f"{_DEVICE}/properties"),
        "Shows the latest value of each property.",
        note="Every property of the published thing model; one that was never reported has neither Value nor Time.",
    ),
    Operation(
        "QueryDevicePropertyData", _GROUP, Role.READER, False, QueryDevicePropertyDataRequest,
        QueryDevicePropertyDataResponse, query_device_property_data,
        Rest("GET", f"{_DEVICE}/properties/{{Identifier}}/history"), "Shows the values of a property over time.",
        note="By the values' own times. A page goes on at NextTime.",
    ),
    Operation(
        "QueryDeviceEventData", _GROUP, Role.READER, False, QueryDeviceEventDataRequest, QueryDeviceEventDataResponse,
        query_device_event_data, Rest("GET", f"{_DEVICE}/events"), "Shows the events of a device over time.",
        note="OutputData is the event's value as JSON.",
    ),
    Operation(
        "SetDeviceProperty", _GROUP, Role.OPERATOR, True, SetDevicePropertyRequest, SetDevicePropertyResponse,
        set_device_property, Rest("POST", f"{_DEVICE}/properties"), "Asks a device to set properties.",
        note="Asynchronous: the device's answer is the message thing/downlink/reply/message, with code 9201 when the "
        "device is away and has no persistent session. MessageId is the id in the message, a decimal that rises with "
        "each command to the device.",
    ),
)  # fmt: skip
