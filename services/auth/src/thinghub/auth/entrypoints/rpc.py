"""auth over gRPC: protobuf in, values to the services, protobuf out. Faults pass through as they are."""

from typing import TypeAlias

import grpc

from thinghub.auth.entrypoints import translate
from thinghub.auth.service.access_keys import AccessKeyring
from thinghub.auth.service.callers import Callers
from thinghub.auth.service.devices import Devices
from thinghub.auth.service.named_secrets import SecretBook
from thinghub.auth.service.products import Products
from thinghubpb.auth.v1 import auth_pb2 as pb
from thinghubpb.auth.v1 import auth_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class AuthRpc(auth_pb2_grpc.AuthServiceServicer):
    """Implements thinghubpb.auth.v1.AuthService."""

    def __init__(
        self, devices: Devices, products: Products, callers: Callers, keys: AccessKeyring, secrets: SecretBook
    ) -> None:
        self._devices = devices
        self._products = products
        self._callers = callers
        self._keys = keys
        self._secrets = secrets

    async def AuthenticateDevices(
        self, request: pb.AuthenticateDevicesRequest, context: Context
    ) -> pb.AuthenticateDevicesResponse:
        judgements = await self._devices.authenticate([translate.proof(proof) for proof in request.proofs])
        return pb.AuthenticateDevicesResponse(devices=map(translate.judgement, judgements))

    async def PutDeviceCredentials(
        self, request: pb.PutDeviceCredentialsRequest, context: Context
    ) -> pb.PutDeviceCredentialsResponse:
        stored = await self._devices.put([translate.new_credential(one) for one in request.credentials])
        return pb.PutDeviceCredentialsResponse(credentials=map(translate.credential_message, stored))

    async def SetDevicesEnabled(
        self, request: pb.SetDevicesEnabledRequest, context: Context
    ) -> pb.SetDevicesEnabledResponse:
        await self._devices.set_enabled([translate.device(one) for one in request.devices], request.enabled)
        return pb.SetDevicesEnabledResponse()

    async def DeleteDeviceCredentials(
        self, request: pb.DeleteDeviceCredentialsRequest, context: Context
    ) -> pb.DeleteDeviceCredentialsResponse:
        await self._devices.delete([translate.device(one) for one in request.devices])
        return pb.DeleteDeviceCredentialsResponse()

    async def GetDeviceSecrets(
        self, request: pb.GetDeviceSecretsRequest, context: Context
    ) -> pb.GetDeviceSecretsResponse:
        secrets = await self._devices.secrets([translate.device(one) for one in request.devices])
        return pb.GetDeviceSecretsResponse(device_secrets=secrets)

    async def PutProductSecret(
        self, request: pb.PutProductSecretRequest, context: Context
    ) -> pb.PutProductSecretResponse:
        secret = await self._products.put(request.product_key, request.product_secret)
        return pb.PutProductSecretResponse(product_secret=secret)

    async def GetProductSecrets(
        self, request: pb.GetProductSecretsRequest, context: Context
    ) -> pb.GetProductSecretsResponse:
        return pb.GetProductSecretsResponse(product_secrets=await self._products.secrets(list(request.product_keys)))

    async def DeleteProductSecret(
        self, request: pb.DeleteProductSecretRequest, context: Context
    ) -> pb.DeleteProductSecretResponse:
        await self._products.delete(request.product_key)
        return pb.DeleteProductSecretResponse()

    async def VerifyCaller(self, request: pb.VerifyCallerRequest, context: Context) -> pb.VerifyCallerResponse:
        key = await self._callers.verify(translate.caller_proof(request))
        return pb.VerifyCallerResponse(
            access_key_id=key.id, role=translate.role_message(key.role), instance_id=key.instance_id
        )

    async def IssueToken(self, request: pb.IssueTokenRequest, context: Context) -> pb.IssueTokenResponse:
        token, expires_ms = await self._callers.issue_token(request.access_key_id, request.lifetime_seconds)
        return pb.IssueTokenResponse(token=token, expires_ms=expires_ms)

    async def CreateAccessKey(self, request: pb.CreateAccessKeyRequest, context: Context) -> pb.CreateAccessKeyResponse:
        key, secret = await self._keys.create(
            translate.role(request.role),
            request.instance_id,
            request.description,
            request.access_key_id,
            request.access_key_secret,
        )
        return pb.CreateAccessKeyResponse(access_key=translate.access_key_message(key), access_key_secret=secret)

    async def ListAccessKeys(self, request: pb.ListAccessKeysRequest, context: Context) -> pb.ListAccessKeysResponse:
        keys = await self._keys.list(request.after, request.limit)
        return pb.ListAccessKeysResponse(access_keys=map(translate.access_key_message, keys))

    async def DeleteAccessKey(self, request: pb.DeleteAccessKeyRequest, context: Context) -> pb.DeleteAccessKeyResponse:
        await self._keys.delete(request.access_key_id)
        return pb.DeleteAccessKeyResponse()

    async def PutNamedSecret(self, request: pb.PutNamedSecretRequest, context: Context) -> pb.PutNamedSecretResponse:
        return pb.PutNamedSecretResponse(
            version=await self._secrets.put(request.instance_id, request.name, request.value)
        )

    async def ListNamedSecrets(
        self, request: pb.ListNamedSecretsRequest, context: Context
    ) -> pb.ListNamedSecretsResponse:
        secrets = await self._secrets.list(request.instance_id, request.after, request.limit)
        return pb.ListNamedSecretsResponse(
            secrets=[pb.NamedSecret(name=s.name, version=s.version, modified_ms=s.modified_ms) for s in secrets]
        )

    async def DeleteNamedSecret(
        self, request: pb.DeleteNamedSecretRequest, context: Context
    ) -> pb.DeleteNamedSecretResponse:
        await self._secrets.delete(request.instance_id, request.name)
        return pb.DeleteNamedSecretResponse()

    async def ResolveNamedSecrets(
        self, request: pb.ResolveNamedSecretsRequest, context: Context
    ) -> pb.ResolveNamedSecretsResponse:
        resolved = await self._secrets.resolve(request.instance_id, list(request.names))
        return pb.ResolveNamedSecretsResponse(secrets=map(translate.resolved_message, resolved))
