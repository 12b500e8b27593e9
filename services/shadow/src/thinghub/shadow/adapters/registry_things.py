"""Thing models and device identities from device-registry."""

import logging
from collections.abc import Mapping, Sequence

import grpc.aio

from thinghub.device_protocol.tsl.model import ThingModel as Functions
from thinghub.device_protocol.tsl.model import TslInvalid
from thinghub.device_protocol.tsl.parse import parse, read_document
from thinghub.device_protocol.tsl.validator import Validator
from thinghub.shadow.domain.thing_models import Strictness, ThingModel
from thinghub.shadow.ports.documents import Device
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2, registry_pb2_grpc, things_pb2, things_pb2_grpc

# What the registry takes in one call.
MAX_BATCH = 500
log = logging.getLogger("thinghub.shadow.things")


class RegistryThings:
    """Implements `ThingModelSource` and `Identities`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._models = things_pb2_grpc.ThingModelServiceStub(channel)
        self._registry = registry_pb2_grpc.RegistryServiceStub(channel)

    async def models(self, product_keys: Sequence[str]) -> Mapping[str, ThingModel]:
        found: dict[str, ThingModel] = {}
        for start in range(0, len(product_keys), MAX_BATCH):
            request = things_pb2.GetEffectiveThingModelsRequest(product_keys=product_keys[start : start + MAX_BATCH])
            answer = await self._models.GetEffectiveThingModels(request)
            found.update({one.product_key: _model(one) for one in answer.models if one.found})
        return found

    async def iot_ids(self, devices: Sequence[Device]) -> Mapping[Device, str]:
        found: dict[Device, str] = {}
        for start in range(0, len(devices), MAX_BATCH):
            chunk = devices[start : start + MAX_BATCH]
            refs = [registry_pb2.DeviceRef(device=_id(one)) for one in chunk]
            answer = await self._registry.GetDevices(registry_pb2.GetDevicesRequest(refs=refs))
            pairs = zip(chunk, answer.devices, strict=True)
            found.update({device: one.device.iot_id for device, one in pairs if one.found})
        return found


def _id(device: Device) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name)


def _model(one: things_pb2.EffectiveThingModel) -> ThingModel:
    functions = Functions()
    if one.tsl:
        try:
            functions = parse(read_document(one.tsl))
        except TslInvalid as error:
            # The registry checks by the same rules; a newer one may know more than this release.
            log.error("the thing model of %s cannot be read: %s", one.product_key, error)
    strictness = Strictness(one.validate_type if one.validate_type in (1, 2) else 0)
    return ThingModel(
        one.product_key, one.version, Validator(functions), strictness, not one.not_stored, one.device_type
    )
