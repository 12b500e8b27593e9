"""How a Kafka cluster is set up, for who checks an installation. The names of topics are the broker's."""

from collections.abc import Mapping, Sequence
from typing import Any

import kafka
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from thinghub.common.bus.inspection import BusState, TopicState


def describe(admin: kafka.KafkaAdminClient, topics: Sequence[str]) -> BusState:
    """Raises KafkaError."""
    brokers = len(admin.describe_cluster()["brokers"])
    found = {}
    for topic in admin.describe_topics(list(topics)) if topics else []:
        error = kafka_errors.for_code(topic["error_code"])
        if error is kafka_errors.NoError:
            found[topic["name"]] = topic["partitions"]
        elif error not in (kafka_errors.UnknownTopicOrPartitionError, kafka_errors.InvalidTopicError):
            raise error(topic["name"])
    configs = _configs(admin, list(found))
    states = {name: _state(name, partitions, configs.get(name, {})) for name, partitions in found.items()}
    return BusState(True, brokers, states)


def _configs(admin: kafka.KafkaAdminClient, topics: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Any: the library's own description of a setting."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    answer = admin.describe_configs(resources, config_filter="all")
    by_topic: Mapping[str, Mapping[str, Any]] = next(iter(answer.values()), {})
    return by_topic


def _state(name: str, partitions: Sequence[Mapping[str, Any]], configs: Mapping[str, Any]) -> TopicState:
    def told(setting: str, otherwise: str) -> str:
        value = configs.get(setting, {}).get("value")
        return otherwise if value is None else str(value)

    retention_ms = int(told("retention.ms", "-1"))
    return TopicState(
        name=name,
        partitions=len(partitions),
        retention_s=-1 if retention_ms < 0 else retention_ms // 1000,
        replicas=min((len(one["replica_nodes"]) for one in partitions), default=0),
        in_sync_needed=int(told("min.insync.replicas", "1")),
        unclean_election=told("unclean.leader.election.enable", "false").lower() == "true",
        lagging=sum(len(one["isr_nodes"]) < len(one["replica_nodes"]) for one in partitions),
        leaderless=sum(one["leader_id"] < 0 for one in partitions),
    )
