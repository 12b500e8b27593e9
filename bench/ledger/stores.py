"""Redis under a ledger: one server, or a cluster of which a master is hit and a replica takes over."""

import time
from typing import Protocol

from tests.support.servers import RedisCluster, RedisServer

KEYS = ("a", "b", "c")  # their slots belong to three masters
LED_SECONDS = 3.0


class Part(Protocol):
    """What can be killed and started, frozen and resumed; each returns when it is done."""

    def start(self) -> object: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Master:
    """Whoever is the master of a key when it is hit. Killed, it stays away until a replica has taken over and led for a
    while."""

    def __init__(self, cluster: RedisCluster, key: str) -> None:
        self._cluster, self._key = cluster, key
        self._hit: RedisServer | None = None

    def kill(self) -> None:
        self._cluster.failover(self._key)
        time.sleep(LED_SECONDS)

    def start(self) -> None:
        self._cluster.heal()

    def pause(self) -> None:
        self._hit = self._cluster.master_of(self._key)
        self._hit.pause()

    def resume(self) -> None:
        if self._hit is not None:
            self._hit.resume()
        self._cluster.heal()


def redis_parts(redis: RedisServer | RedisCluster) -> dict[str, Part]:
    if isinstance(redis, RedisServer):
        return {"redis": redis}
    return {f"redis master {number}": Master(redis, key) for number, key in enumerate(KEYS, 1)}


def redis_env(redis: RedisServer | RedisCluster) -> dict[str, str]:
    """With replicas, what is promised is on one of them."""
    return {} if isinstance(redis, RedisServer) else {"THINGHUB_REDIS_REPLICAS": "1"}
