"""What the demo creates through the platform's own API, once: products with their thing models, devices, a secret, a
rule with its action. Everything is found again by its name at the next start; what is missing is made.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from thinghub.all_in_one.demo import models
from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.table import TABLE, VALUES
from thinghub.device_sdk import Identity

DEVICE, GATEWAY = 0, 1  # NodeType
SENSORS = ("climate", "soil", "light")
PAGE = 100
RULE = "keep_greenhouse"
SECRET = "demo-postgres"
SELECT = ", ".join(
    ["deviceName() AS device", *(f"items.{name}.value AS {name}" for name in ("reading", *VALUES)), "timestamp() AS at"]
)
SHORT_TOPIC = "+/thing/event/property/post"
SYSTEM_TOPICS = 0  # TopicType
ACTION = {
    "dsn_ref": SECRET,
    "table": TABLE,
    "columns": {name: f"${{{name}}}" for name in ("device", "reading", *VALUES, "at")},
    "mode": "insert",
    "id_column": "message_id",
}


@dataclass(frozen=True)
class House:
    """The identities of the demo's devices."""

    greenhouse: Identity
    sensors: tuple[Identity, ...]
    socket: Identity
    speaker: Identity


async def ensure(api: Api, dsn: str) -> House:
    """With the rule running. Raises ApiError."""
    known = await _products(api)
    greenhouses, sensors, sockets, speakers = await asyncio.gather(
        _product(api, known, "demo_greenhouses", GATEWAY),
        _product(api, known, "demo_sensors", DEVICE, models.SENSORS),
        _product(api, known, "demo_sockets", DEVICE),
        _product(api, known, "demo_speakers", DEVICE, models.SPEAKER),
    )
    greenhouse, socket, speaker, *behind = await asyncio.gather(
        _device(api, greenhouses, "greenhouse"),
        _device(api, sockets, "socket"),
        _device(api, speakers, "speaker"),
        *(_device(api, sensors, name) for name in SENSORS),
    )
    await api.put_secret(SECRET, dsn)
    await _ensure_rule(api, sensors)
    return House(greenhouse, tuple(behind), socket, speaker)


async def _products(api: Api) -> dict[str, str]:
    """Key by name."""
    found: dict[str, str] = {}
    page, pages = 1, 1
    while page <= pages:
        answer = (await api.call("QueryProductList", CurrentPage=page, PageSize=PAGE))["Data"]
        found |= {one["ProductName"]: one["ProductKey"] for one in answer["List"]["ProductInfo"]}
        page, pages = page + 1, int(answer["PageCount"])
    return found


async def _product(
    api: Api, known: dict[str, str], name: str, node_type: int, model: models.Model | None = None
) -> str:
    key = known.get(name)
    if key is None:
        key = str((await api.call("CreateProduct", ProductName=name, NodeType=node_type))["ProductKey"])
    if model is not None:
        versions = (await api.call("ListThingModelVersion", ProductKey=key))["Data"]["ModelVersions"]
        if not versions:
            await api.call("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(model))
            await api.call("PublishThingModel", ProductKey=key)
    return key


async def _device(api: Api, product_key: str, name: str) -> Identity:
    named = {"ProductKey": product_key, "DeviceName": name}
    try:
        made = (await api.call("RegisterDevice", **named))["Data"]
    except ApiError as error:
        if error.code != "iot.device.AlreadyExistedDeviceName":
            raise
        made = (await api.call("QueryDeviceDetail", **named))["Data"]
    return Identity(product_key, name, made["DeviceSecret"])


async def _ensure_rule(api: Api, product_key: str) -> None:
    rule = await _rule(api)
    if rule and rule["ProductKey"] != product_key:  # of a product that is gone
        if rule["Status"] == "RUNNING":
            await api.call("StopRule", RuleId=rule["Id"])
        await api.call("DeleteRule", RuleId=rule["Id"])
        rule = None
    if rule is None:
        made = await api.call(
            "CreateRule",
            Name=RULE,
            ProductKey=product_key,
            ShortTopic=SHORT_TOPIC,
            Select=SELECT,
            DataType="JSON",
            TopicType=SYSTEM_TOPICS,
        )
        rule = {"Id": made["RuleId"], "Status": "STOP"}
    actions = (await api.call("ListRuleActions", RuleId=rule["Id"]))["RuleActionList"]["RuleActionInfo"]
    if not actions:
        await api.call("CreateRuleAction", RuleId=rule["Id"], Type="RDS", Configuration=json.dumps(ACTION))
    if rule["Status"] != "RUNNING":
        await api.call("StartRule", RuleId=rule["Id"])


async def _rule(api: Api) -> dict[str, Any] | None:
    listed = (await api.call("ListRule", CurrentPage=1, PageSize=PAGE))["Data"]["RuleInfo"]
    return next((rule for rule in listed if rule["Name"] == RULE), None)
