from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.sessions import Session, SessionTable

DEVICE = Device("pk", "d1")


def session(epoch: int, connection: int = 0) -> Session:
    return Session(DEVICE, epoch, connection or epoch, 0, "iot", "[::1]:4711", 1)


def live(table: SessionTable, epoch: int) -> Session:
    claimed = session(epoch)
    assert table.claim(claimed)
    assert table.unclaim(claimed)
    accepted = claimed.under(epoch * 10)
    table.accepted(accepted)
    return accepted


def test_a_session_is_found_by_device_and_handle_until_it_closes() -> None:
    table = SessionTable()
    one = live(table, 5)
    assert table.of(DEVICE) == table.by_handle(50) == one
    assert table.closed(50) == one
    assert table.of(DEVICE) is None
    assert table.leaving == 1
    assert table.flushed(50) == one
    assert (table.leaving, len(table), table.holds(DEVICE)) == (0, 0, False)


def test_the_newest_session_of_a_device_is_delivered_to() -> None:
    table = SessionTable()
    old, new = live(table, 5), live(table, 6)
    assert table.of(DEVICE) == new
    assert table.supersede(DEVICE, 5) == [old]
    table.closed(old.handle)
    assert table.of(DEVICE) == new


def test_a_claim_that_was_superseded_is_not_accepted() -> None:
    table = SessionTable()
    claimed = session(5)
    table.claim(claimed)
    assert table.supersede(DEVICE, 5) == []
    assert not table.unclaim(claimed)
    assert not table.holds(DEVICE)


def test_a_kick_that_overtakes_the_claims_answer_still_ends_it() -> None:
    table = SessionTable()
    table.supersede(DEVICE, 7)
    assert not table.claim(session(7))
    assert table.claim(session(8))


def test_a_device_that_is_arriving_is_held() -> None:
    table = SessionTable()
    table.arriving([DEVICE, DEVICE])
    table.arrived([DEVICE])
    assert table.holds(DEVICE)
    table.arrived([DEVICE])
    assert not table.holds(DEVICE)


def test_a_handle_is_closed_once() -> None:
    table = SessionTable()
    live(table, 5)
    table.closed(50)
    assert table.closed(50) is None
    assert table.flushed(51) is None


def test_the_client_ip_has_no_port_and_no_brackets() -> None:
    assert session(1).client_ip == "::1"


def behind(table: SessionTable, gateway: Session, name: str, epoch: int) -> Session:
    claimed = Session(Device("pk", name), epoch, gateway.connection, 0, "iot", gateway.client, 1, parent=gateway)
    assert table.claim(claimed)
    assert table.unclaim(claimed)
    attached = claimed.under(epoch * 10)
    table.accepted(attached)
    return attached


def test_sub_devices_are_counted_behind_their_gateway_until_they_close() -> None:
    table = SessionTable()
    gateway = live(table, 5)
    subs = [behind(table, gateway, f"s{number}", 100 + number) for number in range(3)]
    assert table.behind(gateway.handle) == 3
    for sub in subs:
        table.closed(sub.handle)
    assert table.behind(gateway.handle) == 0
    assert table.behind(999) == 0


def test_a_sub_device_is_here_on_its_own_gateways_connection_only() -> None:
    table = SessionTable()
    gateway = live(table, 5)
    other = Session(Device("pk", "g2"), 6, 2, 0, "iot", "[::1]:1", 1).under(60)
    table.accepted(other)
    sub = behind(table, gateway, "s", 100)
    assert table.here(sub.device, gateway) == sub
    assert table.here(sub.device, other) is None
    assert table.here(gateway.device, gateway) is None


def test_what_was_told_to_end_is_not_here_any_more_though_it_is_still_connected() -> None:
    table = SessionTable()
    gateway = live(table, 5)
    sub = behind(table, gateway, "s", 100)
    assert table.stands(sub)
    assert table.supersede(sub.device, 100) == [sub]
    assert not table.stands(sub)
    assert table.here(sub.device, gateway) is None
    assert table.of(sub.device) == sub
