"""The policy cache in Redis: `policy:{pk}` is `<version>\\n<json>`; the version first, for the script that compares."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import orjson

from thinghub.common.redis import Redis, Script, cmd, script
from thinghub.device_registry.domain.policies import Policy
from thinghub.device_registry.domain.products import LimitMode, Limits
from thinghub.device_registry.domain.topic_classes import Operation, TopicClass
from thinghub.device_registry.errors import StoreUnavailable

DEADLINE_S = 1.0

_PUT = Script(
    """
local old = redis.call('GET', KEYS[1])
local version = old and tonumber(string.match(old, '^(%d+)\\n'))
if version and version > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
)


class RedisPolicyCache:
    """Implements `PolicyCache`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, product_keys: Sequence[str]) -> Mapping[str, Policy]:
        answers = await self._redis.run([cmd("GET", _key(key)) for key in product_keys], DEADLINE_S)
        found = (
            decode(key, answer) for key, answer in zip(product_keys, answers, strict=True) if isinstance(answer, bytes)
        )
        return {policy.product_key: policy for policy in found if policy}

    async def put(self, policies: Sequence[Policy]) -> None:
        commands = [script(_PUT, keys=[_key(one.product_key)], args=[one.version, encode(one)]) for one in policies]
        answers = await self._redis.run(commands, DEADLINE_S)
        if any(isinstance(answer, Exception) for answer in answers):
            raise StoreUnavailable("the policy cache could not be written")


def _key(product_key: str) -> str:
    return f"policy:{{{product_key}}}"


def encode(policy: Policy) -> bytes:
    return b"%d\n%s" % (policy.version, orjson.dumps(asdict(policy)))


def decode(product_key: str, value: bytes) -> Policy | None:
    """None when the value is not ours."""
    try:
        members = orjson.loads(value.partition(b"\n")[2])
        classes = tuple(
            TopicClass(**{**one, "operation": Operation(one["operation"])}) for one in members["topic_classes"]
        )
        limits = Limits(**{**members["limits"], "mode": LimitMode(members["limits"]["mode"])})
        return Policy(**{**members, "product_key": product_key, "topic_classes": classes, "limits": limits})
    except (ValueError, KeyError, TypeError):
        return None
