"""rule-engine over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import Rule, RuleAction
from thinghubpb.rule.v1 import rule_pb2 as pb
from thinghubpb.rule.v1.rule_pb2_grpc import RuleServiceStub


class RpcRules:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._rules = RuleServiceStub(channel)

    async def create(self, rule: Rule) -> Rule:
        answer = await self._rules.CreateRule(pb.CreateRuleRequest(rule=message(pb.Rule, rule)))
        return value(Rule, answer.rule)

    async def get(self, instance_id: str, rule_id: int) -> Rule:
        answer = await self._rules.GetRule(pb.GetRuleRequest(instance_id=instance_id, rule_id=rule_id))
        return value(Rule, answer.rule)

    async def list(self, instance_id: str, page: int, page_size: int) -> tuple[Sequence[Rule], int]:
        request = pb.ListRulesRequest(instance_id=instance_id, page=page, page_size=page_size)
        answer = await self._rules.ListRules(request)
        return [value(Rule, rule) for rule in answer.rules], answer.total

    async def delete(self, instance_id: str, rule_id: int) -> None:
        await self._rules.DeleteRule(pb.DeleteRuleRequest(instance_id=instance_id, rule_id=rule_id))

    async def start(self, instance_id: str, rule_id: int) -> None:
        await self._rules.StartRule(pb.StartRuleRequest(instance_id=instance_id, rule_id=rule_id))

    async def stop(self, instance_id: str, rule_id: int) -> None:
        await self._rules.StopRule(pb.StopRuleRequest(instance_id=instance_id, rule_id=rule_id))

    async def create_action(self, instance_id: str, action: RuleAction) -> int:
        request = pb.CreateActionRequest(instance_id=instance_id, action=message(pb.Action, action))
        return (await self._rules.CreateAction(request)).action_id

    async def list_actions(self, instance_id: str, rule_id: int) -> Sequence[RuleAction]:
        request = pb.ListActionsRequest(instance_id=instance_id, rule_id=rule_id)
        return [value(RuleAction, action) for action in (await self._rules.ListActions(request)).actions]

    async def delete_action(self, instance_id: str, action_id: int) -> None:
        await self._rules.DeleteAction(pb.DeleteActionRequest(instance_id=instance_id, action_id=action_id))
