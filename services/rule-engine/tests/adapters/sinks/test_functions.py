"""FC against a real HTTP server: what is sent, what answers mean, and where it never connects."""

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.http_function import http_function
from thinghub.common.errors import Fault
from thinghub.rule_engine.adapters.sinks.functions import FunctionSink, FunctionSinks
from thinghub.rule_engine.domain.configurations import Function
from thinghub.rule_engine.domain.outputs import Output, derived_id
from thinghub.rule_engine.domain.urls import Network, parse_url
from thinghub.rule_engine.ports.secrets import Secret
from thinghub.rule_engine.ports.sinks import SinkDown

Outputs = Callable[..., Output]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate of localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(chain), str(private)


LOOPBACK = (ip_network("127.0.0.0/8"),)


class Kept(Protocol):
    secrets: dict[str, Secret]
    away: bool

    async def resolve(self, instance_id: str, name: str) -> Secret | None: ...


def sinks(secrets: Kept, allowed: Sequence[Network] = LOOPBACK, concurrency: int = 4) -> FunctionSinks:
    return FunctionSinks(secrets, allowed, concurrency, 0.5, ssl.create_default_context())


def opened(secrets: Kept, url: str, name: str | None = None, concurrency: int = 4) -> FunctionSink:
    return sinks(secrets, LOOPBACK, concurrency).open("", Function(parse_url(url), name))


async def down(sink: FunctionSink, outputs: Sequence[Output]) -> SinkDown:
    with pytest.raises(SinkDown) as error:
        await sink.deliver(outputs)
    return error.value


async def test_an_output_is_one_signed_cloudevent(secrets: Kept, output: Outputs) -> None:
    secrets.secrets["key"] = Secret("a key", 1)
    async with http_function() as function:
        sink = opened(secrets, function.url("/f?a=1"), "key")
        made = output(77, temp=21.5, text="é")
        topic = '/pk/dev1/user/a \u6e29"%'
        made = made._replace(origin=made.origin._replace(topic=topic))
        assert await sink.deliver([made]) == [None]
        await sink.close()
    [request] = function.requests
    assert (request.method, request.target, json.loads(request.body)) == ("POST", "/f?a=1", made.result)
    found = request.headers
    assert found["host"] == f"127.0.0.1:{function.port}"
    assert found["content-type"] == "application/json"
    assert {name: value for name, value in found.items() if name.startswith("ce-")} == {
        "ce-specversion": "1.0",
        "ce-id": str(derived_id(made)),
        "ce-type": "thinghub.rule.output",
        "ce-source": "/pk/dev1/user/a%20%E6%B8%A9%22%25",
        "ce-subject": "pk/dev1",
        "ce-time": "2023-11-14T22:13:20.000Z",
    }
    signed = found["thinghub-timestamp"].encode() + b"." + request.body
    assert found["thinghub-signature"] == "sha256=" + hmac.new(b"a key", signed, hashlib.sha256).hexdigest()
    assert abs(int(found["thinghub-timestamp"]) - time.time()) < 5


async def test_without_a_secret_nothing_is_signed(secrets: Kept, output: Outputs) -> None:
    async with http_function() as function:
        assert await opened(secrets, function.url()).deliver([output()]) == [None]
    assert not any(name.startswith("thinghub-") for name in function.requests[0].headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_two_hundreds_are_done(secrets: Kept, output: Outputs, status: int) -> None:
    async with http_function() as function:
        function.status = lambda request: status
        function.body = b"" if status == 204 else b"thanks"
        assert await opened(secrets, function.url()).deliver([output(1), output(2)]) == [None, None]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 499])
async def test_four_hundreds_refuse_their_output_alone(secrets: Kept, output: Outputs, status: int) -> None:
    async with http_function() as function:
        function.status = lambda request: status if json.loads(request.body)["n"] == 2 else 200
        function.body = b"why"
        answers = await opened(secrets, function.url()).deliver([output(n, n=n) for n in (1, 2, 3)])
    assert answers == [None, f"HTTP {status} why", None]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 301, 302, 307, 308])
async def test_other_answers_mean_away_and_redirects_are_not_followed(
    secrets: Kept, output: Outputs, status: int
) -> None:
    async with http_function() as function, http_function() as elsewhere:
        function.status = lambda request: status
        function.headers = [("Location", elsewhere.url())]
        error = await down(opened(secrets, function.url()), [output()])
        assert f"HTTP {status}" in str(error)
        assert elsewhere.requests == []


async def test_a_function_that_takes_less_than_it_is_given_gets_on(secrets: Kept, output: Outputs) -> None:
    taken: list[int] = []

    def some(request: object) -> int:
        taken.append(1)
        return 429 if len(taken) > 6 else 200

    async with http_function() as function:
        function.status = some
        sink = opened(secrets, function.url())
        outputs = [output(n, n=n) for n in range(20)]
        error = await down(sink, outputs)
        # certain is only the run before the first output without an answer; which one that is, the network decides
        assert len(error.answers) <= 6 < len(function.requests) <= 10
        function.status = lambda request: 200
        assert await sink.deliver(outputs[len(error.answers) :]) == [None] * (20 - len(error.answers))
    bodies = [json.loads(request.body)["n"] for request in function.requests]
    assert set(bodies) == set(range(20))


async def test_what_was_taken_is_not_sent_again(secrets: Kept, output: Outputs) -> None:
    async with http_function() as function:
        sink = opened(secrets, function.url())
        assert await sink.deliver([output(1), output(2)]) == [None, None]
        assert await sink.deliver([output(2), output(3)]) == [None, None]
        assert len(function.requests) == 3


