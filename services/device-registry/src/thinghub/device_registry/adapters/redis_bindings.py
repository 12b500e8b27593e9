"""Copies of topology in Redis: `topology:{pk/dn}` of a sub-device is `<since>\\n<gateway's pk/dn>`, empty for none. The
time comes first, for the script that compares. Kept for a week after it was last asked for."""

from collections.abc import Mapping, Sequence

from thinghub.common.redis import Redis, Script, cmd, script
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import Binding
from thinghub.device_registry.errors import StoreUnavailable

DEADLINE_S = 0.4
KEEP_S = 7 * 24 * 3600

_PUT = Script(
    """
local old = redis.call('GET', KEYS[1])
local since = old and tonumber(string.match(old, '^(%d+)\\n'))
if since and since > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
)


class RedisBindings:
    """Implements `BindingCache`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        answers = await self._redis.run([cmd("GET", _key(one)) for one in devices], DEADLINE_S)
        found = ((one, _decode(answer)) for one, answer in zip(devices, answers, strict=True))
        return {one: binding for one, binding in found if binding is not None}

    async def put(self, bindings: Mapping[DeviceId, Binding]) -> None:
        commands = [
            script(_PUT, keys=[_key(one)], args=[binding.since_ms, _encode(binding), KEEP_S])
            for one, binding in bindings.items()
        ]
        answers = await self._redis.run(commands, DEADLINE_S)
        if any(isinstance(answer, Exception) for answer in answers):
            raise StoreUnavailable("the copies of topology could not be written")


def _key(device: DeviceId) -> str:
    return f"topology:{{{device.product_key}/{device.device_name}}}"


def _encode(binding: Binding) -> bytes:
    gateway = binding.gateway
    name = f"{gateway.product_key}/{gateway.device_name}" if gateway else ""
    return f"{binding.since_ms}\n{name}".encode()


def _decode(answer: object) -> Binding | None:
    """None when there is nothing, or nothing of ours."""
    if not isinstance(answer, bytes):
        return None
    since, _, gateway = answer.decode("utf-8", "replace").partition("\n")
    if not since.isdecimal():
        return None
    product_key, _, device_name = gateway.partition("/")
    return Binding(DeviceId(product_key, device_name) if gateway else None, int(since))
