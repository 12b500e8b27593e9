"""What a persistent session takes while it is away."""

import pytest

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Kept, covers

ONE = Device("pk", "d1")
PUSH = "/sys/pk/d1/thing/config/push"


@pytest.mark.parametrize(
    ("filter_", "topic", "expected"),
    [
        ("/pk/d1/user/get", "/pk/d1/user/get", True),
        ("/pk/d1/user/get", "/pk/d1/user/get/more", False),
        ("/pk/d1/user/+", "/pk/d1/user/get", True),
        ("/pk/d1/user/+", "/pk/d1/user/get/more", False),
        ("/pk/d1/user/+/more", "/pk/d1/user/get/more", True),
        ("/pk/d1/user/#", "/pk/d1/user/get/more", True),
        ("/pk/d1/user/#", "/pk/d1/user", True),
        ("/pk/d1/user/#", "/pk/d1/other", False),
        ("/pk/d1/user/get/#", "/pk/d1", False),
    ],
)
def test_a_filter_covers_as_mqtt_says(filter_: str, topic: str, expected: bool) -> None:
    assert covers(filter_, topic) is expected


def test_it_takes_what_it_subscribed_to_and_automatic_topics_that_were_not_stopped() -> None:
    kept = Kept(True, ("/pk/d1/user/get",), ())
    assert kept.receives(ONE, "/pk/d1/user/get")
    assert not kept.receives(ONE, "/pk/d1/user/other")
    assert kept.receives(ONE, PUSH)
    assert not Kept(True, (), ("/sys/pk/d1/thing/config/+",)).receives(ONE, PUSH)
    assert Kept(True, (PUSH,), (PUSH,)).receives(ONE, PUSH)


def test_another_devices_automatic_topic_is_not_its_own() -> None:
    assert not Kept(True).receives(ONE, "/sys/pk/d2/thing/config/push")
