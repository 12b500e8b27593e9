import pytest

from thinghub.common.errors import Fault
from thinghub.rule_engine.domain.routing import Routing, matches
from thinghub.rule_engine.domain.sources import Source, full_topic, parse_source

ACCEPTED = [
    ("+/user/update", 1, Source("pk", None, ("user", "update"))),
    ("${dn}/user/#", 1, Source("pk", None, ("user", "#"))),
    ("dev.1:a@b-c_d/user/+/x", 1, Source("pk", "dev.1:a@b-c_d", ("user", "+", "x"))),
    ("+", 2, Source("pk", None, ())),
    ("${dn}", 2, Source("pk", None, ())),
    ("dev1", 2, Source("pk", "dev1", ())),
    ("+/thing/event/property/history/post", 0, Source("pk", None, ("thing", "event", "property", "history", "post"))),
    ("dev1/thing/event/+/history/post", 0, Source("pk", "dev1", ("thing", "event", "+", "history", "post"))),
    ("+/thing/lifecycle", 0, Source("pk", None, ("thing", "lifecycle"))),
    ("gw1/thing/topo/lifecycle", 0, Source("pk", "gw1", ("thing", "topo", "lifecycle"))),
    ("+/thing/list/found", 0, Source("pk", None, ("thing", "list", "found"))),
    ("+/thing/downlink/reply/message", 0, Source("pk", None, ("thing", "downlink", "reply", "message"))),
    ("+/ota/upgrade", 0, Source("pk", None, ("ota", "upgrade"))),
    ("${dn}/ota/version/post", 0, Source("pk", None, ("ota", "version", "post"))),
    ("${packageId}/${jobId}/ota/job/status", 0, Source("pk", None, ("+", "ota", "job", "status"), of_job=True)),
    ("+/+/ota/job/status", 0, Source("pk", None, ("+", "ota", "job", "status"), of_job=True)),
    ("p1/j1/ota/job/status", 0, Source("pk", "p1", ("j1", "ota", "job", "status"), of_job=True)),
]
REFUSED = [
    ("+/user/update", 3, "topic_type_unsupported", "topic type"),
    ("+/user/update", 0, "topic_unsupported", "system topic"),
    ("+/thing/topo/+", 0, "topic_unsupported", "system topic"),
    ("+/ota/progress", 0, "topic_unsupported", "ota/upgrade"),
    ("+/ota/job/status", 0, "topic_unsupported", "job/status"),
    ("p+/${jobId}/ota/job/status", 0, "topic_invalid", "neither an id"),
    ("+/${dn}/ota/job/status", 0, "topic_invalid", "neither an id"),
    ("+/thing/downlink/reply", 0, "topic_unsupported", "system topic"),
    ("+/thing/downlink/+/message", 0, "topic_unsupported", "system topic"),
    ("+/thing/event/property/pack/post", 0, "topic_unsupported", "system topic"),
    ("+/thing/event/property/history", 0, "topic_unsupported", "system topic"),
    ("+/thing/event/a+/history/post", 0, "topic_invalid", "no event"),
    ("+/thing/event/a+/post", 0, "topic_invalid", "no event"),
    ("+/user/update", 3, "topic_type_unsupported", "topic type 3"),
    ("+/thing/event/property/post", 1, "topic_invalid", "user/"),
    ("+/user", 1, "topic_invalid", "user/"),
    ("+/#", 1, "topic_invalid", "user/"),
    ("/+/user/update", 1, "topic_invalid", "level 1"),
    ("+/user//x", 1, "topic_invalid", "level 3"),
    ("+/user/a#", 1, "topic_invalid", "level 3"),
    ("+/user/#/a", 1, "topic_invalid", "level 3"),
    ("+/user/a+", 1, "topic_invalid", "level 3"),
    ("de+v/user/a", 1, "topic_invalid", "device name"),
    ("${other}/user/a", 1, "topic_invalid", "device name"),
    ("+/user/" + "x" * 300, 1, "topic_invalid", "longer"),
    ("+/user/a", 2, "topic_invalid", "status"),
    ("", 2, "topic_invalid", "empty"),
]


@pytest.mark.parametrize(("short", "kind", "source"), ACCEPTED)
def test_source_is_read(short: str, kind: int, source: Source) -> None:
    assert parse_source("pk", short, kind) == source


