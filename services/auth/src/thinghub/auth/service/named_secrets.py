"""Named secrets: stored sealed, listed without values, resolved for the rule engine."""

from collections.abc import Sequence

from thinghub.auth.domain.access import check_scope
from thinghub.auth.domain.named_secrets import NamedSecret, ResolvedSecret, check_name, check_value, place
from thinghub.auth.domain.sealing import KeyRing
from thinghub.auth.errors import RequestInvalid, SecretNotFound
from thinghub.auth.ports.stores import NamedSecrets

MAX_PAGE = 500
MAX_BATCH = 200


class SecretBook:
    def __init__(self, store: NamedSecrets, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring

    async def put(self, instance_id: str, name: str, value: str) -> int:
        """Creates or replaces; the new version."""
        check_scope(instance_id)
        check_name(name)
        check_value(value)
        return await self._store.put(instance_id, name, self._ring.seal(value, place(instance_id, name)))

    async def list(self, instance_id: str, after: str, limit: int) -> Sequence[NamedSecret]:
        if not 0 <= limit <= MAX_PAGE:
            raise RequestInvalid(f"a page has 1 to {MAX_PAGE} entries")
        check_scope(instance_id, after)
        return await self._store.list(instance_id, after, limit or MAX_PAGE)

    async def delete(self, instance_id: str, name: str) -> None:
        """Raises SecretNotFound."""
        check_scope(instance_id)
        check_name(name)
        if not await self._store.delete(instance_id, name):
            raise SecretNotFound(f"there is no secret named {name!r}")

    async def resolve(self, instance_id: str, names: Sequence[str]) -> Sequence[ResolvedSecret | None]:
        """One a name, in order; None where there is none."""
        if len(names) > MAX_BATCH:
            raise RequestInvalid(f"a batch has at most {MAX_BATCH} names")
        check_scope(instance_id)
        for name in names:
            check_name(name)
        found = await self._store.find(instance_id, names)
        return [
            ResolvedSecret(self._ring.open(found[name].sealed, place(instance_id, name)), found[name].version)
            if name in found
            else None
            for name in names
        ]
