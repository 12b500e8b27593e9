"""The audit log of API changes: over a real socket, and what is done while it cannot be written."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.openapi import ApiRefused, Key
from thinghub.api_gateway.domain.audit import COUNTED, TARGETS, AuditCall, AuditQuery, AuditRecord, Origin, Recording
from thinghub.api_gateway.domain.values import Caller, Role
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.auditing import COMMANDS, REST_SECONDS, TRAFFIC, Auditor, recording
from thinghub.api_gateway.service.model import Members, wire_name
from thinghub.api_gateway.service.operation import Operation
from thinghub.api_gateway.service.table import OPERATIONS
from thinghub.common.errors import Unavailable

if TYPE_CHECKING:
    from conftest import Platform

TABLE = {operation.name: operation for operation in OPERATIONS}
RECORDED = [operation for operation in OPERATIONS if recording(operation) is not Recording.NEVER]
TELLS_NOTHING = {"GenerateOTAUploadURL"}
OVER_SOCKET = pytest.mark.asyncio(loop_scope="session")


async def records(platform: "Platform", key: Key | None = None, **filters: object) -> list[dict[str, Any]]:
    answer = await platform.rest("GET", "/v1/audit-records", key, params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["Records"]
    return found


async def new_product(platform: "Platform") -> str:
    answer = await platform.api().ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    return str(answer["ProductKey"])


@OVER_SOCKET
async def test_a_change_by_either_face_is_told_with_caller_target_and_outcome(platform: "Platform") -> None:
    product_key = await new_product(platform)
    begun_ms = time.time_ns() // 1_000_000
    device = {"ProductKey": product_key, "DeviceName": "device1"}
    await platform.api().ok("RegisterDevice", **device)
    answer = await platform.rest("POST", f"/v1/products/{product_key}/devices/device1/disable")
    await platform.api().call("DeleteDevice", ProductKey=product_key, DeviceName="nobody")
    assert (await platform.rest("GET", f"/v1/products/{product_key}/devices/device1")).status_code == 200
    deleted, disabled, registered, created = await records(platform, ProductKey=product_key)
    assert [one["Action"] for one in (deleted, disabled, registered, created)] == [
        "DeleteDevice", "DisableThing", "RegisterDevice", "CreateProduct",
    ]  # fmt: skip
    assert created["Target"]["ProductName"].startswith("p_")
    assert registered["Target"].items() >= {**device}.items()
    assert registered["Target"]["IotId"], "what the call made is told as well"
    assert [one["Code"] for one in (created, registered, disabled, deleted)] == ["OK"] * 3 + [
        "iot.device.NotExistedDevice"
    ]
    assert (disabled["Face"], disabled["RequestId"]) == ("rest", answer.headers["x-request-id"])
    assert {one["AccessKeyId"] for one in (deleted, disabled, registered)} == {platform.key.access_key_id}
    assert {one["SourceAddress"] for one in (deleted, disabled, registered)} == {"127.0.0.1"}
    found = await records(platform, ProductKey=product_key, FromMs=begun_ms, Action="DisableThing")
    assert found == [disabled]


@OVER_SOCKET
async def test_no_secret_or_payload_is_in_a_record(platform: "Platform") -> None:
    product_key, hidden = await new_product(platform), secrets.token_hex(16)
    name = f"dsn-{secrets.token_hex(4)}"
    await platform.rest("PUT", f"/v1/secrets/{name}", json={"Value": hidden})
    await platform.api().ok("ImportDevice", ProductKey=product_key, DeviceName="dev_one", DeviceSecret=hidden)
    devices = [{"DeviceName": "dev_two", "DeviceSecret": hidden}]
    await platform.api().ok("BatchImportDevice", ProductKey=product_key, DeviceList=devices)
    made = await platform.rest("POST", "/v1/access-keys", json={"Role": "reader", "Description": "d"})
    answer = await platform.rest("GET", "/v1/audit-records", params={"Limit": 20})
    by_action = {one["Action"]: one for one in reversed(answer.json()["Records"])}
    assert by_action["PutSecret"]["Target"] == {"Name": name}
    assert by_action["BatchImportDevice"]["Target"]["DeviceList"] == "1 entries"
    assert by_action["CreateAccessKey"]["Target"]["AccessKeyId"] == made.json()["AccessKeyId"]
    for secret in (hidden, made.json()["AccessKeySecret"], platform.key.access_key_secret):
        assert secret not in answer.text


@OVER_SOCKET
async def test_a_forbidden_change_is_told_and_only_administrators_read_their_instance(platform: "Platform") -> None:
    instance = f"iot-{secrets.token_hex(6)}"
    made = await platform.rest("POST", "/v1/instances", json={"InstanceId": instance, "Name": instance})
    assert made.status_code == 201, made.text
    keys = {}
    for role in ("reader", "administrator"):
        body = {"Role": role, "BoundInstanceId": instance, "Description": "test"}
        answer = await platform.rest("POST", "/v1/access-keys", json=body)
        keys[role] = Key(answer.json()["AccessKeyId"], answer.json()["AccessKeySecret"])
    with pytest.raises(ApiRefused):
        await platform.api(key=keys["reader"]).call("DeleteProduct", ProductKey="a1nothing00")
    (refused,) = await records(platform, keys["administrator"], Action="DeleteProduct")
    assert (refused["Code"], refused["AccessKeyId"]) == ("Forbidden.RAM", keys["reader"].access_key_id)
    assert {one["InstanceId"] for one in await records(platform, keys["administrator"])} == {instance}
    answer = await platform.rest("GET", "/v1/audit-records", keys["reader"])
    assert answer.status_code == 403


@OVER_SOCKET
async def test_pages_go_back_to_the_first_record(platform: "Platform") -> None:
    product_key = await new_product(platform)
    for _ in range(3):
        await platform.rest("PUT", f"/v1/products/{product_key}/limits", json={})
    seen, before = [], 0
    while True:
        params = {"ProductKey": product_key, "Limit": 2, "Before": before}
        page = (await platform.rest("GET", "/v1/audit-records", params=params)).json()
        seen += [one["RecordId"] for one in page["Records"]]
        if "NextBefore" not in page:
            break
        before = page["NextBefore"]
    assert len(seen) == 4
    assert seen == sorted(seen, reverse=True)


class AwayAudit:
    """An audit log that cannot be written; `outcomes_only` takes the beginning of a record and not its end, `frozen`
    never answers."""

    def __init__(self, outcomes_only: bool = False, frozen: bool = False) -> None:
        self.outcomes_only = outcomes_only
        self.frozen = frozen
        self.asked = 0

    async def begin(self, call: AuditCall) -> int:
        self.asked += 1
        if self.frozen:
            await asyncio.Event().wait()
        if self.outcomes_only:
            return 7
        raise Unavailable("auth is away")

    async def finish(self, record_id: int, code: str, made: Mapping[str, str]) -> None:
        raise Unavailable("auth is away")

    async def list(self, query: AuditQuery) -> Sequence[AuditRecord]:
        raise Unavailable("auth is away")


def called(name: str) -> tuple[Operation, Caller, str, Any, Origin]:
    operation = TABLE[name]
    members = {
        "ProductKey": "a1pk",
        "DeviceName": "dev1",
        "Items": "{}",
        "RuleId": 1,
        "Args": "{}",
        "Identifier": "open",
    }
    request = operation.request.model_validate(members, by_alias=True)
    return operation, Caller("key1", Role.ADMINISTRATOR), "", request, Origin("R1", "rest", "192.0.2.7")


async def test_a_change_that_cannot_be_recorded_is_not_made() -> None:
    with pytest.raises(Refused) as refused:
        await Auditor(AwayAudit(), time.monotonic).begin(*called("DeleteDevice"))
    assert refused.value.code == "ServiceUnavailable"
    assert "it was not made" in refused.value.message


async def test_a_command_to_a_device_is_performed_without_the_log_and_said_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    audit, now = AwayAudit(), 100.0
    auditor = Auditor(audit, lambda: now)
    for _ in range(3):
        assert await auditor.begin(*called("SetDeviceProperty")) is None
    assert audit.asked == 1, "the log is not waited for with every command"
    assert caplog.text.count("without an audit record") == 3
    assert caplog.records[0].__dict__["target"] == {"ProductKey": "a1pk", "DeviceName": "dev1"}
    now += 6
    assert await auditor.begin(*called("SetDeviceProperty")) is None
    assert audit.asked == 2


async def test_a_frozen_log_holds_one_command_up_and_not_the_others() -> None:
    audit = AwayAudit(frozen=True)
    auditor = Auditor(audit, time.monotonic)
    begun = time.monotonic()
    assert await auditor.begin(*called("InvokeThingService")) is None
    for _ in range(50):
        assert await auditor.begin(*called("SetDeviceProperty")) is None
    assert audit.asked == 1
    assert time.monotonic() - begun < REST_SECONDS


async def test_an_outcome_that_cannot_be_added_is_said_aloud_and_the_answer_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trail = await Auditor(AwayAudit(outcomes_only=True), time.monotonic).begin(*called("DeleteDevice"))
    assert trail is not None
    with caplog.at_level(logging.ERROR):
        await trail.end("OK")
    assert (caplog.records[0].__dict__["record"], caplog.records[0].__dict__["code"]) == (7, "OK")


async def test_readings_and_messages_to_a_device_are_not_recorded() -> None:
    audit = AwayAudit()
    for name in TRAFFIC | {"QueryProduct", "ListAuditRecords"}:
        assert recording(TABLE[name]) is Recording.NEVER
    assert {name for name in COMMANDS if recording(TABLE[name]) is Recording.TRY} == COMMANDS
    assert audit.asked == 0


@pytest.mark.parametrize("operation", RECORDED, ids=[operation.name for operation in RECORDED])
def test_every_record_names_what_is_acted_on(operation: Operation) -> None:
    """A member that names something belongs into `domain.audit.TARGETS`; no member there is a secret or a payload."""
    names = {wire_name(n, f) for model in (operation.request, operation.response) for n, f in fields(model)}
    assert names & (TARGETS | COUNTED) or operation.name in TELLS_NOTHING


def test_no_target_is_a_secret() -> None:
    assert not [name for name in TARGETS if "Secret" in name or "Value" in name or "Content" in name]


def fields(model: type[Members]) -> list[tuple[str, Any]]:
    return list(model.model_fields.items())
