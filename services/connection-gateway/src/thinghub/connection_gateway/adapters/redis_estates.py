"""Claims of dead gateways, and claims made once more, in Redis (invariants §1).

    expiring:{incarnation}   string  who is expiring this gateway's sessions; for a few seconds
    expired:{pk/dn}          hash    the claim that others expired: gw epoch iot client since_ms; for an hour

Lease, lock and index of a gateway share a slot, so one script sees whether it is still dead. The mark of an expired
claim shares the device's slot. It is read by the next who expires, if the first one died before the device was reported
offline, and by a gateway that comes back: what was reported ended needs a new epoch. An hour is enough, because no
connection of a frozen gateway outlives it: the longest keep-alive ends after half.
"""

from collections.abc import Sequence

from thinghub.common.redis import Answer, Command, Redis, RedisError, Script, cmd, script
from thinghub.connection_gateway.adapters.presence import GATEWAYS
from thinghub.connection_gateway.adapters.redis_claims import index_key, lease_key, session_key, tomb_key
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.estates import Expired, Reclaimed, Stand
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.errors import ClaimsUnavailable

DEADLINE = 2.0
PAGE = 500
LOCK_MS = 5000
MARK_SECONDS = 3600

# KEYS lock, lease. ARGV who, milliseconds. 1: the gateway is dead, and its sessions are ours to expire.
_LOCK = Script("""
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")

_UNLOCK = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")

# KEYS lease, index. 1: the gateway is dead and has no sessions.
_EMPTY = Script("return (redis.call('EXISTS', KEYS[1]) + redis.call('EXISTS', KEYS[2])) == 0 and 1 or 0")

# KEYS claim, mark. ARGV gw, seconds. Answers what this gateway's claim was, or nothing.
_EXPIRE = Script("""
local held = redis.call('HMGET', KEYS[1], 'gw', 'epoch', 'iot', 'client', 'since_ms')
if not held[1] then held = redis.call('HMGET', KEYS[2], 'gw', 'epoch', 'iot', 'client', 'since_ms')
elseif held[1] == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'gw', held[1], 'epoch', held[2], 'iot', held[3] or '', 'client', held[4] or '',
    'since_ms', held[5] or '0')
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
if held[1] ~= ARGV[1] then return {} end
return {held[2], held[3] or '', held[4] or '', held[5] or '0'}
""")

# KEYS claim, tombstone, mark. ARGV gw addr handle epoch clean ext since_ms client iot. Answers {stand, epoch}.
_RECLAIM = Script("""
redis.replicate_commands()
local held = redis.call('HMGET', KEYS[1], 'gw', 'epoch')
local epoch, stored = tonumber(ARGV[4]), tonumber(held[2] or '0')
if stored > epoch then return {'newer', held[2]} end
if redis.call('EXISTS', KEYS[2]) == 1 then return {'barred', '0'} end
if stored == epoch and held[1] == ARGV[1] then return {'held', ARGV[4]} end
local stand, text = 'set', ARGV[4]
local told = tonumber(redis.call('HGET', KEYS[3], 'epoch') or '0')
if told > epoch then return {'newer', string.format('%.0f', told)} end
if told == epoch then
  local time = redis.call('TIME')
  stand, text = 'renewed', string.format('%.0f', math.max(told + 1, time[1] * 1000000 + time[2]))
  redis.call('DEL', KEYS[3])
end
redis.call('HSET', KEYS[1], 'gw', ARGV[1], 'addr', ARGV[2], 'handle', ARGV[3], 'epoch', text, 'clean', ARGV[5],
  'ext', ARGV[6], 'since_ms', ARGV[7], 'client', ARGV[8], 'iot', ARGV[9])
