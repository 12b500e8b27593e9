"""Faults that ota raises; `reason` is what the API maps to the contract's codes."""

from thinghub.common.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)


class StoreUnavailable(Unavailable):
    reason = "store_unavailable"


class OtaRequestInvalid(InvalidArgument):
    """A member is out of range; the message names it."""

    reason = "ota_request_invalid"


class FirmwareNotFound(NotFound):
    reason = "firmware_not_found"


class PackageNotFound(NotFound):
    """The firmware URL is none of ours, or nothing was uploaded there."""

    reason = "package_not_found"


class PackageMismatch(FailedPrecondition):
    """The package is there, but its size or checksum is not the one given."""

    reason = "package_mismatch"


class PackageTaken(FailedPrecondition):
    """The package already belongs to a firmware."""

    reason = "package_taken"


class JobNotFound(NotFound):
    reason = "job_not_found"


class OtaUnsupported(InvalidArgument):
    """A way of rolling out that this release does not have."""

    reason = "ota_unsupported"


class UploadRefused(PermissionDenied):
    """Not according to the upload's policy. `code` is the store's word for it, `status` the HTTP status."""

    reason = "upload_refused"

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class DownloadRefused(PermissionDenied):
    reason = "download_refused"
