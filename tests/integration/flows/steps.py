"""Steps that several flows share."""

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from tests.support.device import Device
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform


async def new_product(api: OpenApi) -> str:
    answer = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    return str(answer["ProductKey"])


async def new_device(api: OpenApi, product_key: str, name: str = "") -> Identity:
    answer = await api.ok("RegisterDevice", ProductKey=product_key, DeviceName=name or f"dev_{secrets.token_hex(4)}")
    data = answer["Data"]
    return Identity(data["ProductKey"], data["DeviceName"], data["DeviceSecret"])


async def connected(platform: Platform, identity: Identity, *, ext: int = 0, clean: bool = True) -> Device:
    host, port = platform.mqtt
    return await Device(identity, ext=ext, clean=clean).connect(host, port)


async def status(api: OpenApi, identity: Identity) -> str:
    answer = await api.ok("GetDeviceStatus", ProductKey=identity.product_key, DeviceName=identity.device_name)
    return str(answer["Data"]["Status"])


async def eventually(check: Callable[[], Awaitable[Any]], *, deadline: float = 20.0) -> Any:
    """The first truthy answer of `check`; the last one when time is up."""
    end = time.monotonic() + deadline
    answer = await check()
    while not answer and time.monotonic() < end:
        answer = await pause_then(check)
    return answer


async def pause_then(check: Callable[[], Awaitable[Any]]) -> Any:
    await asyncio.sleep(0.05)
    return await check()


async def until_status(api: OpenApi, identity: Identity, wanted: str) -> None:
    async def same() -> bool:
        return await status(api, identity) == wanted

    reached = await eventually(same)
    assert reached, f"{identity.device_name} never became {wanted}: it is {await status(api, identity)}"


async def pub(api: OpenApi, identity: Identity, short: str, payload: bytes, qos: int = 1) -> dict[str, Any]:
    return await api.call(
        "Pub",
        ProductKey=identity.product_key,
        TopicFullName=identity.topic(short),
        MessageContent=base64.b64encode(payload).decode(),
        Qos=qos,
    )


class Sink:
    """A table of the test's own PostgreSQL that a rule writes to, and the secret that names it."""

    def __init__(self, platform: Platform, columns: str) -> None:
        self.dsn = platform.sink_dsn
        self.table = f"rows_{secrets.token_hex(6)}"
        self.secret = f"dsn-{secrets.token_hex(4)}"
        self.columns = columns

    async def create(self, api: OpenApi) -> "Sink":
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(f"CREATE TABLE {self.table} ({self.columns}, message_id bigint UNIQUE)")
        finally:
            await connection.close()
        answer = await api.rest("PUT", f"/v1/secrets/{self.secret}", json={"Value": self.dsn})
        assert answer.status_code in (200, 201, 204), answer.text
        return self

    async def rows(self) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return [dict(row) for row in await connection.fetch(f"SELECT * FROM {self.table}")]
        finally:
            await connection.close()

    def action(self, columns: dict[str, str], **more: Any) -> dict[str, Any]:
        return {"dsn_ref": self.secret, "table": self.table, "columns": columns, "mode": "insert", **more}


async def running_rule(
    api: OpenApi,
    product_key: str,
    select: str,
    kind: str,
    configuration: str,
    *,
    short: str = "+/user/update",
    where: str = "",
    topic_type: int = 1,
) -> int:
    rule = await api.ok(
        "CreateRule",
        Name=f"r_{secrets.token_hex(6)}",
        ProductKey=product_key,
        ShortTopic=short,
        Select=select,
        Where=where or None,
        DataType="JSON",
        TopicType=topic_type,
    )
    await api.ok("CreateRuleAction", RuleId=rule["RuleId"], Type=kind, Configuration=configuration)
    await api.ok("StartRule", RuleId=rule["RuleId"])
    return int(rule["RuleId"])
