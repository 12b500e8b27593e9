"""Many devices at once, through the running service, with a real auth."""

import asyncio
import contextlib
from collections.abc import Sequence

import asyncpg
import pytest

from tests.support.auth_service import Auth
from tests.support.identity import Identity
from tests.support.registry_service import Registry, StartRegistry
from thinghub.common.bus.port import Bus, BusRecord
from thinghub.common.errors import RemoteFault, Unavailable
from thinghub.device_protocol.bus_topics import DEVICE_LIFECYCLE
from thinghub.device_protocol.records import decode_record
from thinghub.device_registry.domain.applications import Entry
from thinghub.device_registry.service import registrar
from thinghub.device_registry.service.making import Maker
from thinghubpb.auth.v1 import auth_pb2
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb

Answer = pb.GetApplicationResponse
OVER = (Answer.STATE_DONE, Answer.STATE_FAILED)


async def reason(call: object) -> str:
    with pytest.raises(RemoteFault) as refused:
        await call  # type: ignore[misc]  # grpc's calls are awaitable
    return refused.value.remote_reason


async def applied(registry: Registry, product_key: str, apply_id: int) -> Answer:
    return await registry.stub.GetApplication(pb.GetApplicationRequest(product_key=product_key, apply_id=apply_id))


async def until_over(registry: Registry, product_key: str, apply_id: int) -> Answer:
    async with asyncio.timeout(30):
        while (answer := await applied(registry, product_key, apply_id)).state not in OVER:
            await asyncio.sleep(0.02)
    return answer


async def made_devices(registry: Registry, apply_id: int) -> tuple[list[pb.Device], int]:
    devices: list[pb.Device] = []
    while True:
        request = pb.ListApplicationDevicesRequest(
            apply_id=apply_id, page=len(devices) // 200 + 1, page_size=200, with_secrets=True
        )
        answer = await registry.stub.ListApplicationDevices(request)
        devices += answer.devices
        if len(answer.devices) < 200:
            return devices, answer.total


def names(*given: str) -> list[pb.WantedDevice]:
    return [pb.WantedDevice(device_name=name) for name in given]


def identity(device: pb.Device) -> Identity:
    return Identity(device.device.product_key, device.device.device_name, device.device_secret)


async def test_names_are_checked_then_registered(registry: Registry, auth: Auth) -> None:
    product_key = (await registry.product()).product_key
    await registry.register(product_key, "taken")
    wanted = [
        pb.WantedDevice(device_name="good1", nickname="hall"),
        *names("good2", "a b", "taken", "good1"),
        pb.WantedDevice(device_name="good3", nickname="n" * 65),
    ]
    checked = await registry.stub.CreateApplication(
        pb.CreateApplicationRequest(product_key=product_key, devices=wanted)
    )
    assert [(one.device_name, one.reason) for one in checked.refused] == [
        ("a b", pb.RefusedDevice.REASON_NAME),
        ("taken", pb.RefusedDevice.REASON_REPEATED),
        ("good1", pb.RefusedDevice.REASON_REPEATED),
        ("good3", pb.RefusedDevice.REASON_NICKNAME),
    ]
    before = await applied(registry, product_key, checked.apply_id)
    assert (before.state, list(before.names)) == (Answer.STATE_CHECKED, ["good1", "good2"])
    assert (await made_devices(registry, checked.apply_id)) == ([], 0)
    await registry.register(product_key, "good2")  # somebody was faster
    start = pb.StartApplicationRequest(product_key=product_key, apply_id=checked.apply_id)
    await registry.stub.StartApplication(start)
    after = await until_over(registry, product_key, checked.apply_id)
    assert (after.state, list(after.names)) == (Answer.STATE_DONE, ["good1"])
    assert "good2" in [one.device_name for one in after.refused]
    ((device,), total) = await made_devices(registry, checked.apply_id)
    assert (device.nickname, total, await auth.verdict(identity(device))) == ("hall", 1, auth_pb2.VERDICT_OK)
    await registry.stub.StartApplication(start)
    assert (await applied(registry, product_key, checked.apply_id)).state == Answer.STATE_DONE, "one that is over stays"


