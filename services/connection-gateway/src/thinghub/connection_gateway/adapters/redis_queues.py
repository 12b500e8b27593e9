"""What persistent sessions keep, in Redis (invariants §4). All keys of a device share the claim's slot.

    subs:{pk/dn}    hash    filter -> 1; `!filter` -> 1 for a stopped automatic topic; the empty field: the session
                            exists, since epoch milliseconds
    queue:{pk/dn}   stream  `sequence-1`: t topic, p payload, e epoch milliseconds of its end, s 1: to subscribers only
    queued:{pk/dn}  hash    seq the newest sequence, bytes held, sent the highest sequence ever handed to a connection

They end together, so long after the session's last connection; its gateway renews that. Sequences are microseconds of
Redis's clock or one more than the last, so that they rise even after data loss or a clean session, and a late deletion
never meets another message. `sent` is written before the message is: it may say too much, never too little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thinghub.common.redis import Answer, Command, Redis, RedisError, Script, Wait, cmd, script
from thinghub.connection_gateway.adapters.redis_claims import kept_of, queue_keys, session_key
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Change, Kept
from thinghub.connection_gateway.domain.outbox import Missed, Place, Stored, Taken, Wanted
from thinghub.connection_gateway.domain.outcomes import Downlink
from thinghub.connection_gateway.errors import QueueUnavailable
from thinghub.connection_gateway.ports import Put

DEADLINE = 2.0
PUTS = 200

# KEYS claim, subs, queue, queued. ARGV topic, payload, ms to live, to subscribers only, most messages, most bytes.
# Answers {0} without a persistent session, else {1, sequence, displaced, expired, gw, addr, epoch}.
_PUT = Script("""
redis.replicate_commands()
local owner = redis.call('HMGET', KEYS[1], 'gw', 'addr', 'epoch')
local left = redis.call('HEXISTS', KEYS[2], '') == 1 and redis.call('PTTL', KEYS[2]) or -2
if left == -2 then return {0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[4], 'seq', 'bytes')
local seq = math.max(tonumber(state[1] or '0') + 1, time[1] * 1000000 + time[2])
local bytes, many, size = tonumber(state[2] or '0'), redis.call('XLEN', KEYS[3]), #ARGV[2]
local displaced, expired = 0, 0
while many > 0 and (many >= tonumber(ARGV[5]) or bytes + size > tonumber(ARGV[6])) do
  local first = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', KEYS[3], first[1])
  many, bytes = many - 1, bytes - #first[2][4]
  if tonumber(first[2][6]) <= now then expired = expired + 1 else displaced = displaced + 1 end
end
local text = string.format('%.0f', seq)
redis.call('XADD', KEYS[3], text .. '-1', 't', ARGV[1], 'p', ARGV[2], 'e', string.format('%.0f', now + ARGV[3]),
  's', ARGV[4])
redis.call('HSET', KEYS[4], 'seq', text, 'bytes', bytes + size)
if left > 0 then
  redis.call('PEXPIRE', KEYS[3], left)
  redis.call('PEXPIRE', KEYS[4], left)
end
return {1, text, displaced, expired, owner[1] or '', owner[2] or '', owner[3] or '0'}
""")

# KEYS claim, queue, queued. ARGV gw, epoch, after, count, bytes. Answers {0} to who does not hold the claim, else
# {1, sent before, looked at up to, newest, expired sequences, messages}. At least one message, however large.
_TAKE = Script("""
redis.replicate_commands()
local held = redis.call('HMGET', KEYS[1], 'gw', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[3], 'seq', 'sent', 'bytes')
local newest, sent, left, room = state[1] or '0', state[2] or '0', tonumber(ARGV[4]), tonumber(ARGV[5])
local expired, messages, freed, upto, taken, full = {}, {}, 0, ARGV[3], nil, false
repeat
  local some = math.min(left, 8)
  local found = redis.call('XRANGE', KEYS[2], '(' .. upto .. '-1', '+', 'COUNT', some)
  for _, one in ipairs(found) do
    local seq, fields = string.match(one[1], '%d+'), one[2]
    if tonumber(fields[6]) <= now then
      redis.call('XDEL', KEYS[2], one[1])
      freed = freed + #fields[4]
      expired[#expired + 1] = seq
    else
      room = room - #fields[4]
      full = taken and room < 0
      if full then break end
      messages[#messages + 1] = {seq, fields[2], fields[4], fields[8]}
      taken = seq
    end
    upto = seq
  end
  left = left - #found
  if not full and #found < some then upto = newest end
until full or left == 0 or upto == newest
if freed > 0 then redis.call('HINCRBY', KEYS[3], 'bytes', -freed) end
if taken and tonumber(taken) > tonumber(sent) then redis.call('HSET', KEYS[3], 'sent', taken) end
return {1, sent, upto, newest, expired, messages}
""")

# KEYS queue, queued. ARGV sequences.
_DROP = Script("""
local freed = 0
for _, seq in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], seq .. '-1', seq .. '-1')[1]
  if found then
    freed = freed + #found[2][4]
    redis.call('XDEL', KEYS[1], found[1])
  end
