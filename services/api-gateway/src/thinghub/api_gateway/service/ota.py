"""Firmware and upgrade jobs."""

from typing import Annotated

from pydantic import Field, StringConstraints

from thinghub.api_gateway.domain.ota import Cancellation, Firmware, TaskQuery, UpgradeJob, UpgradeTask
from thinghub.api_gateway.domain.times import utc
from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.errors import Refused, invalid
from thinghub.api_gateway.service.model import (
    REST_ONLY,
    Empty,
    Int64,
    Members,
    Name,
    Paged,
    Request,
    Response,
    Text,
)
from thinghub.api_gateway.service.operation import Call, Operation, Rest

Url = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
UNSUPPORTED = "iot.ota.UnsupportedUpgrade"
FIRMWARE_READY = 1  # the contract's Status of a firmware that needs no verification or has passed it


class GenerateOTAUploadURLRequest(Request):
    file_suffix: Text = Field("", description="Letters and digits; bin when it is left out.", examples=["bin"])


class UploadData(Members):
    host: str = Field(description="Where the multipart form is posted.")
    key: str
    policy: str
    oss_access_key_id: str = Field(alias="OSSAccessKeyId")
    signature: str
    firmware_url: str = Field(description="What CreateOTAFirmware takes once the package is there.")
    utc_create: str | None = None


class GenerateOTAUploadURLResponse(Response):
    data: UploadData


class MultiFile(Members):
    file_md5: Text = ""
    name: Text = ""
    sign_value: Text = ""
    size: Int64 = 0
    url: Text = ""


class CreateOTAFirmwareRequest(Request):
    firmware_name: Name = Field(examples=["release 2.0.0"])
    dest_version: Name = Field(description="1 to 64 characters, as devices will name it.", examples=["2.0.0"])
    firmware_url: Url = Field(description="FirmwareUrl of GenerateOTAUploadURL, after the upload.")
    firmware_size: Int64 = Field(0, description="Bytes; checked when given.")
    firmware_sign: Text = Field("", description="Hex digest of the package; checked when given.")
    sign_method: Text = Field("", description="MD5 (default) or SHA256.")
    product_key: Text = Field("", description="Left out: for every product of the instance.")
    module_name: Text = Field("", description="`default` when it is left out.")
    src_version: Text = Field("", description="Needed when Type is 1.")
    type: int = Field(0, description="0 full, 1 difference from SrcVersion.")
    firmware_desc: Text = ""
    need_to_verify: bool = False
    udi: Text = Field("", description="JSON that devices get with the upgrade.")
    multi_files: list[MultiFile] = Field(default_factory=list, description="Refused: a firmware is one package.")


class CreatedFirmware(Members):
    firmware_id: str
    utc_create: str | None = None


class CreateOTAFirmwareResponse(Response):
    data: CreatedFirmware


class QueryOTAFirmwareRequest(Request):
    firmware_id: Name


class FirmwareInfo(Members):
    firmware_id: str
    firmware_name: str
    firmware_desc: str | None = None
    product_key: str | None = None
    module_name: str
    dest_version: str
    src_version: str | None = None
    type: int
    sign_method: str
    firmware_sign: str
    firmware_size: int
    firmware_url: str = Field(description="A signed download.")
    status: int = FIRMWARE_READY
    udi: str | None = None
    utc_create: str | None = None
    utc_modified: str | None = None


class QueryOTAFirmwareResponse(Response):
    firmware_info: FirmwareInfo


class JobTag(Members):
    key: Text = ""
    value: Text = ""


class CreateOTAStaticUpgradeJobRequest(Request):
    firmware_id: Name
    product_key: Name
    target_selection: Name = Field(description="SPECIFIC or ALL.", examples=["SPECIFIC"])
    target_device_name: list[Text] = Field(default_factory=list, description="1 to 200, for SPECIFIC.")
    src_version: list[Text] = Field(default_factory=list, description="Only devices that have one of these versions.")
    overwrite_mode: int = Field(1, description="1: an unfinished task of the module stays; 2: it is replaced.")
    timeout_in_minutes: int = Field(0, description="1 to 1440, from the first notice; 0: none.")
    need_push: bool = Field(True, description="false: devices are told only when they ask.")
    schedule_time: Int64 = Field(0, description="Epoch milliseconds, at most seven days ahead.")
    tag: list[JobTag] = Field(default_factory=list)
    download_protocol: Text = Field("", description="HTTPS; devices get a signed URL.")
    dn_list_file_url: Text = ""
    gray_percent: Text = ""
    group_id: Text = ""
    group_type: Text = ""
    maximum_per_minute: int | None = None
    multi_module_mode: bool = False
    need_confirm: bool = False
    retry_count: int | None = None
    retry_interval: int | None = None
    schedule_finish_time: int | None = None