@pytest.mark.parametrize(("short", "kind", "reason", "words"), REFUSED)
def test_source_is_refused(short: str, kind: int, reason: str, words: str) -> None:
    with pytest.raises(Fault, match=words) as refusal:
        parse_source("pk", short, kind)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("key", ["", "a/b", "a+", "#", "a b", "$x", "x" * 65])
def test_product_key_is_refused(key: str) -> None:
    with pytest.raises(Fault, match="product key"):
        parse_source(key, "+/user/a", 1)


def test_topic_of_the_api() -> None:
    assert full_topic("pk", "+/user/a", 1) == "/pk/+/user/a"
    assert full_topic("pk", "+", 2) == "/as/mqtt/status/pk/+"
    assert full_topic("pk", "", 1) == ""


MATCHES = [
    ("user/update", "user/update", True),
    ("user/update", "user/update/x", False),
    ("user/update", "user", False),
    ("user/+", "user/a", True),
    ("user/+", "user/a/b", False),
    ("user/+", "user", False),
    ("user/#", "user/a/b", True),
    ("user/#", "user", True),
    ("user/+/c", "user/b/c", True),
    ("user/+/#", "user/a", True),
]


@pytest.mark.parametrize(("pattern", "topic", "expected"), MATCHES)
def test_filter_matches(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern.split("/"), topic.split("/")) is expected


def test_routing_finds_rules_by_product_device_and_topic() -> None:
    routing = Routing(
        [
            (parse_source("pk", "+/user/#", 1), "all"),
            (parse_source("pk", "d1/user/a", 1), "d1"),
            (parse_source("pk", "+", 2), "status"),
            (parse_source("pk", "d1", 2), "status d1"),
            (parse_source("other", "+/user/#", 1), "other"),
        ]
    )
    found = {
        topic: routing.find("pk", device, topic)
        for device, topic in [
            ("d1", "/pk/d1/user/a"),
            ("d2", "/pk/d2/user/a"),
            ("d1", "/pk/d1/user/b"),
            ("d1", "/as/mqtt/status/pk/d1"),
            ("d2", "/as/mqtt/status/pk/d2"),
            ("d1", "/pk/d1/thing/lifecycle"),
            ("d1", "/pk/d2/user/c"),
            ("d1", "/as/mqtt/status/pk/d3"),
        ]
    }
    assert found == {
        "/pk/d1/user/a": ("all", "d1"),
        "/pk/d2/user/a": ("all",),
        "/pk/d1/user/b": ("all",),
        "/as/mqtt/status/pk/d1": ("status", "status d1"),
        "/as/mqtt/status/pk/d2": ("status",),
        "/pk/d1/thing/lifecycle": (),
        "/pk/d2/user/c": (),
        "/as/mqtt/status/pk/d3": (),
    }
    assert routing.find("nobody", "d1", "/nobody/d1/user/a") == ()


def test_what_is_said_of_a_job_is_no_devices_and_the_other_way_round() -> None:
    routing = Routing(
        [
            (parse_source("pk", "+/+/ota/job/status", 0), "jobs"),
            (parse_source("pk", "p1/+/ota/job/status", 0), "package"),
            (parse_source("pk", "p1/j2/ota/job/status", 0), "job"),
            (parse_source("pk", "+/ota/upgrade", 0), "results"),
            (parse_source("pk", "+/user/#", 1), "custom"),
        ]
    )
    assert routing.find("pk", "", "/pk/p1/j1/ota/job/status") == ("jobs", "package")
    assert routing.find("pk", "", "/pk/p1/j2/ota/job/status") == ("jobs", "package", "job")
    assert routing.find("pk", "", "/pk/p2/j2/ota/job/status") == ("jobs",)
    assert routing.find("pk", "", "/other/p2/j2/ota/job/status") == ()
    assert routing.find("pk", "d1", "/pk/d1/ota/upgrade") == ("results",)
    assert routing.find("pk", "d1", "/pk/d1/user/ota/job/status") == ("custom",), "a device's own words"
    assert routing.find("pk", "p1", "/pk/p1/j1/ota/job/status") == ()


def test_routing_remembers_a_bounded_number_of_topics() -> None:
    routing = Routing([(parse_source("pk", "+/user/#", 1), "all")])
    for number in range(10_000):
        assert routing.find("pk", "d", f"/pk/d/user/{number}") == ("all",)
    assert len(routing._products["pk"].devices.every._answers) <= 4096
