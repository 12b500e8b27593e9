"""Rules and actions as they are stored, and what is checked before they are."""

from dataclasses import dataclass

from thinghub.rule_engine.domain.sources import check_product_key, check_topic_type, full_topic, parse_source
from thinghub.rule_engine.domain.sql import compile_sql
from thinghub.rule_engine.domain.sql.parser import parse_where
from thinghub.rule_engine.errors import (
    DataTypeUnsupported,
    DescriptionInvalid,
    RuleIdInvalid,
    RuleIncomplete,
    RuleNameInvalid,
)

MAX_RULES = 1000
MAX_ACTIONS = 10
MAX_NAME = 30
MAX_DESCRIPTION = 100


@dataclass(frozen=True, slots=True)
class Rule:
    """`rule_id` 0 before it is stored; times in epoch milliseconds."""

    rule_id: int
    instance_id: str
    name: str
    description: str = ""
    product_key: str = ""
    short_topic: str = ""
    select: str = ""
    where: str = ""
    data_type: str = "JSON"
    topic_type: int = 1
    running: bool = False
    created_ms: int = 0
    modified_ms: int = 0

    @property
    def topic(self) -> str:
        return full_topic(self.product_key, self.short_topic, self.topic_type)


@dataclass(frozen=True, slots=True)
class Action:
    """`configuration` is the JSON text as it was given. An error action is told what the others of its rule could not
    do."""

    action_id: int
    rule_id: int
    type: str
    configuration: str
    error_action: bool = False


def check_rule(rule: Rule) -> None:
    """What can be said before it is started; parts that are empty may follow. Raises the fault of the first."""
    if not 1 <= len(rule.name) <= MAX_NAME or not rule.name.isprintable() or rule.name != rule.name.strip():
        raise RuleNameInvalid(f"a rule's name has 1 to {MAX_NAME} printable characters")
    if len(rule.description) > MAX_DESCRIPTION:
        raise DescriptionInvalid(f"a rule's description has at most {MAX_DESCRIPTION} characters")
    if not 0 <= rule.rule_id < 2**63:
        raise RuleIdInvalid("a rule's id is a positive 63-bit integer")
    if rule.data_type != "JSON":
        raise DataTypeUnsupported(f"data type {rule.data_type[:20]!r} is not available: rules read JSON payloads")
    check_topic_type(rule.topic_type)
    if rule.product_key:
        check_product_key(rule.product_key)
    if rule.short_topic:
        parse_source(rule.product_key or "any", rule.short_topic, rule.topic_type)
    if rule.select.strip():
        compile_sql(rule.select, rule.where)
    else:
        parse_where(rule.where)


def check_startable(rule: Rule) -> None:
    """Raises RuleIncomplete naming what is missing."""
    parts = {"ProductKey": rule.product_key, "ShortTopic": rule.short_topic, "Select": rule.select}
    missing = [name for name, value in parts.items() if not value.strip()]
    if missing:
        raise RuleIncomplete(f"a rule starts when it has {', '.join(missing)}", missing=",".join(missing))
