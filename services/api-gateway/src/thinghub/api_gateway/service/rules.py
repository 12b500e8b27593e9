"""SQL rules and their actions."""

from typing import Any

from pydantic import Field

from thinghub.api_gateway.domain.times import local, utc
from thinghub.api_gateway.domain.values import Role, Rule, RuleAction
from thinghub.api_gateway.errors import Refused, invalid
from thinghub.api_gateway.service.model import Empty, Identifier, Members, Name, Paged, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_SQL = 16_384


class CreateRuleRequest(Request):
    name: Name = Field(description="1 to 30 characters.", examples=["store readings"])
    product_key: Text = ""
    short_topic: Text = Field("", description="Below /{ProductKey}/.", examples=["+/user/update"])
    select: str = Field("", max_length=MAX_SQL, examples=["deviceName() as device, temperature"])
    where: str = Field("", max_length=MAX_SQL, examples=["temperature > 30"])
    data_type: Text = Field("JSON", description="JSON or BINARY.")
    topic_type: int = Field(1, description="0 system, 1 custom, 2 status.")
    rule_desc: Text = ""


class CreateRuleResponse(Response):
    rule_id: int


class RuleRequest(Request):
    rule_id: Identifier


class RuleSummary(Members):
    id: int
    name: str
    rule_desc: str | None = None
    product_key: str | None = None
    short_topic: str | None = None
    topic: str | None = None
    select: str | None = None
    where: str | None = None
    data_type: str
    status: str = Field(description="RUNNING or STOP.")
    create_user_id: int = 0
    created: str | None = None
    modified: str | None = None
    utc_created: str | None = None
    utc_modified: str | None = None


class RuleInfo(RuleSummary):
    topic_type: int


class GetRuleResponse(Response):
    rule_info: RuleInfo


class RuleInfos(Members):
    rule_info: list[RuleSummary]


class ListRuleResponse(Response):
    data: RuleInfos
    page: int
    page_size: int
    total: int


class CreateRuleActionRequest(Request):
    rule_id: Identifier
    type: Name = Field(description="RDS, REPUBLISH, KAFKA or FC.", examples=["REPUBLISH"])
    configuration: str = Field(
        max_length=MAX_SQL,
        description="JSON object, as text.",
        examples=['{"topic":"/a1B2c3D4e5F/dev1/user/get","topicType":1}'],
    )
    error_action_flag: bool = Field(
        False, description="Told once of what the rule's other actions could not do; one a rule."
    )


class CreateRuleActionResponse(Response):
    action_id: int


class ActionRequest(Request):
    action_id: Identifier


class RuleActionInfo(Members):
    id: int
    rule_id: int
    type: str
    configuration: str
    error_action_flag: bool
    status: str | None = None


class RuleActionInfos(Members):
    rule_action_info: list[RuleActionInfo]


class ListRuleActionsResponse(Response):
    rule_action_list: RuleActionInfos


async def create_rule(call: Call, request: CreateRuleRequest) -> CreateRuleResponse:
    rule = await call.owners.rules.create(new_rule(call.instance_id, request))
    return CreateRuleResponse(rule_id=rule.rule_id)


def new_rule(instance_id: str, request: CreateRuleRequest, rule_id: int = 0) -> Rule:
    """The rule a request describes. Raises Refused for enumerations the contract bounds."""
    if request.data_type not in ("JSON", "BINARY"):
        raise invalid("DataType", "it is JSON or BINARY")
    if request.topic_type not in (0, 1, 2):
        raise Refused("iot.ruleng.IncorrectType", "TopicType is 0, 1 or 2.")
    return Rule(
        rule_id=rule_id,
        instance_id=instance_id,
        name=request.name,
        description=request.rule_desc,
        product_key=request.product_key,
        short_topic=request.short_topic,
        select=request.select,
        where=request.where,
        data_type=request.data_type,
        topic_type=request.topic_type,
    )


async def get_rule(call: Call, request: RuleRequest) -> GetRuleResponse:
    rule = await call.owners.rules.get(call.instance_id, request.rule_id)
    return GetRuleResponse(rule_info=RuleInfo(topic_type=rule.topic_type, **_members(rule)))


async def list_rule(call: Call, request: Paged) -> ListRuleResponse:
    rules, total = await call.owners.rules.list(call.instance_id, request.current_page, request.page_size)
    return ListRuleResponse(
        data=RuleInfos(rule_info=[RuleSummary(**_members(rule)) for rule in rules]),
        page=request.current_page,
        page_size=request.page_size,
        total=total,
    )


