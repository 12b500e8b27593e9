"""The real servers that tests run against; see `tests.support.fixtures` for who gets which."""

from tests.support.child import Child, ServerFailed, free_port
from tests.support.kafka_server import KafkaServer
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisCluster, RedisServer
from tests.support.s3_server import S3Server

__all__ = [
    "Child",
    "KafkaServer",
    "PostgresServer",
    "RedisCluster",
    "RedisServer",
    "S3Server",
    "ServerFailed",
    "free_port",
]
