"""Claims in Redis (invariants §1).

    session:{pk/dn}          hash    the claim: gw addr handle epoch clean ext since_ms client iot
    tomb:{pk/dn}             string  the device is barred; expires
    subs: queue: queued:     what a persistent session keeps, see redis_queues: a clean claim wipes it
    gwsessions:{incarnation} set     pk/dn: index, written before the claim
    gateway:{incarnation}    string  a gateway's lease: its address; expires
    gateways                 hash    every gateway that was started: incarnation -> address
    worker:{id}              string  incarnation; see thinghub.common.redis.workers

A claim, a tombstone and what is kept share a slot, so one script sees all; the index is elsewhere and never relied on
to agree.
`handle` in a claim is the core's number of the connection: it exists before the session is accepted, the session
handle does not.
"""

from collections.abc import Sequence

from thinghub.common.redis import Answer, Command, Redis, RedisError, Script, cmd, script
from thinghub.common.redis.workers import worker_key
from thinghub.connection_gateway.domain.claims import Claim, Claimed, Previous, Released, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Kept
from thinghub.connection_gateway.errors import ClaimsUnavailable

# With the other stages of a CONNECT this stays below 5 s.
DEADLINE = 1.0

# KEYS claim, tombstone, subs, queue, queued. ARGV gw addr handle clean ext since_ms client iot, ms to keep. Answers
# {barred} or {0, epoch, old gw, addr, epoch, what was kept}. Epochs are microseconds: below 2^53 until the year 2255,
# so Lua's numbers hold them.
_CLAIM = Script("""
redis.replicate_commands()
if redis.call('EXISTS', KEYS[2]) == 1 then return {1} end
local old = redis.call('HMGET', KEYS[1], 'gw', 'addr', 'epoch')
local time = redis.call('TIME')
local epoch = math.max(tonumber(old[3] or '0') + 1, time[1] * 1000000 + time[2])
local text = string.format('%.0f', epoch)
redis.call('HSET', KEYS[1], 'gw', ARGV[1], 'addr', ARGV[2], 'handle', ARGV[3], 'epoch', text, 'clean', ARGV[4],
  'ext', ARGV[5], 'since_ms', ARGV[6], 'client', ARGV[7], 'iot', ARGV[8])
local kept = redis.call('HKEYS', KEYS[3])
if ARGV[4] == '1' or redis.call('HEXISTS', KEYS[3], '') == 0 then
  kept = {}
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
end
if ARGV[4] == '0' then
  redis.call('HSETNX', KEYS[3], '', ARGV[6])
  for i = 3, 5 do redis.call('PEXPIRE', KEYS[i], ARGV[9]) end
end
return {0, text, old[1] or '', old[2] or '', old[3] or '', kept}
""")

# KEYS claim. ARGV gw epoch handle; epoch 0 means: whatever this connection claimed. An older claim than ours can only
# come from lost data, and is nobody's.
_RELEASE = Script("""
local held = redis.call('HMGET', KEYS[1], 'gw', 'epoch', 'handle')
if not held[1] then return 'absent' end
local ours = held[2] == ARGV[2] or (ARGV[2] == '0' and held[3] == ARGV[3])
if held[1] == ARGV[1] and ours then
  redis.call('DEL', KEYS[1])
  return 'freed'
end
if tonumber(held[2]) < tonumber(ARGV[2]) then return 'absent' end
return 'taken_over'
""")

KEEP_MS = 7 * 24 * 3_600_000
_FIELDS = ("gw", "addr", "handle", "epoch", "clean", "ext", "since_ms", "client")


