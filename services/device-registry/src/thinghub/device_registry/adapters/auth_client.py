"""auth over gRPC."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from thinghub.common.errors import RemoteFault, Unavailable
from thinghub.device_protocol.connect import signed_content
from thinghub.device_protocol.signing import SignMethod
from thinghub.device_protocol.sub_devices import SubDeviceProof
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import Proven
from thinghub.device_registry.ports.others import NewCredential
from thinghubpb.auth.v1 import auth_pb2 as pb
from thinghubpb.auth.v1 import auth_pb2_grpc
from thinghubpb.device.v1 import device_pb2

PROOF_S = 5.0

_METHODS = {
    SignMethod.HMAC_MD5: pb.SIGN_METHOD_HMAC_MD5,
    SignMethod.HMAC_SHA1: pb.SIGN_METHOD_HMAC_SHA1,
    SignMethod.HMAC_SHA256: pb.SIGN_METHOD_HMAC_SHA256,
}
_VERDICTS = {
    pb.VERDICT_OK: Proven.OK,
    pb.VERDICT_UNKNOWN_DEVICE: Proven.UNKNOWN_DEVICE,
    pb.VERDICT_BAD_SIGNATURE: Proven.BAD_SIGNATURE,
    pb.VERDICT_DISABLED: Proven.DISABLED,
}


@asynccontextmanager
async def plainly(what: str) -> AsyncIterator[None]:
    """A part that is away behind the other service is Unavailable here too; every other fault of its passes on."""
    try:
        yield
    except RemoteFault as fault:
        if fault.kind in ("Unavailable", "Internal"):
            raise Unavailable(f"{what} cannot do it now: {fault.message}") from fault
        raise


class AuthCredentials:
    """Implements `Credentials`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = auth_pb2_grpc.AuthServiceStub(channel)

    async def put_device(self, device: DeviceId, iot_id: str, secret: str) -> str:
        credential = pb.DeviceCredential(device=_message(device), iot_id=iot_id, device_secret=secret)
        async with plainly("auth"):
            answer = await self._auth.PutDeviceCredentials(pb.PutDeviceCredentialsRequest(credentials=[credential]))
        return answer.credentials[0].device_secret

    async def put_devices(self, credentials: Sequence[NewCredential]) -> None:
        async with plainly("auth"):
            await self._auth.PutDeviceCredentials(
                pb.PutDeviceCredentialsRequest(
                    credentials=[
                        pb.DeviceCredential(device=_message(one.device), iot_id=one.iot_id, device_secret=one.secret)
                        for one in credentials
                    ]
                )
            )

    async def set_enabled(self, device: DeviceId, enabled: bool) -> None:
        async with plainly("auth"):
            await self._auth.SetDevicesEnabled(pb.SetDevicesEnabledRequest(devices=[_message(device)], enabled=enabled))

    async def delete_device(self, device: DeviceId) -> None:
        async with plainly("auth"):
            await self._auth.DeleteDeviceCredentials(pb.DeleteDeviceCredentialsRequest(devices=[_message(device)]))

    async def device_secrets(self, devices: Sequence[DeviceId]) -> Sequence[str]:
        async with plainly("auth"):
            answer = await self._auth.GetDeviceSecrets(pb.GetDeviceSecretsRequest(devices=map(_message, devices)))
        return list(answer.device_secrets)

    async def put_product(self, product_key: str, secret: str) -> str:
        async with plainly("auth"):
            answer = await self._auth.PutProductSecret(
                pb.PutProductSecretRequest(product_key=product_key, product_secret=secret)
            )
        return answer.product_secret

    async def product_secret(self, product_key: str) -> str:
        async with plainly("auth"):
            answer = await self._auth.GetProductSecrets(pb.GetProductSecretsRequest(product_keys=[product_key]))
        return answer.product_secrets[0]

    async def delete_product(self, product_key: str) -> None:
        async with plainly("auth"):
            await self._auth.DeleteProductSecret(pb.DeleteProductSecretRequest(product_key=product_key))


class AuthProofs:
    """Implements `Proofs`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = auth_pb2_grpc.AuthServiceStub(channel)

    async def check(self, proofs: Sequence[SubDeviceProof]) -> Sequence[Proven]:
        async with plainly("auth"):
            answer = await self._auth.AuthenticateDevices(
                pb.AuthenticateDevicesRequest(proofs=map(_proof, proofs)), timeout=PROOF_S
            )
        return [_VERDICTS.get(one.verdict, Proven.UNAVAILABLE) for one in answer.devices]


def _proof(proof: SubDeviceProof) -> pb.DeviceProof:
    return pb.DeviceProof(
        device=device_pb2.DeviceId(product_key=proof.product_key, device_name=proof.device_name),
        sign_method=_METHODS[proof.sign_method],
        signed_content=signed_content(proof),
        password=proof.password,
    )


def _message(device: DeviceId) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name)
