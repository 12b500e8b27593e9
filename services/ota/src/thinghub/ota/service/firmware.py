"""Uploads and firmware."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from thinghub.ota.domain import signing
from thinghub.ota.domain.models import DEFAULT_MODULE, DIFFERENCE, Firmware, Package
from thinghub.ota.errors import (
    FirmwareNotFound,
    OtaRequestInvalid,
    PackageMismatch,
    PackageNotFound,
    PackageTaken,
    UploadRefused,
)
from thinghub.ota.ports.others import Registry
from thinghub.ota.ports.packages import Packages
from thinghub.ota.ports.store import Firmwares, Uploads

MAX_NAME, MAX_TEXT, MAX_VERSION, MAX_MODULE, MAX_UDI = 40, 100, 64, 64, 4096
SIGN_METHODS = ("MD5", "SHA256")


@dataclass(frozen=True, slots=True)
class UploadPlace:
    form: signing.UploadForm
    created_ms: int


class Store:
    """The store of packages as its port sees it: forms in, signed downloads out."""

    def __init__(
        self,
        uploads: Uploads,
        packages: Packages,
        clock_ms: Callable[[], int],
        max_bytes: int,
        upload_s: int,
        download_s: int,
    ) -> None:
        self._uploads = uploads
        self._packages = packages
        self._clock_ms = clock_ms
        self._max_bytes = max_bytes
        self._upload_s = upload_s
        self._download_s = download_s
        self._key = b""

    async def signing_key(self) -> bytes:
        """Asked of the database once. Raises StoreUnavailable."""
        if not self._key:
            self._key = await self._uploads.signing_key(secrets.token_bytes(signing.KEY_BYTES))
        return self._key

    async def place(self, instance_id: str, suffix: str) -> UploadPlace:
        key = signing.new_key(suffix)
        if key is None:
            raise OtaRequestInvalid("FileSuffix has 1 to 16 letters and digits")
        now = self._clock_ms()
        await self._uploads.add(key, instance_id, now)
        form = signing.upload_form(await self.signing_key(), key, now + self._upload_s * 1000, self._max_bytes)
        return UploadPlace(form, now)

    async def grant(self, form: Mapping[str, str]) -> signing.Grant:
        """What the form may upload. Raises UploadRefused."""
        grant = signing.check_form(await self.signing_key(), form, self._clock_ms())
        upload = await self._uploads.find(grant.key)
        if upload is None:
            raise UploadRefused(403, "AccessDenied", "The key is not known.")
        if upload.taken:
            raise UploadRefused(409, "FileAlreadyExists", "A firmware was made of this package.")
        return grant

    async def receive(self, grant: signing.Grant, chunks: AsyncIterator[bytes]) -> Package:
        """Raises UploadRefused for a package that is empty or larger than the policy allows."""
        package = await self._packages.put(grant.key, self._checked(grant, chunks))
        if not await self._uploads.stored(package, self._clock_ms()):
            raise UploadRefused(409, "FileAlreadyExists", "A firmware was made of this package.")
        return package

    async def _checked(self, grant: signing.Grant, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Looks once more before the end whether the place is still free: the upload may have taken an hour."""
        async for chunk in _bounded(chunks, grant.max_bytes):
            yield chunk
        upload = await self._uploads.find(grant.key)
        if upload is None or upload.taken:
            raise UploadRefused(409, "FileAlreadyExists", "A firmware was made of this package.")

    async def download_url(self, base: str, key: str) -> str:
        """A fresh URL."""
        expires = self._clock_ms() // 1000 + self._download_s
        return signing.download_url(await self.signing_key(), base, key, expires)

    async def check_download(self, path: str, query: str) -> str:
        """The key. Raises DownloadRefused."""
        return signing.check_download(await self.signing_key(), path, query, self._clock_ms() / 1000)


async def _bounded(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise UploadRefused(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
        yield chunk
    if not size:
        raise UploadRefused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.")


class FirmwareService:
    def __init__(self, firmwares: Firmwares, uploads: Uploads, registry: Registry, clock_ms: Callable[[], int]) -> None:
        self._firmwares = firmwares
        self._uploads = uploads
        self._registry = registry
        self._clock_ms = clock_ms

    async def create(self, given: Firmware, url: str) -> Firmware:
        """`given` has sign and size as the caller knows them, empty and 0 if not."""
        checked = _checked(given)
        if checked.product_key:
            instance = await self._registry.instance_of(given.instance_id, checked.product_key)
            checked = replace(checked, instance_id=instance)
        package = await self._package(given.instance_id, url)
        firmware = self._of_package(checked, package)
        if not await self._firmwares.add(firmware):
            raise PackageTaken("a firmware was made of this package already: upload it again")
        return firmware

    async def get(self, instance_id: str, firmware_id: str) -> Firmware:
        found = await self._firmwares.find(instance_id, firmware_id)
        if found is None:
            raise FirmwareNotFound(f"there is no firmware {firmware_id[:64]!r}")
        return found

    async def _package(self, instance_id: str, url: str) -> Package:
        upload = await self._uploads.find(key) if (key := signing.key_of_url(url)) else None
        if upload is None or (instance_id and upload.instance_id != instance_id):
            raise PackageNotFound("FirmwareUrl is not one that GenerateOTAUploadURL gave")
        if upload.taken:
            raise PackageTaken("a firmware was made of this package already: upload it again")
        if upload.package is None:
            raise PackageNotFound("nothing was uploaded to FirmwareUrl yet")
        return upload.package

    def _of_package(self, given: Firmware, package: Package) -> Firmware:
        sign = {"MD5": package.md5, "SHA256": package.sha256}[given.sign_method]
        if given.size and given.size != package.size:
            raise PackageMismatch(f"the package has {package.size} bytes, not {given.size}")
        if given.sign and given.sign.lower() != sign:
            raise PackageMismatch(f"the package's {given.sign_method} is {sign}, not {given.sign[:128]}")
        now = self._clock_ms()
        return replace(
            given,
            firmware_id=secrets.token_hex(16),
            sign=sign,
            md5=package.md5,
            size=package.size,
            key=package.key,
            created_ms=now,
            modified_ms=now,
        )


def _checked(given: Firmware) -> Firmware:
    """With defaults filled in. Raises OtaRequestInvalid."""
    method = (given.sign_method or "MD5").upper()
    for name, text, least, most in (
        ("FirmwareName", given.name, 1, MAX_NAME),
        ("FirmwareDesc", given.description, 0, MAX_TEXT),
        ("DestVersion", given.dest_version, 1, MAX_VERSION),
        ("SrcVersion", given.src_version, 0, MAX_VERSION),
        ("ModuleName", given.module, 0, MAX_MODULE),
        ("Udi", given.udi, 0, MAX_UDI),
    ):
        if not least <= len(text) <= most:
            raise OtaRequestInvalid(f"{name} has {least} to {most} characters")
    if method not in SIGN_METHODS:
        raise OtaRequestInvalid("SignMethod is MD5 or SHA256")
    if given.type not in (0, DIFFERENCE):
        raise OtaRequestInvalid("Type is 0 (full) or 1 (difference)")
    if given.type == DIFFERENCE and not given.src_version:
        raise OtaRequestInvalid("a difference needs SrcVersion, the version it applies to")
    return replace(given, sign_method=method, module=given.module or DEFAULT_MODULE)
