"""thinghubpb.rule.v1.RuleService: protobuf to values and back."""

from collections.abc import Callable

import grpc.aio

from thinghub.rule_engine.domain.rules import Action, Rule
from thinghub.rule_engine.service.rules import Rules
from thinghubpb.rule.v1 import rule_pb2, rule_pb2_grpc

Context = grpc.aio.ServicerContext[object, object]


class RuleServicer(rule_pb2_grpc.RuleServiceServicer):
    def __init__(self, rules: Rules, status: Callable[[int], str]) -> None:
        self._rules = rules
        self._status = status

    async def CreateRule(self, request: rule_pb2.CreateRuleRequest, context: Context) -> rule_pb2.CreateRuleResponse:
        return rule_pb2.CreateRuleResponse(rule=_to_proto(await self._rules.create_rule(_from_proto(request.rule))))

    async def GetRule(self, request: rule_pb2.GetRuleRequest, context: Context) -> rule_pb2.GetRuleResponse:
        rule = await self._rules.get_rule(request.instance_id, request.rule_id)
        return rule_pb2.GetRuleResponse(rule=_to_proto(rule))

    async def ListRules(self, request: rule_pb2.ListRulesRequest, context: Context) -> rule_pb2.ListRulesResponse:
        rules, total = await self._rules.list_rules(request.instance_id, request.page, request.page_size)
        return rule_pb2.ListRulesResponse(rules=map(_to_proto, rules), total=total)

    async def DeleteRule(self, request: rule_pb2.DeleteRuleRequest, context: Context) -> rule_pb2.DeleteRuleResponse:
        await self._rules.delete_rule(request.instance_id, request.rule_id)
        return rule_pb2.DeleteRuleResponse()

    async def StartRule(self, request: rule_pb2.StartRuleRequest, context: Context) -> rule_pb2.StartRuleResponse:
        await self._rules.start_rule(request.instance_id, request.rule_id)
        return rule_pb2.StartRuleResponse()

    async def StopRule(self, request: rule_pb2.StopRuleRequest, context: Context) -> rule_pb2.StopRuleResponse:
        await self._rules.stop_rule(request.instance_id, request.rule_id)
        return rule_pb2.StopRuleResponse()

    async def CreateAction(
        self, request: rule_pb2.CreateActionRequest, context: Context
    ) -> rule_pb2.CreateActionResponse:
        given = request.action
        action = Action(given.action_id, given.rule_id, given.type, given.configuration, given.error_action)
        created = await self._rules.create_action(request.instance_id, action)
        return rule_pb2.CreateActionResponse(action_id=created.action_id)

    async def ListActions(self, request: rule_pb2.ListActionsRequest, context: Context) -> rule_pb2.ListActionsResponse:
        actions = await self._rules.list_actions(request.instance_id, request.rule_id)
        return rule_pb2.ListActionsResponse(actions=map(self._action, actions))

    async def DeleteAction(
        self, request: rule_pb2.DeleteActionRequest, context: Context
    ) -> rule_pb2.DeleteActionResponse:
        await self._rules.delete_action(request.instance_id, request.action_id)
        return rule_pb2.DeleteActionResponse()

    def _action(self, action: Action) -> rule_pb2.Action:
        return rule_pb2.Action(
            action_id=action.action_id,
            rule_id=action.rule_id,
            type=action.type,
            configuration=action.configuration,
            error_action=action.error_action,
            status=self._status(action.action_id),
        )


def _from_proto(rule: rule_pb2.Rule) -> Rule:
    """An absent data type is JSON; what the store decides (state, times) is not taken from the caller."""
    return Rule(
        rule_id=rule.rule_id,
        instance_id=rule.instance_id,
        name=rule.name,
        description=rule.description,
        product_key=rule.product_key,
        short_topic=rule.short_topic,
        select=rule.select,
        where=rule.where,
        data_type=rule.data_type or "JSON",
        topic_type=rule.topic_type,
    )


def _to_proto(rule: Rule) -> rule_pb2.Rule:
    return rule_pb2.Rule(
        rule_id=rule.rule_id,
        instance_id=rule.instance_id,
        name=rule.name,
        description=rule.description,
        product_key=rule.product_key,
        short_topic=rule.short_topic,
        select=rule.select,
        where=rule.where,
        data_type=rule.data_type,
        topic_type=rule.topic_type,
        running=rule.running,
        created_ms=rule.created_ms,
        modified_ms=rule.modified_ms,
        topic=rule.topic,
    )
