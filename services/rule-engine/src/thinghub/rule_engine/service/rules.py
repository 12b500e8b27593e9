"""The operations on rules and actions. Success means stored; every process follows within seconds."""

import logging
from collections.abc import Callable
from dataclasses import replace

from thinghub.common.errors import Fault, Unavailable
from thinghub.rule_engine.domain.configurations import parse_configuration
from thinghub.rule_engine.domain.failures import FAILURE_KINDS
from thinghub.rule_engine.domain.rules import MAX_ACTIONS, MAX_RULES, Action, Rule, check_rule, check_startable
from thinghub.rule_engine.domain.sql.kinds import field_kinds
from thinghub.rule_engine.errors import PageInvalid
from thinghub.rule_engine.ports.changes import Changes
from thinghub.rule_engine.ports.store import RuleStore
from thinghub.rule_engine.service.catalogue import Catalogue
from thinghub.rule_engine.service.lanes import Kinds
from thinghub.rule_engine.service.ownership import Ownership

MAX_PAGE_SIZE = 200
log = logging.getLogger("thinghub.rule_engine.rules")


class Rules:
    def __init__(
        self,
        store: RuleStore,
        kinds: Kinds,
        ownership: Ownership,
        changes: Changes,
        catalogue: Catalogue,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._ownership = ownership
        self._changes = changes
        self._catalogue = catalogue
        self._now_ms = now_ms

    async def create_rule(self, rule: Rule) -> Rule:
        """A stopped rule. Raises what `domain.rules.check_rule` does (SqlError, RuleNameInvalid, TopicInvalid, ...),
        ProductNotFound, RuleNameExists, RuleExists, RuleLimit, Unavailable."""
        check_rule(rule)
        if rule.product_key:
            await self._ownership.require(rule.instance_id, rule.product_key)
        now = self._now_ms()
        rule = replace(rule, running=False, created_ms=now, modified_ms=now)
        return await self._store.create_rule(rule, MAX_RULES)

    async def get_rule(self, instance_id: str, rule_id: int) -> Rule:
        return await self._store.get_rule(instance_id, rule_id)

    async def list_rules(self, instance_id: str, page: int, page_size: int) -> tuple[list[Rule], int]:
        """Pages count from 1. Raises PageInvalid."""
        if page < 1 or not 1 <= page_size <= MAX_PAGE_SIZE:
            raise PageInvalid(f"pages count from 1 and have 1 to {MAX_PAGE_SIZE} rules")
        return await self._store.list_rules(instance_id, page, page_size)

    async def delete_rule(self, instance_id: str, rule_id: int) -> None:
        """Raises RuleNotFound; RuleRunning until it is stopped."""
        await self._store.delete_rule(instance_id, rule_id)
        await self._announce(rule_id)

    async def start_rule(self, instance_id: str, rule_id: int) -> None:
        """A running rule stays so. Raises RuleNotFound, RuleIncomplete, and what creation raises: limits may have
        changed since, and the product may be gone."""
        rule = await self._store.get_rule(instance_id, rule_id)
        check_startable(rule)
        check_rule(rule)
        await self._ownership.require(instance_id, rule.product_key)
        await self._store.set_running(instance_id, rule_id, True, self._now_ms())
        await self._announce(rule_id)

    async def stop_rule(self, instance_id: str, rule_id: int) -> None:
        """What it made already is still delivered. Raises RuleNotFound."""
        await self._store.set_running(instance_id, rule_id, False, self._now_ms())
        await self._announce(rule_id)

    async def create_action(self, instance_id: str, action: Action) -> Action:
        """Looks at the destination first. Raises ActionTypeUnsupported, ActionConfigInvalid, TopicTypeUnsupported,
        ProductNotFound, SecretNotFound, TableNotFound, TableUniqueMissing, KafkaTopicNotFound, TargetRefused,
        SinkUnreachable, RuleNotFound, ActionExists, ErrorActionExists, ActionLimit, Unavailable."""
        configuration = parse_configuration(action.type, action.configuration)
        rule = await self._store.get_rule(instance_id, action.rule_id)
        fields = FAILURE_KINDS if action.error_action else field_kinds(rule.select)
        await self._kinds[action.type].check(instance_id, configuration, fields)
        created = await self._store.create_action(instance_id, action, MAX_ACTIONS)
        await self._announce(created.rule_id)
        return created

    async def list_actions(self, instance_id: str, rule_id: int) -> list[Action]:
        """Raises RuleNotFound."""
        return await self._store.list_actions(instance_id, rule_id)

    async def delete_action(self, instance_id: str, action_id: int) -> None:
        """What waits for it is dropped at its next try. Raises ActionNotFound."""
        deleted = await self._store.delete_action(instance_id, action_id)
        await self._announce(deleted.rule_id)

    async def _announce(self, rule_id: int) -> None:
        """The change is stored: whoever does not hear of it now reads it within its reload time."""
        try:
            await self._catalogue.reload()
        except Unavailable:
            self._catalogue.changed()
        try:
            await self._changes.announce(rule_id)
        except Fault as error:
            log.warning("the change of rule %d could not be announced: %s", rule_id, error.message)
