"""The HTTP endpoint against bad clients."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from thinghub.common.health import Health
from thinghub.common.http_endpoint import CONNECTIONS, Endpoint


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with Endpoint(CollectorRegistry(), Health()).listening("127.0.0.1", 0) as address:
        yield int(address.rpartition(":")[2])


async def _say(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(8):
            return await reader.read()
    except ConnectionError:
        return b""  # closed with our words unread
    finally:
        writer.close()


async def test_get_and_head(port: int) -> None:
    head, _, body = (await _say(port, b"GET /healthz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Length: 3" in head
    assert body == b"ok\n"
    assert (await _say(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /secret HTTP/1.1\r\n\r\n", b"404"),
        (b"\xff\xfe\r\n\r\n", b"405"),
    ],
)
async def test_what_is_not_served_is_refused(port: int, request_: bytes, status: bytes) -> None:
    assert (await _say(port, request_)).split(b" ")[1] == status


async def test_an_endless_request_is_closed(port: int) -> None:
    assert await _say(port, b"GET /" + b"x" * 100_000) == b""


async def test_silent_connections_do_not_keep_others_out_for_long(port: int) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0.05)
    assert await _say(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    for _, writer in silent:
        writer.close()
    await asyncio.sleep(0.05)
    assert (await _say(port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
