"""Many devices at once: names checked, registered in the background, imported; counts and lists by status.

Unconfirmed of the contract, and decided: a check always gives an ApplyId, and registering makes the names that were
good; the words of Status beside CREATE_SUCCESS; names that exist count as repeated; Status of lists are 0 unactive,
1 online, 3 offline, 8 disabled in the request and words in the answer.
"""

from collections.abc import Iterable, Sequence

from pydantic import Field

from thinghub.api_gateway.domain.times import local, utc
from thinghub.api_gateway.domain.values import (
    ApplicationState,
    Device,
    DeviceStatus,
    NewDevice,
    RefusedDevice,
    RefusedReason,
    Role,
    WantedDevice,
)
from thinghub.api_gateway.errors import Refused, invalid
from thinghub.api_gateway.service.devices import projected, state_of
from thinghub.api_gateway.service.model import Identifier, Members, Name, Paged, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

STATUS_WORDS = {
    ApplicationState.CHECKED: "CHECK_SUCCESS",
    ApplicationState.RUNNING: "CREATE",
    ApplicationState.DONE: "CREATE_SUCCESS",
    ApplicationState.FAILED: "CREATE_FAILED",
}
STATUS_NUMBERS = {
    0: DeviceStatus.UNACTIVE,
    1: DeviceStatus.ONLINE,
    3: DeviceStatus.OFFLINE,
    8: DeviceStatus.DISABLED,
}


class NamedDevice(Members):
    device_name: Text = ""
    device_nickname: Text = ""


class BatchCheckDeviceNamesRequest(Request):
    product_key: Name
    device_name: list[Text] = Field(default_factory=list, description="At most 1000, DeviceNameList included.")
    device_name_list: list[NamedDevice] = Field(default_factory=list)


class InvalidDetail(Members):
    device_name: str
    nick_name: str | None = None
    error_msg: str


class InvalidDetails(Members):
    invalid_detail_list: list[InvalidDetail]


class InvalidNames(Members):
    invalid_device_name: list[str]


class InvalidNicknames(Members):
    invalid_device_nickname: list[str]


class RepeatedNames(Members):
    repeated: list[str] = Field(alias="RepeatDevieNameList")


class CheckedNames(Members):
    apply_id: int
    invalid_device_name_list: InvalidNames
    invalid_device_nickname_list: InvalidNicknames
    repeated_device_name_list: RepeatedNames
    invalid_detail_list: InvalidDetails


class BatchCheckDeviceNamesResponse(Response):
    data: CheckedNames


class ApplicationRequest(Request):
    product_key: Name
    apply_id: Identifier


class BatchRegisterDeviceRequest(Request):
    product_key: Name
    count: int = Field(description="1 to 10000; the names are generated.")


class AppliedId(Members):
    apply_id: int


class ApplyIdResponse(Response):
    data: AppliedId


class Names(Members):
    name: list[str]


class LowerInvalidDetails(Members):
    details: list[InvalidDetail] = Field(alias="invalidDetailList")


class ApplicationStatus(Members):
    status: str = Field(description="CHECK_SUCCESS, CREATE (under way), CREATE_SUCCESS or CREATE_FAILED (none made).")
    valid_list: Names = Field(description="Made so far; before the start, those that can be made.")
    invalid_list: Names
    invalid_detail_list: LowerInvalidDetails


class QueryBatchRegisterDeviceStatusResponse(Response):
    data: ApplicationStatus


class QueryPageByApplyIdRequest(Paged):
    apply_id: Identifier


class ApplyDevice(Members):
    device_id: str
    device_name: str
    device_secret: str | None = None
    iot_id: str


class ApplyDevices(Members):
    apply_device_info: list[ApplyDevice]


class QueryPageByApplyIdResponse(Response):
    apply_device_list: ApplyDevices
    page: int
    page_size: int
    page_count: int
    total: int


class GivenDeviceRequest(Request):
    product_key: Name
    device_name: Name
    device_secret: Name
    nickname: Text = ""
    sn: Text = ""


class ImportedDevice(Members):
    product_key: str
    device_name: str
    device_secret: str
    iot_id: str
    nickname: str | None = None
    sn: str | None = None


class ImportDeviceResponse(Response):
    data: ImportedDevice


