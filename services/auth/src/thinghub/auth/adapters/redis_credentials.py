"""The credential cache and the nonces in Redis.

`cred:{pk/dn}` holds `<version>\\n<json members>\\n<ciphertext>`: the version first and in digits, so that the writing
script compares it without reading on. Secrets are in it as PostgreSQL has them, sealed. A deleted credential leaves a
marker for long enough that no reader who saw it alive can still be about to write it back.
"""

import base64
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from thinghub.auth.domain.devices import Credential, DeviceId
from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import Sealed
from thinghub.auth.errors import StoreUnavailable
from thinghub.common.redis import Redis, RedisError, Script, cmd, script

DEADLINE_S = 1.0
DELETED_S = 3600

_PUT = Script(
    """
local old = redis.call('GET', KEYS[1])
local version = old and tonumber(string.match(old, '^(%d+)\\n'))
if version and version > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
)


class RedisCredentialCache:
    """Implements `CredentialCache`."""

    def __init__(self, redis: Redis, ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    async def get(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Credential]:
        answers = await self._redis.run([cmd("GET", _key(device)) for device in devices], DEADLINE_S)
        found = (
            decode(device, answer) for device, answer in zip(devices, answers, strict=True) if isinstance(answer, bytes)
        )
        return {credential.device: credential for credential in found if credential}

    async def put(self, credentials: Sequence[Credential]) -> None:
        commands = [
            script(
                _PUT,
                keys=[_key(credential.device)],
                args=[credential.version, encode(credential), DELETED_S if credential.deleted else self._ttl_s],
            )
            for credential in credentials
        ]
        answers = await self._redis.run(commands, DEADLINE_S)
        if any(isinstance(answer, Exception) for answer in answers):
            raise StoreUnavailable("the credential cache could not be written; the change is stored, repeat the call")


class RedisNonces:
    """Implements `Nonces`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def use(self, access_key_id: str, nonce: str, seconds: int) -> bool:
        # Hashed: a nonce is the caller's text, of any length and characters.
        key = f"nonce:{access_key_id}:{blake2b(nonce.encode(), digest_size=16).hexdigest()}"
        try:
            return await self._redis.one(cmd("SET", key, 1, "NX", "EX", seconds), DEADLINE_S) is not None
        except RedisError as error:
            raise StoreUnavailable("the nonce could not be stored") from error


def _key(device: DeviceId) -> str:
    return f"cred:{{{device.product_key}/{device.device_name}}}"


def encode(credential: Credential) -> bytes:
    sealed = credential.sealed or Sealed("", b"")
    members: dict[str, object] = {
        "i": credential.iot_id,
        "d": credential.disabled,
        "x": credential.deleted,
        "k": sealed.key_id,
    }
    if credential.rotation:
        members["r"] = _rotation_members(credential.rotation)
    return b"%d\n%s\n%s" % (credential.version, orjson.dumps(members), sealed.ciphertext)


def decode(device: DeviceId, value: bytes) -> Credential | None:
    """None when the value is not ours: then PostgreSQL is asked, and the cache filled anew."""
    try:
        version, text, ciphertext = value.split(b"\n", 2)
        members = orjson.loads(text)
        sealed = None if members["x"] else Sealed(members["k"], ciphertext)
        rotation = _rotation(members["r"]) if "r" in members else None
        return Credential(device, int(version), members["i"], members["d"], members["x"], sealed, rotation)
    except (ValueError, KeyError, TypeError):
        return None


def _rotation_members(rotation: Rotation) -> list[object]:
    former = rotation.former or Sealed("", b"")
    text = base64.b64encode(former.ciphertext).decode()
    return [rotation.started_ms, rotation.former_until_ms, rotation.adopted_ms, former.key_id, text]


def _rotation(members: list[Any]) -> Rotation:
    started_ms, former_until_ms, adopted_ms, key_id, text = members
    former = Sealed(key_id, base64.b64decode(text)) if key_id else None
    return Rotation(started_ms, former_until_ms, adopted_ms, former)
