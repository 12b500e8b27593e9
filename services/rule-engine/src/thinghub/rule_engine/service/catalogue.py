"""Keeps the engine's rules equal to the stored ones: at every announced change, and every 30 seconds in any case."""

import asyncio
import logging
from typing import Never

from thinghub.common.errors import Fault, Unavailable
from thinghub.rule_engine.domain.configurations import parse_configuration
from thinghub.rule_engine.domain.rules import Rule
from thinghub.rule_engine.domain.sources import parse_source
from thinghub.rule_engine.domain.sql import Compiled, compile_sql
from thinghub.rule_engine.ports.store import RuleStore, StoredRule
from thinghub.rule_engine.service.engine import Engine
from thinghub.rule_engine.service.evaluation import RunningRule
from thinghub.rule_engine.service.lanes import LiveAction
from thinghub.rule_engine.service.observation import Observation

log = logging.getLogger("thinghub.rule_engine.catalogue")


class Catalogue:
    def __init__(self, store: RuleStore, engine: Engine, observation: Observation, reload_s: float = 30.0) -> None:
        self.loaded = asyncio.Event()
        self._store = store
        self._engine = engine
        self._observation = observation
        self._reload_s = reload_s
        self._changed = asyncio.Event()
        self._loading = asyncio.Lock()
        self._compiled: dict[tuple[str, str], Compiled] = {}
        self._broken: frozenset[str] = frozenset()

    def changed(self) -> None:
        """Somebody said that a rule changed; the reload follows at once, one for many such words."""
        self._changed.set()

    async def reload(self) -> None:
        """Raises Unavailable; the rules stay as they were."""
        async with self._loading:
            self._changed.clear()
            self._apply(await self._store.load())
        self.loaded.set()

    async def run(self, pause_s: float = 0.1) -> Never:
        """Reloads until cancelled, at most once a pause."""
        while True:
            try:
                await self.reload()
            except Unavailable as error:
                await self._wait_out(error)
                continue
            await asyncio.sleep(pause_s)
            await self._next()

    async def _wait_out(self, error: Unavailable) -> None:
        if self.loaded.is_set():
            log.warning("rules could not be read, the known ones go on: %s", error.message)
            await asyncio.sleep(min(1.0, self._reload_s))
        else:
            await asyncio.sleep(0.05)  # a start; the health of the store says what is missing

    async def _next(self) -> None:
        try:
            async with asyncio.timeout(self._reload_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _apply(self, stored: list[StoredRule]) -> None:
        kept: dict[tuple[str, str], Compiled] = {}
        running: list[RunningRule] = []
        actions: list[LiveAction] = []
        broken: dict[str, str] = {}
        for item in stored:
            own = self._actions(item, broken)
            actions += own
            if item.rule.running:
                try:
                    running.append(self._running(item.rule, own, kept))
                except Fault as error:
                    broken[f"rule {item.rule.rule_id}"] = error.message
        self._compiled = kept
        self._report(broken)
        self._engine.apply(running, actions)

    def _running(self, rule: Rule, actions: list[LiveAction], kept: dict[tuple[str, str], Compiled]) -> RunningRule:
        sql = rule.select, rule.where
        compiled = kept[sql] = self._compiled.get(sql) or kept.get(sql) or compile_sql(*sql)
        source = parse_source(rule.product_key, rule.short_topic, rule.topic_type)
        fed = tuple(action.action_id for action in actions if not action.error_action)
        return RunningRule(rule.rule_id, source, compiled, fed, any(action.error_action for action in actions))

    def _actions(self, item: StoredRule, broken: dict[str, str]) -> list[LiveAction]:
        live: list[LiveAction] = []
        for action in item.actions:
            try:
                configuration = parse_configuration(action.type, action.configuration)
            except Fault as error:
                broken[f"action {action.action_id}"] = error.message
                continue
            rule = item.rule
            live.append(
                LiveAction(
                    action.action_id,
                    rule.instance_id,
                    action.type,
                    configuration,
                    rule.rule_id,
                    rule.name,
                    action.error_action,
                )
            )
        return live

    def _report(self, broken: dict[str, str]) -> None:
        """Rules that were accepted by another release, or changed in the store by hand; named once each."""
        for name in broken.keys() - self._broken:
            log.error("%s is stored but cannot run: %s", name, broken[name])
        self._broken = frozenset(broken)
        self._observation.broken.set(len(broken))
