"""The Redis port: batches of commands in, one answer a command out.

What a caller can rely on:

- `run` answers every command, in order, and raises nothing for what servers do: an answer is the value, or an exception
  object: `RedisError` as the server said it, or `RedisUnavailable` when no answer came. `one` raises instead.
- `RedisUnavailable.executed` is False when the command was certainly not executed, None when that is not known: it was
  sent, and the connection was lost or the deadline came. Such a command is never sent again by the port; one that was
  certainly not executed (a connect refused, MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, READONLY, MASTERDOWN, BUSY,
  NOSCRIPT) is, until the deadline.
- Commands of a batch on one hash slot are executed in the order given; once the fate of one is not known, later ones of
  its slot are not sent again either. Only after NOSCRIPT (a server that has forgotten its scripts) a script may come
  after its successors. Commands on different slots have no order.
- The deadline holds for the whole batch, whatever the servers do.
- Answers are as RESP2 has them: bytes, int, None, list; `pairs` makes a dict of HGETALL's.

Keys are given without prefix. A key's hash tag is in braces: `session:{pk/dn}`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from thinghub.common.errors import Unavailable

Argument = bytes | str | int | float
Answer = object  # bytes | int | None | list of answers | RedisError | RedisUnavailable

_ALL_KEYS = frozenset({"DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "SINTER", "SUNION", "SDIFF", "PFCOUNT", "WATCH"})
_NO_KEY = frozenset({
    "PING", "ECHO", "TIME", "INFO", "DBSIZE", "FLUSHDB", "FLUSHALL", "SCRIPT", "CONFIG", "CLIENT", "CLUSTER", "ROLE",
    "COMMAND", "SCAN", "KEYS", "RANDOMKEY", "DEBUG", "SAVE", "BGSAVE", "BGREWRITEAOF", "LASTSAVE", "SHUTDOWN", "WAIT",
    "PUBLISH", "LATENCY", "SLOWLOG", "REPLICAOF", "FAILOVER",
})  # fmt: skip


class RedisError(Exception):
    """A refusal of the server. `code` is its first word: ERR, WRONGTYPE, OOM, NOSCRIPT, MOVED, ..."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class RedisUnavailable(Unavailable, RedisError):
    """No answer. `executed`: False, certainly not; None, not known (never True)."""

    reason = "redis_unavailable"

    def __init__(self, message: str, executed: bool | None = False) -> None:
        Unavailable.__init__(self, message)
        self.code = "UNAVAILABLE"
        self.executed = executed


class NotReplicated(RedisUnavailable):
    """The command was executed (`answer`), but too few replicas confirmed it in time: a failover may lose it."""

    reason = "redis_not_replicated"

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message, None)
        self.code = "NOTREPLICATED"
        self.answer = answer


class Script:
    """A Lua script, sent by its SHA-1; a server that does not have it is given it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Command:
    """`args` follow the name. `keys` are the positions in `args` of the keys; `key`, the first of them, decides the
    slot (None: any server may answer). Use `cmd` and `script` to make one."""

    name: str
    args: tuple[Argument, ...]
    key: str | None
    keys: tuple[int, ...] = (0,)
    script: Script | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Write durability: after the batch each touched server is asked (WAIT, on the connection that wrote) to confirm it
    by so many replicas within `timeout_ms`; commands of a server that did not are answered `NotReplicated`."""

    replicas: int
    timeout_ms: int = 1000


class Redis(Protocol):
    async def run(
        self,
        commands: Sequence[Command],
        deadline: float = 2.0,
        *,
        wait: Wait | None = None,
        blocking: bool = False,
    ) -> list[Answer]:
        """One answer a command, in order. `deadline` is seconds from now. `wait` with 0 replicas is as none. `blocking`
        gives the batch connections of its own, for commands that wait on the server (XREAD BLOCK, BLPOP)."""

    async def one(self, command: Command, deadline: float = 2.0, *, wait: Wait | None = None) -> Answer:
        """The answer. Raises RedisError, RedisUnavailable."""

    async def ping(self, deadline: float = 2.0) -> None:
        """Every slot has a server that answers. Raises RedisUnavailable."""

    async def servers(self, deadline: float = 2.0) -> frozenset[str]:
        """The servers of all slots, each named by its process, its replication history and its role: a restart, a
        failover or a change of role makes another answer. Raises RedisUnavailable as `ping` does."""

    async def close(self) -> None:
        """Ends the connections; running commands are answered RedisUnavailable."""


def cmd(name: str, *args: Argument) -> Command:
    """A command by its name: `cmd("HSET", "session:{pk/dn}", "gw", gateway)`. The first argument is the key; DEL, MGET
    and their like take several (of one slot), XREAD those after STREAMS, PING and its like none."""
    upper = name.upper()
    positions = _positions(upper, args)
    return Command(upper, args, _text(args[positions[0]]) if positions else None, positions)


def script(script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Command:
    """Runs a script. The keys are of one slot; without keys any server runs it."""
    positions = tuple(range(2, 2 + len(keys)))
    return Command("EVALSHA", (script.sha, len(keys), *keys, *args), keys[0] if keys else None, positions, script)


def pairs(answer: Answer) -> dict[bytes, bytes]:
    """The dict that HGETALL, CONFIG GET and their like mean. Raises the answer if it is an error."""
    if isinstance(answer, RedisError):
        raise answer
    if not isinstance(answer, list):
        raise TypeError(f"not a list of pairs: {type(answer).__name__}")
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _positions(name: str, args: tuple[Argument, ...]) -> tuple[int, ...]:
    if name in _NO_KEY or not args:
        return ()
    if name in _ALL_KEYS:
        return tuple(range(len(args)))
    if name in ("EVAL", "EVALSHA"):
        return tuple(range(2, 2 + int(args[1])))
    if name in ("XREAD", "XREADGROUP"):
        words = [str(arg).upper() if isinstance(arg, str) else "" for arg in args]
        first = words.index("STREAMS") + 1
        return tuple(range(first, first + (len(args) - first) // 2))
    if name in ("RENAME", "RENAMENX", "RPOPLPUSH", "SMOVE", "COPY", "LMOVE"):
        return (0, 1)
    if name in ("BLPOP", "BRPOP"):
        return tuple(range(len(args) - 1))
    if name in ("OBJECT", "XGROUP", "XINFO", "MEMORY"):
        return (1,)
    return (0,)


def _text(key: Argument) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)
