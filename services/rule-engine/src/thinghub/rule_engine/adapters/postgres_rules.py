"""Rules and actions in PostgreSQL."""

import hashlib
from dataclasses import replace
from typing import TypeAlias

import asyncpg
import orjson

from thinghub.common.postgres import Postgres
from thinghub.rule_engine.domain.rules import Action, Rule
from thinghub.rule_engine.errors import (
    ActionExists,
    ActionLimit,
    ActionNotFound,
    ErrorActionExists,
    RuleExists,
    RuleLimit,
    RuleNameExists,
    RuleNotFound,
    RuleRunning,
)
from thinghub.rule_engine.ports.store import StoredRule

_COLUMNS = """rule_id, instance_id, name, description, product_key, short_topic, select_text AS "select",
    where_text AS "where", data_type, topic_type, running, created_ms, modified_ms"""
_ACTION = "action_id, rule_id, type, configuration, error_action"
_FREE_ID = """SELECT id FROM (SELECT nextval('{0}_ids') AS id FROM generate_series(1, 100)) AS next
    WHERE NOT EXISTS (SELECT 1 FROM {0}s WHERE {0}_id = next.id) LIMIT 1"""
# One creation at a time in an instance, so that the limit holds; released with the transaction.
_LOCK_INSTANCE = "SELECT pg_advisory_xact_lock(hashtextextended('thinghub rules ' || $1, 0))"

_INSERT_RULE = f"""INSERT INTO rules (rule_id, instance_id, name, description, product_key, short_topic, select_text,
    where_text, data_type, topic_type, running, created_ms, modified_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING {_COLUMNS}"""
_INSERT_ACTION = """INSERT INTO actions (action_id, rule_id, type, configuration, error_action, fingerprint)
    VALUES ($1, $2, $3, $4, $5, $6)"""

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"  # generic in the stubs only


