"""What the demo creates through the platform's own API, once: a product, devices, a secret, a rule with its action.

Found again at the next start by name (the rule) or by `demo.json` in the data directory (keys and device secrets).
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from thinghub.all_in_one.demo.api import Api, ApiError
from thinghub.all_in_one.demo.table import TABLE
from thinghub.all_in_one.embedded.places import Places, write_private

PRODUCT = "demo_house"
ROOMS = ("kitchen", "garage", "greenhouse")
RULE = "keep_readings"
SECRET = "demo-postgres"
SELECT = "deviceName() AS device, reading, temperature, humidity, timestamp() AS at"
WHERE = "temperature > -40"
SHORT_TOPIC = "+/user/update"
ACTION = {
    "dsn_ref": SECRET,
    "table": TABLE,
    "columns": {name: f"${{{name}}}" for name in ("device", "reading", "temperature", "humidity", "at")},
    "mode": "insert",
    "id_column": "message_id",
}


@dataclass(frozen=True)
class Room:
    """A device's identity."""

    product_key: str
    name: str
    secret: str

    def topic(self, short: str) -> str:
        return f"/{self.product_key}/{self.name}/user/{short}"


async def ensure(api: Api, places: Places, dsn: str) -> list[Room]:
    """The three devices, with the rule running. Raises ApiError."""
    rooms = await _known(api, places) or await _create(api, places)
    await api.put_secret(SECRET, dsn)
    await _ensure_rule(api, rooms[0].product_key)
    return rooms


async def _known(api: Api, places: Places) -> list[Room]:
    try:
        rooms = [Room(**kept) for kept in json.loads((places.data / "demo.json").read_bytes())]
        await api.call("QueryProduct", ProductKey=rooms[0].product_key)
    except (FileNotFoundError, ValueError, TypeError, IndexError, ApiError):
        return []  # never created, or deleted by the user since
    return rooms


async def _create(api: Api, places: Places) -> list[Room]:
    product = await api.call("CreateProduct", ProductName=PRODUCT, NodeType=0)
    rooms = []
    for name in ROOMS:
        device = (await api.call("RegisterDevice", ProductKey=product["ProductKey"], DeviceName=name))["Data"]
        rooms.append(Room(device["ProductKey"], device["DeviceName"], device["DeviceSecret"]))
    write_private(places.data / "demo.json", json.dumps([asdict(room) for room in rooms]).encode())
    return rooms


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
            Where=WHERE,
            DataType="JSON",
            TopicType=1,
        )
        rule = {"Id": made["RuleId"], "Status": "STOP"}
    actions = (await api.call("ListRuleActions", RuleId=rule["Id"]))["RuleActionList"]["RuleActionInfo"]
    if not actions:
        await api.call("CreateRuleAction", RuleId=rule["Id"], Type="RDS", Configuration=json.dumps(ACTION))
    if rule["Status"] != "RUNNING":
        await api.call("StartRule", RuleId=rule["Id"])


async def _rule(api: Api) -> dict[str, Any] | None:
    listed = (await api.call("ListRule", CurrentPage=1, PageSize=100))["Data"]["RuleInfo"]
    return next((rule for rule in listed if rule["Name"] == RULE), None)
