"""What auth does while PostgreSQL or Redis is away; what it refuses to start with."""

import asyncio
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.auth_service import PRODUCT, Auth, StartAuth, auth_starter, proof
from tests.support.identity import Identity
from tests.support.servers import PostgresServer, RedisServer
from thinghub.auth.app import load_master_keys
from thinghub.auth.domain import access
from thinghub.auth.domain.sealing import generate_master_key
from thinghub.auth.settings import Settings
from thinghub.common.errors import RemoteFault
from thinghub.common.settings import SettingsError
from thinghubpb.auth.v1 import auth_pb2 as pb

NOBODY = Identity(PRODUCT, "nobody", "x")


async def eventually(auth: Auth, identity: Identity, verdict: "pb.Verdict.ValueType", seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while (found := await auth.verdict(identity)) != verdict:
        assert time.monotonic() < end, f"still {found}"
        await asyncio.sleep(0.1)


async def fault_of_put(auth: Auth, name: str) -> RemoteFault:
    with pytest.raises(RemoteFault) as refused:
        await auth.put(name)
    return refused.value


async def test_without_postgresql_known_devices_connect_and_auth_stays_ready(
    start_auth: StartAuth, private_postgres: PostgresServer
) -> None:
    auth = await start_auth(postgres_dsn=private_postgres.dsn)
    (known,) = await auth.put("dev1")
    private_postgres.kill()
    assert await auth.verdicts(proof(known), proof(NOBODY)) == [pb.VERDICT_OK, pb.VERDICT_UNAVAILABLE]
    assert (await fault_of_put(auth, "dev2")).remote_reason == "store_unavailable"
    await asyncio.sleep(2.5)
    assert auth.runtime.health.ready()
    private_postgres.start()
    await eventually(auth, NOBODY, pb.VERDICT_UNKNOWN_DEVICE)
    await auth.put("dev2")


async def test_a_frozen_postgresql_is_answered_within_the_time_a_connect_has(
    start_auth: StartAuth, private_postgres: PostgresServer
) -> None:
    auth = await start_auth(postgres_dsn=private_postgres.dsn)
    (known,) = await auth.put("dev1")
    private_postgres.pause()
    began = time.monotonic()
    assert await auth.verdicts(proof(known), proof(NOBODY)) == [pb.VERDICT_OK, pb.VERDICT_UNAVAILABLE]
    assert time.monotonic() - began < 4
    private_postgres.resume()
    await eventually(auth, NOBODY, pb.VERDICT_UNKNOWN_DEVICE)


async def test_without_redis_postgresql_decides_and_a_change_is_told_to_be_repeated(
    start_auth: StartAuth, private_redis: RedisServer
) -> None:
    auth = await start_auth(redis_url=private_redis.url, repair_seconds=0.2)
    (identity,) = await auth.put("dev1")
    private_redis.kill()
    assert await auth.verdict(identity) == pb.VERDICT_OK
    assert await auth.verdict(NOBODY) == pb.VERDICT_UNKNOWN_DEVICE
    with pytest.raises(RemoteFault) as refused:
        await auth.enable(False, "dev1")
    assert refused.value.remote_reason == "store_unavailable"
    assert await auth.verdict(identity) == pb.VERDICT_DISABLED, "the change is stored"
    assert auth.runtime.health.ready()
    private_redis.start()
    # Redis comes back with the record of before; nobody repeats the call, the repair writes it.
    await eventually(auth, identity, pb.VERDICT_DISABLED)
    await asyncio.sleep(0.5)
    assert await auth.verdict(identity) == pb.VERDICT_DISABLED


async def test_without_both_the_verdict_is_unavailable(
    start_auth: StartAuth, private_redis: RedisServer, private_postgres: PostgresServer
) -> None:
    auth = await start_auth(redis_url=private_redis.url, postgres_dsn=private_postgres.dsn)
    (identity,) = await auth.put("dev1")
    private_redis.kill()
    private_postgres.kill()
    assert await auth.verdict(identity) == pb.VERDICT_UNAVAILABLE
    private_redis.start()
    await eventually(auth, identity, pb.VERDICT_OK)


async def test_a_nonce_needs_redis(start_auth: StartAuth, private_redis: RedisServer) -> None:
    auth = await start_auth(
        redis_url=private_redis.url, bootstrap_access_key_id="THfirst", bootstrap_access_key_secret="f" * 30
    )
    private_redis.kill()
    basic = pb.BasicProof(access_key_id="THfirst", access_key_secret="f" * 30)
    assert (await auth.verify(basic=basic)).role == pb.ROLE_ADMINISTRATOR
    text = "text"
    signature = pb.SignatureProof(
        algorithm=pb.SIGNATURE_ALGORITHM_HMAC_SHA1,
        access_key_id="THfirst",
        string_to_sign=text,
        signature=access.sign(access.SignatureAlgorithm.HMAC_SHA1, "f" * 30, text),
        nonce="n",
        timestamp_ms=time.time_ns() // 1_000_000,
    )
    with pytest.raises(RemoteFault) as refused:
        await auth.verify(signature=signature)
    assert refused.value.kind == "Unavailable"


async def test_absent_at_start_it_waits_and_becomes_ready_without_a_restart(
    private_postgres: PostgresServer, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    private_postgres.kill()
    async with auth_starter(
        tmp_path, postgres_dsn=private_postgres.dsn, redis_url=redis_url, redis_prefix=prefix
    ) as start:
        auth = await start(ready=False)
        await asyncio.sleep(1)
        assert not auth.runtime.health.ready()
        assert (await fault_of_put(auth, "dev1")).kind == "Unavailable"
        private_postgres.start()
        await asyncio.wait_for(auth.runtime.health.wait_ready(), 20)
        await auth.put("dev1")


async def test_a_known_access_key_works_for_a_while_without_postgresql(
    start_auth: StartAuth, private_postgres: PostgresServer
) -> None:
    auth = await start_auth(
        postgres_dsn=private_postgres.dsn,
        key_fresh_seconds=0,
        bootstrap_access_key_id="THfirst",
        bootstrap_access_key_secret="f" * 30,
    )
    basic = pb.BasicProof(access_key_id="THfirst", access_key_secret="f" * 30)
    await auth.verify(basic=basic)
    private_postgres.kill()
    assert (await auth.verify(basic=basic)).access_key_id == "THfirst"
    with pytest.raises(RemoteFault) as refused:
        await auth.verify(basic=pb.BasicProof(access_key_id="THother", access_key_secret="f" * 30))
    assert refused.value.kind == "Unavailable"


def test_without_a_master_key_it_does_not_start() -> None:
    with pytest.raises(ValidationError, match="THINGHUB_AUTH_MASTER_KEY_FILE"):
        Settings()


def test_a_master_key_file_is_read_and_wrong_ones_are_named_without_the_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(generate_master_key("k9") + "\n")
    assert load_master_keys(Settings(master_key_file=str(file))).active == "k9"
    with pytest.raises(SettingsError, match="cannot be read"):
        load_master_keys(Settings(master_key_file=str(tmp_path / "absent")))
    file.write_text("k1:c2hvcnQ=")
    with pytest.raises(SettingsError, match="32 bytes") as refused:
        load_master_keys(Settings(master_key_file=str(file)))
    assert "c2hvcnQ" not in str(refused.value)
