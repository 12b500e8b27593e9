from thinghub.connection_gateway.domain.rates import PerSecond, Rates


def test_a_burst_is_allowed_and_then_one_a_step() -> None:
    rates = Rates(5)
    assert [rates.count("d", 100.0) for _ in range(6)] == [True] * 5 + [False]
    assert not rates.count("d", 111.9)
    assert rates.count("d", 112.0)
    assert not rates.count("d", 112.1)


def test_keys_do_not_disturb_each_other() -> None:
    rates = Rates(1)
    assert rates.count("a", 1.0)
    assert rates.count("b", 1.0)
    assert not rates.allows("a", 1.0)


def test_refusals_cost_nothing_and_quiet_restores_everything() -> None:
    rates = Rates(5)
    for _ in range(100):
        rates.count("d", 0.0)
    assert [rates.count("d", 60.0) for _ in range(6)] == [True] * 5 + [False]


def test_zero_is_no_limit() -> None:
    rates = Rates(0)
    assert all(rates.count("d", 0.0) and rates.allows("d", 0.0) for _ in range(1000))


def test_memory_is_bounded() -> None:
    rates = Rates(1, keys=10)
    for number in range(100):
        assert rates.count(number, 0.0)
    assert rates.allows(0, 0.0)
    assert not rates.allows(99, 0.0)


def test_so_many_a_second_and_then_none_until_the_next() -> None:
    rate = PerSecond(2)
    assert [rate.allows("a", now) for now in (7.0, 7.5, 7.9, 8.0)] == [True, True, False, True]
    assert rate.allows("b", 8.1)
