"""The history of several properties, and how long products keep theirs."""

from pydantic import Field

from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.service.devices import find, ref_of
from thinghub.api_gateway.service.messaging import in_instance
from thinghub.api_gateway.service.model import Members, Name, Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.things import DataRequest

MAX_IDENTIFIERS = 10


class QueryDevicePropertiesDataRequest(DataRequest):
    identifier: list[Name] = Field(min_length=1, max_length=MAX_IDENTIFIERS, description="1 to 10 properties.")
    page_size: int = Field(ge=1, le=100, description="Values of each property.", examples=[10])


class PropertyTimeInfo(Members):
    time: int
    value: str


class PropertyTimeInfos(Members):
    property_info: list[PropertyTimeInfo]


class PropertyDataInfo(Members):
    identifier: str
    list: PropertyTimeInfos


class PropertyDataInfos(Members):
    property_data_info: list[PropertyDataInfo]


class QueryDevicePropertiesDataResponse(Response):
    property_data_infos: PropertyDataInfos
    next_time: int | None = None
    next_valid: bool


class ProductRetentionRequest(Request):
    product_key: Name


class SetProductRetentionRequest(ProductRetentionRequest):
    days: int = Field(ge=0, le=3650, description="0: as long as the platform keeps histories, which is also the most.")


class ProductRetentionResponse(Response):
    days: int
    own: bool = Field(description="false: it is the platform's.")


async def query_device_properties_data(
    call: Call, request: QueryDevicePropertiesDataRequest
) -> QueryDevicePropertiesDataResponse:
    device = (await find(call, ref_of(request))).device
    found, next_ms = await call.owners.histories.several(device, request.identifier, request.span())
    rows = [
        PropertyDataInfo(
            identifier=identifier,
            list=PropertyTimeInfos(
                property_info=[PropertyTimeInfo(time=one.time_ms, value=one.value) for one in values]
            ),
        )
        for identifier, values in found
    ]
    return QueryDevicePropertiesDataResponse(
        property_data_infos=PropertyDataInfos(property_data_info=rows),
        next_time=next_ms or None,
        next_valid=next_ms > 0,
    )


async def get_product_retention(call: Call, request: ProductRetentionRequest) -> ProductRetentionResponse:
    await call.owners.policies.check(request.product_key, in_instance(call))
    days, own = await call.owners.histories.retention(request.product_key)
    return ProductRetentionResponse(days=days, own=own)


async def set_product_retention(call: Call, request: SetProductRetentionRequest) -> ProductRetentionResponse:
    await call.owners.policies.check(request.product_key, in_instance(call))
    days = await call.owners.histories.retain(request.product_key, request.days)
    return ProductRetentionResponse(days=days, own=request.days > 0)


_RETENTION = "/v1/products/{ProductKey}/retention"

OPERATIONS = (
    Operation(
        "QueryDevicePropertiesData", "Thing control & data", Role.READER, False, QueryDevicePropertiesDataRequest,
        QueryDevicePropertiesDataResponse, query_device_properties_data,
        Rest("POST", "/v1/products/{ProductKey}/devices/{DeviceName}/properties/query"),
        "Shows the values of several properties over time.",
        note="By the values' own times. The page ends for all properties where the first one has more than PageSize "
        "values, and goes on for all of them at NextTime. At most 10 properties (not confirmed).",
    ),
    Operation(
        "GetProductRetention", "Administration", Role.READER, False, ProductRetentionRequest, ProductRetentionResponse,
        get_product_retention, Rest("GET", _RETENTION), "Shows how many days a product's history is kept.", rpc=False,
    ),
    Operation(
        "SetProductRetention", "Administration", Role.ADMINISTRATOR, True, SetProductRetentionRequest,
        ProductRetentionResponse, set_product_retention, Rest("PUT", _RETENTION),
        "Sets how many days a product's history is kept.", rpc=False,
        note="By the day of receipt. What is older is deleted by the next daily sweep, and cannot be brought back.",
    ),
)  # fmt: skip
