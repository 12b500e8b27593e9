"""Every secret under the first master key: a job that may be killed, and what is told of keys meanwhile."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.auth_service import PRODUCT, Auth, auth_starter, device, proof
from tests.support.child import Child
from tests.support.identity import Identity
from tests.support.servers import PostgresServer
from thinghub.auth.domain.sealing import generate_master_key
from thinghub.common.rpc import channel
from thinghubpb.auth.v1 import auth_pb2 as pb
from thinghubpb.auth.v1 import device_secrets_pb2, master_keys_pb2
from thinghubpb.auth.v1.device_secrets_pb2_grpc import DeviceSecretServiceStub
from thinghubpb.auth.v1.master_keys_pb2_grpc import MasterKeyServiceStub

K1, K2, K3 = (generate_master_key(name) for name in ("k1", "k2", "k3"))
FAST = {"rewrap_seconds": 0.2, "rewrap_pause_seconds": 0.01, "rewrap_agree_seconds": 0.6}
Uses = dict[str, dict[str, int]]


@pytest.fixture
def starting(postgres_dsn: str, redis_url: str, prefix: str) -> dict[str, Any]:
    """Settings of auth processes that share their stores."""
    return {
        "postgres_dsn": postgres_dsn,
        "redis_url": redis_url,
        "redis_prefix": prefix,
        "postgres_schema": "auth_" + prefix.strip("."),
    }


@contextlib.asynccontextmanager
async def running(folder: Path, shared: dict[str, Any], *keys: str, **settings: object) -> AsyncIterator[Auth]:
    async with auth_starter(folder, **shared, master_key="\n".join(keys)) as start:
        yield await start(**{**FAST, **settings})


async def keys(auth: Auth) -> list[master_keys_pb2.MasterKey]:
    return list(
        (await MasterKeyServiceStub(channel(auth.target)).ListMasterKeys(master_keys_pb2.ListMasterKeysRequest())).keys
    )


async def uses(auth: Auth) -> Uses:
    return {key.key_id: {one.kind: one.count for one in key.records} for key in await keys(auth)}


async def until_left(auth: Auth, key_id: str) -> Uses:
    async with asyncio.timeout(60):
        while (found := await uses(auth)).get(key_id):
            await asyncio.sleep(0.05)
    return found


async def filled(auth: Auth, devices: int = 3) -> list[Identity]:
    """Secrets of every kind; the first device's is being rotated. Its former identity comes last."""
    identities = await auth.put(*(f"dev{number:04d}" for number in range(devices)))
    await auth.stub.PutProductSecret(pb.PutProductSecretRequest(product_key=PRODUCT, product_secret="product"))
    await auth.stub.PutNamedSecret(pb.PutNamedSecretRequest(instance_id="i", name="dsn", value="named"))
    await auth.stub.CreateAccessKey(
        pb.CreateAccessKeyRequest(
            role=pb.ROLE_READER, description="d", access_key_id="thekey", access_key_secret="access-key-secret"
        )
    )
    rotating = device_secrets_pb2.RotateDeviceSecretRequest(device=device("dev0000"), overlap_ms=3_600_000)
    new = await DeviceSecretServiceStub(channel(auth.target)).RotateDeviceSecret(rotating)
    return [Identity(PRODUCT, "dev0000", new.device_secret), *identities[1:], identities[0]]


async def everything_opens(auth: Auth, identities: list[Identity]) -> None:
    for start in range(0, len(identities), 1000):
        proofs = [proof(one) for one in identities[start : start + 1000]]
        assert set(await auth.verdicts(*proofs)) == {pb.VERDICT_OK}
    products = await auth.stub.GetProductSecrets(pb.GetProductSecretsRequest(product_keys=[PRODUCT]))
    named = await auth.stub.ResolveNamedSecrets(pb.ResolveNamedSecretsRequest(instance_id="i", names=["dsn"]))
    assert ([*products.product_secrets], named.secrets[0].value) == (["product"], "named")
    await auth.verify(basic=pb.BasicProof(access_key_id="thekey", access_key_secret="access-key-secret"))


async def test_every_secret_is_sealed_anew_and_the_older_key_may_go(tmp_path: Path, starting: dict[str, Any]) -> None:
    async with running(tmp_path, starting, K1) as auth:
        identities = await filled(auth)
        before = {"device": 3, "former_device": 1, "product": 1, "access_key": 1, "named": 1}
        assert await uses(auth) == {"k1": before}
    async with running(tmp_path, starting, K2, K1) as auth:
        assert await until_left(auth, "k1") == {"k1": {}, "k2": before}
        told = {key.key_id: (key.active, key.given) for key in await keys(auth)}
        assert told == {"k1": (False, True), "k2": (True, True)}
        await everything_opens(auth, identities)
    async with running(tmp_path, starting, K2) as auth:
        await everything_opens(auth, identities)


async def test_copies_in_the_cache_are_sealed_anew_too(
    tmp_path: Path, starting: dict[str, Any], private_postgres: PostgresServer
) -> None:
    starting["postgres_dsn"] = private_postgres.dsn
    async with running(tmp_path, starting, K1) as auth:
        identities = await auth.put("dev1", "dev2")
    async with running(tmp_path, starting, K2, K1) as auth:
        await until_left(auth, "k1")
        await asyncio.sleep(1)
    async with running(tmp_path, starting, K2) as auth:
        private_postgres.kill()
        assert await auth.verdicts(*map(proof, identities)) == [pb.VERDICT_OK] * 2
        private_postgres.start()