class CreatedJob(Members):
    job_id: str
    utc_create: str | None = None


class CreateOTAStaticUpgradeJobResponse(Response):
    data: CreatedJob


class JobRequest(Request):
    job_id: Name


class SrcVersions(Members):
    src_version: list[str]


class OtaTag(Members):
    key: str
    value: str


class OtaTags(Members):
    ota_tag_dto: list[OtaTag] = Field(alias="OtaTagDTO")


class JobData(Members):
    job_id: str
    firmware_id: str
    product_key: str
    dest_version: str
    job_status: str = Field(description="PLANNED, IN_PROGRESS, COMPLETED or CANCELED.")
    job_type: str = "UPGRADE_FIRMWARE"
    selection_type: str = "STATIC"
    target_selection: str
    download_protocol: str = "HTTPS"
    overwrite_mode: int
    timeout_in_minutes: int | None = None
    need_push: bool
    need_confirm: bool = False
    multi_module_mode: bool = False
    src_versions: SrcVersions
    tags: OtaTags
    utc_create: str | None = None
    utc_modified: str | None = None
    utc_schedule_time: str | None = None
    utc_start_time: str | None = None
    utc_end_time: str | None = None


class QueryOTAJobResponse(Response):
    data: JobData


class ListOTATaskByJobRequest(Paged):
    job_id: Name
    task_status: Text = Field("", description="QUEUED, NOTIFIED, IN_PROGRESS, SUCCEEDED, FAILED or CANCELED.")
    device_names: list[Text] = Field(default_factory=list)
    next_token: Text = Field("", json_schema_extra=REST_ONLY, description="Pages by key; wins over CurrentPage.")


class TaskInfo(Members):
    task_id: str
    job_id: str
    firmware_id: str
    product_key: str
    device_name: str
    iot_id: str
    src_version: str | None = None
    dest_version: str
    task_status: str
    task_desc: str | None = None
    progress: str
    timeout: str | None = None
    utc_create: str | None = None
    utc_modified: str | None = None


class TaskInfos(Members):
    simple_ota_task_info: list[TaskInfo] = Field(alias="SimpleOTATaskInfo")


class ListOTATaskByJobResponse(Response):
    data: TaskInfos
    current_page: int
    page_size: int
    page_count: int
    total: int
    next_token: str | None = Field(None, json_schema_extra=REST_ONLY)


class CancelOTATaskByJobRequest(JobRequest):
    cancel_scheduled_task: bool = False
    cancel_queued_task: bool = False
    cancel_notified_task: bool = False
    cancel_in_progress_task: bool = False
    cancel_unconfirmed_task: bool = Field(False, description="Accepted; there are no such tasks.")


async def generate_upload_url(call: Call, request: GenerateOTAUploadURLRequest) -> GenerateOTAUploadURLResponse:
    place = await call.owners.ota.create_upload(call.instance_id, request.file_suffix)
    data = UploadData(
        host=place.host,
        key=place.key,
        policy=place.policy,
        oss_access_key_id=place.access_key_id,
        signature=place.signature,
        firmware_url=place.firmware_url,
        utc_create=utc(place.created_ms),
    )
    return GenerateOTAUploadURLResponse(data=data)


