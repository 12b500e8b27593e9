"""A single server: at a fixed address, or the master that Sentinels name."""

import asyncio
from collections.abc import Sequence

from thinghub.common.redis.node import Node, holding
from thinghub.common.redis.port import RedisError, RedisUnavailable
from thinghub.common.redis.urls import Login, Server

ASK_SECONDS = 0.5


class SingleRouter:
    """One address for everything."""

    def __init__(self, server: Server, login: Login) -> None:
        self._node = Node(server, login)

    async def node(self, slot: int, until: float) -> Node:
        return self._node

    async def every(self, until: float) -> list[Node]:
        return [self._node]

    def refused(self, node: Node, slot: int, error: RedisError) -> Node | None:
        return None

    def lost(self, node: Node) -> None:
        """There is no other."""

    def close(self) -> None:
        self._node.close()


class SentinelRouter:
    """The master by its name; asked again when it does not answer, or says that it is a replica now."""

    def __init__(self, sentinels: Sequence[Server], name: str, login: Login) -> None:
        # Sentinels have no databases, and passwords of their own are not supported
        self._sentinels = [Node(server, Login(tls=login.tls)) for server in sentinels]
        self._name = name
        self._login = login
        self._master: Node | None = None
        self._stale = True
        self._asking = asyncio.Lock()

    async def node(self, slot: int, until: float) -> Node:
        if self._master is not None and not self._stale:
            return self._master
        async with holding(self._asking, until, "Sentinels are being asked"):
            if self._master is None or self._stale:
                self._set(await self._ask(until))
        if self._master is None:
            raise RedisUnavailable(f"no Sentinel knows a master named {self._name}")
        return self._master

    async def every(self, until: float) -> list[Node]:
        return [await self.node(-1, until)]

    def refused(self, node: Node, slot: int, error: RedisError) -> Node | None:
        self.lost(node)
        return None

    def lost(self, node: Node) -> None:
        if node is self._master:
            self._stale = True

    def close(self) -> None:
        for node in (*self._sentinels, *([self._master] if self._master else [])):
            node.close()

    def _set(self, server: Server | None) -> None:
        if server is None:
            return
        if self._master is None or self._master.server != server:
            if self._master is not None:
                self._master.close()
            self._master = Node(server, self._login)
        self._stale = False

    async def _ask(self, until: float) -> Server | None:
        loop = asyncio.get_running_loop()
        for sentinel in list(self._sentinels):
            limit = min(until, loop.time() + ASK_SECONDS)
            answer = await sentinel.exchange(("SENTINEL", "get-master-addr-by-name", self._name), limit)
            if isinstance(answer, list):
                self._sentinels.sort(key=lambda one: one is not sentinel)  # the one that answered is asked first
                return Server(answer[0].decode(), int(answer[1]))
        return None
