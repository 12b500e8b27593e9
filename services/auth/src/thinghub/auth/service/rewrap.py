"""Re-sealing: every record under the first master key, so that an older key can be left.

    round: which keys open records? -> page by page: opened, sealed under the first key, stored -> again in a while

A page is one transaction, so whoever dies in between loses nothing and the next round goes on where records of other
keys are left. Several processes may do it at once: each passes over what another holds. Device secrets are written to
the cache as well, because a copy there outlives the key otherwise.

While running processes have different first keys (a roll-out, or one that was forgotten), nothing is sealed anew: who
does not have the new key yet could open nothing, and two who disagree would undo each other's work for ever.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Never, Protocol

from thinghub.auth.domain.devices import DeviceId
from thinghub.auth.domain.master_keys import KeyUse, Kind, lack, uses
from thinghub.auth.domain.sealing import KeyRing, Place, SealBroken, Sealed
from thinghub.auth.errors import StoreUnavailable
from thinghub.auth.ports.sealed_records import Agreement, SealedRecords
from thinghub.auth.ports.stores import CredentialCache, DeviceCredentials

RETRY_SECONDS = 1.0


class Progress(Protocol):
    """Where it is told how far it is."""

    def counted(self, keys: Sequence[KeyUse]) -> None: ...
    def resealed(self, kind: Kind, count: int) -> None: ...
    def lacking(self, sentence: str) -> None:
        """Of keys that are missing; empty when none is."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`announce_s`: pause between two announcements of this process."""

    every_s: float
    announce_s: float
    batch: int
    pause_s: float


class Rewrapping:
    def __init__(
        self,
        records: Sequence[SealedRecords],
        agreement: Agreement,
        store: DeviceCredentials,
        cache: CredentialCache,
        ring: KeyRing,
        progress: Progress,
        pace: Pace,
        log: logging.Logger,
    ) -> None:
        self._records = records
        self._agreement = agreement
        self._store = store
        self._cache = cache
        self._ring = ring
        self._progress = progress
        self._pace = pace
        self._log = log
        self._disagreed: list[str] = []

    async def run(self) -> Never:
        while True:
            try:
                await self.round()
                pause = self._pace.every_s
            except StoreUnavailable:
                self._log.debug("re-sealing waits for the stores")
                pause = min(RETRY_SECONDS, self._pace.every_s)
            await asyncio.sleep(pause)

    async def announce(self) -> Never:
        while True:
            try:
                await self._agreement.announce()
            except StoreUnavailable:
                self._log.debug("the announcement of this process's master key waits for the store")
            await asyncio.sleep(self._pace.announce_s)

    async def keys(self) -> list[KeyUse]:
        """Raises StoreUnavailable."""
        return uses(self._ring, {records.kind: await records.counts() for records in self._records})

    async def round(self) -> int:
        """Number of records sealed anew. Raises StoreUnavailable; what was done stays done."""
        await self._agreement.announce()
        keys = await self.keys()
        self._tell(keys)
        older = [(key.key_id, kind) for key in keys if key.given and not key.active for kind in key.records]
        done = 0
        for records in self._records:
            for key_id in [key_id for key_id, kind in older if kind is records.kind]:
                done += await self._leave(records, key_id)
        if done:
            self._log.info("%d secrets were sealed anew under master key %s", done, self._ring.active)
            self._tell(await self.keys())
        return done

    def _tell(self, keys: Sequence[KeyUse]) -> None:
        self._progress.counted(keys)
        self._progress.lacking(lack(keys))

    async def _leave(self, records: SealedRecords, key_id: str) -> int:
        done = 0
        after: Place | None = None
        while await self._agreed():
            page = await records.reseal(key_id, after, self._pace.batch, self._sealed_anew)
            if page.last is None:
                break
            done, after = done + len(page.places), page.last
            self._progress.resealed(records.kind, len(page.places))
            if records.kind in (Kind.DEVICE, Kind.FORMER_DEVICE) and page.places:
                await self._to_cache(page.places)
            await asyncio.sleep(self._pace.pause_s)
        return done

    async def _agreed(self) -> bool:
        others = await self._agreement.others()
        if others and others != self._disagreed:
            self._log.info(
                "no secret is sealed anew yet: processes run with %s as their first master key, this one with %s",
                " and ".join(others),
                self._ring.active,
            )
        self._disagreed = others
        return not others

    def _sealed_anew(self, sealed: Sealed, place: Place) -> Sealed | None:
        try:
            return self._ring.seal(self._ring.open(sealed, place), place)
        except SealBroken as error:
            self._log.error("the secret of %s cannot be sealed anew: %s", "/".join(place), error)
            return None

    async def _to_cache(self, places: Sequence[Place]) -> None:
        """Until it is done: these records will not be looked at again, and their copies need the older key."""
        devices = [DeviceId(product_key, device_name) for _, product_key, device_name in places]
        while True:
            try:
                return await self._cache.put(list((await self._store.find(devices)).values()))
            except StoreUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
