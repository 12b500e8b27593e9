"""The order in which devices' messages lie on the bus: that is where uplink order is promised."""

import json

import kafka

from thinghub.device_protocol.bus_topics import DEVICE_CUSTOM
from thinghub.device_protocol.records import decode_record


def numbers_on_bus(bootstrap: str, prefix: str) -> dict[str, list[int]]:
    """By device, every copy, as readers of the bus meet them. Reads the topic from its beginning to its present end."""
    topic = prefix + DEVICE_CUSTOM
    consumer = kafka.KafkaConsumer(bootstrap_servers=[bootstrap], enable_auto_commit=False)
    try:
        partitions = [kafka.TopicPartition(topic, one) for one in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        numbers: dict[str, list[int]] = {}
        while any(consumer.position(one) < ends[one] for one in partitions):
            for records in consumer.poll(timeout_ms=1000).values():
                for record in records:
                    for message in decode_record(record.value).messages:
                        numbers.setdefault(message.device_name, []).append(json.loads(message.payload)["n"])
        return numbers
    finally:
        consumer.close()