async def create_firmware(call: Call, request: CreateOTAFirmwareRequest) -> CreateOTAFirmwareResponse:
    if request.multi_files:
        raise Refused(UNSUPPORTED, "MultiFiles is not supported: a firmware is one package, named by FirmwareUrl.")
    if request.firmware_size < 0:
        raise invalid("FirmwareSize", "it is not negative")
    firmware = Firmware(
        instance_id=call.instance_id,
        name=request.firmware_name,
        description=request.firmware_desc,
        product_key=request.product_key,
        module=request.module_name,
        dest_version=request.dest_version,
        src_version=request.src_version,
        type=request.type,
        sign_method=request.sign_method,
        sign=request.firmware_sign,
        size=request.firmware_size,
        url=request.firmware_url,
        need_to_verify=request.need_to_verify,
        udi=request.udi,
    )
    made = await call.owners.ota.create_firmware(firmware)
    return CreateOTAFirmwareResponse(
        data=CreatedFirmware(firmware_id=made.firmware_id, utc_create=utc(made.created_ms))
    )


async def query_firmware(call: Call, request: QueryOTAFirmwareRequest) -> QueryOTAFirmwareResponse:
    found = await call.owners.ota.firmware(call.instance_id, request.firmware_id)
    info = FirmwareInfo(
        firmware_id=found.firmware_id,
        firmware_name=found.name,
        firmware_desc=found.description or None,
        product_key=found.product_key or None,
        module_name=found.module,
        dest_version=found.dest_version,
        src_version=found.src_version or None,
        type=found.type,
        sign_method=found.sign_method,
        firmware_sign=found.sign,
        firmware_size=found.size,
        firmware_url=found.url,
        udi=found.udi or None,
        utc_create=utc(found.created_ms),
        utc_modified=utc(found.modified_ms),
    )
    return QueryOTAFirmwareResponse(firmware_info=info)


async def create_static_job(call: Call, request: CreateOTAStaticUpgradeJobRequest) -> CreateOTAStaticUpgradeJobResponse:
    _refuse_unsupported(request)
    job = UpgradeJob(
        firmware_id=request.firmware_id,
        product_key=request.product_key,
        target_selection=request.target_selection,
        src_versions=tuple(request.src_version),
        overwrite_mode=request.overwrite_mode,
        timeout_minutes=request.timeout_in_minutes,
        need_push=request.need_push,
        tags=tuple((tag.key, tag.value) for tag in request.tag),
        scheduled_ms=request.schedule_time,
    )
    made = await call.owners.ota.create_job(call.instance_id, job, request.target_device_name)
    return CreateOTAStaticUpgradeJobResponse(data=CreatedJob(job_id=made.job_id, utc_create=utc(made.created_ms)))


def _refuse_unsupported(request: CreateOTAStaticUpgradeJobRequest) -> None:
    """A way of rolling out that would not happen is refused, not passed over."""
    given = {
        "DnListFileUrl": request.dn_list_file_url,
        "GrayPercent": request.gray_percent,
        "GroupId": request.group_id,
        "GroupType": request.group_type,
        "MaximumPerMinute": request.maximum_per_minute is not None,
        "MultiModuleMode": request.multi_module_mode,
        "NeedConfirm": request.need_confirm,
        "RetryCount": request.retry_count is not None,
        "RetryInterval": request.retry_interval is not None,
        "ScheduleFinishTime": request.schedule_finish_time is not None,
        "DownloadProtocol other than HTTPS": request.download_protocol not in ("", "HTTPS"),
    }
    for name, asked in given.items():
        if asked:
            raise Refused(UNSUPPORTED, f"{name} is not supported.", parameter=name)


async def query_job(call: Call, request: JobRequest) -> QueryOTAJobResponse:
    job = await call.owners.ota.job(call.instance_id, request.job_id)
    data = JobData(
        job_id=job.job_id,
        firmware_id=job.firmware_id,
        product_key=job.product_key,
        dest_version=job.dest_version,
        job_status=job.status,
        target_selection=job.target_selection,
        overwrite_mode=job.overwrite_mode,
        timeout_in_minutes=job.timeout_minutes or None,
        need_push=job.need_push,
        src_versions=SrcVersions(src_version=list(job.src_versions)),
        tags=OtaTags(ota_tag_dto=[OtaTag(key=key, value=value) for key, value in job.tags]),
        utc_create=utc(job.created_ms),
        utc_modified=utc(job.modified_ms),
        utc_schedule_time=utc(job.scheduled_ms),
        utc_start_time=utc(job.started_ms),
        utc_end_time=utc(job.ended_ms),
    )
    return QueryOTAJobResponse(data=data)