async def test_nothing_to_make_is_a_failure(registry: Registry) -> None:
    product_key = (await registry.product()).product_key
    checked = await registry.stub.CreateApplication(
        pb.CreateApplicationRequest(product_key=product_key, devices=names("a b"))
    )
    await registry.stub.StartApplication(pb.StartApplicationRequest(product_key=product_key, apply_id=checked.apply_id))
    assert (await until_over(registry, product_key, checked.apply_id)).state == Answer.STATE_FAILED


async def test_wrong_applications_are_refused(registry: Registry) -> None:
    create, stub = pb.CreateApplicationRequest, registry.stub
    key, other = (await registry.product()).product_key, (await registry.product()).product_key
    assert await reason(stub.CreateApplication(create(product_key=key, count=10_001))) == "application_too_large"
    assert await reason(stub.CreateApplication(create(product_key=key))) == "application_too_large"
    many = create(product_key=key, devices=names(*(f"dev{number:05}" for number in range(1001))))
    assert await reason(stub.CreateApplication(many)) == "application_too_large"
    assert await reason(stub.CreateApplication(create(product_key="nobody", count=1))) == "product_not_found"
    checked = await stub.CreateApplication(create(product_key=key, devices=names("good1")))
    start, get = pb.StartApplicationRequest, pb.GetApplicationRequest
    assert await reason(stub.StartApplication(start(product_key=key, apply_id=99))) == "application_not_found"
    foreign = {"product_key": other, "apply_id": checked.apply_id}
    assert await reason(stub.StartApplication(start(**foreign))) == "application_invalid"  # type: ignore[arg-type]
    assert await reason(stub.GetApplication(get(**foreign))) == "application_invalid"  # type: ignore[arg-type]
    tenant = get(instance_id="iot-other", product_key=key, apply_id=checked.apply_id)
    assert await reason(stub.GetApplication(tenant)) == "application_not_found"


