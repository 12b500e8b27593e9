"""The master keys by id over gRPC, `thinghubpb.auth.v1.MasterKeyService`. No key is told, only its use."""

from typing import TypeAlias

import grpc

from thinghub.auth.domain.master_keys import KeyUse
from thinghub.auth.service.rewrap import Rewrapping
from thinghubpb.auth.v1 import master_keys_pb2 as pb
from thinghubpb.auth.v1 import master_keys_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class MasterKeysRpc(master_keys_pb2_grpc.MasterKeyServiceServicer):
    """Implements thinghubpb.auth.v1.MasterKeyService."""

    def __init__(self, rewrapping: Rewrapping) -> None:
        self._rewrapping = rewrapping

    async def ListMasterKeys(self, request: pb.ListMasterKeysRequest, context: Context) -> pb.ListMasterKeysResponse:
        return pb.ListMasterKeysResponse(keys=map(_key_message, await self._rewrapping.keys()))


def _key_message(key: KeyUse) -> pb.MasterKey:
    records = [pb.SealedRecords(kind=kind.value, count=count) for kind, count in key.records.items()]
    return pb.MasterKey(key_id=key.key_id, active=key.active, given=key.given, records=records)
