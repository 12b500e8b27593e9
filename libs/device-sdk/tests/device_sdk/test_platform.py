"""Against the platform as a user runs it: one process, its own servers, reached plain and by TLS."""

import asyncio
import base64
import hashlib
import json
import secrets
import ssl
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

import tests.support.identity
from tests.integration.flows.steps import eventually, new_device, new_product
from tests.integration.flows.things import latest, modelled
from tests.support.cable import cable
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne
from thinghub.device_sdk import (
    Backoff,
    CannotConnect,
    Desired,
    Device,
    Document,
    DownloadOptions,
    Endpoint,
    Identity,
    Options,
    ReplyError,
    ShadowError,
    SignMethod,
    Upgrade,
)


@pytest.fixture
def platform(one_process: AllInOne) -> AllInOne:
    return one_process


@pytest.fixture
async def identity(api: OpenApi) -> Identity:
    made = await new_device(api, await new_product(api))
    return Identity(made.product_key, made.device_name, made.device_secret)


def plain(platform: AllInOne) -> Endpoint:
    return Endpoint(*platform.mqtt)


async def send(api: OpenApi, identity: Identity, payload: bytes) -> None:
    await api.ok(
        "Pub",
        ProductKey=identity.product_key,
        TopicFullName=identity.custom("get"),
        MessageContent=base64.b64encode(payload).decode(),
        Qos=1,
    )


async def call(api: OpenApi, identity: Identity, payload: bytes, **more: Any) -> dict[str, Any]:
    return await api.call(
        "RRpc",
        ProductKey=identity.product_key,
        DeviceName=identity.device_name,
        RequestBase64Byte=base64.b64encode(payload).decode(),
        Timeout=4000,
        **more,
    )


@pytest.mark.parametrize("method", SignMethod)
async def test_every_signature_over_tls_with_the_platform_s_ca(
    platform: AllInOne, identity: Identity, method: SignMethod
) -> None:
    host, port = platform.mqtts
    async with Device(identity, Endpoint.with_ca(f"{host}:{port}", platform.ca), Options(sign_method=method)) as device:
        await device.publish(device.topic("update"), b"{}")


async def test_a_certificate_of_another_ca_is_not_trusted(platform: AllInOne, identity: Identity) -> None:
    endpoint = Endpoint(*platform.mqtts, ssl.create_default_context())
    with pytest.raises(CannotConnect) as raised:
        async with Device(identity, endpoint, Options(connect_deadline=1)):
            pass
    assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)


