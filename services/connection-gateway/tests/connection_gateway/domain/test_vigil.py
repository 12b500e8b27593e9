from thinghub.connection_gateway.domain.vigil import Vigil

LEASE = 30.0
ONE = frozenset({"run-1 repl-1 master"})
OTHER = frozenset({"run-2 repl-1 master"})


def watched(vigil: Vigil, begin: float, end: float, servers: frozenset[str] = ONE) -> list[float]:
    """Looks every second; the times at which something had happened."""
    return [at for at in map(float, range(int(begin), int(end) + 1)) if vigil.saw(servers, at)]


def test_nobody_is_taken_for_dead_in_the_first_two_lease_times() -> None:
    vigil = Vigil(LEASE, 0.0)
    assert watched(vigil, 0, 59) == []
    assert not vigil.trusts(59.9)
    assert vigil.trusts(60.0)


def test_a_restart_or_a_failover_suspends_for_two_lease_times() -> None:
    vigil = Vigil(LEASE, 0.0)
    watched(vigil, 0, 100)
    assert vigil.trusts(100.0)
    assert vigil.saw(OTHER, 101.0)
    assert watched(vigil, 102, 160, OTHER) == []
    assert not vigil.trusts(160.9)
    assert vigil.trusts(161.0)


def test_an_outage_suspends_from_its_end() -> None:
    vigil = Vigil(LEASE, 0.0)
    watched(vigil, 0, 100)
    vigil.missed()
    assert not vigil.trusts(101.0)
    assert vigil.saw(ONE, 110.0)
    watched(vigil, 111, 170)
    assert not vigil.trusts(169.9)
    assert vigil.trusts(170.0)


def test_a_gateway_that_was_frozen_does_not_know_what_it_missed() -> None:
    vigil = Vigil(LEASE, 0.0)
    watched(vigil, 0, 100)
    assert not vigil.trusts(116.0)
    assert vigil.saw(ONE, 116.0)
    assert not vigil.trusts(117.0)
    watched(vigil, 117, 176)
    assert vigil.trusts(176.0)