async def test_connections_are_few_and_kept(secrets: Kept, output: Outputs) -> None:
    async with http_function() as function:
        function.delay = 0.005
        sink = opened(secrets, function.url(), concurrency=3)
        assert await sink.deliver([output(n) for n in range(30)]) == [None] * 30
        assert await sink.deliver([output(n) for n in range(30, 40)]) == [None] * 10
        assert (function.connections, function.most_at_once) == (3, 3)
        await sink.close()


async def test_a_connection_the_function_has_closed_is_replaced(secrets: Kept, output: Outputs) -> None:
    async with http_function() as function:
        function.headers = [("Connection", "close")]
        sink = opened(secrets, function.url(), concurrency=1)
        assert await sink.deliver([output(1), output(2)]) == [None, None]
        assert function.connections == 2
        function.headers = []
        assert await sink.deliver([output(3)]) == [None]
        kept = function.port
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", kept)
    await down(sink, [output(4)])
    server.close()


async def test_a_silent_function_is_away_after_the_deadline(secrets: Kept, output: Outputs) -> None:
    async with http_function() as function:
        function.silent = True
        began = time.monotonic()
        error = await down(opened(secrets, function.url()), [output(n) for n in range(10)])
        assert "in time" in str(error)
        assert time.monotonic() - began < 2


async def test_nobody_listening_is_away(secrets: Kept, output: Outputs) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        await down(opened(secrets, f"http://127.0.0.1:{unused.getsockname()[1]}/"), [output()])


@pytest.mark.parametrize(
    "said", [b"", b"not http\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, b"HTTP/1.1 " + b"1" * 40_000]
)
async def test_what_is_not_http_is_away_and_bounded(secrets: Kept, output: Outputs, said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await down(opened(secrets, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), [output()])
    server.close()


async def test_an_endless_answer_is_read_to_its_bound_and_its_status_counts(secrets: Kept, output: Outputs) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(10_000)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while sent < 1 << 30:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
                sent += 65536
        except OSError:
            return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sink = opened(secrets, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert await sink.deliver([output()]) == [None]
    server.close()
    assert sent < 32 << 20


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_loopback_is_refused_at_creation_and_when_connecting(secrets: Kept, output: Outputs, host: str) -> None:
    async with http_function() as function:
        url = parse_url(function.url(host=host))
        guarded = sinks(secrets, ())
        with pytest.raises(Fault) as refusal:
            await guarded.check("", Function(url), {})
        assert (refusal.value.reason, refusal.value.details["position"]) in (
            ("target_refused", "url"),
            ("sink_unreachable", "url"),  # a form this resolver does not know
        )
        await down(guarded.open("", Function(url)), [output()])
        assert function.connections == 0


async def test_a_name_that_changes_its_address_gains_nothing(
    secrets: Kept, output: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look sees a public address, every later one the loopback; what is connected to is looked at."""
    looks: list[str] = []

    async def rebinding(host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        looks.append(host)
        address = "192.0.2.1" if len(looks) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async with http_function() as function:
        configuration = Function(parse_url(function.url(host="rebind.example")))
        guarded = sinks(secrets, ())
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding, raising=True)
        await guarded.check("", configuration, {})
        error = await down(guarded.open("", configuration), [output()])
        assert "not a permitted target" in str(error)
        assert (function.connections, len(looks)) == (0, 2)


async def test_creation_looks_at_the_secret_and_the_name(secrets: Kept) -> None:
    url = parse_url("http://no-such-host.invalid/")
    for configuration, reason in (
        (Function(url), "sink_unreachable"),
        (Function(url, "key"), "secret_not_found"),
    ):
        with pytest.raises(Fault) as refusal:
            await sinks(secrets).check("", configuration, {})
        assert refusal.value.reason == reason
    async with http_function() as function:
        await sinks(secrets).check("", Function(parse_url(function.url())), {})
        assert function.connections == 0


async def test_a_known_secret_serves_while_auth_is_away(
    secrets: Kept, output: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.away = True
    async with http_function() as function:
        sink = opened(secrets, function.url(), "key")
        await down(sink, [output(1)])
        secrets.away, secrets.secrets["key"] = False, Secret("k", 1)
        assert await sink.deliver([output(1)]) == [None]
        secrets.away = True
        monkeypatch.setattr("thinghub.rule_engine.adapters.sinks.kept_secret.SECRET_SECONDS", 0)
        assert await sink.deliver([output(2)]) == [None]


@pytest.mark.parametrize(("host", "trusted", "why"), [("localhost", True, ""), ("localhost", False, "certificate")])
async def test_https_goes_to_the_checked_address_and_proves_the_name(
    secrets: Kept, output: Outputs, certificate: tuple[str, str], host: str, trusted: bool, why: str
) -> None:
    chain, key = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    async with http_function(server) as function:
        tls = ssl.create_default_context(cafile=chain if trusted else None)
        guarded = FunctionSinks(secrets, (*LOOPBACK, ip_network("::1/128")), 2, 2.0, tls)
        sink = guarded.open("", Function(parse_url(function.url(host=host, scheme="https"))))
        if trusted:
            assert await sink.deliver([output(1), output(2)]) == [None, None]
            wrong = guarded.open("", Function(parse_url(function.url(scheme="https"))))  # not in the certificate
            assert "certificate" in str(await down(wrong, [output(3)]))
        else:
            assert why in str(await down(sink, [output(1)]))
        assert all(request.headers["host"] == f"localhost:{function.port}" for request in function.requests)