class PostgresRules:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def create_rule(self, rule: Rule, limit: int) -> Rule:
        async with self._postgres.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK_INSTANCE, rule.instance_id)
            count = await connection.fetchval("SELECT count(*) FROM rules WHERE instance_id = $1", rule.instance_id)
            if count >= limit:
                raise RuleLimit(f"the instance has {limit} rules, which is the limit")
            rule_id = rule.rule_id or await connection.fetchval(_FREE_ID.format("rule"))
            try:
                row = await connection.fetchrow(_INSERT_RULE, *_values(rule, rule_id))
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name == "rules_name":
                    raise RuleNameExists(f"there is a rule named {rule.name!r}") from None
                raise RuleExists(f"there is a rule {rule_id}") from None
        assert row is not None
        return _rule(row)

    async def get_rule(self, instance_id: str, rule_id: int) -> Rule:
        async with self._postgres.acquire() as connection:
            return await _get(connection, instance_id, rule_id)

    async def list_rules(self, instance_id: str, page: int, page_size: int) -> tuple[list[Rule], int]:
        async with self._postgres.acquire() as connection:
            total = await connection.fetchval("SELECT count(*) FROM rules WHERE instance_id = $1", instance_id)
            rows = await connection.fetch(
                f"""SELECT {_COLUMNS} FROM rules WHERE instance_id = $1
                    ORDER BY created_ms DESC, rule_id DESC LIMIT $2 OFFSET $3""",
                instance_id,
                page_size,
                (page - 1) * page_size,
            )
        return [_rule(row) for row in rows], total

    async def delete_rule(self, instance_id: str, rule_id: int) -> None:
        async with self._postgres.acquire() as connection, connection.transaction():
            rule = await _get(connection, instance_id, rule_id, lock=True)
            if rule.running:
                raise RuleRunning(f"rule {rule_id} is running: stop it first")
            await connection.execute("DELETE FROM rules WHERE rule_id = $1", rule_id)

    async def set_running(self, instance_id: str, rule_id: int, running: bool, now_ms: int) -> None:
        async with self._postgres.acquire() as connection, connection.transaction():
            await _get(connection, instance_id, rule_id, lock=True)
            await connection.execute(
                "UPDATE rules SET running = $2, modified_ms = $3 WHERE rule_id = $1 AND running <> $2",
                rule_id,
                running,
                now_ms,
            )

    async def create_action(self, instance_id: str, action: Action, limit: int) -> Action:
        async with self._postgres.acquire() as connection, connection.transaction():
            await _get(connection, instance_id, action.rule_id, lock=True)
            count = await connection.fetchval("SELECT count(*) FROM actions WHERE rule_id = $1", action.rule_id)
            if count >= limit:
                raise ActionLimit(f"rule {action.rule_id} has {limit} actions, which is the limit")
            action_id = action.action_id or await connection.fetchval(_FREE_ID.format("action"))
            try:
                await connection.execute(
                    _INSERT_ACTION,
                    action_id,
                    action.rule_id,
                    action.type,
                    action.configuration,
                    action.error_action,
                    _fingerprint(action),
                )
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name == "actions_one_error":
                    raise ErrorActionExists(f"rule {action.rule_id} has an error action already") from None
                raise ActionExists(f"rule {action.rule_id} has this action already") from None
        return replace(action, action_id=action_id)

    async def list_actions(self, instance_id: str, rule_id: int) -> list[Action]:
        async with self._postgres.acquire() as connection:
            await _get(connection, instance_id, rule_id)
            rows = await connection.fetch(
                f"SELECT {_ACTION} FROM actions WHERE rule_id = $1 ORDER BY action_id",
                rule_id,
            )
        return [_action(row) for row in rows]

    async def delete_action(self, instance_id: str, action_id: int) -> Action:
        async with self._postgres.acquire() as connection:
            row = await connection.fetchrow(
                """DELETE FROM actions USING rules
                   WHERE actions.rule_id = rules.rule_id AND action_id = $1 AND instance_id = $2
                   RETURNING action_id, actions.rule_id, type, configuration, error_action""",
                action_id,
                instance_id,
            )
        if row is None:
            raise ActionNotFound(f"there is no action {action_id}")
        return _action(row)

    async def load(self) -> list[StoredRule]:
        async with self._postgres.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            rules = await connection.fetch(f"SELECT {_COLUMNS} FROM rules ORDER BY rule_id")
            actions = await connection.fetch(f"SELECT {_ACTION} FROM actions ORDER BY action_id")
        by_rule: dict[int, list[Action]] = {}
        for row in actions:
            by_rule.setdefault(row["rule_id"], []).append(_action(row))
        return [StoredRule(_rule(row), tuple(by_rule.get(row["rule_id"], ()))) for row in rules]


async def _get(connection: Connection, instance_id: str, rule_id: int, lock: bool = False) -> Rule:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM rules WHERE rule_id = $1 AND instance_id = $2" + " FOR UPDATE" * lock,
        rule_id,
        instance_id,
    )
    if row is None:
        raise RuleNotFound(f"there is no rule {rule_id}")
    return _rule(row)


def _values(rule: Rule, rule_id: int) -> tuple[object, ...]:
    return (
        rule_id,
        rule.instance_id,
        rule.name,
        rule.description,
        rule.product_key,
        rule.short_topic,
        rule.select,
        rule.where,
        rule.data_type,
        rule.topic_type,
        rule.running,
        rule.created_ms,
        rule.modified_ms,
    )


def _fingerprint(action: Action) -> bytes:
    """Of the type and the configuration's meaning: order and spaces do not make another action."""
    parts = [action.type, orjson.loads(action.configuration)] + [True] * action.error_action
    meaning = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(meaning).digest()


def _rule(row: asyncpg.Record) -> Rule:
    return Rule(**dict(row))  # the columns are named like the fields


def _action(row: asyncpg.Record) -> Action:
    return Action(**dict(row))
