"""The store of packages as a bucket of an S3-compatible store.

Uploads are multipart, so that an object is there whole or not at all, whenever who writes it is killed; parts that
nobody finished are invisible and for the bucket's lifecycle rule (AbortIncompleteMultipartUpload) to remove. Downloads
are one ranged GET a piece: no connection waits for a slow device, and memory is one piece a download.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore import exceptions
from obstore.store import S3Store

from thinghub.ota.adapters.measured import Measured
from thinghub.ota.domain.models import Package
from thinghub.ota.domain.places import Bucket
from thinghub.ota.errors import StoreUnavailable
from thinghub.ota.ports.packages import PIECE

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, S3Config

PART = 5 * 1024 * 1024  # 10,000 of them at most
PARTS_AT_ONCE = 2
UPLOADS = 16  # at once: each holds up to (1 + PARTS_AT_ONCE) parts in memory
CONNECT_S, CHECK_S, WAIT_S = 3, 10.0, 30.0
RETRIES = 2
MARKER = "ota/.thinghub"
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSALS = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """Without a key the environment's way of AWS is taken: AWS_* variables, a web identity, the instance's role."""

    key_id: str = ""
    secret: str = ""
    ca: bytes = b""
    request_s: float = 20.0


class S3Packages:
    """Implements `Packages`."""

    check_s = 5.0

    def __init__(self, bucket: Bucket, access: Access) -> None:
        self._store = _store(bucket, access)
        self._uploads = asyncio.Semaphore(UPLOADS)
        self._proved = False

    async def prepare(self) -> None:
        """Writes a marker once, then reads it."""
        try:
            async with asyncio.timeout(CHECK_S):
                if not self._proved:
                    await _told(obstore.put_async(self._store, MARKER, b"packages of ota"), writing=True)
                    self._proved = True
                await _told((await _told(obstore.get_async(self._store, MARKER))).bytes_async())
        except TimeoutError as error:
            raise StoreUnavailable("the S3 store does not answer in time") from error
        except FileNotFoundError:
            self._proved = False
            raise StoreUnavailable("the S3 store has lost what was written to it") from None

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Package:
        try:
            await asyncio.wait_for(self._uploads.acquire(), WAIT_S)
        except TimeoutError as error:
            raise StoreUnavailable("too many packages are being uploaded") from error
        try:
            measured = Measured(key, chunks)
            storing = obstore.put_async(
                self._store, key, measured, use_multipart=True, chunk_size=PART, max_concurrency=PARTS_AT_ONCE
            )
            await _told(storing, writing=True)
        finally:
            self._uploads.release()
        return measured.package

    async def find(self, key: str) -> "KeptObject | None":
        try:
            return KeptObject(self._store, await _told(obstore.head_async(self._store, key)))
        except FileNotFoundError:
            await self.prepare()  # the package is not there, or nothing is: answers to HEAD do not say which
            return None


class KeptObject:
    """Implements `Kept`."""

    def __init__(self, store: S3Store, meta: "ObjectMeta") -> None:
        self._store = store
        self._path = meta["path"]
        self.size = meta["size"]
        self.etag = meta["e_tag"] or ""
        self.modified_s = meta["last_modified"].timestamp()

    async def read(self, first: int, end: int) -> AsyncIterator[bytes]:
        while first < end:
            piece = await self._piece(first, min(first + PIECE, end))
            yield piece
            first += len(piece)

    async def _piece(self, first: int, end: int) -> bytes:
        options: obstore.GetOptions = {"range": (first, end)}
        if self.etag:
            options["if_match"] = self.etag
        try:
            found = await _told(obstore.get_async(self._store, self._path, options=options))
            data = (await _told(found.bytes_async())).to_bytes()
        except FileNotFoundError:
            raise StoreUnavailable("the package was removed meanwhile") from None
        if len(data) != end - first:
            raise StoreUnavailable("the S3 store gave another part than was asked for")
        return data


def _store(bucket: Bucket, access: Access) -> S3Store:
    client: ClientConfig = {
        "allow_http": bucket.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "timeout": timedelta(seconds=access.request_s),
    }
    if access.ca:
        client["root_certificate"] = access.ca
    config: S3Config = {"bucket": bucket.name, "region": bucket.region}
    if bucket.endpoint:
        config["endpoint"] = bucket.endpoint
    if access.key_id:
        config["access_key_id"], config["secret_access_key"] = access.key_id, access.secret
    pause = timedelta(milliseconds=200)
    return S3Store(
        config=config,
        prefix=bucket.prefix or None,
        client_options=client,
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=access.request_s),
            "backoff": {"init_backoff": pause, "max_backoff": 5 * pause, "base": 2},
        },
    )


async def _told(asked: Awaitable[T], writing: bool = False) -> T:
    """What the store answers. Raises StoreUnavailable, and FileNotFoundError for an object that is not there."""
    try:
        return await asked
    except FileNotFoundError as error:
        if not writing and _code(error) in ("", "NoSuchKey"):
            raise
        raise StoreUnavailable(_sentence(error)) from error
    except exceptions.BaseError as error:
        raise StoreUnavailable(_sentence(error)) from error


def _code(error: Exception) -> str:
    """The store's word, or the HTTP status; empty when it did not say."""
    said = str(error)
    code, status = _CODE.search(said), _STATUS.search(said)
    return code[1] if code else status[1] if status and status[1] != "404" else ""


def _sentence(error: Exception) -> str:
    """Without addresses: clients read it too."""
    code = _code(error)
    if code in _REFUSALS or isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)):
        return f"the S3 store refuses the access key or what it may do: {code or 'permission denied'}"
    if isinstance(error, exceptions.PreconditionError):
        return "the package was replaced meanwhile"
    if code == "NoSuchBucket" or (not code and isinstance(error, FileNotFoundError)):
        return "the S3 store has no such bucket"
    if code:
        return f"the S3 store failed: {code}"
    return "the S3 store does not answer in time" if "Timeout" in str(error) else "the S3 store cannot be reached"
