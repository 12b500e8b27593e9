"""What administrators ask by REST and by `thinghub admin`: the audit log, the use of master keys."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.flows.steps import new_device, new_product, pub
from tests.support.openapi import ApiRefused, Key
from tests.support.platform import Platform


async def admin(platform: Platform, *arguments: str, key: Key | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors of `thinghub admin`."""
    key = key or platform.key
    access = {
        "THINGHUB_API": platform.api_url,
        "THINGHUB_ACCESS_KEY_ID": key.access_key_id,
        "THINGHUB_ACCESS_KEY_SECRET": key.access_key_secret,
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "thinghub.cli.main",
        "admin",
        *arguments,
        env=os.environ | access,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode is not None
    return child.returncode, out.decode(), errors.decode()


async def every_change_is_in_the_audit_log(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    identity = await new_device(api, product_key)
    made = await api.rest("POST", "/v1/access-keys", json={"Role": "reader", "Description": "flow"})
    reader = Key(made.json()["AccessKeyId"], made.json()["AccessKeySecret"])
    with pytest.raises(ApiRefused):
        await platform.api(key=reader).call("DisableThing", ProductKey=product_key, DeviceName=identity.device_name)
    await pub(api, identity, "get", b"hi")
    await api.ok("DisableThing", ProductKey=product_key, DeviceName=identity.device_name)
    code, out, errors = await admin(platform, "audit", "--product", product_key, "--json")
    assert (code, errors) == (0, "")
    records: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    told = [(one["Action"], one["Code"], one["AccessKeyId"]) for one in records]
    first = platform.key.access_key_id
    assert told == [
        ("DisableThing", "OK", first),
        ("DisableThing", "Forbidden.RAM", reader.access_key_id),
        ("RegisterDevice", "OK", first),
        ("CreateProduct", "OK", first),
    ]
    assert identity.device_secret not in out
    code, out, _ = await admin(platform, "audit", "--key", reader.access_key_id, "--since", "1h")
    assert (code, len(out.splitlines())) == (0, 1)
    assert f"DisableThing  Forbidden.RAM  ProductKey={product_key}" in out
    code, out, errors = await admin(platform, "audit", key=reader)
    assert (code, out) == (2, "")
    assert "administrator" in errors


async def master_keys_are_told_by_their_use(platform: Platform) -> None:
    api = platform.api()
    await new_device(api, await new_product(api))
    (key,) = (await api.rest("GET", "/v1/master-keys")).json()["MasterKeys"]
    assert key["State"] == "active"
    assert key["Records"]["device"] >= 1
    code, out, errors = await admin(platform, "keys")
    assert (code, errors) == (0, "")
    assert out.startswith(f"{key['KeyId']}  seals every secret; it opens ")


FLOWS: tuple[Callable[[Platform], Awaitable[None]], ...] = (
    every_change_is_in_the_audit_log,
    master_keys_are_told_by_their_use,
)
