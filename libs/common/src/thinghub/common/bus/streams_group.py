"""Reading streams as a member of a group.

Who reads what: members announce themselves in a sorted set per topic; partition p belongs to the member at place
(p + checksum of the topic) mod members. A member takes the lock of each partition that is its own, when it is free, and
gives up those that are not. The lock is the truth, the plan only says who should try for it.

Whoever froze finds out twice: before any batch is handed over and before any renewal its own clock tells that the lock
has run out, and when an offset is stored the script compares holder and token.
"""

import asyncio
import contextlib
import logging
import time
import uuid
import zlib
from collections.abc import Sequence
from typing import Never

from redis.exceptions import RedisError

from thinghub.common.bus.lanes import GRACE, stop_lanes, to_the_end
from thinghub.common.bus.port import BusRecord, Handler, TopicMissing
from thinghub.common.bus.streams_reading import Source, StreamReader
from thinghub.common.bus.streams_redis import Call, Connection, Topic, read_topic
from thinghub.common.bus.streams_scripts import ACQUIRE, JOIN, RELEASE, RENEW, STORE, Keys
from thinghub.common.bus.streams_sender import trim

STORE_SECONDS = 0.05
REVOKE_GRACE = 1.0
BEATS = 5  # in the life of a lock


class Owned:
    """A stream whose lock this member holds."""

    def __init__(self, source: Source, holder: str, until: float) -> None:
        self.source = source
        self.holder = holder
        self.until = until  # monotonic time at which the lock may be somebody else's
        self.passed = ""
        self.stored = ""
        self.trimmed = 0.0

    @property
    def valid(self) -> bool:
        return time.monotonic() < self.until


