"""Redis Streams as a log: the keys of a stream, and the scripts that change them.

A topic's partition is one Redis stream and a few keys beside it (prefix left out):

    bus:{topic/0}:log          stream; entry id = milliseconds-number; fields v value, k key, b bytes before this entry
    bus:{topic/0}:head         hash  ms, n (last id), total (bytes ever), base (bytes trimmed), first (number trimmed)
    bus:{topic/0}:groups       hash  group -> id of the last entry it has passed;  "token:" group -> fencing token
    bus:{topic/0}:lock:group   string  member:token, with a time to live: the one reader of this group
    bus:{topic/0}:once:sender  string  batch:accepted, for a minute: a batch sent twice is stored once
    bus:topic:topic            hash  partitions, retention_ms, groups (newline between), stream_bytes
    bus:members:topic:group    sorted set  member by the time its membership ends

The number in an id rises by one from entry to entry: it is the record's offset, and differences are lag. The
milliseconds never fall, whatever the clock does, so ids rise and age can be trimmed by id. A reader holds a lock with a
token that rises with each owner; storing an offset compares it, so a reader that was frozen past its lock stores
nothing. Every script replicates its effects, not its text: it asks for the time.
"""

from dataclasses import dataclass

# KEYS log head once; ARGV batch stream_bytes key value key value...
# Answers {accepted, wanted}, or -1 when the topic is missing.
APPEND = """
redis.replicate_commands()
local head = redis.call('HMGET', KEYS[2], 'ms', 'n', 'total', 'base')
if not head[2] then return {-1} end
local wanted = (#ARGV - 2) / 2
local before = redis.call('GET', KEYS[3])
if before then
  local batch, accepted = string.match(before, '^(%d+):(%d+)$')
  if batch == ARGV[1] then return {tonumber(accepted), wanted} end
end
local time = redis.call('TIME')
local ms = math.max(tonumber(head[1]), time[1] * 1000 + math.floor(time[2] / 1000))
local n, total, base = tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
local limit, accepted = tonumber(ARGV[2]), 0
for i = 3, #ARGV, 2 do
  local size = #ARGV[i] + #ARGV[i + 1]
  if total - base + size > limit then break end
  n = n + 1
  redis.call('XADD', KEYS[1], string.format('%.0f-%.0f', ms, n), 'v', ARGV[i + 1], 'k', ARGV[i],
             'b', string.format('%.0f', total))
  total = total + size
  accepted = accepted + 1
end
redis.call('HSET', KEYS[2], 'ms', string.format('%.0f', ms), 'n', string.format('%.0f', n),
           'total', string.format('%.0f', total))
redis.call('SET', KEYS[3], ARGV[1] .. ':' .. accepted, 'EX', 60)
return {accepted, wanted}
"""

# KEYS log head groups; ARGV retention_ms group group...  Removes what is too old or passed by every group.
TRIM = """
redis.replicate_commands()
local head = redis.call('HMGET', KEYS[2], 'n', 'total')
if not head[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local removed = redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', math.max(0, now - ARGV[1])))
if #ARGV > 1 then
  local low_ms, low_n
  for i = 2, #ARGV do
    local id = redis.call('HGET', KEYS[3], ARGV[i])
    if not id then low_n = nil break end
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    if not low_n or tonumber(n) < low_n then low_ms, low_n = ms, tonumber(n) end
  end
  if low_n then
    removed = removed + redis.call('XTRIM', KEYS[1], 'MINID', low_ms .. '-' .. string.format('%.0f', low_n + 1))
  end
end
if removed > 0 then
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if first then
    local n = string.match(first[1], '-(%d+)$')
    redis.call('HSET', KEYS[2], 'base', first[2][6], 'first', string.format('%.0f', n - 1))
  else
    redis.call('HSET', KEYS[2], 'base', head[2], 'first', head[1])
  end
end
return removed
"""

# KEYS lock groups; ARGV group member ttl_ms.  Answers {token, stored id} or {} when another member holds it.
ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, #ARGV[2] + 1) ~= ARGV[2] .. ':' then return {} end
local token = redis.call('HINCRBY', KEYS[2], 'token:' .. ARGV[1], 1)
redis.call('SET', KEYS[1], ARGV[2] .. ':' .. token, 'PX', ARGV[3])
return {token, redis.call('HGET', KEYS[2], ARGV[1]) or '0-0'}
"""

# KEYS lock; ARGV holder ttl_ms.  1 when the lock is still ours.
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

# KEYS lock groups; ARGV holder group id.  1 when the lock is still ours and the offset was stored.
STORE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""

# KEYS lock; ARGV holder
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

# KEYS members; ARGV member ttl_ms.  Announces the member, answers all that are alive, sorted.
JOIN = """
redis.replicate_commands()
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now))
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(members)
return members
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys; `prefix` goes before all of them."""

    prefix: str

    def topic(self, topic: str) -> str:
        return f"{self.prefix}bus:topic:{topic}"

    def members(self, topic: str, group: str) -> str:
        return f"{self.prefix}bus:members:{topic}:{group}"

    def log(self, topic: str, partition: int) -> str:
        return self._of(topic, partition, "log")

    def head(self, topic: str, partition: int) -> str:
        return self._of(topic, partition, "head")

    def groups(self, topic: str, partition: int) -> str:
        return self._of(topic, partition, "groups")

    def lock(self, topic: str, partition: int, group: str) -> str:
        return self._of(topic, partition, f"lock:{group}")

    def once(self, topic: str, partition: int, sender: str) -> str:
        return self._of(topic, partition, f"once:{sender}")

    def _of(self, topic: str, partition: int, what: str) -> str:
        return f"{self.prefix}bus:{{{topic}/{partition}}}:{what}"
