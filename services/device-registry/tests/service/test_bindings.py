"""Copies of bindings: written once a while, however often somebody asks."""

import logging
from collections.abc import Mapping, Sequence

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import Binding
from thinghub.device_registry.errors import StoreUnavailable
from thinghub.device_registry.service.bindings import COPIED_S, Bindings

SUB, GATEWAY = DeviceId("sub", "s1"), DeviceId("gw", "g1")
LOG = logging.getLogger("test")


class Copies:
    """Implements `BindingCache`, and counts."""

    def __init__(self) -> None:
        self.puts: list[Mapping[DeviceId, Binding]] = []
        self.away = False

    async def get(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        return {}

    async def put(self, bindings: Mapping[DeviceId, Binding]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.puts.append(bindings)


class Store:
    """Implements `BindingSource`."""

    async def bindings(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        return {SUB: Binding(GATEWAY, 1)}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_binding_is_copied_once_an_hour_and_whenever_it_changes() -> None:
    copies, clock = Copies(), Clock()
    bindings = Bindings(Store(), copies, clock, LOG)
    for _ in range(3):
        assert await bindings.of([SUB]) == {SUB: Binding(GATEWAY, 1)}
    for _ in range(2):
        await bindings.remember({SUB: Binding(GATEWAY, 2)})
    assert copies.puts == [{SUB: Binding(GATEWAY, 1)}, {SUB: Binding(GATEWAY, 2)}]
    clock.now = COPIED_S
    await bindings.remember({SUB: Binding(GATEWAY, 2)})
    assert len(copies.puts) == 3


async def test_what_could_not_be_copied_is_tried_again() -> None:
    copies = Copies()
    bindings = Bindings(Store(), copies, Clock(), LOG)
    copies.away = True
    await bindings.remember({SUB: Binding(GATEWAY, 1)})
    copies.away = False
    await bindings.remember({SUB: Binding(GATEWAY, 1)})
    assert len(copies.puts) == 1
