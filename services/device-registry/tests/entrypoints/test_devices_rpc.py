"""Devices through the running service, with a real auth and a recording gateway."""

import asyncio

import pytest

from tests.support.auth_service import Auth
from tests.support.gateway_calls import GatewayCalls
from tests.support.identity import Identity
from tests.support.registry_service import Registry, StartRegistry, ref
from thinghub.common.errors import RemoteFault
from thinghubpb.auth.v1 import auth_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb


async def reason(call: object) -> str:
    with pytest.raises(RemoteFault) as refused:
        await call  # type: ignore[misc]  # grpc's calls are awaitable
    return refused.value.remote_reason


async def test_a_registered_device_is_known_to_auth(registry: Registry, auth: Auth) -> None:
    product = await registry.product()
    identity = await registry.register(product.product_key, "dev1", nickname="hall")
    assert await auth.verdict(identity) == auth_pb2.VERDICT_OK
    device = await registry.device(identity, with_secrets=True)
    assert device is not None
    assert (device.nickname, device.device_secret) == ("hall", identity.device_secret)
    assert (device.product_name, device.instance_id, device.online, device.activated_ms) == (product.name, "", False, 0)
    assert len(device.iot_id) >= 29
    generated = await registry.register(product.product_key)
    assert 4 <= len(generated.device_name) <= 32


async def test_given_identifiers_are_kept_and_unique(registry: Registry, auth: Auth) -> None:
    product_key = (await registry.product()).product_key
    given = {"iot_id": "4z819VQHk6VSLmmBJfrf00107e0200", "device_secret": "from-the-old-cloud"}
    identity = await registry.register(product_key, "dev1", **given)
    assert identity.device_secret == "from-the-old-cloud"
    assert await auth.verdict(identity) == auth_pb2.VERDICT_OK
    by_iot_id = pb.GetDevicesRequest(refs=[pb.DeviceRef(iot_id=given["iot_id"])])
    assert (await registry.stub.GetDevices(by_iot_id)).devices[0].device.device.device_name == "dev1"
    assert await reason(registry.register(product_key, "dev2", **given)) == "device_exists"
    assert await reason(registry.register(product_key, "dev1")) == "device_exists"
    assert await auth.verdict(identity) == auth_pb2.VERDICT_OK, "a refused registration changes no secret"


@pytest.mark.parametrize(
    ("name", "members", "why"),
    [
        ("abc", {}, "device_name_invalid"),
        ("x" * 33, {}, "device_name_invalid"),
        ("a/bcd", {}, "device_name_invalid"),
        ("dev1", {"iot_id": "not an id"}, "iot_id_invalid"),
        ("dev1", {"nickname": "x" * 65}, "request_invalid"),
        ("dev1", {"instance_id": "iot-other"}, "product_not_found"),
        ("dev1", {"device_secret": "x" * 300}, "request_invalid"),
    ],
)
async def test_a_wrong_registration_is_refused_and_leaves_nothing(
    registry: Registry, name: str, members: dict[str, str], why: str
) -> None:
    product_key = (await registry.product()).product_key
    assert await reason(registry.register(product_key, name, **members)) == why
    listed = await registry.stub.ListDevices(pb.ListDevicesRequest(product_key=product_key))
    assert listed.total == 0


async def test_of_two_registrations_of_one_name_one_wins_and_its_secret_is_in_force(
    registry: Registry, auth: Auth
) -> None:
    product_key = (await registry.product()).product_key
    for turn in range(5):
        name = f"dev{turn}"
        outcomes = await asyncio.gather(
            *(registry.register(product_key, name, device_secret=f"secret-{racer}") for racer in range(4)),
            return_exceptions=True,
        )
        (winner,) = [one for one in outcomes if isinstance(one, Identity)]
        losers = [one for one in outcomes if isinstance(one, RemoteFault)]
        assert [one.remote_reason for one in losers] == ["device_exists"] * 3
        assert await auth.verdict(winner) == auth_pb2.VERDICT_OK


async def test_devices_are_paged_by_number_and_by_key(registry: Registry) -> None:
    product_key = (await registry.product()).product_key
    names = [f"dev{number:02d}" for number in range(7)]
    for name in reversed(names):
        await registry.register(product_key, name)

    async def page(**members: object) -> tuple[list[str], int, str]:
        request = pb.ListDevicesRequest(product_key=product_key, **members)  # type: ignore[arg-type]
        answer = await registry.stub.ListDevices(request)
        return [one.device.device_name for one in answer.devices], answer.total, answer.next_token

    assert (await page(page=2, page_size=3))[:2] == (names[3:6], 7)
    seen, token = [], ""
    while True:
        found, total, token = await page(next_token=token, page_size=3)
        assert total == 7
        seen += found
        if not token:
            break
    assert seen == names
    assert await reason(page(page=1, page_size=1000)) == "page_invalid"
    assert await reason(page(next_token="%%%")) == "page_invalid"
    secrets = await registry.stub.ListDevices(pb.ListDevicesRequest(product_key=product_key, with_secrets=True))
    assert all(len(one.device_secret) == 32 for one in secrets.devices)


