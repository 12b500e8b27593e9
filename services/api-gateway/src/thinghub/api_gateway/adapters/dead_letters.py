"""Dead letters, kept by rule-engine, over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.dead_letters import DeadLetter, DeadLetterQuery, Redrive, Redriven
from thinghubpb.rule.v1 import deadletters_pb2 as pb
from thinghubpb.rule.v1.deadletters_pb2_grpc import DeadLetterServiceStub


class RpcDeadLetters:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._letters = DeadLetterServiceStub(channel)

    async def page(self, query: DeadLetterQuery) -> Sequence[DeadLetter]:
        answer = await self._letters.ListDeadLetters(message(pb.ListDeadLettersRequest, query))
        return [value(DeadLetter, letter) for letter in answer.letters]

    async def get(self, instance_id: str, dead_letter_id: int) -> tuple[DeadLetter, bytes]:
        request = pb.GetDeadLetterRequest(instance_id=instance_id, dead_letter_id=dead_letter_id)
        answer = await self._letters.GetDeadLetter(request)
        return value(DeadLetter, answer.letter), answer.result

    async def redrive(self, redrive: Redrive) -> Redriven:
        answer = await self._letters.RedriveDeadLetters(message(pb.RedriveDeadLettersRequest, redrive))
        return value(Redriven, answer)
