"""The package port: form posts in, signed downloads out. It answers as the contract's object store does.

    POST /            multipart form of GenerateOTAUploadURL: key, policy, OSSAccessKeyId, Signature, file (last)
    GET, HEAD /{key}  a signed URL; Range (one) and If-Range

Bytes go from the store to the device piece by piece. A device that takes nothing for STALL_S, or sends nothing of its
upload for so long, is cut off; so is a download whose package the store no longer gives. Whatever is not signed by us
is 403, so that nobody learns what is there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from functools import partial
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Send

from thinghub.common.errors import Unavailable
from thinghub.ota.domain.multipart import FormReader, MalformedForm, boundary_of
from thinghub.ota.domain.ranges import wanted
from thinghub.ota.errors import DownloadRefused, UploadRefused
from thinghub.ota.ports.others import Counts
from thinghub.ota.ports.packages import Kept, Packages
from thinghub.ota.service.firmware import Store

CHUNK = 256 * 1024
DEFAULT_STATUS = 204
STALL_S = 300.0
MEDIA_TYPE = "application/octet-stream"
log = logging.getLogger("thinghub.ota.packages")


def application(store: Store, packages: Packages, counts: Counts) -> Starlette:
    port = PackagePort(store, packages, counts)
    return Starlette(
        routes=[
            Route("/", port.upload, methods=["POST"]),
            Route("/{rest:path}", port.download, methods=["GET", "HEAD"]),
        ]
    )


class PackagePort:
    def __init__(self, store: Store, packages: Packages, counts: Counts) -> None:
        self._store = store
        self._packages = packages
        self._counts = counts

    async def upload(self, request: Request) -> Response:
        try:
            answer, outcome = await self._upload(request), "stored"
        except UploadRefused as refused:
            answer, outcome = _error(refused.status, refused.code, refused.message), "refused"
        except MalformedForm as error:
            message = f"The body of your POST request is not well-formed: {error}."
            answer, outcome = _error(400, "MalformedPOSTRequest", message), "malformed"
        except Unavailable as fault:
            answer, outcome = _unavailable("an upload", fault), "unavailable"
        except ClientDisconnect:
            answer, outcome = _error(400, "RequestTimeout", "The connection ended before the form did."), "broken"
        self._counts.transfers("upload", outcome)
        return answer

    async def _upload(self, request: Request) -> Response:
        form = FormReader(boundary_of(request.headers.get("content-type", "")))
        body = _paced(request.stream())
        first = await _until_file(form, body)
        grant = await self._store.grant(form.fields)
        await self._store.receive(grant, _file(form, first, body))
        status = {"200": 200, "201": 201}.get(form.fields.get("success_action_status", ""), DEFAULT_STATUS)
        return Response(status_code=status)

    async def download(self, request: Request) -> Response:
        path = request.scope.get("raw_path", b"").decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        try:
            kept = await self._packages.find(await self._store.check_download(path, query))
            if kept is not None:
                return await _download(request, kept, partial(self._counts.transfers, "download"))
            answer, outcome = _error(404, "NoSuchKey", "The package is no longer kept."), "missing"
        except DownloadRefused as refused:
            message = f"{refused.message[:1].upper()}{refused.message[1:]}."
            answer, outcome = _error(403, "AccessDenied", message), "refused"
        except Unavailable as fault:
            answer, outcome = _unavailable("a download", fault), "unavailable"
        self._counts.transfers("download", outcome)
        return answer


async def _download(request: Request, kept: Kept, ended: Callable[[str], None]) -> Response:
    """Raises Unavailable as long as nothing was answered: the first piece is read before."""
    headers = {"accept-ranges": "bytes", "etag": kept.etag, "last-modified": formatdate(kept.modified_s, usegmt=True)}
    if_range = request.headers.get("if-range")
    same = if_range is None or if_range in (headers["etag"], headers["last-modified"])
    span = wanted(request.headers.get("range", "") if same else "", kept.size)
    if span is None:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{kept.size}"})
    headers["content-length"] = str(span.end - span.first)
    if span.part:
        headers["content-range"] = f"bytes {span.first}-{span.end - 1}/{kept.size}"
    status = 206 if span.part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=MEDIA_TYPE)
    pieces = kept.read(span.first, span.end)
    first = await anext(pieces, b"")
    return Download(_after(first, pieces), status, headers, ended)


async def _after(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


class Download(StreamingResponse):
    """Ends the connection when the store or the device stalls: its length was promised already. `ended` is told whole,
    part or broken."""

    def __init__(
        self, pieces: AsyncIterator[bytes], status: int, headers: dict[str, str], ended: Callable[[str], None]
    ) -> None:
        super().__init__(pieces, status, headers, MEDIA_TYPE)
        self._ended = ended

    async def stream_response(self, send: Send) -> None:
        async def paced(message: Message) -> None:
            async with asyncio.timeout(STALL_S):
                await send(message)

        outcome = "broken"
        try:
            await super().stream_response(paced)
            outcome = "part" if self.status_code == 206 else "whole"
        except Unavailable as fault:
            log.warning("a download breaks off: %s", fault.message)
        except TimeoutError:
            log.warning("a download breaks off: the device took nothing for %d s", STALL_S)
        finally:
            self._ended(outcome)


async def _paced(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Raises ClientDisconnect when nothing comes for too long."""
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                chunk = await anext(body, None)
        except TimeoutError:
            raise ClientDisconnect from None
        if chunk is None:
            return
        yield chunk


async def _until_file(form: FormReader, body: AsyncIterator[bytes]) -> bytes:
    """Reads the fields; gives the first bytes of the file."""
    async for chunk in body:
        data = form.feed(chunk)
        if form.in_file:
            return data
    raise MalformedForm("there is no part named file")


async def _file(form: FormReader, first: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The file's bytes in pieces worth a write. Raises MalformedForm when the form ends before the file does."""
    waiting = bytearray(first)
    async for chunk in body:
        if form.done:
            continue  # what follows the file is read and thrown away, so that the answer reaches the client
        waiting += form.feed(chunk)
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    if not form.done:
        raise MalformedForm("the file does not end")
    if waiting:
        yield bytes(waiting)


def _unavailable(what: str, fault: Unavailable) -> Response:
    log.warning("%s is refused: %s", what, fault.message)
    return _error(503, "ServiceUnavailable", fault.message)


def _error(status: int, code: str, message: str) -> Response:
    said = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(f"<?xml version='1.0' encoding='UTF-8'?>\n{said}", status, media_type="application/xml")
