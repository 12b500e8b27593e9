"""Faults that shadow raises; `reason` is what the API maps to the contract's codes."""

from thinghub.common.errors import FailedPrecondition, InvalidArgument, Unavailable


class StoreUnavailable(Unavailable):
    """Redis did not take it, or not on as many replicas as it must be on."""

    reason = "store_unavailable"


class DocumentBusy(Unavailable):
    """Other writers were quicker too many times in a row: repeat the call."""

    reason = "document_busy"


class DeviceInvalid(InvalidArgument):
    reason = "device_invalid"


class ShadowMessageInvalid(InvalidArgument):
    """An update that is none; details name what is wrong with it (`problem`)."""

    reason = "shadow_message_invalid"


class ShadowVersionConflict(FailedPrecondition):
    """The version is not greater than the document's (details: `current`)."""

    reason = "shadow_version_conflict"
