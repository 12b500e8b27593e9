"""KAFKA: an output becomes a record of a topic.

The derived message id travels in the header `message-id`: it repeats when an output is delivered again, so a reader
that remembers ids sees each once.
"""

from collections.abc import Mapping, Sequence

import orjson

from thinghub.rule_engine.adapters.sinks.kafka_cluster import Cluster, Clusters, Record
from thinghub.rule_engine.domain.configurations import Kafka
from thinghub.rule_engine.domain.outputs import Output, derived_id
from thinghub.rule_engine.domain.sql.kinds import ValueKind


class KafkaSinks:
    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    async def check(self, instance_id: str, configuration: Kafka, fields: Mapping[str, ValueKind]) -> None:
        """Raises SecretNotFound, ActionConfigInvalid, KafkaTopicNotFound, SinkUnreachable, Unavailable (auth)."""
        await self._clusters.of(instance_id, configuration.cluster_ref).check(configuration.topic)

    def open(self, instance_id: str, configuration: Kafka) -> "KafkaSink":
        return KafkaSink(configuration, self._clusters.of(instance_id, configuration.cluster_ref))


class KafkaSink:
    def __init__(self, configuration: Kafka, cluster: Cluster) -> None:
        self._configuration = configuration
        self._cluster = cluster

    async def deliver(self, outputs: Sequence[Output]) -> list[str | None]:
        return await self._cluster.send([self._record(output) for output in outputs])

    async def close(self) -> None:
        """The cluster is shared."""

    def _record(self, output: Output) -> Record:
        origin = output.origin
        headers = [
            ("message-id", str(derived_id(output)).encode()),
            ("product-key", origin.product_key.encode()),
            ("device-name", origin.device_name.encode()),
        ]
        if origin.traceparent:
            headers.append(("traceparent", origin.traceparent.encode()))
        return Record(self._configuration.topic, self._key(output), orjson.dumps(output.result), headers)

    def _key(self, output: Output) -> bytes | None:
        """A reference without value gives no key: the record goes to any partition."""
        template = self._configuration.key
        if template is None:
            return f"{output.origin.product_key}/{output.origin.device_name}".encode()
        text = template.text(output)
        return None if text is None else text.encode("utf-8", "replace")
