"""ota over gRPC: protobuf in, values to the services, protobuf out. Faults pass through as they are."""

from typing import TypeAlias

import grpc

from thinghub.ota.entrypoints import translate
from thinghub.ota.service.firmware import FirmwareService, Store
from thinghub.ota.service.jobs import JobService
from thinghub.ota.service.packages import Offers
from thinghubpb.ota.v1 import ota_pb2 as pb
from thinghubpb.ota.v1 import ota_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class OtaRpc(ota_pb2_grpc.OtaServiceServicer):
    """Implements thinghubpb.ota.v1.OtaService."""

    def __init__(self, store: Store, firmware: FirmwareService, jobs: JobService, offers: Offers) -> None:
        self._store = store
        self._firmware = firmware
        self._jobs = jobs
        self._offers = offers

    async def CreateUpload(self, request: pb.CreateUploadRequest, context: Context) -> pb.CreateUploadResponse:
        place = await self._store.place(request.instance_id, request.suffix)
        return pb.CreateUploadResponse(
            host=self._offers.base,
            key=place.form.key,
            policy=place.form.policy,
            access_key_id=place.form.access_key_id,
            signature=place.form.signature,
            firmware_url=self._offers.plain_url(place.form.key),
            created_ms=place.created_ms,
        )

    async def CreateFirmware(self, request: pb.CreateFirmwareRequest, context: Context) -> pb.CreateFirmwareResponse:
        made = await self._firmware.create(translate.firmware(request.firmware), request.firmware.url)
        return pb.CreateFirmwareResponse(firmware=translate.firmware_message(made, self._offers.plain_url(made.key)))

    async def GetFirmware(self, request: pb.GetFirmwareRequest, context: Context) -> pb.GetFirmwareResponse:
        found = await self._firmware.get(request.instance_id, request.firmware_id)
        url = await self._store.download_url(self._offers.base, found.key)
        return pb.GetFirmwareResponse(firmware=translate.firmware_message(found, url))

    async def CreateStaticJob(self, request: pb.CreateStaticJobRequest, context: Context) -> pb.CreateStaticJobResponse:
        return pb.CreateStaticJobResponse(job=translate.job_message(await self._jobs.create(translate.wish(request))))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        job = await self._jobs.get(request.instance_id, request.job_id)
        return pb.GetJobResponse(job=translate.job_message(job))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        page = await self._jobs.tasks(
            request.instance_id,
            request.job_id,
            request.status,
            list(request.device_names),
            request.next_token,
            request.page,
            request.page_size,
        )
        return pb.ListTasksResponse(
            tasks=map(translate.task_message, page.tasks), total=page.total, next_token=page.next_token
        )

    async def CancelTasks(self, request: pb.CancelTasksRequest, context: Context) -> pb.CancelTasksResponse:
        canceled = await self._jobs.cancel(request.instance_id, request.job_id, translate.cancellation(request))
        return pb.CancelTasksResponse(canceled=canceled)
