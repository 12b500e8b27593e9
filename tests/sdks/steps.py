"""Steps that several tests share."""

import secrets
from typing import Any

from tests.sdks.driver import Servers
from tests.support.identity import Identity


def names(identity: Identity) -> dict[str, str]:
    """A device as requests of the API name it."""
    return {"ProductKey": identity.product_key, "DeviceName": identity.device_name}


def named(identity: Identity) -> dict[str, str]:
    """A device as messages name it."""
    return {"productKey": identity.product_key, "deviceName": identity.device_name}


async def product(servers: Servers, client: str = "http", **more: Any) -> str:
    made = await servers.ok(client, "create_product", ProductName=f"p {secrets.token_hex(6)}", NodeType=0, **more)
    return str(made["Data"]["ProductKey"])


async def device(servers: Servers, product_key: str, client: str = "http") -> Identity:
    made = (await servers.ok(client, "register_device", ProductKey=product_key))["Data"]
    return Identity(product_key, made["DeviceName"], made["DeviceSecret"])
