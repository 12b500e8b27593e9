"""A device's secret is rotated while it is used."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.flows.steps import connected, eventually, new_device, new_product
from tests.integration.flows.why import why
from tests.support.device import Refused
from tests.support.platform import Platform


async def two_secrets_connect_until_the_former_one_is_stopped(platform: Platform) -> None:
    api = platform.api()
    former = await new_device(api, await new_product(api))
    path = f"/v1/products/{former.product_key}/devices/{former.device_name}/secret-rotation"
    made = (await api.rest("POST", path)).json()
    new = replace(former, device_secret=made["DeviceSecret"])
    async with await connected(platform, former):
        said = await why(platform, former)
    assert "it has not used the new one yet" in said.out
    async with await connected(platform, new):

        async def used() -> dict[str, Any]:
            rotation: dict[str, Any] = (await api.rest("GET", path)).json()["Rotation"]
            return rotation if rotation["NewSecretUsed"] else {}

        assert await eventually(used)
        said = await why(platform, new)
    assert "it used the new one first" in said.out
    assert new.device_secret not in said.out
    ended = await api.rest("POST", f"{path}/finish")
    assert ended.json()["Rotation"]["UnderWay"] is False
    with pytest.raises(Refused):
        await connected(platform, former)
    async with await connected(platform, new):
        pass


FLOWS: tuple[Callable[[Platform], Awaitable[None]], ...] = (two_secrets_connect_until_the_former_one_is_stopped,)