async def list_tasks(call: Call, request: ListOTATaskByJobRequest) -> ListOTATaskByJobResponse:
    query = TaskQuery(
        request.job_id,
        request.task_status,
        tuple(request.device_names),
        request.next_token,
        request.current_page,
        request.page_size,
    )
    tasks, total, next_token = await call.owners.ota.tasks(call.instance_id, query)
    return ListOTATaskByJobResponse(
        data=TaskInfos(simple_ota_task_info=[_task(task) for task in tasks]),
        current_page=request.current_page,
        page_size=request.page_size,
        page_count=-(-total // request.page_size),
        total=total,
        next_token=next_token or None,
    )


def _task(task: UpgradeTask) -> TaskInfo:
    return TaskInfo(
        task_id=task.task_id,
        job_id=task.job_id,
        firmware_id=task.firmware_id,
        product_key=task.product_key,
        device_name=task.device_name,
        iot_id=task.iot_id,
        src_version=task.src_version or None,
        dest_version=task.dest_version,
        task_status=task.status,
        task_desc=task.description or None,
        progress=str(task.progress),
        timeout=str(task.timeout_minutes) if task.timeout_minutes else None,
        utc_create=utc(task.created_ms),
        utc_modified=utc(task.modified_ms),
    )


async def cancel_tasks(call: Call, request: CancelOTATaskByJobRequest) -> Empty:
    what = Cancellation(
        request.cancel_scheduled_task,
        request.cancel_queued_task,
        request.cancel_notified_task,
        request.cancel_in_progress_task,
    )
    await call.owners.ota.cancel(call.instance_id, request.job_id, what)
    return Empty()


OPERATIONS = (
    Operation(
        "GenerateOTAUploadURL", "OTA", Role.OPERATOR, True, GenerateOTAUploadURLRequest, GenerateOTAUploadURLResponse,
        generate_upload_url, Rest("POST", "/v1/ota/uploads", 201),
        "Gives a place for a package and the form to upload it with.",
        note="Post a multipart form to `Host` within the hour: `key`, `policy`, `OSSAccessKeyId`, `Signature`, and "
        "`file` last. The answer is 204, or the `success_action_status` (200, 201) of the form.",
    ),
    Operation(
        "CreateOTAFirmware", "OTA", Role.OPERATOR, True, CreateOTAFirmwareRequest, CreateOTAFirmwareResponse,
        create_firmware, Rest("POST", "/v1/ota/firmwares", 201), "Makes a firmware of an uploaded package.",
        note="A package whose size or digest is not the one given is refused.",
    ),
    Operation(
        "QueryOTAFirmware", "OTA", Role.READER, False, QueryOTAFirmwareRequest, QueryOTAFirmwareResponse,
        query_firmware, Rest("GET", "/v1/ota/firmwares/{FirmwareId}"), "Shows a firmware.",
    ),
    Operation(
        "CreateOTAStaticUpgradeJob", "OTA", Role.OPERATOR, True, CreateOTAStaticUpgradeJobRequest,
        CreateOTAStaticUpgradeJobResponse, create_static_job, Rest("POST", "/v1/ota/jobs", 201),
        "Upgrades the devices that there are now.",
        note="A way of rolling out that is not supported (GRAY, GROUP, confirmation, retries, a rate, MQTT download) "
        "is refused. A device that has the version already gets a task that succeeded.",
    ),
    Operation(
        "QueryOTAJob", "OTA", Role.READER, False, JobRequest, QueryOTAJobResponse,
        query_job, Rest("GET", "/v1/ota/jobs/{JobId}"), "Shows an upgrade job.",
    ),
    Operation(
        "ListOTATaskByJob", "OTA", Role.READER, False, ListOTATaskByJobRequest, ListOTATaskByJobResponse,
        list_tasks, Rest("GET", "/v1/ota/jobs/{JobId}/tasks"), "Lists a job's tasks, one a device.",
    ),
    Operation(
        "CancelOTATaskByJob", "OTA", Role.OPERATOR, True, CancelOTATaskByJobRequest, Empty,
        cancel_tasks, Rest("POST", "/v1/ota/jobs/{JobId}/cancel"), "Cancels a job's tasks by what they have reached.",
        note="At least one of the members is true. A device that was told already is not told of it.",
    ),
)  # fmt: skip
