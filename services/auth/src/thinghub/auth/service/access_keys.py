"""Access keys: made, listed, deleted."""

from collections.abc import Callable, Sequence

from thinghub.auth.domain import access
from thinghub.auth.domain.access import AccessKey, Role, StoredAccessKey
from thinghub.auth.domain.sealing import KeyRing
from thinghub.auth.errors import AccessKeyUnknown, RequestInvalid
from thinghub.auth.ports.stores import AccessKeys
from thinghub.auth.service.known_keys import KnownKeys

MAX_PAGE = 500


class AccessKeyring:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, store: AccessKeys, known: KnownKeys, ring: KeyRing, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._known = known
        self._ring = ring
        self._clock_ms = clock_ms

    async def create(
        self, role: Role, instance_id: str, description: str, access_key_id: str = "", secret: str = ""
    ) -> tuple[AccessKey, str]:
        """The key and its secret, which is shown only here. Raises AccessKeyExists."""
        access.check_new_key(access_key_id, secret, description)
        access.check_scope(instance_id)
        secret = secret or access.generate_secret()
        stored = self._stored(access_key_id or access.generate_id(), secret, role, instance_id, description)
        await self._store.create(stored)
        return stored.key, secret

    async def create_first(self, access_key_id: str, secret: str) -> bool:
        """The first administrator, unless there is one; True when it was made."""
        access.check_new_key(access_key_id, secret, "")
        return await self._store.create_first(self._stored(access_key_id, secret, Role.ADMINISTRATOR, "", "first key"))

    def _stored(self, key_id: str, secret: str, role: Role, instance_id: str, description: str) -> StoredAccessKey:
        key = AccessKey(key_id, role, instance_id, description, self._clock_ms())
        return StoredAccessKey(key, self._ring.seal(secret, access.place(key_id)))

    async def list(self, after: str, limit: int) -> Sequence[AccessKey]:
        """In the order of ids; `limit` 0 is the most."""
        if not 0 <= limit <= MAX_PAGE:
            raise RequestInvalid(f"a page has 1 to {MAX_PAGE} entries")
        access.check_scope("", after)
        return [stored.key for stored in await self._store.list(after, limit or MAX_PAGE)]

    async def delete(self, access_key_id: str) -> None:
        """Raises AccessKeyUnknown. Other processes refuse the key within seconds (`KnownKeys`)."""
        existed = access.is_id(access_key_id) and await self._store.delete(access_key_id)
        self._known.forget(access_key_id)
        if not existed:
            raise AccessKeyUnknown("the access key does not exist")
