import pytest

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.rrpc import Code, Correlator, request_topic, response_id

DEVICE = Device("pk", "d1")


def test_only_the_asked_device_answers() -> None:
    requests = Correlator()
    requests.open(7, DEVICE, 70)
    assert requests.answers(7, DEVICE)
    assert not requests.answers(7, Device("pk", "d2"))
    assert not requests.answers(8, DEVICE)


def test_an_acknowledged_request_times_out_and_another_is_half_connected() -> None:
    requests = Correlator()
    requests.open(7, DEVICE, 70)
    requests.open(8, DEVICE, 70)
    requests.acknowledged(7)
    requests.acknowledged(99)
    assert requests.overdue(7) is Code.TIMEOUT
    assert requests.overdue(8) is Code.HALFCONN


def test_a_closed_connection_names_its_requests_and_an_ended_one_is_forgotten() -> None:
    requests = Correlator()
    requests.open(7, DEVICE, 70)
    requests.open(8, DEVICE, 71)
    assert requests.of_connection(70) == [7]
    requests.forget(7)
    assert requests.of_connection(70) == []
    assert not requests.answers(7, DEVICE)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("topic", "ext", "expected"),
    [
        ("", 1, "/sys/pk/d1/rrpc/request/9"),
        ("/pk/d1/user/get", 0, "/sys/pk/d1/rrpc/request/9"),
        ("/pk/d1/user/get", 2, "/sys/pk/d1/rrpc/request/9"),
        ("/pk/d1/user/get", 3, "/ext/rrpc/9/pk/d1/user/get"),
        ("pk/d1/user/get", 1, "/ext/rrpc/9/pk/d1/user/get"),
    ],
)
def test_a_custom_topic_needs_the_ext_bit(topic: str, ext: int, expected: str) -> None:
    assert request_topic(DEVICE, 9, topic, ext) == expected


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/sys/pk/d1/rrpc/response/123", 123),
        ("/ext/rrpc/123/pk/d1/user/get", 123),
        ("/ext/rrpc/9223372036854775807/x", 9223372036854775807),
        ("/ext/rrpc", 0),
        ("/ext/rrpc/", 0),
        ("/ext/rrpc/+1/x", 0),
        ("/ext/rrpc/٣/x", 0),
        ("/ext/rrpc/99999999999999999999/x", 0),
        ("/sys/pk/d1/rrpc/response/123/x", 0),
        ("/sys/pk/d1/rrpc/request/123", 0),
    ],
)
def test_the_id_stands_in_the_response_topic(topic: str, expected: int) -> None:
    assert response_id(topic) == expected