async def test_a_copy_under_a_key_that_is_gone_is_read_again(tmp_path: Path, starting: dict[str, Any]) -> None:
    async with running(tmp_path, starting, K1) as auth:
        identities = await auth.put("dev1")
    async with running(tmp_path, {**starting, "redis_prefix": "away-" + starting["redis_prefix"]}, K2, K1) as auth:
        await until_left(auth, "k1")
    async with running(tmp_path, starting, K2) as auth:
        assert await auth.verdict(identities[0]) == pb.VERDICT_OK


async def test_killed_in_the_middle_it_loses_nothing_and_goes_on(tmp_path: Path, starting: dict[str, Any]) -> None:
    many = 1500
    async with running(tmp_path, starting, K1) as auth:
        identities = await filled(auth, many)
    settings = {**starting, **FAST, "master_key": f"{K2}\n{K1}", "rpc_listen": f"unix://{tmp_path}/killed"}
    settings |= {"rewrap_batch": 20, "rewrap_pause_seconds": 0.05, "metrics_port": 0}
    environment = {f"THINGHUB_AUTH_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "thinghub.auth.main"]
    connection = await asyncpg.connect(starting["postgres_dsn"])
    sealed = f"SELECT count(*) FROM {starting['postgres_schema']}.device_credential WHERE key_id = $1"
    try:
        for goal in (1, 400):
            child = Child(command, tmp_path / "auth.log", os.environ | environment)
            try:
                async with asyncio.timeout(60):
                    while await connection.fetchval(sealed, "k2") < goal:
                        await asyncio.sleep(0.02)
            finally:
                child.kill()
            done, left = [await connection.fetchval(sealed, key_id) for key_id in ("k2", "k1")]
            assert (done + left, left > 0) == (many, True)
    finally:
        await connection.close()
    async with running(tmp_path, starting, K2, K1) as auth:
        await until_left(auth, "k1")
        await everything_opens(auth, identities)
    async with running(tmp_path, starting, K2) as auth:
        await everything_opens(auth, identities)


async def test_nothing_is_sealed_anew_while_processes_disagree(tmp_path: Path, starting: dict[str, Any]) -> None:
    async with running(tmp_path, starting, K1, K2) as old:
        identities = await filled(old)
        async with running(tmp_path, starting, K2, K1) as new:
            await asyncio.sleep(1.5)
            assert (await uses(new))["k1"]["device"] == 3
            (late,) = await new.put("late")
            await asyncio.sleep(1)
            assert (await uses(old))["k2"] == {"device": 1}, "nor is it sealed back"
            await everything_opens(old, [*identities, late])
    async with running(tmp_path, starting, K2, K1) as new:
        await until_left(new, "k1")
        await everything_opens(new, [*identities, late])


async def test_a_key_that_is_missing_is_named(
    tmp_path: Path, starting: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, starting, K1) as auth:
        identities = await filled(auth)
    async with running(tmp_path, starting, K3) as auth:
        async with asyncio.timeout(20):
            while "only it opens" not in str(auth.runtime.health.report()):
                await asyncio.sleep(0.05)
        assert "master key 'k1' is not given and only it opens 3 device secrets" in str(auth.runtime.health.report())
        assert "master key 'k1' is not given" in caplog.text
        assert auth.runtime.health.ready(), "what other keys open goes on"
        told = {key.key_id: (key.active, key.given) for key in await keys(auth)}
        assert told == {"k3": (True, True), "k1": (False, False)}
        assert await auth.verdict(identities[1]) == pb.VERDICT_UNAVAILABLE
    async with running(tmp_path, starting, K3, K1) as auth:
        await until_left(auth, "k1")
        await everything_opens(auth, identities)
        assert "only it opens" not in str(auth.runtime.health.report())


async def test_a_damaged_secret_is_named_and_the_others_are_sealed_anew(
    tmp_path: Path, starting: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, starting, K1) as auth:
        await auth.put("dev1", "dev2", "dev3")
    connection = await asyncpg.connect(starting["postgres_dsn"])
    try:
        table = f"{starting['postgres_schema']}.device_credential"
        await connection.execute(f"UPDATE {table} SET ciphertext = 'damaged'::bytea WHERE device_name = 'dev2'")
    finally:
        await connection.close()
    async with running(tmp_path, starting, K2, K1, rewrap_batch=1) as auth:
        async with asyncio.timeout(20):
            while (await uses(auth)) != {"k2": {"device": 2}, "k1": {"device": 1}}:
                await asyncio.sleep(0.05)
    assert f"the secret of device/{PRODUCT}/dev2 cannot be sealed anew" in caplog.text


async def test_changes_meanwhile_win(tmp_path: Path, starting: dict[str, Any]) -> None:
    async with running(tmp_path, starting, K1) as auth:
        await auth.put(*(f"dev{number}" for number in range(100)))
    async with running(tmp_path, starting, K2, K1, rewrap_batch=5) as auth:
        for turn in range(10):
            names = [f"dev{number}" for number in range(turn, 100, 10)]
            await auth.enable(turn % 2 == 0, *names)
            await auth.delete(names[0])
        await until_left(auth, "k1")
        identities = await auth.put("dev95")
        assert await auth.verdict(identities[0]) == pb.VERDICT_OK
        assert await auth.verdict(Identity(PRODUCT, "dev3", "x")) == pb.VERDICT_UNKNOWN_DEVICE
