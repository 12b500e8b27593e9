"""auth, asked whether devices are who they say."""

from collections.abc import Sequence

import grpc

from thinghub.connection_gateway.domain.verdicts import Verdict
from thinghub.connection_gateway.ports import Authenticated
from thinghub.device_protocol.connect import Signed, signed_content
from thinghub.device_protocol.signing import SignMethod
from thinghubpb.auth.v1 import auth_pb2, auth_pb2_grpc
from thinghubpb.device.v1 import device_pb2

# With the other stages of a CONNECT this stays below 5 s.
DEADLINE = 2.0

_METHODS = {
    SignMethod.HMAC_MD5: auth_pb2.SIGN_METHOD_HMAC_MD5,
    SignMethod.HMAC_SHA1: auth_pb2.SIGN_METHOD_HMAC_SHA1,
    SignMethod.HMAC_SHA256: auth_pb2.SIGN_METHOD_HMAC_SHA256,
}
_VERDICTS = {
    auth_pb2.VERDICT_OK: Verdict.OK,
    auth_pb2.VERDICT_UNKNOWN_DEVICE: Verdict.UNKNOWN_DEVICE,
    auth_pb2.VERDICT_BAD_SIGNATURE: Verdict.BAD_SIGNATURE,
    auth_pb2.VERDICT_DISABLED: Verdict.DISABLED,
    auth_pb2.VERDICT_UNAVAILABLE: Verdict.UNAVAILABLE,
}


class GrpcAuthenticator:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = auth_pb2_grpc.AuthServiceStub(channel)

    async def authenticate(self, claims: Sequence[Signed]) -> list[Authenticated]:
        request = auth_pb2.AuthenticateDevicesRequest(proofs=[_proof(one) for one in claims])
        answer = await self._stub.AuthenticateDevices(request, timeout=DEADLINE)
        return [
            Authenticated(_VERDICTS.get(device.verdict, Verdict.UNAVAILABLE), device.iot_id, device.version)
            for device in answer.devices
        ]

    async def ping(self) -> None:
        """Raises Unavailable when auth does not answer."""
        await self._stub.AuthenticateDevices(auth_pb2.AuthenticateDevicesRequest(), timeout=DEADLINE)


def _proof(claims: Signed) -> auth_pb2.DeviceProof:
    return auth_pb2.DeviceProof(
        device=device_pb2.DeviceId(product_key=claims.product_key, device_name=claims.device_name),
        sign_method=_METHODS[claims.sign_method],
        signed_content=signed_content(claims),
        password=claims.password,
    )
