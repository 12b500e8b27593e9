"""The API port: HTTP and HTTPS on one socket, and peers that behave badly."""

import asyncio
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.openapi import OpenApi
from thinghub.common.http import protocol

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_https_is_served_on_the_same_port(platform: "Platform") -> None:
    api = OpenApi(platform.https_url, platform.key, verify=platform.trust())
    assert (await api.ok("QueryProductList"))["Success"] is True
    assert (await platform.api().ok("QueryProductList"))["Success"] is True
    await api.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_versions(platform: "Platform", version: ssl.TLSVersion) -> None:
    context = platform.trust()
    context.minimum_version = context.maximum_version = version
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        assert (await client.get(f"{platform.https_url}/healthz")).status_code == 200


async def test_health_is_on_the_api_port(platform: "Platform") -> None:
    assert (await platform.http.get("/healthz")).status_code == 200
    ready = await platform.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True


async def talk(platform: "Platform", *chunks: bytes, pause: float = 0.0) -> bytes:
    """Writes the chunks, then reads until the end."""
    reader, writer = await asyncio.open_connection(platform.host, platform.port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_connection_goes_on_after_a_body_that_was_refused_early(
    platform: "Platform", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.3)
    size = 2 << 20
    head = f"POST /v1/products HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n"
    reader, writer = await asyncio.open_connection(platform.host, platform.port)
    try:
        async with asyncio.timeout(20):
            writer.write(head.encode())
            assert b" 401 " in await reader.readline()
            writer.write(bytes(size))
            await writer.drain()
            await asyncio.sleep(0.5)
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert b'{"ok":true}' in await reader.read()
    finally:
        writer.close()


GARBAGE = (
    b"\x00\x01\x02\x03" * 8,
    b"\x16\x03\x01\x00\x02zz" + b"\0" * 40,
    b"GET\r\n\r\n",
    b"NONSENSE / HTTP/9.9\r\n\r\n",
    b"\r\n\r\n\xff\xff",
)


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_ends_the_connection_and_nothing_else(platform: "Platform", garbage: bytes) -> None:
    answer = await talk(platform, garbage)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"\x15"))
    assert (await platform.http.get("/healthz")).status_code == 200


async def test_a_head_without_end_is_refused(platform: "Platform") -> None:
    answer = await talk(platform, b"GET / HTTP/1.1\r\nhost: x\r\n", *[b"x: " + b"y" * 8192 + b"\r\n"] * 9)
    assert b"431" in answer.split(b"\r\n")[0] or answer == b""


async def test_half_a_request_and_a_silent_peer_are_ended_in_time(platform: "Platform") -> None:
    begun = asyncio.get_running_loop().time()
    half, silent = await asyncio.gather(talk(platform, b"GET / HTTP/1.1\r\nhost"), talk(platform))
    assert half.startswith(b"HTTP/1.1 408")
    assert silent == b""
    assert asyncio.get_running_loop().time() - begun < 15


async def test_a_body_that_goes_on_after_its_refusal_is_ended(platform: "Platform") -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n"
    begun = asyncio.get_running_loop().time()
    answer = await talk(platform, head, b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert asyncio.get_running_loop().time() - begun < 8


async def test_two_requests_share_a_connection(platform: "Platform") -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await talk(platform, request, request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), pause=0.1)
    assert answer.count(b"HTTP/1.1 200") == 2


async def test_unknown_paths_and_methods_are_refused(platform: "Platform") -> None:
    for method, path, status, code in (
        ("GET", "/v1/nothing", 404, "NotFound"),
        ("PUT", "/", 405, "UnsupportedHTTPMethod"),
        ("PATCH", "/v1/products", 405, "UnsupportedHTTPMethod"),
    ):
        answer = await platform.http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
