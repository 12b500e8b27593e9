"""Rotation of device secrets through the running service."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.support.auth_service import PRODUCT, Auth, StartAuth, device
from tests.support.identity import Identity
from tests.support.servers import PostgresServer, RedisServer
from thinghub.common.errors import RemoteFault
from thinghub.common.rpc import channel
from thinghubpb.auth.v1 import auth_pb2 as auth_pb
from thinghubpb.auth.v1 import device_secrets_pb2 as pb
from thinghubpb.auth.v1.device_secrets_pb2_grpc import DeviceSecretServiceStub

if TYPE_CHECKING:
    from thinghubpb.auth.v1.device_secrets_pb2_grpc import DeviceSecretServiceAsyncStub

HOUR_MS = 3_600_000
OK, BAD = auth_pb.VERDICT_OK, auth_pb.VERDICT_BAD_SIGNATURE


def stub(auth: Auth) -> "DeviceSecretServiceAsyncStub":
    return DeviceSecretServiceStub(channel(auth.target))


async def rotated(
    auth: Auth, name: str = "dev1", secret: str = "", overlap_ms: int = HOUR_MS
) -> tuple[Identity, pb.DeviceSecretRotation]:
    request = pb.RotateDeviceSecretRequest(device=device(name), device_secret=secret, overlap_ms=overlap_ms)
    answer = await stub(auth).RotateDeviceSecret(request)
    return Identity(PRODUCT, name, answer.device_secret), answer.rotation


async def finished(auth: Auth, name: str = "dev1", keep_former: bool = False) -> pb.DeviceSecretRotation:
    request = pb.FinishDeviceSecretRotationRequest(device=device(name), keep_former=keep_former)
    return (await stub(auth).FinishDeviceSecretRotation(request)).rotation


async def rotation(auth: Auth, name: str = "dev1") -> pb.DeviceSecretRotation:
    request = pb.GetDeviceSecretRotationsRequest(devices=[device("nobody"), device(name)])
    nothing, found = (await stub(auth).GetDeviceSecretRotations(request)).rotations
    assert nothing == pb.DeviceSecretRotation()
    return found


async def until_adopted(auth: Auth, name: str = "dev1") -> pb.DeviceSecretRotation:
    """Waits for the store too, where it was away."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(RemoteFault):
                if (found := await rotation(auth, name)).adopted_ms:
                    return found
            await asyncio.sleep(0.05)


