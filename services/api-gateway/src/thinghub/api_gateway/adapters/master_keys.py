"""The use of master keys, which auth has, over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.domain.master_keys import MasterKeyUse
from thinghubpb.auth.v1 import master_keys_pb2 as pb
from thinghubpb.auth.v1.master_keys_pb2_grpc import MasterKeyServiceStub


class RpcMasterKeys:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._keys = MasterKeyServiceStub(channel)

    async def list(self) -> Sequence[MasterKeyUse]:
        answer = await self._keys.ListMasterKeys(pb.ListMasterKeysRequest())
        return [
            MasterKeyUse(key.key_id, key.active, key.given, {one.kind: one.count for one in key.records})
            for key in answer.keys
        ]
