"""A Redis Cluster: which master has which slot, learnt from CLUSTER SLOTS and kept right by refusals.

MOVED names the new owner of one slot: it is believed at once, and the whole map is read again soon. A lost master makes
the map suspect: it is read again (from whichever node answers) before the next use, at most every 100 ms. ASK is
followed once and not remembered.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from thinghub.common.redis.node import Node, holding
from thinghub.common.redis.port import Answer, RedisError, RedisUnavailable
from thinghub.common.redis.slots import SLOTS
from thinghub.common.redis.urls import Login, Server

REFRESH_SECONDS = 0.1
ASK_SECONDS = 0.5


class ClusterRouter:
    def __init__(self, seeds: Sequence[Server], login: Login) -> None:
        self._seeds = tuple(seeds)
        self._login = login
        self._nodes: dict[Server, Node] = {}
        self._owners: list[Node | None] = [None] * SLOTS
        self._stale = True
        self._refreshed_at = 0.0
        self._refreshing = asyncio.Lock()
        self._turn = 0
        self._closed = False

    async def node(self, slot: int, until: float) -> Node:
        if self._stale:
            await self._refresh(until)
        owner = self._any() if slot < 0 else self._owners[slot]
        if owner is None:
            self._stale = True
            raise RedisUnavailable("no master is known" if slot < 0 else f"no master is known for slot {slot}")
        return owner

    async def every(self, until: float) -> list[Node]:
        if self._stale:
            await self._refresh(until)
        if None in self._owners:
            self._stale = True
            raise RedisUnavailable("some slots have no master")
        return list({id(node): node for node in self._owners if node is not None}.values())

    def refused(self, node: Node, slot: int, error: RedisError) -> Node | None:
        self._stale = self._stale or error.code != "ASK"
        if error.code not in ("MOVED", "ASK"):
            return None
        target = self._known(_target(str(error), node.server))
        if error.code == "ASK":
            return target
        self._owners[slot] = target
        return None

    def lost(self, node: Node) -> None:
        self._stale = True

    def close(self) -> None:
        self._closed = True
        for node in self._nodes.values():
            node.close()

    def _any(self) -> Node | None:
        """Masters in turn."""
        masters = list({id(node): node for node in self._owners if node is not None}.values())
        self._turn += 1
        return masters[self._turn % len(masters)] if masters else None

    def _known(self, server: Server) -> Node:
        node = self._nodes.get(server)
        if node is None:
            node = self._nodes[server] = Node(server, self._login)
            if self._closed:
                node.close()
        return node

    async def _refresh(self, until: float) -> None:
        """Reads the map from the first node that has it. Keeps the old one when nobody answers."""
        loop = asyncio.get_running_loop()
        async with holding(self._refreshing, until, "the cluster's map is being read"):
            if not self._stale or loop.time() < self._refreshed_at + REFRESH_SECONDS:
                return
            for server in self._informants():
                limit = min(until, loop.time() + ASK_SECONDS)
                answer = await self._known(server).exchange(("CLUSTER", "SLOTS"), limit)
                if isinstance(answer, list) and self._learn(answer, server):
                    break
            self._refreshed_at = loop.time()

    def _informants(self) -> list[Server]:
        """Everybody known, in turn: a node that is cut off from the rest has an old map."""
        known = list(dict.fromkeys((*self._nodes, *self._seeds)))
        self._turn += 1
        begin = self._turn % len(known)
        return known[begin:] + known[:begin]

    def _learn(self, ranges: list[Answer], asked: Server) -> bool:
        owners: list[Node | None] = [None] * SLOTS
        alive: set[Server] = set(self._seeds)
        for first, last, master, replicas in map(_range, ranges):
            node = self._known(_server(master, asked))
            alive |= {node.server, *(_server(replica, asked) for replica in replicas)}
            owners[first : last + 1] = [node] * (last + 1 - first)
        if not ranges:
            return False
        self._owners = owners
        self._stale = None in owners
        for server in [server for server in self._nodes if server not in alive]:
            self._nodes.pop(server).close()
        for server in alive:
            self._known(server)
        return True


def _range(entry: Answer) -> tuple[int, int, list[Answer], list[list[Answer]]]:
    """First and last slot, master, replicas: an entry of CLUSTER SLOTS."""
    first, last, master, *replicas = cast("list[Any]", entry)  # Any: mixed as Redis has it
    return first, last, master, replicas


def _server(entry: list[Answer], asked: Server) -> Server:
    """[host, port, id, ...]; an empty or unknown host means the one that was asked."""
    host = entry[0].decode() if isinstance(entry[0], bytes) else ""
    return Server(asked.host if host in ("", "?") else host, int(str(entry[1])))


def _target(error: str, refuser: Server) -> Server:
    """`MOVED 3999 127.0.0.1:6381`; an empty host means the one that refused."""
    host, _, port = error.split(" ")[2].rpartition(":")
    return Server(host.strip("[]") or refuser.host, int(port))