class ListedDevice(Members):
    device_name: Text = ""
    device_secret: Text = ""
    sn: Text = ""


class BatchImportDeviceRequest(Request):
    product_key: Name
    device_list: list[ListedDevice] = Field(default_factory=list, description="At most 1000.")


class ImportDetail(Members):
    device_name: str
    sn: str | None = None
    error_msg: str


class ImportDetails(Members):
    invalid_detail_list: list[ImportDetail]


class LowerInvalidNames(Members):
    names: list[str] = Field(alias="invalidDeviceName")


class LowerInvalidSecrets(Members):
    names: list[str] = Field(alias="invalidDeviceSecret", description="Names of the devices, not their secrets.")


class LowerInvalidSns(Members):
    sns: list[str] = Field(alias="invalidSn")


class LowerRepeatedNames(Members):
    names: list[str] = Field(alias="repeatedDeviceName")


class ImportedDevices(Members):
    apply_id: int
    invalid_device_name_list: LowerInvalidNames
    invalid_device_secret_list: LowerInvalidSecrets
    invalid_sn_list: LowerInvalidSns
    repeated_device_name_list: LowerRepeatedNames
    invalid_detail_list: ImportDetails


class BatchImportDeviceResponse(Response):
    data: ImportedDevices


class QueryDeviceByStatusRequest(Paged):
    product_key: Name
    status: int = Field(description="0 unactive, 1 online, 3 offline, 8 disabled.")


class SimpleDevice(Members):
    product_key: str
    device_name: str
    device_secret: str | None = None
    iot_id: str
    nickname: str | None = None
    status: str
    gmt_create: str | None = None
    gmt_modified: str | None = None
    utc_create: str | None = None
    utc_modified: str | None = None


class SimpleDevices(Members):
    simple_device_info: list[SimpleDevice]


class QueryDeviceByStatusResponse(Response):
    data: SimpleDevices
    page: int
    page_size: int
    page_count: int
    total: int


class QueryDeviceStatisticsRequest(Request):
    product_key: Text = Field("", description="Absent: the whole instance.")
    group_id: Text = Field("", description="Refused: there are no device groups yet.")


class Statistics(Members):
    device_count: int = Field(alias="deviceCount")
    online_count: int = Field(alias="onlineCount")
    active_count: int = Field(alias="activeCount")


class QueryDeviceStatisticsResponse(Response):
    data: Statistics


async def batch_check_device_names(call: Call, request: BatchCheckDeviceNamesRequest) -> BatchCheckDeviceNamesResponse:
    wanted = [WantedDevice(name) for name in request.device_name]
    wanted += [WantedDevice(one.device_name, one.device_nickname) for one in request.device_name_list]
    if not wanted:
        raise Refused("iot.device.NoneDeviceNameElement", "No device is named.")
    apply_id, refused = await call.owners.applications.check(call.instance_id, request.product_key, wanted)
    nicknames = [one.nickname for one in refused if one.reason is RefusedReason.NICKNAME]
    return BatchCheckDeviceNamesResponse(
        data=CheckedNames(
            apply_id=apply_id,
            invalid_device_name_list=InvalidNames(invalid_device_name=_names(refused, RefusedReason.NAME)),
            invalid_device_nickname_list=InvalidNicknames(invalid_device_nickname=nicknames),
            repeated_device_name_list=RepeatedNames(repeated=_names(refused, RefusedReason.REPEATED)),
            invalid_detail_list=InvalidDetails(invalid_detail_list=_details(refused)),
        )
    )


def _names(refused: Iterable[RefusedDevice], reason: RefusedReason) -> list[str]:
    return [one.device_name for one in refused if one.reason is reason]


def _details(refused: Sequence[RefusedDevice]) -> list[InvalidDetail]:
    return [
        InvalidDetail(device_name=one.device_name, nick_name=one.nickname or None, error_msg=one.message)
        for one in refused
    ]


async def batch_register_with_apply_id(call: Call, request: ApplicationRequest) -> ApplyIdResponse:
    await call.owners.applications.start(call.instance_id, request.product_key, request.apply_id)
    return ApplyIdResponse(data=AppliedId(apply_id=request.apply_id))


async def batch_register_device(call: Call, request: BatchRegisterDeviceRequest) -> ApplyIdResponse:
    apply_id = await call.owners.applications.count(call.instance_id, request.product_key, request.count)
    return ApplyIdResponse(data=AppliedId(apply_id=apply_id))


