"""The order in which a queue is pushed."""

import random

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outbox import Outbox, Stored, Taken, Window

ONE = Device("pk", "d1")


def stored(*sequences: int, dup: bool = False, size: int = 1) -> list[Stored]:
    return [Stored(sequence, "t", b"x" * size, True, dup) for sequence in sequences]


def taken(*sequences: int, last: int = 0) -> Taken:
    return Taken(stored(*sequences), (), sequences[-1] if sequences else last, max(last, *sequences, 0))


def handed(outbox: Outbox) -> list[int]:
    return [one.sequence for one in outbox.hand_over()]


def test_a_new_outbox_looks_whether_there_is_anything_and_then_waits_to_be_told() -> None:
    outbox = Outbox(Window())
    assert outbox.behind
    outbox.took(Taken((), (), 0, 0))
    assert not outbox.behind
    outbox.heard(7)
    assert outbox.behind
    assert outbox.wish(ONE, 5).after == 0


def test_what_arrived_while_it_looked_is_asked_for() -> None:
    outbox = Outbox(Window())
    outbox.took(taken(1, 2, last=2))
    outbox.heard(2)
    handed(outbox)
    assert not outbox.behind
    outbox.heard(3)
    assert outbox.behind


def test_no_more_than_a_window_is_under_way() -> None:
    outbox = Outbox(Window(messages=3))
    assert outbox.wish(ONE, 5).count == 3
    outbox.took(taken(1, 2, 3, last=9))
    assert handed(outbox) == [1, 2, 3]
    assert not outbox.behind
    outbox.done(2)
    wish = outbox.wish(ONE, 5)
    assert (outbox.behind, wish.after, wish.count) == (True, 3, 1)


def test_bytes_bound_a_window_as_well_but_an_empty_one_takes_anything() -> None:
    outbox = Outbox(Window(messages=10, bytes=100))
    outbox.took(Taken(stored(1, size=500), (), 1, 9))
    outbox.hand_over()
    assert not outbox.behind
    outbox.done(1)
    assert outbox.behind


def test_what_was_refused_comes_before_anything_else() -> None:
    outbox = Outbox(Window(messages=5))
    outbox.took(taken(1, 2, 3, last=9))
    messages = outbox.hand_over()
    outbox.refused(messages[2])
    outbox.refused(messages[1])
    assert outbox.held_back
    assert not outbox.behind
    outbox.again()
    assert handed(outbox) == [2, 3]
    assert outbox.behind


def test_a_message_is_settled_once_it_was_taken_and_answered() -> None:
    outbox = Outbox(Window())
    assert not outbox.settled(1)
    outbox.took(taken(1))
    assert not outbox.settled(1)
    outbox.hand_over()
    assert not outbox.settled(1)
    outbox.done(1)
    assert outbox.settled(1)


def test_whatever_is_refused_the_order_stays() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        queue, outbox = list(range(1, 60)), Outbox(Window(messages=8))
        got: list[int] = []
        flight: list[int] = []
        while len(got) < 59:
            if outbox.behind:
                wish = outbox.wish(ONE, 1)
                found = [sequence for sequence in queue if sequence > wish.after][: wish.count]
                outbox.took(Taken(stored(*found), (), found[-1] if found else 59, 59))
            messages = outbox.hand_over()
            keep = chance.randint(0, len(messages))  # the connection refuses the rest, as over a rate
            got += [one.sequence for one in messages[:keep]]
            flight += [one.sequence for one in messages[:keep]]
            for one in messages[keep:]:
                outbox.refused(one)
            outbox.again()
            chance.shuffle(flight)
            for _ in range(chance.randint(0, len(flight))):
                outbox.done(flight.pop())
        assert got == list(range(1, 60))
