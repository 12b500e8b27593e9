"""Access keys, signatures, tokens and named secrets through the running service."""

import asyncio
import base64
import hashlib
import hmac
import time
import uuid

import pytest

from tests.support.auth_service import Auth, StartAuth
from thinghub.common.errors import RemoteFault
from thinghubpb.auth.v1 import auth_pb2 as pb


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def signed(key_id: str, secret: str, text: str = "POST&%2F&x", nonce: str = "", at_ms: int = 0) -> pb.SignatureProof:
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return pb.SignatureProof(
        algorithm=pb.SIGNATURE_ALGORITHM_HMAC_SHA1,
        access_key_id=key_id,
        string_to_sign=text,
        signature=base64.b64encode(digest).decode(),
        nonce=nonce or uuid.uuid4().hex,
        timestamp_ms=at_ms or now_ms(),
    )


async def create(auth: Auth, role: "pb.Role.ValueType" = pb.ROLE_OPERATOR, **more: str) -> tuple[str, str]:
    answer = await auth.stub.CreateAccessKey(pb.CreateAccessKeyRequest(role=role, **more))
    return answer.access_key.access_key_id, answer.access_key_secret


async def reason(auth: Auth, **given: object) -> str:
    """Why the caller is refused."""
    with pytest.raises(RemoteFault) as refused:
        await auth.verify(**given)  # type: ignore[arg-type]
    return refused.value.remote_reason


async def test_both_signatures_name_the_caller(auth: Auth) -> None:
    key_id, secret = await create(auth, instance_id="iot-1")
    answer = await auth.verify(signature=signed(key_id, secret))
    assert (answer.access_key_id, answer.role, answer.instance_id) == (key_id, pb.ROLE_OPERATOR, "iot-1")
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(b"request").hexdigest()
    v3 = pb.SignatureProof(
        algorithm=pb.SIGNATURE_ALGORITHM_ACS3_HMAC_SHA256,
        access_key_id=key_id,
        string_to_sign=text,
        signature=hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        nonce="n3",
        timestamp_ms=now_ms(),
    )
    assert (await auth.verify(signature=v3)).access_key_id == key_id


async def test_each_wrong_signature_has_its_reason(auth: Auth) -> None:
    key_id, secret = await create(auth)
    quarter = 15 * 60_000 + 5_000
    assert await reason(auth, signature=signed("THunknown", secret)) == "access_key_unknown"
    assert await reason(auth, signature=signed("a\x00b c", secret)) == "access_key_unknown"
    assert await reason(auth, signature=signed(key_id, secret + "x")) == "signature_mismatch"
    assert await reason(auth, signature=signed(key_id, secret, at_ms=now_ms() - quarter)) == "timestamp_expired"
    assert await reason(auth, signature=signed(key_id, secret, at_ms=now_ms() + quarter)) == "timestamp_expired"
    assert await reason(auth) == "proof_invalid"
    assert await reason(auth, signature=pb.SignatureProof(access_key_id=key_id)) == "proof_invalid"


async def test_a_nonce_is_good_once_and_only_the_right_signature_uses_it(start_auth: StartAuth) -> None:
    one, other = await start_auth(), await start_auth()
    key_id, secret = await create(one)
    assert await reason(one, signature=signed(key_id, "wrong", nonce="n1")) == "signature_mismatch"
    await one.verify(signature=signed(key_id, secret, nonce="n1"))
    assert await reason(one, signature=signed(key_id, secret, nonce="n1")) == "nonce_used"
    assert await reason(other, signature=signed(key_id, secret, nonce="n1")) == "nonce_used"
    another_id, another_secret = await create(one)
    await one.verify(signature=signed(another_id, another_secret, nonce="n1"))


async def test_basic_credentials_are_the_access_key(auth: Auth) -> None:
    key_id, secret = await create(auth, role=pb.ROLE_READER)
    answer = await auth.verify(basic=pb.BasicProof(access_key_id=key_id, access_key_secret=secret))
    assert answer.role == pb.ROLE_READER
    for wrong_id, wrong in ((key_id, secret + "x"), (key_id, ""), ("THnobody", secret), ("THnobody", "")):
        basic = pb.BasicProof(access_key_id=wrong_id, access_key_secret=wrong)
        assert await reason(auth, basic=basic) == "basic_invalid"


