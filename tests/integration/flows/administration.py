"""Access keys and their roles, and what a restart must keep."""

import json
from typing import Any

import pytest

from tests.integration.flows.steps import (
    Sink,
    connected,
    eventually,
    new_device,
    new_product,
    pub,
    running_rule,
    until_status,
)
from tests.support.openapi import ApiRefused, Key
from tests.support.platform import Platform


async def an_access_key_without_the_role_is_refused(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    keys = {}
    for role in ("reader", "operator"):
        made = await api.rest("POST", "/v1/access-keys", json={"Role": role, "Description": "flow"})
        assert made.status_code in (200, 201), made.text
        keys[role] = Key(made.json()["AccessKeyId"], made.json()["AccessKeySecret"])
    reader, operator = (platform.api(key=keys[role]) for role in ("reader", "operator"))
    await reader.ok("QueryProduct", ProductKey=identity.product_key)
    for refused, action in ((reader, "DisableThing"), (reader, "DeleteDevice"), (operator, "DeleteDevice")):
        with pytest.raises(ApiRefused) as refusal:
            await refused.call(action, ProductKey=identity.product_key, DeviceName=identity.device_name)
        assert (refusal.value.status, refusal.value.code) == (403, "Forbidden.RAM")
    with pytest.raises(ApiRefused):
        await reader.call(
            "Pub", ProductKey=identity.product_key, TopicFullName=identity.topic("get"), MessageContent="aGk="
        )
    assert (await pub(operator, identity, "get", b"hi"))["Success"] is True
    assert (await reader.rest("POST", "/v1/access-keys", json={"Role": "administrator"})).status_code == 403


async def restart_keeps_devices_and_rules(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "v integer").create(api)
    rule = await running_rule(api, identity.product_key, "v", "RDS", json.dumps(sink.action({"v": "${v}"})))
    device = await connected(platform, identity)
    await until_status(api, identity, "ONLINE")
    await platform.restart()
    await device.wait_closed()
    api = platform.api()
    shown = await api.ok("GetRule", RuleId=rule)
    assert shown["RuleInfo"]["Status"] == "RUNNING"
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b'{"v": 5}')

        async def stored() -> list[dict[str, Any]]:
            return await sink.rows()

        rows = await eventually(stored, deadline=40)
        assert [row["v"] for row in rows] == [5]
        await until_status(api, identity, "ONLINE")
