"""What both faces need of an HTTP request: its body within bounds, its headers as text, an id."""

import asyncio
import uuid
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from thinghub.api_gateway.errors import Refused

MAX_BODY = 1 << 20
BODY_SECONDS = 30.0


def new_request_id() -> str:
    """Upper-case UUID, as the vendor's request ids look."""
    return str(uuid.uuid4()).upper()


def header_text(request: Request) -> dict[str, str]:
    """Headers by lower-case name; repeated ones joined by a comma. Bytes that are not UTF-8 are read as Latin-1."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        try:
            value = raw_value.decode()
        except UnicodeDecodeError:
            value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def source_address(request: Request) -> str:
    """The peer's address. What a proxy says of somebody behind it is anybody's to write, so it is not asked."""
    return request.client.host if request.client else ""


async def read_body(request: Request, headers: Mapping[str, str]) -> bytes:
    """At most 1 MiB within 30 s. Raises Refused (RequestBodyTooLarge, RequestTimeout)."""
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise _too_large()
    except TimeoutError as error:
        raise Refused("RequestTimeout", f"The body did not arrive within {BODY_SECONDS:.0f} s.") from error
    except ClientDisconnect as error:
        raise Refused("RequestTimeout", "The connection closed before the body was complete.") from error
    return bytes(body)


def media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large() -> Refused:
    return Refused("RequestBodyTooLarge", f"The body is larger than {MAX_BODY} bytes.")
