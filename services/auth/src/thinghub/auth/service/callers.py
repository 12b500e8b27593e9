"""Who calls the API: signatures, basic credentials and bearer tokens against access keys."""

import hmac
from collections.abc import Callable

from thinghub.auth.domain import access, tokens
from thinghub.auth.domain.access import AccessKey, BasicProof, BearerProof, CallerProof, SignatureProof
from thinghub.auth.domain.sealing import KeyRing
from thinghub.auth.errors import AccessKeyUnknown, BasicInvalid, NonceUsed, TokenInvalid
from thinghub.auth.ports.stores import Nonces
from thinghub.auth.service.known_keys import KnownKeys


class Callers:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, keys: KnownKeys, nonces: Nonces, ring: KeyRing, clock_ms: Callable[[], int]) -> None:
        self._keys = keys
        self._nonces = nonces
        self._ring = ring
        self._clock_ms = clock_ms

    async def verify(self, proof: CallerProof) -> AccessKey:
        """Raises the faults of open-api §3 A as this service names them, or StoreUnavailable."""
        if isinstance(proof, SignatureProof):
            return await self._verify_signature(proof)
        if isinstance(proof, BasicProof):
            return await self._verify_basic(proof)
        return await self._verify_bearer(proof)

    async def _verify_signature(self, proof: SignatureProof) -> AccessKey:
        access.check_shape(proof)
        stored = await self._keys.find(proof.access_key_id)
        if stored is None:
            raise AccessKeyUnknown("the access key does not exist")
        access.check_time(proof, self._clock_ms())
        access.check_signature(proof, self._ring.open(stored.sealed, access.place(stored.key.id)))
        # Last, so that only the owner of the secret can use up a nonce.
        if not await self._nonces.use(proof.access_key_id, proof.nonce, access.NONCE_SECONDS):
            raise NonceUsed("the signature nonce was used before")
        return stored.key

    async def _verify_basic(self, proof: BasicProof) -> AccessKey:
        stored = await self._keys.find(proof.access_key_id)
        secret = self._ring.open(stored.sealed, access.place(stored.key.id)) if stored else ""
        if stored is None or not hmac.compare_digest(secret.encode(), proof.secret.encode()):
            raise BasicInvalid("the access key or its secret is wrong")
        return stored.key

    async def _verify_bearer(self, proof: BearerProof) -> AccessKey:
        claims = tokens.read(proof.token, self._ring, self._clock_ms())
        stored = await self._keys.find(claims.access_key_id)
        if stored is None or stored.key.created_ms != claims.generation:
            raise TokenInvalid("the access key of this token no longer exists")
        return stored.key

    async def issue_token(self, access_key_id: str, seconds: int) -> tuple[str, int]:
        """The token, and when it expires in epoch milliseconds."""
        lifetime = tokens.lifetime(seconds)
        stored = await self._keys.find(access_key_id)
        if stored is None:
            raise AccessKeyUnknown("the access key does not exist")
        return tokens.issue(stored.key, self._ring, self._clock_ms(), lifetime)
