from thinghub.api_gateway.domain.times import local, utc


def test_local_time_is_utc_plus_8() -> None:
    assert local(1_533_523_670_123) == "2018-08-06 10:47:50"


def test_utc_has_milliseconds() -> None:
    assert utc(1_533_523_670_123) == "2018-08-06T02:47:50.123Z"


def test_never_is_left_out() -> None:
    assert local(0) is None
    assert utc(0) is None