async def test_a_token_dies_with_its_key_in_every_process(start_auth: StartAuth) -> None:
    one, other = await start_auth(key_fresh_seconds=0.2), await start_auth(key_fresh_seconds=0.2)
    key_id, secret = await create(one)
    token = (await one.stub.IssueToken(pb.IssueTokenRequest(access_key_id=key_id))).token
    bearer = pb.BearerProof(token=token)
    assert (await other.verify(bearer=bearer)).access_key_id == key_id
    await one.stub.DeleteAccessKey(pb.DeleteAccessKeyRequest(access_key_id=key_id))
    assert await reason(one, bearer=bearer) == "token_invalid"
    await asyncio.sleep(0.25)  # the other process may remember the key for so long
    assert await reason(other, bearer=bearer) == "token_invalid"
    await create(one, access_key_id=key_id, access_key_secret=secret)
    assert await reason(one, bearer=bearer) == "token_invalid", "a key made anew does not revive old tokens"
    assert await reason(one, bearer=pb.BearerProof(token="x")) == "token_invalid"


async def test_access_keys_are_given_or_generated_listed_without_secrets_and_deleted(auth: Auth) -> None:
    given = await create(auth, access_key_id="LTAIfromTheOldCloud", access_key_secret="s" * 30, description="import")
    assert given == ("LTAIfromTheOldCloud", "s" * 30)
    generated, secret = await create(auth)
    assert generated.startswith("TH")
    assert len(generated) == 24
    assert len(secret) >= 30
    with pytest.raises(RemoteFault) as refused:
        await create(auth, access_key_id=given[0], access_key_secret="t" * 30)
    assert refused.value.remote_reason == "access_key_exists"
    listed = (await auth.stub.ListAccessKeys(pb.ListAccessKeysRequest())).access_keys
    assert {key.access_key_id for key in listed} == {given[0], generated}
    page = (
        await auth.stub.ListAccessKeys(pb.ListAccessKeysRequest(after=listed[0].access_key_id, limit=1))
    ).access_keys
    assert [key.access_key_id for key in page] == [listed[1].access_key_id]
    await auth.stub.DeleteAccessKey(pb.DeleteAccessKeyRequest(access_key_id=generated))
    with pytest.raises(RemoteFault) as refused:
        await auth.stub.DeleteAccessKey(pb.DeleteAccessKeyRequest(access_key_id=generated))
    assert refused.value.remote_reason == "access_key_unknown"
    with pytest.raises(RemoteFault) as refused:
        await create(auth, role=pb.ROLE_UNSPECIFIED)
    assert refused.value.kind == "InvalidArgument"


async def test_the_first_key_is_made_once_whoever_starts(start_auth: StartAuth) -> None:
    first = {"bootstrap_access_key_id": "THfirst", "bootstrap_access_key_secret": "f" * 30}
    auth = await start_auth(**first)
    basic = pb.BasicProof(access_key_id="THfirst", access_key_secret="f" * 30)
    assert (await auth.verify(basic=basic)).role == pb.ROLE_ADMINISTRATOR
    again = await start_auth(**first)
    assert (await again.verify(basic=basic)).instance_id == ""
    await start_auth(bootstrap_access_key_id="THsecond", bootstrap_access_key_secret="g" * 30)
    assert len((await auth.stub.ListAccessKeys(pb.ListAccessKeysRequest())).access_keys) == 1


async def test_named_secrets_are_kept_by_instance_listed_without_values_and_resolved(auth: Auth) -> None:
    async def put(instance: str, name: str, value: str) -> int:
        request = pb.PutNamedSecretRequest(instance_id=instance, name=name, value=value)
        return (await auth.stub.PutNamedSecret(request)).version

    async def resolve(instance: str, *names: str) -> list[str | None]:
        request = pb.ResolveNamedSecretsRequest(instance_id=instance, names=names)
        secrets = (await auth.stub.ResolveNamedSecrets(request)).secrets
        return [one.value if one.found else None for one in secrets]

    older = await put("", "sink.dsn", "postgresql://u:p@h/1")
    assert await put("", "sink.dsn", "postgresql://u:p@h/2") > older
    await put("iot-1", "sink.dsn", "postgresql://u:p@h/3")
    assert await resolve("", "nothing", "sink.dsn") == [None, "postgresql://u:p@h/2"]
    assert await resolve("iot-1", "sink.dsn") == ["postgresql://u:p@h/3"]
    listed = (await auth.stub.ListNamedSecrets(pb.ListNamedSecretsRequest())).secrets
    assert [one.name for one in listed] == ["sink.dsn"]
    await auth.stub.DeleteNamedSecret(pb.DeleteNamedSecretRequest(name="sink.dsn"))
    assert await resolve("", "sink.dsn") == [None]
    with pytest.raises(RemoteFault) as refused:
        await auth.stub.DeleteNamedSecret(pb.DeleteNamedSecretRequest(name="sink.dsn"))
    assert refused.value.remote_reason == "secret_not_found"
    with pytest.raises(RemoteFault) as refused:
        await put("", "not a name", "value")
    assert refused.value.remote_reason == "secret_name_invalid"
    assert "value" not in refused.value.message.replace("a secret's value", "")
