"""Where rules and actions are kept."""

from dataclasses import dataclass
from typing import Protocol

from thinghub.rule_engine.domain.rules import Action, Rule


@dataclass(frozen=True, slots=True)
class StoredRule:
    rule: Rule
    actions: tuple[Action, ...]


class RuleStore(Protocol):
    """Every method raises Unavailable while the store is away. A rule of another instance is not found."""

    async def create_rule(self, rule: Rule, limit: int) -> Rule:
        """A `rule_id` of 0 is generated. Raises RuleNameExists, RuleExists, RuleLimit."""

    async def get_rule(self, instance_id: str, rule_id: int) -> Rule:
        """Raises RuleNotFound."""

    async def list_rules(self, instance_id: str, page: int, page_size: int) -> tuple[list[Rule], int]:
        """One page, newest first, and how many there are."""

    async def delete_rule(self, instance_id: str, rule_id: int) -> None:
        """With its actions. Raises RuleNotFound, RuleRunning."""

    async def set_running(self, instance_id: str, rule_id: int, running: bool, now_ms: int) -> None:
        """Raises RuleNotFound."""

    async def create_action(self, instance_id: str, action: Action, limit: int) -> Action:
        """Raises RuleNotFound, ActionExists (the same type and configuration), ErrorActionExists, ActionLimit."""

    async def list_actions(self, instance_id: str, rule_id: int) -> list[Action]:
        """Raises RuleNotFound."""

    async def delete_action(self, instance_id: str, action_id: int) -> Action:
        """What was deleted. Raises ActionNotFound."""

    async def load(self) -> list[StoredRule]:
        """Every rule of every instance, with its actions."""