async def test_a_message_from_a_server_reaches_its_handler(
    platform: AllInOne, identity: Identity, api: OpenApi
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue(10)

    async def handle(_topic: str, payload: bytes) -> None:
        await received.put(payload)

    device = Device(identity, plain(platform))
    await device.subscribe(device.topic("get"), handle)
    async with device:
        await send(api, identity, b"hello")
        assert await asyncio.wait_for(received.get(), 10) == b"hello"


async def test_calls_and_synchronous_services_are_answered(
    platform: AllInOne, identity: Identity, api: OpenApi
) -> None:
    async def shout(request: bytes) -> bytes:
        return request.upper()

    async def add(given: dict[str, Any]) -> dict[str, Any]:
        return {"sum": given["a"] + given["b"]}

    async with Device(identity, plain(platform)) as device:
        device.on_call(shout)
        device.things.on_service("add", add)
        await device.on_custom_call(device.topic("rpc"), shout)
        for topic in ({}, {"Topic": device.topic("rpc")}):
            answer = await call(api, identity, b"abc", **topic)
            assert (answer["RrpcCode"], base64.b64decode(answer["PayloadBase64Byte"])) == ("SUCCESS", b"ABC")
        service = {"id": "7", "version": "1.0", "params": {"a": 2, "b": 3}, "method": "thing.service.add"}
        for topic in ({}, {"Topic": identity.sys("thing/service/add")}):
            answer = await call(api, identity, json.dumps(service).encode(), **topic)
            assert answer["RrpcCode"] == "SUCCESS", answer
            said = json.loads(base64.b64decode(answer["PayloadBase64Byte"]))
            assert (said["id"], said["code"], said["data"]) == ("7", 200, {"sum": 5})
        unknown = await call(api, identity, json.dumps(service | {"method": "thing.service.no"}).encode())
        assert json.loads(base64.b64decode(unknown["PayloadBase64Byte"]))["code"] == 400


async def test_the_platform_s_clock_is_ours(platform: AllInOne, identity: Identity) -> None:
    async with Device(identity, plain(platform)) as device:
        assert abs(await device.server_time() - time.time() * 1000) < 500


async def test_a_shadow_is_written_read_and_deleted(platform: AllInOne, identity: Identity) -> None:
    async with Device(identity, plain(platform)) as device:
        assert await device.shadow.update({"color": "red", "on": True}) == 1
        assert await device.shadow.update({"color": "blue"}) == 2
        assert await device.shadow.delete("on") == 3
        document = await device.shadow.get()
        assert (document.version, document.reported, document.desired) == (3, {"color": "blue"}, {})
        with pytest.raises(ShadowError) as raised:
            await device.shadow.update({"color": "old"}, version=2)
        assert raised.value.code == 409


async def test_two_writers_of_one_shadow_both_get_through(platform: AllInOne, identity: Identity, api: OpenApi) -> None:
    async with Device(identity, plain(platform)) as device:
        await device.shadow.update({"n": 0})
        for number in range(1, 4):
            await desire(api, identity, {"wish": number}, device.shadow.version + 1)
            await device.shadow.update({"n": number})
        assert (await device.shadow.get()).reported == {"n": 3}


async def test_what_is_desired_reaches_the_device_online_and_when_it_comes_back(
    platform: AllInOne, identity: Identity, api: OpenApi
) -> None:
    wished: asyncio.Queue[Document] = asyncio.Queue(10)

    async def control(document: Document) -> None:
        await wished.put(document)

    device = Device(identity, plain(platform))
    device.shadow.on_control(control)
    async with device:
        await device.shadow.update({"color": "red"})
        await desire(api, identity, {"color": "green"}, 2)
        document = await asyncio.wait_for(wished.get(), 10)
        assert (document.version, document.desired) == (2, {"color": "green"})
        await device.shadow.update({"color": "green"})
        await device.shadow.clear_desired()
        assert (await device.shadow.get()).desired == {}
    await desire(api, identity, {"color": "black"}, 5)
    again = Device(identity, plain(platform))
    again.shadow.on_control(control)
    async with again:
        assert (await asyncio.wait_for(wished.get(), 10)).desired == {"color": "black"}


async def desire(api: OpenApi, identity: Identity, desired: dict[str, Any], version: int) -> None:
    message = {"method": "update", "state": {"desired": desired}, "version": version}
    await api.ok(
        "UpdateDeviceShadow",
        ProductKey=identity.product_key,
        DeviceName=identity.device_name,
        ShadowMessage=json.dumps(message),
    )


@pytest.fixture
async def modelled_identity(api: OpenApi) -> Identity:
    """Of a product with the properties Temp, On, Note and the event alarm."""
    made = await modelled(api)
    return Identity(made.product_key, made.device_name, made.device_secret)


async def test_properties_and_events_are_posted_and_faults_are_typed(
    platform: AllInOne, modelled_identity: Identity, api: OpenApi
) -> None:
    async with Device(modelled_identity, plain(platform)) as device:
        await device.things.post_properties({"Temp": 20, "On": 1})
        await device.things.post_properties({"Temp": 21}, time_ms=int(time.time() * 1000))
        await device.things.post_history({"Temp": [(22, 1700000000000), (23, int(time.time() * 1000))]})
        await device.things.post_event("alarm", {"code": 7})
        with pytest.raises(ReplyError) as raised:
            await device.things.post_properties({"Temp": 2000})
        assert raised.value.code != 200
        assert raised.value.message
        with pytest.raises(ReplyError):
            await device.things.post_event("unknown", {})
    assert await latest(api, tests.support.identity.Identity(**asdict(modelled_identity))) == {"Temp": "23", "On": "1"}


async def test_a_property_set_by_a_server_reaches_the_device(
    platform: AllInOne, modelled_identity: Identity, api: OpenApi
) -> None:
    seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue(10)
    device = Device(modelled_identity, plain(platform))
    device.things.on_property_set(seen.put)
    async with device:
        named = {"ProductKey": modelled_identity.product_key, "DeviceName": modelled_identity.device_name}
        await api.ok("SetDeviceProperty", **named, Items='{"Temp": 30}')
        assert await asyncio.wait_for(seen.get(), 10) == {"Temp": 30}


SERVICES = [
    {
        "identifier": f"Add{kind}",
        "name": "Add",
        "callType": kind,
        "inputData": [{"identifier": "a", "name": "a", "dataType": {"type": "int", "specs": {}}}],
        "outputData": [{"identifier": "b", "name": "b", "dataType": {"type": "int", "specs": {}}}],
    }
    for kind in ("sync", "async")
]


@pytest.mark.parametrize("ext", [0, 1])
async def test_services_are_answered_the_way_they_came(platform: AllInOne, api: OpenApi, ext: int) -> None:
    """Asynchronous on `_reply`; synchronous on the same topic with ext=1, and on rrpc/response without."""
    key = await new_product(api)
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps({"services": SERVICES}))
    await api.ok("PublishThingModel", ProductKey=key)
    made = await new_device(api, key)
    named = {"ProductKey": key, "DeviceName": made.device_name}
    device = Device(Identity(key, made.device_name, made.device_secret), plain(platform), Options(ext=ext))

    async def add(given: dict[str, Any]) -> dict[str, Any]:
        if given["a"] < 0:
            raise ReplyError(460, "too small")
        return {"b": given["a"] + 1}

    for service in SERVICES:
        device.things.on_service(str(service["identifier"]), add)
    async with device:
        told = await api.ok("InvokeThingService", **named, Identifier="Addsync", Args='{"a": 1}')
        assert json.loads(told["Data"]["Result"]) == {"b": 2}
        refused = await api.call("InvokeThingService", **named, Identifier="Addsync", Args='{"a": -1}')
        assert refused["Success"] is False
        await api.ok("InvokeThingService", **named, Identifier="Addasync", Args='{"a": 5}')

        async def answered() -> bool:
            span = {"StartTime": 0, "EndTime": 1 << 50, "PageSize": 10, "Asc": 0}
            found = await api.ok("QueryDeviceServiceData", **named, Identifier="Addasync", **span)
            rows = found["Data"]["List"]["ServiceInfo"]
            return bool(rows and json.loads(rows[0].get("OutputData") or "{}") == {"b": 6})

        assert await eventually(answered)


