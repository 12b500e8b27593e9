"""Device credentials through the running service."""

import asyncio
import logging

import asyncpg
import pytest

from tests.support.auth_service import PRODUCT, Auth, StartAuth, device, proof
from tests.support.identity import Identity
from tests.support.servers import RedisServer
from thinghub.common.errors import RemoteFault
from thinghubpb.auth.v1 import auth_pb2 as pb


@pytest.mark.parametrize("method", ["hmacmd5", "hmacsha1", "hmacsha256"])
async def test_a_registered_device_is_authenticated(auth: Auth, method: str) -> None:
    (identity,) = await auth.put("dev1")
    assert len(identity.device_secret) == 32
    assert await auth.verdict(identity, method) == pb.VERDICT_OK


async def test_a_batch_is_judged_in_its_order(auth: Auth) -> None:
    one, two = await auth.put("dev1", "dev2")
    (off,) = await auth.put("dev3", disabled=True)
    wrong = Identity(PRODUCT, "dev2", "x" * 32)
    stranger = Identity(PRODUCT, "nobody", "x" * 32)
    impossible = Identity("\x00", "", "x")
    proofs = [proof(identity) for identity in (stranger, two, wrong, off, one, impossible, one)]
    assert await auth.verdicts(*proofs) == [
        pb.VERDICT_UNKNOWN_DEVICE,
        pb.VERDICT_OK,
        pb.VERDICT_BAD_SIGNATURE,
        pb.VERDICT_DISABLED,
        pb.VERDICT_OK,
        pb.VERDICT_UNKNOWN_DEVICE,
        pb.VERDICT_OK,
    ]


async def test_a_device_connects_at_once_after_it_was_refused_and_registered(auth: Auth) -> None:
    identity = Identity(PRODUCT, "dev1", "given-from-outside")
    assert await auth.verdict(identity) == pb.VERDICT_UNKNOWN_DEVICE
    await auth.put("dev1", secret="given-from-outside")
    assert await auth.verdict(identity) == pb.VERDICT_OK


async def test_disabled_enabled_and_deleted_take_effect_at_once_and_may_be_repeated(auth: Auth) -> None:
    (identity,) = await auth.put("dev1")
    for enabled, verdict in ((False, pb.VERDICT_DISABLED), (True, pb.VERDICT_OK)):
        for _ in range(2):
            await auth.enable(enabled, "dev1", "nobody")
            assert await auth.verdict(identity) == verdict
    for _ in range(2):
        await auth.delete("dev1", "nobody")
        assert await auth.verdict(identity) == pb.VERDICT_UNKNOWN_DEVICE


async def test_a_repeated_registration_keeps_the_secret_and_one_after_deletion_gets_another(auth: Auth) -> None:
    (first,) = await auth.put("dev1")
    (again,) = await auth.put("dev1")
    assert again == first
    await auth.delete("dev1")
    (anew,) = await auth.put("dev1")
    assert anew.device_secret != first.device_secret
    assert await auth.verdict(first) == pb.VERDICT_BAD_SIGNATURE
    assert await auth.verdict(anew) == pb.VERDICT_OK


async def test_every_process_sees_a_change_at_once(start_auth: StartAuth) -> None:
    one, other = await start_auth(), await start_auth()
    (identity,) = await one.put("dev1")
    assert await other.verdict(identity) == pb.VERDICT_OK
    await one.enable(False, "dev1")
    assert await other.verdict(identity) == pb.VERDICT_DISABLED


async def test_secrets_are_read_in_order_and_absent_ones_are_empty(auth: Auth) -> None:
    one, two = await auth.put("dev1", "dev2")
    answer = await auth.stub.GetDeviceSecrets(
        pb.GetDeviceSecretsRequest(devices=[device("dev2"), device("nobody"), device("dev1")])
    )
    assert list(answer.device_secrets) == [two.device_secret, "", one.device_secret]


async def test_product_secrets_are_kept_given_or_generated(auth: Auth) -> None:
    async def put(key: str, secret: str = "") -> str:
        request = pb.PutProductSecretRequest(product_key=key, product_secret=secret)
        return (await auth.stub.PutProductSecret(request)).product_secret

    generated = await put("a1")
    assert await put("a1") == generated
    assert await put("a2", "given") == "given"
    request = pb.GetProductSecretsRequest(product_keys=["a2", "a3", "a1"])
    assert list((await auth.stub.GetProductSecrets(request)).product_secrets) == ["given", "", generated]
    await auth.stub.DeleteProductSecret(pb.DeleteProductSecretRequest(product_key="a2"))
    assert list((await auth.stub.GetProductSecrets(request)).product_secrets) == ["", "", generated]


async def test_batches_are_bounded_and_named_once(auth: Auth) -> None:
    with pytest.raises(RemoteFault) as refused:
        await auth.verdicts(*[pb.DeviceProof(device=device("dev1"))] * 2001)
    assert refused.value.kind == "InvalidArgument"
    with pytest.raises(RemoteFault) as refused:
        await auth.put("dev1", "dev1")
    assert refused.value.kind == "InvalidArgument"


async def test_concurrent_changes_of_the_same_devices_all_succeed(auth: Auth) -> None:
    names = [f"dev{number:03d}" for number in range(50)]
    await auth.put(*names)
    forward, backward = names, list(reversed(names))
    await asyncio.gather(*(auth.enable(turn % 2 == 0, *(backward if turn % 3 else forward)) for turn in range(12)))
    await auth.enable(True, *names)
    identities = await auth.put(*names)
    assert set(await auth.verdicts(*map(proof, identities))) == {pb.VERDICT_OK}


async def test_no_secret_is_stored_or_logged_in_the_clear(
    auth: Auth, redis_server: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "plainly-visible-secret"
    with caplog.at_level(logging.DEBUG):
        (identity,) = await auth.put("dev1", secret=secret)
        await auth.verdict(identity)
        await auth.verdict(Identity(PRODUCT, "dev1", secret + "x"))
    assert secret not in caplog.text
    assert identity.login().password not in caplog.text
    with redis_server.client() as client:
        client.connection_pool.connection_kwargs["decode_responses"] = False
        keys = list(client.scan_iter(f"{prefix}*"))
        assert keys
        assert not [key for key in keys if secret.encode() in client.get(key)]
    connection = await asyncpg.connect(auth.settings.postgres_dsn)
    try:
        row = await connection.fetchrow(f"SELECT * FROM {auth.settings.postgres_schema}.device_credential")
        assert row is not None
        assert secret.encode() not in b"".join(
            value if isinstance(value, bytes) else str(value).encode() for value in row
        )
    finally:
        await connection.close()


async def test_ciphertexts_swapped_between_devices_let_nobody_in(start_auth: StartAuth) -> None:
    auth = await start_auth()
    one, two = await auth.put("dev1", "dev2")
    connection = await asyncpg.connect(auth.settings.postgres_dsn)
    try:
        await connection.execute(
            f"UPDATE {auth.settings.postgres_schema}.device_credential c SET ciphertext = o.ciphertext "
            f"FROM {auth.settings.postgres_schema}.device_credential o WHERE c.device_name <> o.device_name"
        )
    finally:
        await connection.close()
    fresh = await start_auth(redis_prefix="elsewhere-" + auth.settings.redis_prefix)
    assert await fresh.verdicts(proof(one), proof(two)) == [pb.VERDICT_UNAVAILABLE] * 2
    assert await fresh.verdict(Identity(PRODUCT, "dev1", two.device_secret)) == pb.VERDICT_UNAVAILABLE