async def query_batch_register_status(
    call: Call, request: ApplicationRequest
) -> QueryBatchRegisterDeviceStatusResponse:
    found = await call.owners.applications.get(call.instance_id, request.product_key, request.apply_id)
    return QueryBatchRegisterDeviceStatusResponse(
        data=ApplicationStatus(
            status=STATUS_WORDS[found.state],
            valid_list=Names(name=list(found.names)),
            invalid_list=Names(name=[one.device_name for one in found.refused]),
            invalid_detail_list=LowerInvalidDetails(details=_details(found.refused)),
        )
    )


async def query_page_by_apply_id(call: Call, request: QueryPageByApplyIdRequest) -> QueryPageByApplyIdResponse:
    devices, total = await call.owners.applications.devices(
        call.instance_id, request.apply_id, request.current_page, request.page_size, call.shows_secrets
    )
    return QueryPageByApplyIdResponse(
        apply_device_list=ApplyDevices(
            apply_device_info=[
                ApplyDevice(
                    device_id=one.iot_id,
                    device_name=one.device.device_name,
                    device_secret=one.device_secret or None,
                    iot_id=one.iot_id,
                )
                for one in devices
            ]
        ),
        page=request.current_page,
        page_size=request.page_size,
        page_count=-(-total // request.page_size),
        total=total,
    )


async def import_device(call: Call, request: GivenDeviceRequest) -> ImportDeviceResponse:
    device = await call.owners.devices.register(
        NewDevice(
            call.instance_id, request.product_key, request.device_name, request.nickname,
            device_secret=request.device_secret, sn=request.sn,
        )
    )  # fmt: skip
    return ImportDeviceResponse(
        data=ImportedDevice(
            product_key=device.device.product_key,
            device_name=device.device.device_name,
            device_secret=device.device_secret,
            iot_id=device.iot_id,
            nickname=device.nickname or None,
            sn=device.sn or None,
        )
    )


async def batch_import_device(call: Call, request: BatchImportDeviceRequest) -> BatchImportDeviceResponse:
    wanted = [WantedDevice(one.device_name, "", one.device_secret, one.sn) for one in request.device_list]
    if not wanted:
        raise Refused("iot.device.NoneDeviceNameElement", "No device is named.")
    apply_id, refused = await call.owners.applications.import_devices(call.instance_id, request.product_key, wanted)
    return BatchImportDeviceResponse(
        data=ImportedDevices(
            apply_id=apply_id,
            invalid_device_name_list=LowerInvalidNames(names=_names(refused, RefusedReason.NAME)),
            invalid_device_secret_list=LowerInvalidSecrets(names=_names(refused, RefusedReason.SECRET)),
            invalid_sn_list=LowerInvalidSns(sns=[one.sn for one in refused if one.reason is RefusedReason.SN]),
            repeated_device_name_list=LowerRepeatedNames(names=_names(refused, RefusedReason.REPEATED)),
            invalid_detail_list=ImportDetails(
                invalid_detail_list=[
                    ImportDetail(device_name=one.device_name, sn=one.sn or None, error_msg=one.message)
                    for one in refused
                ]
            ),
        )
    )


async def query_device_by_status(call: Call, request: QueryDeviceByStatusRequest) -> QueryDeviceByStatusResponse:
    status = STATUS_NUMBERS.get(request.status)
    if status is None:
        raise invalid("Status", "it is 0, 1, 3 or 8")
    devices, total = await call.owners.applications.by_status(
        call.instance_id, request.product_key, status, request.current_page, request.page_size, call.shows_secrets
    )
    return QueryDeviceByStatusResponse(
        data=SimpleDevices(simple_device_info=[_simple(device) for device in devices]),
        page=request.current_page,
        page_size=request.page_size,
        page_count=-(-total // request.page_size),
        total=total,
    )


def _simple(device: Device) -> SimpleDevice:
    return SimpleDevice(
        product_key=device.device.product_key,
        device_name=device.device.device_name,
        device_secret=device.device_secret or None,
        iot_id=device.iot_id,
        nickname=device.nickname or None,
        status=state_of(device, projected(device))[0],
        gmt_create=local(device.created_ms),
        gmt_modified=local(device.modified_ms),
        utc_create=utc(device.created_ms),
        utc_modified=utc(device.modified_ms),
    )


async def query_device_statistics(call: Call, request: QueryDeviceStatisticsRequest) -> QueryDeviceStatisticsResponse:
    if request.group_id:
        raise invalid("GroupId", "there are no device groups yet")
    counts = await call.owners.applications.statistics(call.instance_id, request.product_key)
    return QueryDeviceStatisticsResponse(
        data=Statistics(device_count=counts.devices, online_count=counts.online, active_count=counts.active)
    )


_PRODUCT = "/v1/products/{ProductKey}"
_APPLICATION = _PRODUCT + "/applications/{ApplyId}"

OPERATIONS = (
    Operation(
        "BatchCheckDeviceNames", "Devices", Role.ADMINISTRATOR, True, BatchCheckDeviceNamesRequest,
        BatchCheckDeviceNamesResponse, batch_check_device_names, Rest("POST", _PRODUCT + "/device-names", 201),
        "Checks up to 1000 device names and stores them as an application.",
        form=("DeviceName", "DeviceNameList"),
        note="Always gives an ApplyId; registering it makes the names that are good. Names given twice and names that "
        "exist are repeated. Applications are kept for 30 days.",
    ),
    Operation(
        "BatchRegisterDeviceWithApplyId", "Devices", Role.ADMINISTRATOR, True, ApplicationRequest, ApplyIdResponse,
        batch_register_with_apply_id, Rest("POST", _APPLICATION + "/start", 202),
        "Registers the devices of a checked application in the background.",
        note="One that is over stays as it is, and the call succeeds; one under way is "
        "iot.device.CreateDeviceTaskIsRunning.",
    ),
    Operation(
        "BatchRegisterDevice", "Devices", Role.ADMINISTRATOR, True, BatchRegisterDeviceRequest, ApplyIdResponse,
        batch_register_device, Rest("POST", _PRODUCT + "/applications", 202),
        "Registers so many devices with generated names in the background.",
    ),
    Operation(
        "QueryBatchRegisterDeviceStatus", "Devices", Role.READER, False, ApplicationRequest,
        QueryBatchRegisterDeviceStatusResponse, query_batch_register_status, Rest("GET", _APPLICATION),
        "Says how far an application is.",
        note="The words of Status other than CREATE_SUCCESS are not confirmed.",
    ),
    Operation(
        "QueryPageByApplyId", "Devices", Role.READER, False, QueryPageByApplyIdRequest, QueryPageByApplyIdResponse,
        query_page_by_apply_id, Rest("GET", "/v1/applications/{ApplyId}/devices"),
        "Lists the devices that an application made.",
        note="DeviceSecret is shown to administrators only. A device deleted since is left out of its page.",
    ),
    Operation(
        "ImportDevice", "Devices", Role.ADMINISTRATOR, True, GivenDeviceRequest, ImportDeviceResponse,
        import_device, Rest("POST", _PRODUCT + "/imported-devices", 201), "Registers a device with its secret.",
    ),
    Operation(
        "BatchImportDevice", "Devices", Role.ADMINISTRATOR, True, BatchImportDeviceRequest, BatchImportDeviceResponse,
        batch_import_device, Rest("POST", _PRODUCT + "/device-imports", 201),
        "Registers up to 1000 devices with their secrets.", form=("DeviceList",),
        note="The good devices are registered when the call returns, all or none, so that no secret waits anywhere; "
        "QueryBatchRegisterDeviceStatus and QueryPageByApplyId read its ApplyId too.",
    ),
    Operation(
        "QueryDeviceByStatus", "Devices", Role.READER, False, QueryDeviceByStatusRequest, QueryDeviceByStatusResponse,
        query_device_by_status, Rest("GET", _PRODUCT + "/devices-by-status"),
        "Lists the devices of a product that have one status.",
        note="The registry's projection, moments behind. DeviceSecret is shown to administrators only.",
    ),
    Operation(
        "QueryDeviceStatistics", "Devices", Role.READER, False, QueryDeviceStatisticsRequest,
        QueryDeviceStatisticsResponse, query_device_statistics, Rest("GET", "/v1/device-statistics"),
        "Counts devices, those online, and those that were online at least once.",
    ),
)  # fmt: skip