async def test_a_batch_of_references_is_answered_in_order(registry: Registry) -> None:
    product_key = (await registry.product()).product_key
    one, two = await registry.register(product_key, "dev1"), await registry.register(product_key, "dev2")
    known = await registry.device(two)
    assert known is not None
    nobody = Identity(product_key, "nobody", "")
    refs = [ref(two), ref(nobody), ref(one), pb.DeviceRef(iot_id=known.iot_id)]
    found = (await registry.stub.GetDevices(pb.GetDevicesRequest(refs=refs))).devices
    assert [one.device.device.device_name for one in found] == ["dev2", "", "dev1", "dev2"]
    elsewhere = (await registry.stub.GetDevices(pb.GetDevicesRequest(refs=refs, instance_id="iot-other"))).devices
    assert not any(one.found for one in elsewhere)


async def test_disable_and_enable_reach_auth_then_the_gateways_and_may_be_repeated(
    registry: Registry, auth: Auth, gateway: GatewayCalls
) -> None:
    identity = await registry.register((await registry.product()).product_key, "dev1")
    auth_says = {False: auth_pb2.VERDICT_DISABLED, True: auth_pb2.VERDICT_OK}
    for enabled in (False, False, True, True):
        await registry.enable(identity, enabled)
        assert await auth.verdict(identity) == auth_says[enabled]
        device = await registry.device(identity)
        assert device is not None
        assert device.disabled is not enabled
    assert [bar > 0 for _, bar, _ in gateway.kicks] == [True, True, False, False]
    assert gateway.kicks[0] == ("dev1", 60, "disabled")
    assert gateway.kicks[2][1] < 0
    nobody = Identity(identity.product_key, "nobody", "")
    assert await reason(registry.enable(nobody, False)) == "device_not_found"


async def test_a_deleted_device_is_gone_everywhere_and_its_name_is_free(
    registry: Registry, auth: Auth, gateway: GatewayCalls
) -> None:
    identity = await registry.register((await registry.product()).product_key, "dev1")
    await registry.delete(identity)
    assert gateway.kicks == [("dev1", 60, "deleted")]
    assert await auth.verdict(identity) == auth_pb2.VERDICT_UNKNOWN_DEVICE
    assert await registry.device(identity) is None
    assert await reason(registry.delete(identity)) == "device_not_found"
    anew = await registry.register(identity.product_key, "dev1")
    assert anew.device_secret != identity.device_secret
    assert gateway.kicks[-1][1] < 0, "the bar of the deletion is lifted"
    assert await auth.verdict(anew) == auth_pb2.VERDICT_OK


async def test_without_gateways_a_disabling_is_stored_and_the_caller_told_to_repeat(
    start_registry: StartRegistry, bus: object, auth: Auth, gateway: GatewayCalls, tmp_path: object
) -> None:
    alone = await start_registry(gateway_target=f"unix://{tmp_path}/nobody")
    identity = await alone.register((await alone.product()).product_key, "dev1")
    with pytest.raises(RemoteFault) as refused:
        await alone.enable(identity, False)
    assert refused.value.kind == "Unavailable"
    assert await auth.verdict(identity) == auth_pb2.VERDICT_DISABLED
    device = await alone.device(identity)
    assert device is not None
    assert device.disabled
    with pytest.raises(RemoteFault) as refused:
        await alone.delete(identity)
    assert refused.value.kind == "Unavailable"
    assert await auth.verdict(identity) == auth_pb2.VERDICT_UNKNOWN_DEVICE
    reached = await start_registry()
    await reached.delete(identity)
    assert await reached.device(identity) is None
    assert gateway.kicks == [("dev1", 60, "deleted")]


async def test_without_auth_nothing_is_registered_and_a_repeat_succeeds(
    start_registry: StartRegistry, bus: object, auth: Auth, tmp_path: object
) -> None:
    registry = await start_registry()
    product_key = (await registry.product()).product_key
    alone = await start_registry(auth_target=f"unix://{tmp_path}/nobody")
    with pytest.raises(RemoteFault) as refused:
        await alone.register(product_key, "dev1")
    assert refused.value.kind == "Unavailable"
    assert await auth.verdict(await registry.register(product_key, "dev1")) == auth_pb2.VERDICT_OK
