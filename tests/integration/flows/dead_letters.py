"""What a sink refused for the last time: found, mended and tried again with `thinghub admin deadletters`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from tests.integration.flows.audit import admin
from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.openapi import Key
from tests.support.platform import Platform


async def letters(platform: Platform, rule_id: int, *options: str) -> list[dict[str, Any]]:
    code, out, errors = await admin(platform, "deadletters", "list", "--rule", str(rule_id), "--json", *options)
    assert (code, errors) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


async def a_dead_letter_is_found_mended_and_redriven_once(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "v integer CONSTRAINT small CHECK (v < 100)").create(api)
    rule_id = await running_rule(api, identity.product_key, "v", "RDS", json.dumps(sink.action({"v": "${v}"})))
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b'{"v":500}')

        async def dead() -> list[dict[str, Any]]:
            return await letters(platform, rule_id)

        [found] = await eventually(dead, deadline=60)
    assert (found["Tries"], found["ActionType"], found["Topic"]) == (4, "RDS", identity.topic("update"))
    assert "small" in found["Reason"]
    letter = found["DeadLetterId"]
    made = (await api.rest("POST", "/v1/access-keys", json={"Role": "operator"})).json()
    operator = Key(made["AccessKeyId"], made["AccessKeySecret"])
    code, out, _ = await admin(platform, "deadletters", "show", letter)
    assert (code, out.splitlines()[-1].split()) == (0, ["Result", '{"v":500}'])
    code, out, _ = await admin(platform, "deadletters", "show", letter, key=operator)
    assert out.splitlines()[-1].endswith("(shown to administrators)")

    connection = await asyncpg.connect(sink.dsn)
    await connection.execute(f"ALTER TABLE {sink.table} DROP CONSTRAINT small")
    await connection.close()
    code, out, errors = await admin(platform, "deadletters", "redrive", "--rule", str(rule_id), key=operator)
    assert (code, out, errors) == (0, "1 put back to be tried again\n", "")
    code, out, _ = await admin(platform, "deadletters", "redrive", letter, key=operator)
    assert (code, out) == (0, "1 put back to be tried again\n")

    async def written() -> list[dict[str, Any]]:
        return await sink.rows()

    rows = await eventually(written, deadline=30)
    await asyncio.sleep(1.5)  # the second try has come and gone by now
    assert await sink.rows() == rows == [{"v": 500, "message_id": int(letter)}]
    assert await letters(platform, rule_id) == []
    [noted] = await letters(platform, rule_id, "--all")
    assert (noted["RedrivenTimes"], bool(noted["UtcRedriven"])) == (2, True)
    code, out, _ = await admin(platform, "audit", "--action", "RedriveDeadLetters", "--key", operator.access_key_id)
    assert (code, len(out.splitlines())) == (0, 2)
    code, out, errors = await admin(platform, "deadletters", "redrive")
    assert (code, out) == (2, "")
    assert "give ids, or --rule" in errors


FLOWS: tuple[Callable[[Platform], Awaitable[None]], ...] = (a_dead_letter_is_found_mended_and_redriven_once,)
