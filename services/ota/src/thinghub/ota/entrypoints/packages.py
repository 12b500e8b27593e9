"""The package port: form posts in, signed downloads out. It answers as the contract's object store does.

    POST /            multipart form of GenerateOTAUploadURL: key, policy, OSSAccessKeyId, Signature, file (last)
    GET, HEAD /{key}  a signed URL; Range and If-Range

Whatever is not signed by us is 403, so that nobody learns what is there.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from thinghub.common.errors import Unavailable
from thinghub.ota.domain.multipart import FormReader, MalformedForm, boundary_of
from thinghub.ota.errors import DownloadRefused, UploadRefused
from thinghub.ota.service.firmware import Store

CHUNK = 256 * 1024
DEFAULT_STATUS = 204


class Places(Protocol):
    def path(self, key: str) -> Path:
        """Where a package lies."""


def application(store: Store, places: Places) -> Starlette:
    port = PackagePort(store, places)
    return Starlette(
        routes=[
            Route("/", port.upload, methods=["POST"]),
            Route("/{rest:path}", port.download, methods=["GET", "HEAD"]),
        ]
    )


class PackagePort:
    def __init__(self, store: Store, places: Places) -> None:
        self._store = store
        self._places = places

    async def upload(self, request: Request) -> Response:
        try:
            return await self._upload(request)
        except UploadRefused as refused:
            return _error(refused.status, refused.code, refused.message)
        except MalformedForm as error:
            return _error(400, "MalformedPOSTRequest", f"The body of your POST request is not well-formed: {error}.")
        except Unavailable as fault:
            return _error(503, "ServiceUnavailable", fault.message)
        except ClientDisconnect:
            return _error(400, "RequestTimeout", "The connection ended before the form did.")

    async def _upload(self, request: Request) -> Response:
        form = FormReader(boundary_of(request.headers.get("content-type", "")))
        body = request.stream()
        first = await _until_file(form, body)
        grant = await self._store.grant(form.fields)
        await self._store.receive(grant, _file(form, first, body))
        status = {"200": 200, "201": 201}.get(form.fields.get("success_action_status", ""), DEFAULT_STATUS)
        return Response(status_code=status)

    async def download(self, request: Request) -> Response:
        path = request.scope.get("raw_path", b"").decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        try:
            key = await self._store.check_download(path, query)
        except DownloadRefused as refused:
            return _error(403, "AccessDenied", f"{refused.message[:1].upper()}{refused.message[1:]}.")
        except Unavailable as fault:
            return _error(503, "ServiceUnavailable", fault.message)
        file = self._places.path(key)
        if not file.is_file():
            return _error(404, "NoSuchKey", "The package is no longer kept.")
        return FileResponse(file, media_type="application/octet-stream")


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


def _error(status: int, code: str, message: str) -> Response:
    said = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(f"<?xml version='1.0' encoding='UTF-8'?>\n{said}", status, media_type="application/xml")