class RedisClaims:
    """`address` is known once this gateway serves RPC; nothing is claimed before. What a persistent session keeps
    lives `keep_ms` after its last connection."""

    def __init__(self, redis: Redis, gateway: str, address: str = "", keep_ms: int = KEEP_MS) -> None:
        self._redis = redis
        self._gateway = gateway
        self.address = address
        self._keep_ms = keep_ms

    async def index(self, devices: Sequence[Device]) -> None:
        if devices:
            await self._run([cmd("SADD", index_key(self._gateway), *(device.key for device in devices))])

    async def unindex(self, devices: Sequence[Device]) -> None:
        if devices:
            await self._run([cmd("SREM", index_key(self._gateway), *(device.key for device in devices))])

    async def claim(self, wanted: Sequence[Wanted]) -> list[Claimed]:
        answers = await self._run([self._claim(one) for one in wanted])
        return [_claimed(answer, one) for answer, one in zip(answers, wanted, strict=True)]

    async def release(self, claims: Sequence[tuple[Device, int, int]]) -> list[Released]:
        answers = await self._run(
            [
                script(_RELEASE, [session_key(device)], [self._gateway, str(epoch), str(connection)])
                for device, epoch, connection in claims
            ]
        )
        return [Released(_text(answer)) for answer in answers]

    async def find(self, devices: Sequence[Device]) -> list[Claim | None]:
        answers = await self._run([cmd("HMGET", session_key(device), *_FIELDS) for device in devices])
        return [_claim(device, answer) for device, answer in zip(devices, answers, strict=True)]

    async def bar(self, seconds: Sequence[tuple[Device, int]]) -> None:
        await self._run(
            [
                cmd("SET", tomb_key(device), "1", "EX", many) if many > 0 else cmd("DEL", tomb_key(device))
                for device, many in seconds
            ]
        )

    async def alive(self, gateways: Sequence[str]) -> list[bool]:
        answers = await self._run([cmd("EXISTS", lease_key(gateway)) for gateway in gateways])
        return [answer == 1 for answer in answers]

    async def worker_address(self, worker: int) -> str:
        (owner,) = await self._run([cmd("GET", worker_key(worker))])
        if owner is None:
            return ""
        (address,) = await self._run([cmd("GET", lease_key(_text(owner)))])
        return _text(address) if address is not None else ""

    def _claim(self, wanted: Wanted) -> Command:
        return script(
            _CLAIM,
            [session_key(wanted.device), tomb_key(wanted.device), *queue_keys(wanted.device)],
            [
                self._gateway,
                self.address,
                wanted.connection,
                int(wanted.clean),
                wanted.ext,
                wanted.since_ms,
                wanted.client,
                wanted.iot_id,
                self._keep_ms,
            ],
        )

    async def _run(self, commands: Sequence[Command]) -> list[Answer]:
        """All answers, or ClaimsUnavailable: whoever asks for a batch acts on the whole of it."""
        if not commands:
            return []
        answers = await self._redis.run(commands, DEADLINE)
        for answer in answers:
            if isinstance(answer, RedisError):
                raise ClaimsUnavailable(f"Redis: {answer}")
        return answers


def lease_key(gateway: str) -> str:
    return f"gateway:{{{gateway}}}"


def index_key(gateway: str) -> str:
    return f"gwsessions:{{{gateway}}}"


def session_key(device: Device) -> str:
    return f"session:{{{device.key}}}"


def tomb_key(device: Device) -> str:
    return f"tomb:{{{device.key}}}"


def queue_keys(device: Device) -> tuple[str, str, str]:
    """subs, queue, queued."""
    return f"subs:{{{device.key}}}", f"queue:{{{device.key}}}", f"queued:{{{device.key}}}"


def kept_of(fields: Sequence[bytes]) -> Kept | None:
    """What the fields of `subs` say; None without a session."""
    if b"" not in fields:
        return None
    names = [field.decode() for field in fields if field]
    stopped = tuple(name[1:] for name in names if name.startswith("!"))
    return Kept(True, tuple(name for name in names if not name.startswith("!")), stopped)


def _claimed(answer: Answer, wanted: Wanted) -> Claimed:
    if not isinstance(answer, list) or answer[0] == 1:
        return Claimed(barred=True)
    _, epoch, gateway, address, former, fields = answer
    previous = Previous(_text(gateway), _text(address), int(former)) if gateway else None
    return Claimed(False, int(epoch), previous, None if wanted.clean else kept_of(fields) or Kept())


def _claim(device: Device, answer: Answer) -> Claim | None:
    if not isinstance(answer, list) or answer[0] is None:
        return None
    gateway, address, connection, epoch, clean, ext, since_ms, client = (_text(field) for field in answer)
    return Claim(device, gateway, address, int(connection), int(epoch), clean == "1", int(ext), int(since_ms), client)


def _text(answer: Answer) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer or "")