return {stand, text}
""")


class RedisEstates:
    """Implements `Estates` and `Reclaims` for one gateway; `address` is known once it serves RPC."""

    def __init__(self, redis: Redis, gateway: str, address: str = "") -> None:
        self._redis = redis
        self._gateway = gateway
        self.address = address

    async def dead(self) -> list[str]:
        (entries,) = await self._run([cmd("HKEYS", GATEWAYS)])
        known = [one.decode() for one in entries if isinstance(one, bytes)] if isinstance(entries, list) else []
        others = sorted(one for one in known if one != self._gateway)
        leases = await self._run([cmd("EXISTS", lease_key(one)) for one in others])
        return [one for one, lease in zip(others, leases, strict=True) if lease == 0]

    async def lock(self, gateway: str) -> bool:
        keys = [_lock_key(gateway), lease_key(gateway)]
        (answer,) = await self._run([script(_LOCK, keys, [self._gateway, LOCK_MS])])
        return answer == 1

    async def unlock(self, gateway: str) -> None:
        await self._run([script(_UNLOCK, [_lock_key(gateway)], [self._gateway])])

    async def page(self, gateway: str, cursor: int) -> tuple[int, list[Device]]:
        (answer,) = await self._run([cmd("SSCAN", index_key(gateway), cursor, "COUNT", PAGE)])
        if not isinstance(answer, list):
            return 0, []
        following, members = answer
        return int(following), [Device(*member.decode().split("/", 1)) for member in members]

    async def expire(self, gateway: str, devices: Sequence[Device]) -> list[Expired]:
        answers = await self._run(
            [script(_EXPIRE, [session_key(one), _mark_key(one)], [gateway, MARK_SECONDS]) for one in devices]
        )
        return [_expired(device, answer) for device, answer in zip(devices, answers, strict=True) if answer]

    async def forget(self, gateway: str, devices: Sequence[Device]) -> None:
        if devices:
            await self._run([cmd("SREM", index_key(gateway), *(device.key for device in devices))])

    async def strike(self, gateway: str) -> None:
        (empty,) = await self._run([script(_EMPTY, [lease_key(gateway), index_key(gateway)])])
        if empty == 1:
            await self._run([cmd("HDEL", GATEWAYS, gateway)])

    async def expiring(self) -> bool:
        (answer,) = await self._run([cmd("EXISTS", _lock_key(self._gateway))])
        return answer == 1

    async def reclaim(self, sessions: Sequence[Session]) -> list[Reclaimed]:
        if sessions:
            await self._run([cmd("SADD", index_key(self._gateway), *(one.device.key for one in sessions))])
        answers = await self._run([self._reclaim(session) for session in sessions])
        return [_reclaimed(answer) for answer in answers]

    def _reclaim(self, session: Session) -> Command:
        device = session.device
        return script(
            _RECLAIM,
            [session_key(device), tomb_key(device), _mark_key(device)],
            [
                self._gateway,
                self.address,
                session.connection,
                str(session.epoch),
                int(session.clean),
                session.ext,
                session.since_ms,
                session.client,
                session.iot_id,
            ],
        )

    async def _run(self, commands: Sequence[Command]) -> list[Answer]:
        """All answers, or ClaimsUnavailable: every step here may be repeated."""
        answers = await self._redis.run(commands, DEADLINE) if commands else []
        for answer in answers:
            if isinstance(answer, RedisError):
                raise ClaimsUnavailable(f"Redis: {answer}")
        return answers


def _lock_key(gateway: str) -> str:
    return f"expiring:{{{gateway}}}"


def _mark_key(device: Device) -> str:
    return f"expired:{{{device.key}}}"


def _expired(device: Device, answer: Answer) -> Expired:
    epoch, iot_id, client, since_ms = (one.decode() for one in _list(answer))
    return Expired(device, int(epoch), iot_id, client, int(since_ms))


def _reclaimed(answer: Answer) -> Reclaimed:
    stand, epoch = (one.decode() for one in _list(answer))
    return Reclaimed(Stand(stand), int(epoch))


def _list(answer: Answer) -> list[bytes]:
    if not isinstance(answer, list):
        raise ClaimsUnavailable(f"Redis: not a list: {type(answer).__name__}")
    return answer