def _members(rule: Rule) -> dict[str, Any]:
    """What both forms of a rule show. Any: texts, numbers and absent ones, which the models type."""
    return {
        "id": rule.rule_id,
        "name": rule.name,
        "rule_desc": rule.description or None,
        "product_key": rule.product_key or None,
        "short_topic": rule.short_topic or None,
        "topic": rule.topic or None,
        "select": rule.select or None,
        "where": rule.where or None,
        "data_type": rule.data_type or "JSON",
        "status": "RUNNING" if rule.running else "STOP",
        "created": local(rule.created_ms),
        "modified": local(rule.modified_ms),
        "utc_created": utc(rule.created_ms),
        "utc_modified": utc(rule.modified_ms),
    }


async def delete_rule(call: Call, request: RuleRequest) -> Empty:
    await call.owners.rules.delete(call.instance_id, request.rule_id)
    return Empty()


async def start_rule(call: Call, request: RuleRequest) -> Empty:
    await call.owners.rules.start(call.instance_id, request.rule_id)
    return Empty()


async def stop_rule(call: Call, request: RuleRequest) -> Empty:
    await call.owners.rules.stop(call.instance_id, request.rule_id)
    return Empty()


async def create_rule_action(call: Call, request: CreateRuleActionRequest) -> CreateRuleActionResponse:
    action = RuleAction(request.rule_id, request.type, request.configuration, error_action=request.error_action_flag)
    return CreateRuleActionResponse(action_id=await call.owners.rules.create_action(call.instance_id, action))


async def list_rule_actions(call: Call, request: RuleRequest) -> ListRuleActionsResponse:
    actions = await call.owners.rules.list_actions(call.instance_id, request.rule_id)
    infos = [
        RuleActionInfo(
            id=action.action_id,
            rule_id=action.rule_id or request.rule_id,
            type=action.type,
            configuration=action.configuration,
            error_action_flag=action.error_action,
            status=action.status or None,
        )
        for action in actions
    ]
    return ListRuleActionsResponse(rule_action_list=RuleActionInfos(rule_action_info=infos))


async def delete_rule_action(call: Call, request: ActionRequest) -> Empty:
    await call.owners.rules.delete_action(call.instance_id, request.action_id)
    return Empty()


OPERATIONS = (
    Operation(
        "CreateRule", "Rules", Role.ADMINISTRATOR, True, CreateRuleRequest, CreateRuleResponse,
        create_rule, Rest("POST", "/v1/rules", 201), "Creates a stopped rule.",
        note="SQL that does not parse is iot.messagebroker.IncorrectRuleSql; ErrorMessage ends with the position. With "
        "TopicType 0, ShortTopic is a device name or +, then thing/event/.../post (history too), "
        "thing/downlink/reply/message, thing/lifecycle, thing/topo/lifecycle, thing/list/found, ota/upgrade or "
        "ota/version/post; or ${packageId}/${jobId}/ota/job/status.",
    ),
    Operation(
        "GetRule", "Rules", Role.READER, False, RuleRequest, GetRuleResponse,
        get_rule, Rest("GET", "/v1/rules/{RuleId}"), "Reads one rule.",
    ),
    Operation(
        "ListRule", "Rules", Role.READER, False, Paged, ListRuleResponse,
        list_rule, Rest("GET", "/v1/rules"), "Lists rules, page by page.",
    ),
    Operation(
        "DeleteRule", "Rules", Role.ADMINISTRATOR, True, RuleRequest, Empty,
        delete_rule, Rest("DELETE", "/v1/rules/{RuleId}"), "Deletes a rule and its actions.",
    ),
    Operation(
        "CreateRuleAction", "Rules", Role.ADMINISTRATOR, True, CreateRuleActionRequest, CreateRuleActionResponse,
        create_rule_action, Rest("POST", "/v1/rules/{RuleId}/actions", 201), "Adds an action to a rule.",
        codes={"secret_not_found": "iot.rule.ParseRuleActionConfigError"},
    ),
    Operation(
        "ListRuleActions", "Rules", Role.READER, False, RuleRequest, ListRuleActionsResponse,
        list_rule_actions, Rest("GET", "/v1/rules/{RuleId}/actions"), "Lists the actions of a rule.",
    ),
    Operation(
        "DeleteRuleAction", "Rules", Role.ADMINISTRATOR, True, ActionRequest, Empty,
        delete_rule_action, Rest("DELETE", "/v1/rule-actions/{ActionId}"), "Removes an action.",
    ),
    Operation(
        "StartRule", "Rules", Role.OPERATOR, True, RuleRequest, Empty,
        start_rule, Rest("POST", "/v1/rules/{RuleId}/start"), "Starts a rule.",
    ),
    Operation(
        "StopRule", "Rules", Role.OPERATOR, True, RuleRequest, Empty,
        stop_rule, Rest("POST", "/v1/rules/{RuleId}/stop"), "Stops a rule.",
    ),
)  # fmt: skip
