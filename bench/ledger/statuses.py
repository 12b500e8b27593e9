"""Final statuses: what the platform says of each device against what the device knows of itself."""

import asyncio
import time
from collections.abc import Sequence

import httpx

from bench.ledger.roamer import Roamer
from tests.support.openapi import ApiRefused, OpenApi

BATCH = 50


async def mismatches(api: OpenApi, roamers: Sequence[Roamer], seconds: float) -> list[str]:
    """Asks the claims (BatchGetDeviceState) and the registry's projection (QueryDevice) until both agree with all
    devices, or the time is over; then names those that differ."""
    deadline = time.monotonic() + seconds
    while (wrong := await compared(api, roamers)) and time.monotonic() < deadline:
        await asyncio.sleep(1)
    return wrong


async def compared(api: OpenApi, roamers: Sequence[Roamer]) -> list[str]:
    try:
        return await differing(api, roamers)
    except (ApiRefused, httpx.HTTPError) as error:
        return [f"statuses could not be asked for: {error!r}"]


async def differing(api: OpenApi, roamers: Sequence[Roamer]) -> list[str]:
    product_key = roamers[0].identity.product_key
    claims, projection = await claimed(api, product_key, roamers), await projected(api, product_key)
    wrong = []
    for one in roamers:
        truth = "ONLINE" if one.up else "OFFLINE"
        for source, said in (("claim", claims.get(one.name, "")), ("projection", projection.get(one.name, ""))):
            if said != truth:
                wrong.append(f"{one.name}: {source} {said or 'nothing'}, device {truth}")
    return wrong


async def claimed(api: OpenApi, product_key: str, roamers: Sequence[Roamer]) -> dict[str, str]:
    statuses: dict[str, str] = {}
    for start in range(0, len(roamers), BATCH):
        names = [one.name for one in roamers[start : start + BATCH]]
        answer = await api.ok("BatchGetDeviceState", ProductKey=product_key, DeviceName=names)
        found = answer["DeviceStatusList"]["DeviceStatus"]
        statuses |= {one["DeviceName"]: one["Status"] for one in found}
    return statuses


async def projected(api: OpenApi, product_key: str) -> dict[str, str]:
    statuses: dict[str, str] = {}
    page = {"PageSize": BATCH, "CurrentPage": 1}
    while True:
        answer = await api.ok("QueryDevice", ProductKey=product_key, **page)
        statuses |= {one["DeviceName"]: one["DeviceStatus"] for one in answer["Data"]["DeviceInfo"]}
        if page["CurrentPage"] >= answer["PageCount"]:
            return statuses
        page["CurrentPage"] += 1
