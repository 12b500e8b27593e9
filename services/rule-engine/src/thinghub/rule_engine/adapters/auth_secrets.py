"""Named secrets from the auth service."""

import grpc.aio

from thinghub.rule_engine.ports.secrets import Secret
from thinghubpb.auth.v1 import auth_pb2, auth_pb2_grpc


class AuthSecrets:
    """No cache of its own: who uses a secret decides when to ask again."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = auth_pb2_grpc.AuthServiceStub(channel)

    async def resolve(self, instance_id: str, name: str) -> Secret | None:
        request = auth_pb2.ResolveNamedSecretsRequest(instance_id=instance_id, names=[name])
        response = await self._auth.ResolveNamedSecrets(request)
        [secret] = response.secrets
        return Secret(secret.value, secret.version) if secret.found else None
