"""The servers that other tests trust."""

import os
import socket
import subprocess
import sys
import time

import asyncpg
import psutil
import pytest
import redis

from tests.support.child import FIRST_PORT, SESSIONS, free_port, remove_directory, scratch_directory
from tests.support.redis_server import BUS_OFFSET, cluster_ports
from tests.support.servers import KafkaServer, PostgresServer, RedisCluster, RedisServer


def test_a_free_port_is_nobody_elses_before_it_is_used() -> None:
    """Not of the range that outgoing connections are given, nor of another session, and not given twice soon."""
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)
    assert len({port % SESSIONS for port in ports}) == 1
    assert min(ports) >= FIRST_PORT


def test_redis_keeps_its_data_and_port_when_killed(private_redis: RedisServer) -> None:
    with private_redis.client() as client:
        client.set("k", "v")
        private_redis.restart()
        assert client.get("k") == "v"


def test_redis_paused_does_not_answer_and_resumed_does(private_redis: RedisServer) -> None:
    private_redis.pause()
    with redis.Redis(port=private_redis.port, socket_timeout=0.2) as client:
        with pytest.raises(redis.RedisError):
            client.ping()
        private_redis.resume()
    with private_redis.client() as client:
        assert client.ping()


def test_redis_cluster_gives_a_killed_masters_slots_to_its_replica(redis_cluster: RedisCluster) -> None:
    old = redis_cluster.failover("some-key")
    new = redis_cluster.master_of("some-key")
    assert new is not old
    with new.client() as client:
        assert client.set("some-key", "v")
    redis_cluster.heal()


def test_redis_cluster_starts_on_other_ports_when_one_was_taken_meanwhile() -> None:
    given: list[list[int]] = []

    def ports(count: int) -> list[int]:
        given.append(cluster_ports(count))
        if len(given) == 1:
            taken.bind(("127.0.0.1", given[0][3] + BUS_OFFSET))
            taken.listen()
        return given[-1]

    with socket.socket() as taken:
        cluster = RedisCluster(ports)
        try:
            cluster.start()
            assert [node.port for node in cluster.nodes] == given[-1]
            assert all(node.running for node in cluster.nodes)
        finally:
            cluster.close()
    assert len(given) == 2


def test_ports_of_a_cluster_and_its_bus_are_below_those_of_clients() -> None:
    ports = cluster_ports(50)
    assert len(set(ports)) == 50
    assert all(port >= 10_000 and port + BUS_OFFSET < 32_768 for port in ports)


async def test_postgres_keeps_committed_rows_when_killed(private_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(private_postgres.dsn)
    await connection.execute("create table t(a int); insert into t values (1)")
    private_postgres.restart()
    connection = await asyncpg.connect(private_postgres.dsn)
    assert await connection.fetchval("select a from t") == 1
    await connection.close()


def test_kafka_starts_again_on_its_port_after_a_kill(private_kafka: KafkaServer) -> None:
    port = private_kafka.port
    private_kafka.restart()
    assert private_kafka.port == port


_OWNER = """
import sys, time
from tests.support.redis_server import BUS_OFFSET, cluster_ports
from tests.support.servers import PostgresServer, RedisServer
print(RedisServer().start().pid, PostgresServer().start().pid, flush=True)
time.sleep(60)
"""


def test_servers_end_when_the_test_process_is_killed() -> None:
    scratch = scratch_directory("owner")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(scratch)}
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, env=env)
    assert owner.stdout is not None
    servers = [int(word) for word in owner.stdout.readline().split()]
    assert len(servers) == 2
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 20
    while any(_running(pid) for pid in servers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_running(pid) for pid in servers)
    remove_directory(scratch)


def _running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
