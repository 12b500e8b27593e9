"""auth running in the test's own loop, over a unix socket, with a client to it."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from tests.support.identity import Identity
from thinghub.auth.app import serve
from thinghub.auth.domain.sealing import generate_master_key
from thinghub.auth.settings import Settings
from thinghub.common.rpc import channel
from thinghub.common.runtime import Runtime
from thinghubpb.auth.v1 import auth_pb2 as pb
from thinghubpb.auth.v1 import auth_pb2_grpc
from thinghubpb.device.v1 import device_pb2

if TYPE_CHECKING:
    from thinghubpb.auth.v1.auth_pb2_grpc import AuthServiceAsyncStub

PRODUCT = "a1pk"
_METHODS = {
    "hmacmd5": pb.SIGN_METHOD_HMAC_MD5,
    "hmacsha1": pb.SIGN_METHOD_HMAC_SHA1,
    "hmacsha256": pb.SIGN_METHOD_HMAC_SHA256,
}


def device(name: str, product_key: str = PRODUCT) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=product_key, device_name=name)


def proof(identity: Identity, method: str = "hmacsha256") -> pb.DeviceProof:
    """What a gateway asks about this device's CONNECT."""
    name, key = identity.device_name, identity.product_key
    content = f"clientId{key}.{name}deviceName{name}productKey{key}timestamp1700000000000"
    return pb.DeviceProof(
        device=device(name, key),
        sign_method=_METHODS[method],
        signed_content=content.encode(),
        password=identity.login(method).password,
    )


@dataclass
class Auth:
    """A running service and a client to it."""

    stub: "AuthServiceAsyncStub"
    runtime: Runtime
    settings: Settings
    target: str

    async def put(self, *names: str, secret: str = "", disabled: bool = False) -> list[Identity]:
        credentials = [
            pb.DeviceCredential(device=device(name), iot_id=f"iot{name}", device_secret=secret, disabled=disabled)
            for name in names
        ]
        answer = await self.stub.PutDeviceCredentials(pb.PutDeviceCredentialsRequest(credentials=credentials))
        return [Identity(PRODUCT, one.device.device_name, one.device_secret) for one in answer.credentials]

    async def verdicts(self, *proofs: pb.DeviceProof) -> "list[pb.Verdict.ValueType]":
        answer = await self.stub.AuthenticateDevices(pb.AuthenticateDevicesRequest(proofs=proofs), timeout=10)
        return [one.verdict for one in answer.devices]

    async def verdict(self, identity: Identity, method: str = "hmacsha256") -> "pb.Verdict.ValueType":
        return (await self.verdicts(proof(identity, method)))[0]

    async def enable(self, enabled: bool, *names: str) -> None:
        await self.stub.SetDevicesEnabled(
            pb.SetDevicesEnabledRequest(devices=[device(name) for name in names], enabled=enabled)
        )

    async def delete(self, *names: str) -> None:
        await self.stub.DeleteDeviceCredentials(
            pb.DeleteDeviceCredentialsRequest(devices=[device(name) for name in names])
        )

    async def verify(
        self,
        *,
        signature: pb.SignatureProof | None = None,
        basic: pb.BasicProof | None = None,
        bearer: pb.BearerProof | None = None,
    ) -> pb.VerifyCallerResponse:
        return await self.stub.VerifyCaller(pb.VerifyCallerRequest(signature=signature, basic=basic, bearer=bearer))


StartAuth = Callable[..., Awaitable[Auth]]


@asynccontextmanager
async def auth_starter(directory: Path, **shared: object) -> AsyncIterator[StartAuth]:
    """Gives a function that starts auth with these settings and its own; it waits until auth is ready unless told not
    to. All are stopped at the end."""
    shared = {"master_key": generate_master_key("k1"), **shared}
    running: list[asyncio.Task[None]] = []
    channels: list[grpc.aio.Channel] = []

    async def start(ready: bool = True, **given: object) -> Auth:
        target = f"unix://{directory}/{secrets.token_hex(4)}"
        settings = Settings(**{**shared, "rpc_listen": target, **given})  # type: ignore[arg-type]
        runtime = Runtime.for_tests("auth")
        running.append(asyncio.create_task(serve(settings, runtime)))
        if ready:
            await asyncio.wait_for(runtime.health.wait_ready(), 30)
        channels.append(channel(target))
        return Auth(auth_pb2_grpc.AuthServiceStub(channels[-1]), runtime, settings, target)

    try:
        yield start
    finally:
        for one in channels:
            await one.close(None)
        for task in running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
