"""Documents in Redis.

    shadow:{pk/dn}  hash   rev     rises with every write; compared and set
                           version of the document, for whoever looks
                           state   JSON: reported, desired
                           times   JSON: the same trees with epoch seconds
                           at      epoch seconds of the last change
                           epoch, seq, outcome   place and outcome of the device's last changing request

The version alone cannot be compared: it goes back to 0 at a reset. One script writes, and looks at the place again.
"""

from collections.abc import Sequence

import orjson

from thinghub.common.redis import Answer, Command, NotReplicated, Redis, RedisError, Script, Wait, cmd, script
from thinghub.common.redis.port import RedisUnavailable
from thinghub.shadow.domain.document import Shadow
from thinghub.shadow.domain.document_fold import Held
from thinghub.shadow.errors import StoreUnavailable
from thinghub.shadow.ports.documents import Device, Write, Written

DEADLINE_S = 4.0
# Longer than a record stays on the bus.
FORGOTTEN_S = 2 * 24 * 3600
_FIELDS = ("rev", "state", "times", "version", "at", "epoch", "seq", "outcome")
# The server is at its limit or the batch came at the wrong moment: later it will be taken.
_PASSING = frozenset({"OOM", "LOADING", "READONLY", "MISCONF", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN"})

# KEYS document. ARGV expected rev, new rev, state, times, version, at, epoch, seq, outcome.
_WRITE = Script("""
local held = redis.call('HMGET', KEYS[1], 'rev', 'epoch', 'seq', 'gone')
if (held[1] or '0') ~= ARGV[1] then return 0 end
if ARGV[1] ~= ARGV[2] and held[2] then
  local epoch, old = tonumber(ARGV[7]), tonumber(held[2])
  if epoch < old or (epoch == old and tonumber(ARGV[8]) < tonumber(held[3])) then return 0 end
end
redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'state', ARGV[3], 'times', ARGV[4], 'version', ARGV[5], 'at', ARGV[6],
  'epoch', ARGV[7], 'seq', ARGV[8], 'outcome', ARGV[9])
if held[4] then
  redis.call('HDEL', KEYS[1], 'gone')
  redis.call('PERSIST', KEYS[1])
end
return 1
""")

# KEYS document. ARGV microseconds of the deletion (what epochs are made of), seconds to keep the place.
_FORGET = Script("""
local held = redis.call('HMGET', KEYS[1], 'rev', 'epoch')
if not held[1] or tonumber(held[2] or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('HDEL', KEYS[1], 'state', 'times', 'version', 'at')
redis.call('HINCRBY', KEYS[1], 'rev', 1)
redis.call('HSET', KEYS[1], 'gone', 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")


class RedisDocuments:
    """Implements `DocumentStore`. A write is a success once so many replicas have it."""

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self._redis = redis
        self._wait = Wait(replicas) if replicas else None

    async def read(self, devices: Sequence[Device]) -> list[Held]:
        answers = await self._run([cmd("HMGET", key(device), *_FIELDS) for device in devices])
        return [held(answer) for answer in answers]

    async def write(self, writes: Sequence[Write]) -> list[Written]:
        if self._wait is None:
            skipped = {index for index, one in enumerate(writes) if one.again}
        else:
            skipped = set()
        answers = await self._run([_write(one) for index, one in enumerate(writes) if index not in skipped], self._wait)
        remaining = iter(answers)
        return [Written.DONE if index in skipped else _written(next(remaining)) for index in range(len(writes))]

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        await self._run(
            [script(_FORGET, [key(device)], [at_ms * 1000, FORGOTTEN_S]) for device, at_ms in deleted], self._wait
        )

    async def _run(self, commands: Sequence[Command], wait: Wait | None = None) -> list[Answer]:
        if not commands:
            return []
        answers = await self._redis.run(commands, DEADLINE_S, wait=wait)
        for answer in answers:
            if isinstance(answer, RedisError) and not isinstance(answer, NotReplicated) and _passing(answer):
                raise StoreUnavailable(f"Redis: {answer}")
        return answers


def key(device: Device) -> str:
    return f"shadow:{{{device.product_key}/{device.device_name}}}"


def held(answer: Answer) -> Held:
    """A document that is not ours (WRONGTYPE, or no JSON) is an empty one of a revision that cannot be written over."""
    if not isinstance(answer, list):
        return Held(revision=-1)
    rev, state, times, version, at, epoch, seq, outcome = answer
    if rev is None:
        return Held()
    place = (int(epoch or 0), int(seq or 0))
    if state is None:
        return Held(int(rev), Shadow(), place, (outcome or b"").decode())
    tree, since = orjson.loads(state), orjson.loads(times)
    shadow = Shadow(int(version), int(at), tree["reported"], tree["desired"], since["reported"], since["desired"])
    return Held(int(rev), shadow, place, outcome.decode())


def _write(write: Write) -> Command:
    new, shadow = write.held, write.held.shadow
    times = orjson.dumps({"reported": shadow.reported_at, "desired": shadow.desired_at})
    epoch, sequence = new.place
    return script(
        _WRITE,
        [key(write.device)],
        [
            write.expected, new.revision, write.state, times, shadow.version, shadow.changed_s, epoch, sequence,
            new.outcome,
        ],
    )  # fmt: skip


def _written(answer: Answer) -> Written:
    if isinstance(answer, RedisError):
        return Written.UNCONFIRMED
    return Written.DONE if answer == 1 else Written.CONFLICT


def _passing(error: RedisError) -> bool:
    return isinstance(error, RedisUnavailable) or error.code in _PASSING