class GroupReader:
    def __init__(
        self,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        commands: Connection,
        blocking: Connection,
        keys: Keys,
        log: logging.Logger,
        *,
        max_records: int,
        session_seconds: float,
    ) -> None:
        self._group = group
        self._name = f"group {group}"
        self._names = list(topics)
        self._handler = handler
        self._commands = commands
        self._keys = keys
        self._log = log
        self._max_records = max_records
        self._session = session_seconds
        self._member = uuid.uuid4().hex
        self._owned: dict[str, Owned] = {}  # by key of the stream
        self._dirty = asyncio.Event()
        self._away = False
        self._reader = StreamReader(self._name, blocking, self._sources, log)

    async def run(self) -> Never:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reader.run())
                tasks.create_task(self._keep_membership())
                tasks.create_task(self._keep_offsets())
        finally:
            await to_the_end(self._leave())
        raise RuntimeError("a reader's tasks do not end")

    def _sources(self) -> list[Source]:
        return [owned.source for owned in self._owned.values() if owned.valid]

    async def _keep_membership(self) -> None:
        while True:
            try:
                await self._beat()
                self._recovered()
            except (RedisError, OSError, TimeoutError, TopicMissing) as error:
                self._report(error)
            await self._drop_invalid()
            await asyncio.sleep(self._session / BEATS)

    async def _beat(self) -> None:
        await self._drop_invalid()
        topics = [await read_topic(self._commands, self._keys, name) for name in self._names]
        await self._renew(topics)
        mine = await self._plan(topics)
        surplus = [owned for key, owned in self._owned.items() if key not in mine]
        await self._give_up(surplus, REVOKE_GRACE)
        await self._acquire({key: place for key, place in mine.items() if key not in self._owned})

    async def _renew(self, topics: Sequence[Topic]) -> None:
        owned = list(self._owned.values())
        ttl = int(self._session * 1000)
        asked = time.monotonic()
        by_name = {topic.name: topic for topic in topics}
        renewals = [Call(RENEW, (self._lock(one),), (one.holder, ttl)) for one in owned]
        trims = [trim(self._keys, by_name[one.source.topic], one.source.partition) for one in owned]
        answers = await self._commands.run([*renewals, *trims]) if owned else []
        for one, answer in zip(owned, answers, strict=False):
            one.until = asked + self._session if answer == 1 else 0.0
        await self._drop_invalid()

    async def _plan(self, topics: Sequence[Topic]) -> dict[str, tuple[str, int]]:
        """Streams that should be this member's, as the members alive now would share them."""
        ttl = int(self._session * 1000)
        joins = [Call(JOIN, (self._keys.members(topic.name, self._group),), (self._member, ttl)) for topic in topics]
        mine: dict[str, tuple[str, int]] = {}
        for topic, members in zip(topics, await self._commands.run(joins), strict=True):
            if isinstance(members, Exception):
                raise members
            place = members.index(self._member.encode())
            shift = zlib.crc32(topic.name.encode())
            for partition in range(topic.partitions):
                if (partition + shift) % len(members) == place:
                    mine[self._keys.log(topic.name, partition)] = (topic.name, partition)
        return mine

    async def _acquire(self, wanted: dict[str, tuple[str, int]]) -> None:
        if not wanted:
            return
        ttl = int(self._session * 1000)
        asked = time.monotonic()
        calls = []
        for topic, partition in wanted.values():
            names = (self._keys.lock(topic, partition, self._group), self._keys.groups(topic, partition))
            calls.append(Call(ACQUIRE, names, (self._group, self._member, ttl)))
        answers = await self._commands.run(calls)
        for (key, (topic, partition)), answer in zip(wanted.items(), answers, strict=True):
            if isinstance(answer, list) and answer:
                source = Source(topic, partition, key, answer[1].decode(), self._max_records)
                self._own(source, f"{self._member}:{answer[0]}", asked + self._session)

    def _own(self, source: Source, holder: str, until: float) -> None:
        owned = Owned(source, holder, until)

        async def handle(records: Sequence[BusRecord]) -> None:
            if not owned.valid:
                await asyncio.Event().wait()  # until the lane is stopped: these are another member's now
            await self._handler(records)

        def passed(name: str) -> None:
            owned.passed = name
            self._dirty.set()

        source.open(self._name, handle, passed, self._log)
        self._owned[source.key] = owned

    async def _keep_offsets(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._store([one for one in self._owned.values() if one.valid])
            except (RedisError, OSError, TimeoutError) as error:
                self._report(error)
                self._dirty.set()
            await asyncio.sleep(STORE_SECONDS)

    async def _store(self, owned: Sequence[Owned]) -> None:
        due = [(one, one.passed) for one in owned if one.passed != one.stored]
        calls = []
        for one, passed in due:
            groups = self._keys.groups(one.source.topic, one.source.partition)
            calls.append(Call(STORE, (self._lock(one), groups), (one.holder, self._group, passed)))
        answers = await self._commands.run(calls) if calls else []
        for (one, passed), answer in zip(due, answers, strict=True):
            if answer == 1:
                one.stored = passed
            else:
                one.until = 0.0

    async def _drop_invalid(self) -> None:
        lost = [one for one in self._owned.values() if not one.valid]
        for one in lost:
            del self._owned[one.source.key]
        if lost:
            self._log.warning("bus reader %s lost %d partitions", self._name, len(lost))
            await stop_lanes([one.source.lane for one in lost if one.source.lane is not None], 0)

    async def _give_up(self, owned: Sequence[Owned], grace: float) -> None:
        """Ends the handlers, stores what they finished, frees the locks."""
        if not owned:
            return
        for one in owned:
            self._owned.pop(one.source.key, None)
        await stop_lanes([one.source.lane for one in owned if one.source.lane is not None], grace)
        await self._store([one for one in owned if one.valid])
        await self._commands.run([Call(RELEASE, (self._lock(one),), (one.holder,)) for one in owned])

    async def _leave(self) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(3 * GRACE):
                # the plan of the others changes first, so that they try for our locks as soon as these are free
                await self._commands.commands(
                    [("ZREM", self._keys.members(name, self._group), self._member) for name in self._names]
                )
                await self._give_up(list(self._owned.values()), GRACE)
        await stop_lanes([one.source.lane for one in self._owned.values() if one.source.lane is not None], 0)

    def _lock(self, owned: Owned) -> str:
        return self._keys.lock(owned.source.topic, owned.source.partition, self._group)

    def _report(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._log.warning("bus reader %s cannot keep its place, trying again: %r", self._name, error)

    def _recovered(self) -> None:
        if self._away:
            self._away = False
            self._log.info("bus reader %s has its place again", self._name)