async def test_desired_values_are_read_and_deleted_by_version(
    platform: AllInOne, modelled_identity: Identity, api: OpenApi
) -> None:
    named = {"ProductKey": modelled_identity.product_key, "DeviceName": modelled_identity.device_name}
    async with Device(modelled_identity, plain(platform)) as device:
        assert await device.things.desired() == {}
        await api.ok("SetDeviceDesiredProperty", **named, Items='{"Temp": 30, "On": 1}', Versions="{}")
        assert await device.things.desired(["Temp"]) == {"Temp": Desired(30, 1)}
        assert set(await device.things.desired()) == {"Temp", "On"}
        await device.things.delete_desired({"Temp": 7})
        assert set(await device.things.desired()) == {"Temp", "On"}
        await device.things.delete_desired({"Temp": 1})
        assert set(await device.things.desired()) == {"On"}
        await device.things.delete_desired({"On": None})
        assert await device.things.desired() == {}


async def test_tags_are_kept_and_faults_are_typed(platform: AllInOne, identity: Identity, api: OpenApi) -> None:
    async with Device(identity, plain(platform)) as device:
        await device.things.update_tags({"serial": "17", "room": "hall"})
        await device.things.delete_tags(["room"])
        with pytest.raises(ReplyError) as raised:
            await device.ask("thing/deviceinfo/update", [{"attrKey": "serial"}])
        assert raised.value.code == 460
    shown = await api.ok("QueryDeviceProp", ProductKey=identity.product_key, DeviceName=identity.device_name)
    assert json.loads(shown["Props"]) == {"serial": "17"}


@pytest.mark.parametrize("method", ["Md5", "SHA256"])
async def test_a_device_upgrades_itself(
    platform: AllInOne, identity: Identity, api: OpenApi, tmp_path: Path, method: str
) -> None:
    package, installed = secrets.token_bytes(300_000), asyncio.Event()
    device = Device(identity, plain(platform))

    async def upgrade(found: Upgrade) -> None:
        image = await found.download(tmp_path, DownloadOptions(range_size=70_000))
        assert image.read_bytes() == package
        await device.ota.inform(found.version)
        installed.set()

    device.ota.on_upgrade(upgrade)
    async with device:
        await device.ota.inform("1.0.0")
        job = await upgrade_job(api, identity, package, method)
        await asyncio.wait_for(installed.wait(), 30)

        async def succeeded() -> bool:
            (task,) = (await api.ok("ListOTATaskByJob", JobId=job))["Data"]["SimpleOTATaskInfo"]
            return bool(task["TaskStatus"] == "SUCCEEDED")

        assert await eventually(succeeded)
        assert await device.ota.check() is None


