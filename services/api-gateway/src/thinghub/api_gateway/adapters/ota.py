"""ota over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.ota import (
    Cancellation,
    Firmware,
    TaskQuery,
    UpgradeJob,
    UpgradeTask,
    UploadPlace,
)
from thinghubpb.ota.v1 import ota_pb2 as pb
from thinghubpb.ota.v1.ota_pb2_grpc import OtaServiceStub


class RpcOta:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._ota = OtaServiceStub(channel)

    async def create_upload(self, instance_id: str, suffix: str) -> UploadPlace:
        request = pb.CreateUploadRequest(instance_id=instance_id, suffix=suffix)
        return value(UploadPlace, await self._ota.CreateUpload(request))

    async def create_firmware(self, firmware: Firmware) -> Firmware:
        request = pb.CreateFirmwareRequest(firmware=message(pb.Firmware, firmware))
        return value(Firmware, (await self._ota.CreateFirmware(request)).firmware)

    async def firmware(self, instance_id: str, firmware_id: str) -> Firmware:
        request = pb.GetFirmwareRequest(instance_id=instance_id, firmware_id=firmware_id)
        return value(Firmware, (await self._ota.GetFirmware(request)).firmware)

    async def create_job(self, instance_id: str, job: UpgradeJob, device_names: Sequence[str]) -> UpgradeJob:
        tags = [pb.Tag(key=key, value=value) for key, value in job.tags]
        request = pb.CreateStaticJobRequest(
            instance_id=instance_id, job=message(pb.Job, job, tags=tags), device_names=device_names
        )
        return _job((await self._ota.CreateStaticJob(request)).job)

    async def job(self, instance_id: str, job_id: str) -> UpgradeJob:
        return _job((await self._ota.GetJob(pb.GetJobRequest(instance_id=instance_id, job_id=job_id))).job)

    async def tasks(self, instance_id: str, query: TaskQuery) -> tuple[Sequence[UpgradeTask], int, str]:
        answer = await self._ota.ListTasks(message(pb.ListTasksRequest, query, instance_id=instance_id))
        return [value(UpgradeTask, task) for task in answer.tasks], answer.total, answer.next_token

    async def cancel(self, instance_id: str, job_id: str, what: Cancellation) -> int:
        request = message(pb.CancelTasksRequest, what, instance_id=instance_id, job_id=job_id)
        return (await self._ota.CancelTasks(request)).canceled


def _job(job: pb.Job) -> UpgradeJob:
    tags = tuple((tag.key, tag.value) for tag in job.tags)
    return value(UpgradeJob, job, tags=tags, src_versions=tuple(job.src_versions))