async def test_both_secrets_are_good_until_the_rotation_is_finished(start_auth: StartAuth) -> None:
    auth, other = await start_auth(), await start_auth()
    (former,) = await auth.put("dev1")
    new, told = await rotated(auth)
    assert (len(new.device_secret), told.under_way, told.adopted_ms) == (32, True, 0)
    assert told.former_until_ms - told.started_ms == HOUR_MS
    for one in (auth, other):
        assert [await one.verdict(former), await one.verdict(new)] == [OK, OK]
    secrets = await auth.stub.GetDeviceSecrets(auth_pb.GetDeviceSecretsRequest(devices=[device("dev1")]))
    assert list(secrets.device_secrets) == [new.device_secret], "the new one is the device's"
    ended = await finished(auth)
    assert (ended.under_way, ended.former_until_ms <= time.time_ns() // 1_000_000) == (False, True)
    for one in (auth, other):
        assert [await one.verdict(former), await one.verdict(new)] == [BAD, OK]
    assert (await finished(auth)).former_until_ms == ended.former_until_ms, "finishing again changes nothing"


async def test_it_is_told_once_the_device_has_used_the_new_secret(auth: Auth) -> None:
    (former,) = await auth.put("dev1")
    new, told = await rotated(auth)
    assert await auth.verdict(former) == OK
    await asyncio.sleep(1.5)
    assert (await rotation(auth)).adopted_ms == 0
    assert await auth.verdict(new) == OK
    adopted = await until_adopted(auth)
    assert (adopted.started_ms, adopted.under_way) == (told.started_ms, True)
    assert await auth.verdict(new) == OK
    await asyncio.sleep(1.5)
    assert (await rotation(auth)).adopted_ms == adopted.adopted_ms, "the first time stays"


async def test_the_former_secret_ends_by_itself_even_without_the_stores(
    start_auth: StartAuth, private_postgres: PostgresServer
) -> None:
    auth = await start_auth(postgres_dsn=private_postgres.dsn)
    (former,) = await auth.put("dev1")
    new, _ = await rotated(auth, overlap_ms=5000)
    private_postgres.kill()
    assert [await auth.verdict(former), await auth.verdict(new)] == [OK, OK], "both are in the cache"
    async with asyncio.timeout(20):
        while await auth.verdict(former) == OK:
            await asyncio.sleep(0.1)
    assert [await auth.verdict(former), await auth.verdict(new)] == [BAD, OK]
    private_postgres.start()
    assert (await until_adopted(auth)).under_way is False, "what was seen meanwhile is written down afterwards"


async def test_without_redis_both_are_good_as_postgresql_has_them(
    start_auth: StartAuth, private_redis: RedisServer
) -> None:
    auth = await start_auth(redis_url=private_redis.url)
    (former,) = await auth.put("dev1")
    new, _ = await rotated(auth)
    private_redis.kill()
    assert [await auth.verdict(former), await auth.verdict(new)] == [OK, OK]
    with pytest.raises(RemoteFault) as refused:
        await finished(auth)
    assert refused.value.remote_reason == "store_unavailable"
    assert await auth.verdict(former) == BAD, "the change is stored"
    private_redis.start()


async def test_a_rotation_may_be_taken_back(auth: Auth) -> None:
    (former,) = await auth.put("dev1")
    new, _ = await rotated(auth)
    assert await finished(auth, keep_former=True) == pb.DeviceSecretRotation()
    assert [await auth.verdict(former), await auth.verdict(new)] == [OK, BAD]
    with pytest.raises(RemoteFault) as refused:
        await finished(auth, keep_former=True)
    assert refused.value.remote_reason == "rotation_not_found"


async def test_a_repeated_call_begins_no_second_rotation(auth: Auth) -> None:
    (former,) = await auth.put("dev1")
    new, told = await rotated(auth, secret="given-secret")
    assert await rotated(auth, secret="given-secret") == (new, told)
    for secret in ("", "another-secret"):
        with pytest.raises(RemoteFault) as refused:
            await rotated(auth, secret=secret)
        assert refused.value.remote_reason == "rotation_under_way"
    assert await auth.verdict(former) == OK
    await finished(auth)
    with pytest.raises(RemoteFault) as refused:
        await rotated(auth, secret="given-secret")
    assert refused.value.kind == "InvalidArgument", "it is in force already"
    third, _ = await rotated(auth, overlap_ms=0)
    assert [await auth.verdict(new), await auth.verdict(third)] == [BAD, OK]


async def test_states_and_registrations_go_on_during_a_rotation(auth: Auth) -> None:
    (former,) = await auth.put("dev1")
    new, _ = await rotated(auth)
    await auth.enable(False, "dev1")
    assert [await auth.verdict(one) for one in (former, new)] == [auth_pb.VERDICT_DISABLED] * 2
    await auth.enable(True, "dev1")
    (again,) = await auth.put("dev1")
    assert again.device_secret == new.device_secret
    assert [await auth.verdict(one) for one in (former, new)] == [OK, OK]
    await auth.put("dev1", secret="put-in-its-place")
    assert [await auth.verdict(one) for one in (former, new)] == [BAD, BAD]
    assert await rotation(auth) == pb.DeviceSecretRotation()
    newest, _ = await rotated(auth)
    await auth.delete("dev1")
    assert await auth.verdict(newest) == auth_pb.VERDICT_UNKNOWN_DEVICE
    with pytest.raises(RemoteFault) as refused:
        await rotated(auth)
    assert refused.value.remote_reason == "device_not_found"
    await auth.put("dev1")
    assert await auth.verdict(newest) == BAD


async def test_former_secrets_do_not_stay_in_the_stores(start_auth: StartAuth) -> None:
    auth = await start_auth(repair_seconds=0.1)
    await auth.put("dev1")
    await rotated(auth, overlap_ms=200)
    connection = await asyncpg.connect(auth.settings.postgres_dsn)
    try:
        kept = f"SELECT former_ciphertext FROM {auth.settings.postgres_schema}.device_credential"
        async with asyncio.timeout(20):
            while await connection.fetchval(kept) is not None:
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
    assert (await rotation(auth)).former_until_ms > 0, "that it was rotated stays told"


async def test_two_callers_who_rotate_at_once_get_one_rotation(auth: Auth) -> None:
    await auth.put("dev1")
    answers = await asyncio.gather(*(rotated(auth) for _ in range(8)), return_exceptions=True)
    won = [answer[0] for answer in answers if isinstance(answer, tuple)]
    assert len(won) == 1
    assert await auth.verdict(won[0]) == OK
    assert {one.remote_reason for one in answers if isinstance(one, RemoteFault)} == {"rotation_under_way"}


@pytest.mark.parametrize("overlap_ms", [-1, 91 * 24 * HOUR_MS])
async def test_an_overlap_has_bounds(auth: Auth, overlap_ms: int) -> None:
    await auth.put("dev1")
    with pytest.raises(RemoteFault) as refused:
        await rotated(auth, overlap_ms=overlap_ms)
    assert refused.value.kind == "InvalidArgument"