async def upgrade_job(api: OpenApi, identity: Identity, package: bytes, method: str) -> str:
    place = (await api.ok("GenerateOTAUploadURL", FileSuffix="bin"))["Data"]
    form = {name: place[name[:1].upper() + name[1:]] for name in ("key", "policy", "OSSAccessKeyId", "Signature")}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        (await http.post(place["Host"], data=form, files={"file": ("f.bin", package)})).raise_for_status()
    firmware = await api.ok(
        "CreateOTAFirmware",
        FirmwareName=f"release 2 by {method}",
        DestVersion="2.0.0",
        FirmwareUrl=place["FirmwareUrl"],
        ProductKey=identity.product_key,
        FirmwareSize=len(package),
        SignMethod=method.upper(),
        FirmwareSign=hashlib.new(method.lower(), package).hexdigest(),
    )
    made = await api.ok(
        "CreateOTAStaticUpgradeJob",
        FirmwareId=firmware["Data"]["FirmwareId"],
        ProductKey=identity.product_key,
        TargetSelection="SPECIFIC",
        TargetDeviceName=[identity.device_name],
    )
    return str(made["Data"]["JobId"])


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("connect_and_publish.py", "the platform has"),
        ("receive_commands.py", "listening"),
        ("shadow_socket.py", "version 1"),
        ("ota_update.py", "up to date"),
        ("thing.py", "posted"),
    ],
)
async def test_an_example_runs(platform: AllInOne, identity: Identity, example: str, says: str, tmp_path: Path) -> None:
    more = {"connect_and_publish.py": ["--tls"], "ota_update.py": ["1.0.0", str(tmp_path)]}.get(example, [])
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / example),
        str(platform.data_dir / "endpoints.json"),
        identity.product_key,
        identity.device_name,
        identity.device_secret,
        *more,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        line = await asyncio.wait_for(running.stdout.readline(), 20)
        assert says in line.decode()
    finally:
        running.kill()
        await running.wait()


async def test_the_gateway_example_runs(platform: AllInOne, api: OpenApi, tmp_path: Path) -> None:
    gateways = (await api.ok("CreateProduct", ProductName=f"gw_{secrets.token_hex(6)}", NodeType=1))["ProductKey"]
    gateway, sensors = await new_device(api, gateways), await new_product(api)
    behind = [await new_device(api, sensors) for _ in range(3)]
    words = [(one.product_key, one.device_name, one.device_secret) for one in behind]
    (tmp_path / "sensors.json").write_text(json.dumps(words))
    endpoints = str(platform.data_dir / "endpoints.json")
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "gateway_with_sensors.py"),
        *(endpoints, gateway.product_key, gateway.device_name, gateway.device_secret, str(tmp_path / "sensors.json")),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        lines = [await asyncio.wait_for(running.stdout.readline(), 20) for _ in range(4)]
        assert lines[0] == b"logged in 3 of 3\n"
        assert {line.split()[0].decode() for line in lines[1:]} == {one.device_name for one in behind}
    finally:
        running.kill()
        await running.wait()


async def test_a_restarted_platform_is_found_again(platform: AllInOne, identity: Identity) -> None:
    """Last of the file: the ports are others afterwards."""
    async with cable(platform.mqtt) as path:
        endpoint, quick = Endpoint("127.0.0.1", path.port), Options(backoff=Backoff(0.2, 1.0))
        async with Device(identity, endpoint, quick) as device:
            await device.publish(device.topic("update"), b"before")
            publishing = asyncio.create_task(keep_publishing(device))
            await platform.restart()
            path.target = platform.mqtt
            await asyncio.wait_for(publishing, 60)
            assert device.connected
        assert path.connections > 1


async def keep_publishing(device: Device) -> None:
    """For some seconds, over the restart; every publish gets through."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        await device.publish(device.topic("update"), b"{}", deadline=40)
        await asyncio.sleep(0.2)
