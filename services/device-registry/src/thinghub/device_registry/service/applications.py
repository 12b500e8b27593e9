"""Applications: names checked and stored, started, read; devices imported with their secrets.

    check names ── checked ── start ── running ── the Registrar ── done | failed
    count ────────────────────────────────┘
    import: secrets go to auth within the call, so that none is stored here: done when it returns

A stored application has its names and IotIds, so that carrying it out again after a crash makes the same devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinghub.device_registry.domain.applications import (
    EXISTS,
    MAX_COUNT,
    MAX_NAMES,
    Application,
    Entry,
    Reason,
    Refusal,
    State,
    Wanted,
    sort_out,
)
from thinghub.device_registry.domain.devices import Device, DeviceId
from thinghub.device_registry.domain.names import check_text, generate_device_name, generate_iot_id
from thinghub.device_registry.domain.paging import page_of
from thinghub.device_registry.errors import (
    ApplicationInvalid,
    ApplicationRunning,
    ApplicationTooLarge,
    ProductNotFound,
    RequestInvalid,
)
from thinghub.device_registry.ports.applications import ApplicationStore
from thinghub.device_registry.ports.store import Store
from thinghub.device_registry.service.making import Maker

MAX_GIVEN_TEXT = 1024


@dataclass(frozen=True, slots=True)
class Applied:
    apply_id: int
    refused: Sequence[Refusal]


class Applications:
    """`started` is called after an application was started; `clock_ms` gives epoch milliseconds."""

    def __init__(
        self,
        store: Store,
        applications: ApplicationStore,
        maker: Maker,
        started: Callable[[], None],
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._applications = applications
        self._maker = maker
        self._started = started
        self._clock_ms = clock_ms

    async def check(self, instance_id: str, product_key: str, wanted: Sequence[Wanted]) -> Applied:
        """Stores what can be made and what cannot. Raises ProductNotFound, ApplicationTooLarge."""
        good, refused = await self._sorted(instance_id, product_key, wanted, imported=False)
        async with self._store.unit() as unit:
            apply_id = await unit.insert_application(
                product_key, State.CHECKED, self._clock_ms(), _entries(product_key, good), refused
            )
        return Applied(apply_id, refused)

    async def count(self, instance_id: str, product_key: str, count: int) -> Applied:
        """So many devices with generated names, started at once."""
        if not 1 <= count <= MAX_COUNT:
            raise ApplicationTooLarge(f"an application has 1 to {MAX_COUNT} devices")
        await self._check_product(instance_id, product_key)
        wanted = [Wanted(generate_device_name()) for _ in range(count)]
        async with self._store.unit() as unit:
            apply_id = await unit.insert_application(
                product_key, State.RUNNING, self._clock_ms(), _entries(product_key, wanted), ()
            )
        self._started()
        return Applied(apply_id, ())

    async def start(self, instance_id: str, product_key: str, apply_id: int) -> None:
        """One that is over stays as it is. Raises ApplicationNotFound, ApplicationInvalid, ApplicationRunning."""
        async with self._store.unit() as unit:
            product, state = await unit.lock_application(instance_id, apply_id)
            if product != product_key:
                raise ApplicationInvalid("the application is another product's")
            if state is State.RUNNING:
                raise ApplicationRunning("the application is being carried out")
            if state is State.CHECKED:
                await unit.set_state(apply_id, State.RUNNING)
        self._started()

    async def get(self, instance_id: str, product_key: str, apply_id: int) -> Application:
        return await self._applications.application(instance_id, product_key, apply_id)

    async def devices(self, instance_id: str, apply_id: int, number: int, size: int) -> tuple[Sequence[Device], int]:
        return await self._applications.application_devices(instance_id, apply_id, page_of(number, size))

    async def import_devices(self, instance_id: str, product_key: str, wanted: Sequence[Wanted]) -> Applied:
        """The devices that can be made are registered when it returns, all or none."""
        good, refused = await self._sorted(instance_id, product_key, wanted, imported=True)
        entries = _entries(product_key, good)
        secrets = {entry.device: one.secret for entry, one in zip(entries, good, strict=True)}
        async with self._store.unit() as unit:
            made = await self._maker.make(unit, entries, secrets)
            late = [
                Refusal(one, Reason.REPEATED, EXISTS)
                for entry, one in zip(entries, good, strict=True)
                if entry.device not in made
            ]
            kept = _renumbered([entry for entry in entries if entry.device in made])
            state = State.DONE if made else State.FAILED
            apply_id = await unit.insert_application(product_key, state, self._clock_ms(), kept, [*refused, *late])
            await unit.settle(apply_id, [entry.number for entry in kept], {})
        return Applied(apply_id, [*refused, *late])

    async def _sorted(
        self, instance_id: str, product_key: str, wanted: Sequence[Wanted], imported: bool
    ) -> tuple[Sequence[Wanted], Sequence[Refusal]]:
        if not wanted:
            raise RequestInvalid("no device is named")
        if len(wanted) > MAX_NAMES:
            raise ApplicationTooLarge(f"a call names at most {MAX_NAMES} devices")
        for one in wanted:
            for text in (one.device_name, one.nickname, one.sn):
                check_text(text, "a member of a device", MAX_GIVEN_TEXT)
        await self._check_product(instance_id, product_key)
        existing = await self._applications.existing_names(product_key, [one.device_name for one in wanted])
        return sort_out(wanted, existing, imported)

    async def _check_product(self, instance_id: str, product_key: str) -> None:
        check_text(instance_id + product_key, "ProductKey")
        if await self._store.product(instance_id, product_key) is None:
            raise ProductNotFound("the product does not exist", product_key=product_key)


def _entries(product_key: str, wanted: Sequence[Wanted]) -> list[Entry]:
    return [
        Entry(number, DeviceId(product_key, one.device_name), one.nickname, one.sn, generate_iot_id())
        for number, one in enumerate(wanted, 1)
    ]


def _renumbered(entries: Sequence[Entry]) -> list[Entry]:
    return [Entry(number, one.device, one.nickname, one.sn, one.iot_id) for number, one in enumerate(entries, 1)]
