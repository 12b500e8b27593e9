"""Faults that auth raises. No message, detail or log line of these carries a secret or a signature."""

from thinghub.common.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unauthenticated,
    Unavailable,
)


class StoreUnavailable(Unavailable):
    """PostgreSQL or Redis, whichever the call needs, could not be reached. What had been written stays: repeat."""

    reason = "store_unavailable"


class RequestInvalid(InvalidArgument):
    reason = "request_invalid"


class DeviceNotFound(NotFound):
    reason = "device_not_found"


class RotationUnderWay(FailedPrecondition):
    reason = "rotation_under_way"


class RotationNotFound(FailedPrecondition):
    reason = "rotation_not_found"


class ProofInvalid(InvalidArgument):
    """The proof lacks a part: no signature, no nonce, an unknown algorithm."""

    reason = "proof_invalid"


class AccessKeyUnknown(NotFound):
    reason = "access_key_unknown"


class AccessKeyExists(AlreadyExists):
    reason = "access_key_exists"


class SignatureMismatch(Unauthenticated):
    reason = "signature_mismatch"


class NonceUsed(Unauthenticated):
    reason = "nonce_used"


class TimestampExpired(Unauthenticated):
    reason = "timestamp_expired"


class BasicInvalid(Unauthenticated):
    reason = "basic_invalid"


class TokenInvalid(Unauthenticated):
    reason = "token_invalid"


class SecretNotFound(NotFound):
    reason = "secret_not_found"


class SecretNameInvalid(InvalidArgument):
    reason = "secret_name_invalid"
