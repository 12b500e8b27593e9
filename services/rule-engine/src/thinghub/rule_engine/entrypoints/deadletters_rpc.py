"""thinghubpb.rule.v1.DeadLetterService: protobuf to values and back."""

from dataclasses import asdict

import grpc.aio

from thinghub.rule_engine.domain.deadletters import DeadLetter, Selection
from thinghub.rule_engine.service.deadletters import DeadLetters
from thinghubpb.rule.v1 import deadletters_pb2 as pb
from thinghubpb.rule.v1 import deadletters_pb2_grpc

Context = grpc.aio.ServicerContext[object, object]


class DeadLetterServicer(deadletters_pb2_grpc.DeadLetterServiceServicer):
    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        selection = Selection(
            request.instance_id, request.rule_id, request.from_ms, request.until_ms, request.redriven, request.before
        )
        found = await self._letters.page(selection, request.limit)
        return pb.ListDeadLettersResponse(letters=map(_to_proto, found))

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Context) -> pb.GetDeadLetterResponse:
        letter, result = await self._letters.get(request.instance_id, request.dead_letter_id)
        return pb.GetDeadLetterResponse(letter=_to_proto(letter), result=result)

    async def RedriveDeadLetters(
        self, request: pb.RedriveDeadLettersRequest, context: Context
    ) -> pb.RedriveDeadLettersResponse:
        selection = Selection(
            request.instance_id,
            request.rule_id,
            request.from_ms,
            request.until_ms,
            ids=tuple(request.dead_letter_ids),
        )
        done = await self._letters.redrive(selection, request.limit)
        return pb.RedriveDeadLettersResponse(redriven=done.redriven, gone=done.gone, more=done.more)


def _to_proto(letter: DeadLetter) -> pb.DeadLetter:
    return pb.DeadLetter(**asdict(letter))
