import pytest

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.status import StatusChange
from thinghub.device_registry.domain.sweeping import Held, Projected, Repair, repair

ONE = DeviceId("pk", "d1")


def row(online: bool, epoch: int = 5) -> Projected:
    return Projected(ONE, online, epoch)


def held(epoch: int = 5) -> Held:
    return Held(epoch, 1000, "10.0.0.1")


@pytest.mark.parametrize(
    ("was", "claim"),
    [(row(True), held()), (row(False), None), (row(False), held(4)), (row(True), held(4))],
)
def test_what_agrees_or_lags_is_left_alone(was: Projected, claim: Held | None) -> None:
    assert repair(was, claim) is None


def test_online_without_a_claim_is_offline_of_its_own_epoch() -> None:
    assert repair(row(True), None) == Repair(row(True), StatusChange(ONE, False, 5, 0, ""))


@pytest.mark.parametrize("was", [row(True), row(False)])
def test_a_higher_claim_is_an_online_that_was_lost(was: Projected) -> None:
    assert repair(was, held(6)) == Repair(was, StatusChange(ONE, True, 6, 1000, "10.0.0.1"))


def test_offline_with_a_claim_of_the_same_epoch_is_online_again() -> None:
    assert repair(row(False), held()) == Repair(row(False), StatusChange(ONE, True, 5, 1000, "10.0.0.1"))