async def test_a_worker_that_ends_in_the_middle_leaves_no_device_twice_or_out_and_secrets_as_they_were(
    start_registry: StartRegistry, bus: Bus, auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two registries share the work; each fails after auth has the secrets of a portion and before the commit, again
    and again. Secrets seen in auth in between must be those in force at the end."""
    monkeypatch.setattr(registrar, "PORTION", 20)
    monkeypatch.setattr(registrar, "POLL_S", 0.02)
    monkeypatch.setattr(registrar, "BACKOFF_S", 0.02)
    first, _ = await start_registry(), await start_registry()
    turns = iter(range(1000))
    secrets: dict[str, str] = {}
    real = Maker.make

    async def dying(self: Maker, unit: object, entries: Sequence[Entry]) -> frozenset[object]:
        made = await real(self, unit, entries)  # type: ignore[arg-type]
        ids = [
            device_pb2.DeviceId(product_key=one.device.product_key, device_name=one.device.device_name)
            for one in entries
        ]
        known = await auth.stub.GetDeviceSecrets(auth_pb2.GetDeviceSecretsRequest(devices=ids))
        for one, secret in zip(entries, known.device_secrets, strict=True):
            assert secrets.setdefault(one.device.device_name, secret) == secret
        if next(turns) % 3 < 2:
            raise Unavailable("the process ends here")
        return made

    monkeypatch.setattr(Maker, "make", dying)
    product_key = (await first.product()).product_key
    created = await first.stub.CreateApplication(pb.CreateApplicationRequest(product_key=product_key, count=210))
    over = await until_over(first, product_key, created.apply_id)
    devices, total = await made_devices(first, created.apply_id)
    assert (over.state, len(over.names), len(set(over.names)), total) == (Answer.STATE_DONE, 210, 210, 210)
    assert {one.device.device_name: one.device_secret for one in devices} == secrets
    listed = await first.stub.CountDevices(pb.CountDevicesRequest(product_key=product_key))
    assert (listed.devices, listed.online, listed.active) == (210, 0, 0)
    assert await announced(bus, product_key, 210) == sorted(over.names)


async def announced(bus: Bus, product_key: str, wanted: int) -> list[str]:
    """Names in the lifecycle messages of the product, until so many are there; in order of names, repeats too."""
    seen: list[str] = []

    async def read(records: Sequence[BusRecord]) -> None:
        messages = [message for record in records for message in decode_record(record.value).messages]
        seen.extend(one.device_name for one in messages if one.product_key == product_key)

    reading = asyncio.create_task(bus.consume("device-registry-test", [DEVICE_LIFECYCLE], read))
    try:
        async with asyncio.timeout(20):
            while len(seen) < wanted:
                await asyncio.sleep(0.05)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    return sorted(seen)


async def test_an_application_goes_on_after_a_restart(
    start_registry: StartRegistry, bus: Bus, postgres_dsn: str
) -> None:
    first = await start_registry()
    product_key = (await first.product()).product_key
    checked = await first.stub.CreateApplication(
        pb.CreateApplicationRequest(product_key=product_key, devices=names("left1", "left2"))
    )
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(  # as a process leaves it that ended right after it was started
        f"UPDATE {first.settings.postgres_schema}.application SET state = 'running' WHERE apply_id = $1",
        checked.apply_id,
    )
    await connection.close()
    second = await start_registry()
    assert list((await until_over(second, product_key, checked.apply_id)).names) == ["left1", "left2"]


async def test_imported_devices_keep_their_secrets(registry: Registry, auth: Auth) -> None:
    product_key = (await registry.product()).product_key
    await registry.register(product_key, "taken")
    wanted = [
        pb.WantedDevice(device_name="old1", device_secret="from-the-old-cloud-1", sn="SN1"),
        pb.WantedDevice(device_name="old2", device_secret="from-the-old-cloud-2"),
        pb.WantedDevice(device_name="taken", device_secret="not-in-force"),
        pb.WantedDevice(device_name="nosecret"),
        pb.WantedDevice(device_name="longsn", device_secret="s", sn="x" * 65),
    ]
    imported = await registry.stub.ImportDevices(pb.ImportDevicesRequest(product_key=product_key, devices=wanted))
    assert [(one.device_name, one.reason) for one in imported.refused] == [
        ("taken", pb.RefusedDevice.REASON_REPEATED),
        ("nosecret", pb.RefusedDevice.REASON_SECRET),
        ("longsn", pb.RefusedDevice.REASON_SN),
    ]
    assert (await applied(registry, product_key, imported.apply_id)).state == Answer.STATE_DONE
    devices, total = await made_devices(registry, imported.apply_id)
    assert [(one.device.device_name, one.device_secret, one.sn) for one in devices] == [
        ("old1", "from-the-old-cloud-1", "SN1"),
        ("old2", "from-the-old-cloud-2", ""),
    ]
    assert total == 2
    assert await auth.verdict(identity(devices[1])) == auth_pb2.VERDICT_OK


async def test_devices_are_listed_by_status(registry: Registry) -> None:
    product_key = (await registry.product()).product_key
    first, _ = await registry.register(product_key, "dev1"), await registry.register(product_key, "dev2")
    await registry.enable(first, False)

    async def listed(status: "pb.DeviceStatus.ValueType") -> tuple[list[str], int]:
        request = pb.ListDevicesRequest(product_key=product_key, status=status, page_size=1)
        answer = await registry.stub.ListDevices(request)
        return [one.device.device_name for one in answer.devices], answer.total

    assert await listed(pb.DEVICE_STATUS_DISABLED) == (["dev1"], 1)
    assert await listed(pb.DEVICE_STATUS_UNACTIVE) == (["dev2"], 1)
    assert await listed(pb.DEVICE_STATUS_ONLINE) == ([], 0)
    assert await listed(pb.DEVICE_STATUS_OFFLINE) == ([], 0)
