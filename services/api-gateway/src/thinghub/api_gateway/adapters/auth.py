"""auth over gRPC: callers, access keys, named secrets."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import AccessKey, Caller, NamedSecret, Role, Signature, Token
from thinghubpb.auth.v1 import auth_pb2 as pb
from thinghubpb.auth.v1.auth_pb2_grpc import AuthServiceStub


class RpcCallers:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = AuthServiceStub(channel)

    async def by_signature(self, signature: Signature) -> Caller:
        return await self._verify(pb.VerifyCallerRequest(signature=message(pb.SignatureProof, signature)))

    async def by_basic(self, access_key_id: str, access_key_secret: str) -> Caller:
        proof = pb.BasicProof(access_key_id=access_key_id, access_key_secret=access_key_secret)
        return await self._verify(pb.VerifyCallerRequest(basic=proof))

    async def by_token(self, token: str) -> Caller:
        return await self._verify(pb.VerifyCallerRequest(bearer=pb.BearerProof(token=token)), by_token=True)

    async def _verify(self, request: pb.VerifyCallerRequest, by_token: bool = False) -> Caller:
        return value(Caller, await self._auth.VerifyCaller(request), by_token=by_token)

    async def issue_token(self, access_key_id: str, lifetime_seconds: int) -> Token:
        request = pb.IssueTokenRequest(access_key_id=access_key_id, lifetime_seconds=lifetime_seconds)
        return value(Token, await self._auth.IssueToken(request))


class RpcAccessKeys:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = AuthServiceStub(channel)

    async def create(
        self, role: Role, instance_id: str, description: str, access_key_id: str, access_key_secret: str
    ) -> tuple[AccessKey, str]:
        request = pb.CreateAccessKeyRequest(
            role=role.value,  # type: ignore[arg-type]  # the numbers are the proto's
            instance_id=instance_id,
            description=description,
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
        )
        made = await self._auth.CreateAccessKey(request)
        return value(AccessKey, made.access_key), made.access_key_secret

    async def list(self, after: str, limit: int) -> Sequence[AccessKey]:
        answer = await self._auth.ListAccessKeys(pb.ListAccessKeysRequest(after=after, limit=limit))
        return [value(AccessKey, key) for key in answer.access_keys]

    async def delete(self, access_key_id: str) -> None:
        await self._auth.DeleteAccessKey(pb.DeleteAccessKeyRequest(access_key_id=access_key_id))


class RpcSecrets:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = AuthServiceStub(channel)

    async def put(self, instance_id: str, name: str, secret: str) -> int:
        request = pb.PutNamedSecretRequest(instance_id=instance_id, name=name, value=secret)
        return (await self._auth.PutNamedSecret(request)).version

    async def list(self, instance_id: str, after: str, limit: int) -> Sequence[NamedSecret]:
        request = pb.ListNamedSecretsRequest(instance_id=instance_id, after=after, limit=limit)
        return [value(NamedSecret, secret) for secret in (await self._auth.ListNamedSecrets(request)).secrets]

    async def delete(self, instance_id: str, name: str) -> None:
        await self._auth.DeleteNamedSecret(pb.DeleteNamedSecretRequest(instance_id=instance_id, name=name))