end
if freed > 0 then redis.call('HINCRBY', KEYS[2], 'bytes', -freed) end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end
return freed
""")

# KEYS claim, subs. ARGV gw, epoch, then HDEL or HSET and a field, again and again.
_CHANGE = Script("""
local held = redis.call('HMGET', KEYS[1], 'gw', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
for i = 3, #ARGV, 2 do
  if ARGV[i] == 'HSET' then
    redis.call('HSET', KEYS[2], ARGV[i + 1], 1)
  else
    redis.call('HDEL', KEYS[2], ARGV[i + 1])
  end
end
return 1
""")

# KEYS claim, subs, queue, queued. ARGV gw, epoch, ms to live. Answers the newest sequence of a queue that is not empty;
# -1 when what was kept is lost.
_RENEW = Script("""
local held = redis.call('HMGET', KEYS[1], 'gw', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
if redis.call('HEXISTS', KEYS[2], '') == 0 then return -1 end
for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
return redis.call('HGET', KEYS[4], 'seq') or 0
""")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one device's queue. A message's own time to live is bounded by `ttl_ms`."""

    messages: int = 1000
    bytes: int = 8 << 20
    ttl_ms: int = 7 * 24 * 3_600_000


class RedisQueues:
    """Implements `Queues`. With replicas, what is stored is so once that many have it: one WAIT a batch."""

    def __init__(self, redis: Redis, gateway: str, bounds: Bounds, keep_ms: int, replicas: int = 0) -> None:
        self._redis = redis
        self._gateway = gateway
        self._bounds = bounds
        self._keep_ms = keep_ms
        self._wait = Wait(replicas) if replicas else None

    async def kept(self, devices: Sequence[Device]) -> list[Kept | None]:
        answers = await self._run([cmd("HKEYS", queue_keys(device)[0]) for device in devices])
        return [kept_of(answer) if isinstance(answer, list) else None for answer in answers]

    async def put(self, messages: Sequence[Downlink]) -> list[Put | None]:
        found: list[Put | None] = []
        for start in range(0, len(messages), PUTS):
            chunk = [self._put(message) for message in messages[start : start + PUTS]]
            answers = await self._redis.run(chunk, DEADLINE, wait=self._wait)
            found += [_put(answer) for answer in answers]
        return found

    async def take(self, wanted: Sequence[Wanted]) -> list[Taken | Missed]:
        if not wanted:
            return []
        answers = await self._redis.run([self._take(one) for one in wanted], DEADLINE)
        return [_taken(answer) for answer in answers]

    async def drop(self, sequences: Sequence[tuple[Device, Sequence[int]]]) -> list[bool]:
        if not sequences:
            return []
        commands = [script(_DROP, queue_keys(device)[1:], many) for device, many in sequences]
        return [not isinstance(answer, RedisError) for answer in await self._redis.run(commands, DEADLINE)]

    async def change(self, changes: Sequence[Change]) -> list[bool]:
        if not changes:
            return []
        answers = await self._redis.run([self._change(one) for one in changes], DEADLINE, wait=self._wait)
        return [answer == 1 for answer in answers]

    async def renew(self, sessions: Sequence[tuple[Device, int]]) -> list[int]:
        answers = await self._run(
            [
                script(_RENEW, [session_key(device), *queue_keys(device)], [self._gateway, str(epoch), self._keep_ms])
                for device, epoch in sessions
            ]
        )
        return [int(str(answer.decode() if isinstance(answer, bytes) else answer)) for answer in answers]

    async def forget(self, devices: Sequence[Device]) -> None:
        await self._run([cmd("DEL", *queue_keys(device)) for device in devices])

    def _put(self, message: Downlink) -> Command:
        subs, queue, queued = queue_keys(message.device)
        ttl_ms = min(message.ttl_ms or self._bounds.ttl_ms, self._bounds.ttl_ms)
        return script(
            _PUT,
            [session_key(message.device), subs, queue, queued],
            [
                message.topic,
                message.payload,
                ttl_ms,
                int(not message.origin),
                self._bounds.messages,
                self._bounds.bytes,
            ],
        )

    def _take(self, one: Wanted) -> Command:
        _, queue, queued = queue_keys(one.device)
        return script(
            _TAKE,
            [session_key(one.device), queue, queued],
            [self._gateway, str(one.epoch), one.after, one.count, one.max_bytes],
        )

    def _change(self, change: Change) -> Command:
        steps: list[str] = []
        for word, fields in (
            ("HDEL", change.removed),
            ("HSET", change.added),
            ("HDEL", tuple(f"!{filter_}" for filter_ in change.resumed)),
            ("HSET", tuple(f"!{filter_}" for filter_ in change.stopped)),
        ):
            for field in fields:
                steps += [word, field]
        keys = [session_key(change.device), queue_keys(change.device)[0]]
        return script(_CHANGE, keys, [self._gateway, str(change.epoch), *steps])

    async def _run(self, commands: Sequence[Command]) -> list[Answer]:
        """All answers, or QueueUnavailable."""
        if not commands:
            return []
        answers = await self._redis.run(commands, DEADLINE)
        for answer in answers:
            if isinstance(answer, RedisError):
                raise QueueUnavailable(f"Redis: {answer}")
        return answers


def _put(answer: Answer) -> Put | None:
    """What is not known to be on enough replicas is not said to be stored."""
    if not isinstance(answer, list):
        return Put(None)
    if answer[0] == 0:
        return None
    _, sequence, displaced, expired, gateway, address, epoch = answer
    return Put(Place(int(sequence), displaced, expired), gateway.decode(), address.decode(), int(epoch))


def _taken(answer: Answer) -> Taken | Missed:
    if not isinstance(answer, list):
        return Missed.UNAVAILABLE
    if answer[0] == 0:
        return Missed.NOT_OURS
    _, sent, upto, newest, expired, messages = answer
    mark = int(sent)
    return Taken(
        [
            Stored(int(sequence), topic.decode(), payload, subscribers == b"1", int(sequence) <= mark)
            for sequence, topic, payload, subscribers in messages
        ],
        [int(sequence) for sequence in expired],
        int(upto),
        int(newest),
    )
