"""Device credentials: kept, changed, and checked in batches.

The truth is PostgreSQL, the cache in Redis is read first. A change is written to the truth, then to the cache; when the
second fails the caller is told Unavailable with the change stored, a repeat is harmless, and `Repair` writes the cache
later all the same. A reader that fills the cache carries the version it read, and versions only rise, so an old copy
never replaces a newer one.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from thinghub.auth.domain.devices import (
    Credential,
    DeviceId,
    Judgement,
    NewCredential,
    Proof,
    Verdict,
    check_device,
    check_iot_id,
    check_secret,
    generate_secret,
    judge,
    place,
    plausible,
)
from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import KeyRing, SealBroken
from thinghub.auth.errors import RequestInvalid, StoreUnavailable
from thinghub.auth.ports.stores import Candidate, CredentialCache, DeviceCredentials

MAX_BATCH = 2000


class Outcomes(Protocol):
    """Where counts of what happened go."""

    def judged(self, verdict: Verdict, count: int) -> None: ...
    def looked_up(self, cached: int, stored: int, unavailable: int) -> None: ...


class Devices:
    """`clock_ms` gives epoch milliseconds; `adopted` hears of devices that prove themselves by a new secret."""

    def __init__(
        self,
        store: DeviceCredentials,
        cache: CredentialCache,
        ring: KeyRing,
        outcomes: Outcomes,
        log: logging.Logger,
        clock_ms: Callable[[], int],
        adopted: Callable[[DeviceId, Rotation], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._ring = ring
        self._outcomes = outcomes
        self._log = log
        self._clock_ms = clock_ms
        self._adopted = adopted

    async def authenticate(self, proofs: Sequence[Proof]) -> list[Judgement]:
        """One judgement a proof, in order. Never raises for a store that is away: those devices are UNAVAILABLE."""
        _check_batch(proofs)
        devices = list(dict.fromkeys(proof.device for proof in proofs if plausible(proof.device)))
        known, unavailable = await self._look_up(devices)
        judgements = [self._judge(proof, known, unavailable) for proof in proofs]
        for proof, judgement in zip(proofs, judgements, strict=True):
            if judgement.adopted:
                self._adopted(proof.device, judgement.adopted)
        for verdict in Verdict:
            if count := sum(judgement.verdict is verdict for judgement in judgements):
                self._outcomes.judged(verdict, count)
        return judgements

    def _judge(self, proof: Proof, known: Mapping[DeviceId, Credential], unavailable: bool) -> Judgement:
        credential = known.get(proof.device)
        if credential is None and unavailable:
            return Judgement(Verdict.UNAVAILABLE)
        try:
            return judge(proof, credential, self._ring, self._clock_ms())
        except SealBroken as error:
            self._log.error("a device secret does not open: %s", error)
            return Judgement(Verdict.UNAVAILABLE)

    async def _look_up(self, devices: Sequence[DeviceId]) -> tuple[Mapping[DeviceId, Credential], bool]:
        """What is known of them, and whether the rest is unknown only because the truth is away."""
        cached = self._openable(await self._cache.get(devices))
        missing = [device for device in devices if device not in cached]
        if not missing:
            self._outcomes.looked_up(len(cached), 0, 0)
            return cached, False
        try:
            stored = await self._store.find(missing)
        except StoreUnavailable:
            self._outcomes.looked_up(len(cached), 0, len(missing))
            return cached, True
        self._outcomes.looked_up(len(cached), len(missing), 0)
        await self._fill(list(stored.values()))
        return {**cached, **stored}, False

    def _openable(self, cached: Mapping[DeviceId, Credential]) -> Mapping[DeviceId, Credential]:
        """Without copies under a master key that is gone: the store has had them sealed anew."""
        return {device: one for device, one in cached.items() if set(one.key_ids) <= set(self._ring.ids)}

    async def _fill(self, credentials: Sequence[Credential]) -> None:
        try:
            if credentials:
                await self._cache.put(credentials)
        except StoreUnavailable:
            self._log.debug("the credential cache could not be filled")

    async def put(self, news: Sequence[NewCredential]) -> list[NewCredential]:
        """Stores them; answers with the secrets in force, one each, in order."""
        _check_batch(news)
        for new in news:
            check_device(new.device)
            check_secret(new.secret)
            check_iot_id(new.iot_id)
        if len({new.device for new in news}) != len(news):
            raise RequestInvalid("a device is named twice")
        if not news:
            return []
        stored = await self._store.put([self._candidate(new) for new in news])
        await self._cache.put(list(stored.values()))
        return [self._in_force(stored[new.device]) for new in news]

    def _candidate(self, new: NewCredential) -> Candidate:
        sealed = self._ring.seal(new.secret or generate_secret(), place(new.device))
        return Candidate(new.device, new.iot_id, new.disabled, sealed, keep=not new.secret)

    def _in_force(self, credential: Credential) -> NewCredential:
        return NewCredential(credential.device, credential.iot_id, self._open(credential), credential.disabled)

    def _open(self, credential: Credential | None) -> str:
        if credential is None or credential.deleted or credential.sealed is None:
            return ""
        return self._ring.open(credential.sealed, place(credential.device))

    async def set_enabled(self, devices: Sequence[DeviceId], enabled: bool) -> None:
        """Unknown devices are passed over."""
        self._check(devices)
        await self._cache.put(await self._store.set_enabled(devices, enabled))

    async def delete(self, devices: Sequence[DeviceId]) -> None:
        self._check(devices)
        await self._cache.put(await self._store.delete(devices))

    async def secrets(self, devices: Sequence[DeviceId]) -> list[str]:
        """One a device, in order; empty when the device is unknown."""
        self._check(devices)
        stored = await self._store.find(devices)
        return [self._open(stored.get(device)) for device in devices]

    def _check(self, devices: Sequence[DeviceId]) -> None:
        _check_batch(devices)
        for device in devices:
            check_device(device)


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise RequestInvalid(f"a batch has at most {MAX_BATCH} entries")
