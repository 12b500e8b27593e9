"""Dead letters by the API: who is shown what. How they are made and redriven is tested in rule-engine and by a flow."""

import secrets
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.support.openapi import Key

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

LETTER = 2**62 + 7


class Stored:
    """A dead letter as rule-engine keeps it, put there by hand, of a rule of its own."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", schema: str, product_key: str) -> None:
        self.connection = connection
        self.schema = schema
        self.product_key = product_key
        self.id = LETTER + secrets.randbits(20)

    @classmethod
    async def of(cls, platform: "Platform", dsn: str) -> "Stored":
        api = platform.api()
        product = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
        name = f"r_{secrets.token_hex(6)}"
        made = await api.ok("CreateRule", Name=name, ProductKey=product, ShortTopic="+/user/update", Select="*")
        connection = await asyncpg.connect(dsn)
        schemas = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^t[0-9a-f]{8}_rules$'")
        for row in schemas:
            if await connection.fetchval(f"SELECT count(*) FROM {row['nspname']}.rules WHERE name = $1", name):
                stored = cls(connection, row["nspname"].removesuffix("_rules"), product)
        await stored.insert(int(made["RuleId"]))
        return stored

    async def insert(self, rule_id: int) -> None:
        names = (
            "dead_letter_id, position, rule_id, action_id, message_id, product_key, device_name, topic, received_ms, "
            "qos, hops, traceparent, body, payload, error, tries, first_failed_ms, died_ms, bus_partition, bus_offset"
        )
        await self.connection.execute(
            f"""INSERT INTO {self.schema}_rules.dead_letters ({names}) VALUES ($1,
                nextval('{self.schema}_rules.dead_letter_positions'), $2, 77, 5, $3, 'd1', '/a/b', 1700000000000, 1, 0,
                '', $4, '', 'check violated', 4, 1700000001000, 1700000002000, 0, 1)""",
            self.id, rule_id, self.product_key, b'{"pulse":61}',
        )  # fmt: skip

    async def hide(self) -> None:
        await self.connection.execute(
            f"UPDATE {self.schema}_registry.product SET not_stored = true WHERE product_key = $1", self.product_key
        )


async def key_of(platform: "Platform", role: str) -> Key:
    made = (await platform.rest("POST", "/v1/access-keys", json={"Role": role})).json()
    return Key(made["AccessKeyId"], made["AccessKeySecret"])


async def shown(platform: "Platform", stored: Stored, key: Key | None = None) -> dict[str, Any]:
    answer = await platform.rest("GET", f"/v1/dead-letters/{stored.id}", key)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_the_result_is_for_administrators_and_not_of_products_that_are_not_stored(
    platform: "Platform", postgres_dsn: str
) -> None:
    stored = await Stored.of(platform, postgres_dsn)
    body = await shown(platform, stored)
    assert body["Result"] == '{"pulse":61}'
    assert body["DeadLetter"]["DeadLetterId"] == str(stored.id)
    assert (body["DeadLetter"]["Reason"], body["DeadLetter"]["Tries"]) == ("check violated", 4)
    assert "ActionType" not in body["DeadLetter"]
    reader = await key_of(platform, "reader")
    seen = await shown(platform, stored, reader)
    assert ("Result" in seen, seen["Hidden"]) == (False, "role")
    await stored.hide()
    hidden = await shown(platform, stored)
    assert ("Result" in hidden, hidden["Hidden"]) == (False, "not_stored")
    page = (await platform.rest("GET", "/v1/dead-letters", reader)).json()
    assert str(stored.id) in [one["DeadLetterId"] for one in page["DeadLetters"]]
    assert "pulse" not in str(page)
    await stored.connection.close()


async def test_readers_redrive_nothing_and_nobody_redrives_everything_by_accident(platform: "Platform") -> None:
    reader = await key_of(platform, "reader")
    refused = await platform.rest("POST", "/v1/dead-letters/redrive", reader, json={"RuleId": 1})
    assert refused.status_code == 403
    unbounded = await platform.rest("POST", "/v1/dead-letters/redrive", json={})
    assert (unbounded.status_code, unbounded.json()["code"]) == (400, "InvalidParameter")
    missing = await platform.rest("GET", "/v1/dead-letters/12345")
    assert (missing.status_code, missing.json()["code"]) == (404, "iot.rule.NotFoundDeadLetter")
    for wrong in ("x", str(2**63)):
        answer = await platform.rest("GET", f"/v1/dead-letters/{wrong}")
        assert answer.status_code == 400, answer.text
    nothing = await platform.rest("POST", "/v1/dead-letters/redrive", json={"DeadLetterIds": ["9", "9"]})
    assert nothing.json() == {"Redriven": 0, "Gone": 0, "More": False}
