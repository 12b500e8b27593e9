from thinghub.device_protocol.bus_topics import BUS_TOPICS, specs


def test_every_topic_has_a_producer_and_one_row() -> None:
    assert len({topic.name for topic in BUS_TOPICS}) == len(BUS_TOPICS)
    assert all(topic.producers for topic in BUS_TOPICS)


def test_specs_follow_the_table_and_take_other_partition_counts() -> None:
    wanted = {spec.name: spec for spec in specs({"device.custom": 32})}
    assert wanted["device.custom"].partitions == 32
    assert wanted["device.lifecycle"].partitions == 8
    assert wanted["device.lifecycle"].groups == ("device-registry", "rule-engine", "shadow", "ota")
    assert wanted["control"].partitions == 1
