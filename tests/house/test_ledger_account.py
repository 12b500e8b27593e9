"""The ledger's reckoning finds what it is for."""

from bench.ledger.account import reckon
from bench.ledger.roamer import whole_packets


def test_what_was_promised_and_never_came_is_lost() -> None:
    account = reckon(4, {"d": {1, 2, 3}}, {"d": [(1, 1, False), (3, 1, False)]})
    assert (account.acknowledged, account.delivered, account.lost, account.clean) == (3, 2, 1, False)
    assert account.examples == ["d lost [2]"]


def test_a_device_that_got_nothing_at_all_lost_everything() -> None:
    assert reckon(2, {"d": {1, 2}}, {}).lost == 2


def test_only_first_deliveries_have_an_order() -> None:
    again = [(1, 1, False), (2, 1, False), (1, 1, True), (3, 1, False)]
    assert reckon(3, {"d": {1, 2, 3}}, {"d": again}).clean
    late = reckon(3, {"d": {1, 2, 3}}, {"d": [(1, 1, False), (3, 1, False), (2, 1, False)]})
    assert (late.reordered, late.lost, late.clean) == (1, 0, False)


def test_order_is_judged_where_it_is_promised() -> None:
    rows = {"d": [(2, 1, False), (1, 1, False)]}
    assert reckon(2, {"d": {1, 2}}, rows, in_order={"d": [1, 2]}).clean
    assert reckon(2, {"d": {1, 2}}, rows, in_order={"d": [2, 1]}).reordered == 1


def test_duplicates_are_told_apart_by_cause() -> None:
    came = [(1, 1, False), (1, 1, True), (1, 1, False), (1, 2, False), (2, 3, True)]
    account = reckon(2, {"d": {1, 2}}, {"d": came})
    assert account.duplicates == {"marked": 1, "unmarked": 1, "sender": 1}
    assert account.delivered == 2


def test_packets_are_cut_where_they_end() -> None:
    long = bytes([0x30, 0x81, 0x01]) + b"x" * 129
    data = bytes([0xD0, 0]) + long + bytes([0x40, 2, 0])
    assert list(whole_packets(data)) == [(2, 2), (5, 134)]
