"""TLS: told apart from MQTT by the first byte, versions, resumption, reload."""

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.gateway_core import Device, Gateway, MakeGateway, connect_packet, publish_packet

UPDATE = "/pk/dev/user/update"


@dataclass(frozen=True)
class Certificate:
    chain: bytes
    key: bytes
    trust: ssl.SSLContext
    serial: int


def make_certificate(folder: Path) -> Certificate:
    """A self-signed certificate for localhost and a client context that trusts only it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{certificate.serial_number}.pem"
    path.write_bytes(chain)
    return Certificate(chain, text, ssl.create_default_context(cafile=str(path)), certificate.serial_number)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def secure(gateway: Gateway, certificate: Certificate) -> Gateway:
    gateway.core.set_tls(certificate.chain, certificate.key)
    return gateway


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_port_serves_tls_and_plain(secure: Gateway, certificate: Certificate, version: ssl.TLSVersion) -> None:
    certificate.trust.minimum_version = certificate.trust.maximum_version = version
    device = Device(secure.port, certificate.trust).send(connect_packet())
    secure.until(lambda: len(secure.seen.connects) == 1)
    assert secure.seen.connects[0].tls
    secure.admit(device)
    device.send(publish_packet(UPDATE, b"x" * 200_000, 1, 1))
    assert len(secure.messages(1)[0].payload) == 200_000
    assert device.pubacks(1) == [1]
    plain, _ = secure.device("plain")
    assert plain.quiet()
    assert secure.counter("tls_handshakes") == 1


def test_downlink_over_tls_arrives_whole(secure: Gateway, certificate: Certificate) -> None:
    device = Device(secure.port, certificate.trust).send(connect_packet())
    handle = secure.admit(device)
    payload = bytes(range(256)) * 1000
    for _ in range(5):
        secure.deliver(handle, "/sys/pk/dev/rrpc/request/1", payload, 1)
    for _ in range(5):
        assert device.expect("publish")["payload"] == payload


def test_slow_reader_over_tls_is_counted_and_closed(make_gateway: MakeGateway, certificate: Certificate) -> None:
    gateway = make_gateway(max_out_buffer_bytes=200_000)
    gateway.core.set_tls(certificate.chain, certificate.key)
    device = Device(gateway.port, certificate.trust).send(connect_packet())
    handle = gateway.admit(device)
    most = 0
    while not gateway.seen.closed:
        gateway.deliver(handle, "/t", b"x" * 50_000, subscribed=False)
        gateway.outcome()
        most = max(most, gateway.core.counters()["buffered_bytes"])
    assert gateway.seen.closed[0].reason == "slow_reader"
    assert 100_000 < most < 1_000_000
    gateway.deliver(handle, "/t")
    gateway.outcome()
    assert gateway.core.counters()["buffered_bytes"] == 0


def test_rejection_over_tls_carries_its_code(secure: Gateway, certificate: Certificate) -> None:
    device = Device(secure.port, certificate.trust).send(connect_packet())
    (request,) = secure.take(secure.seen.connects)
    secure.core.reject([(request.conn, 4, "credentials")])
    assert device.expect("connack")["code"] == 4
    assert device.closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_returning_device_resumes_its_tls_session(
    secure: Gateway, certificate: Certificate, version: ssl.TLSVersion
) -> None:
    certificate.trust.minimum_version = certificate.trust.maximum_version = version
    first = Device(secure.port, certificate.trust).send(connect_packet())
    secure.admit(first)
    assert isinstance(first.socket, ssl.SSLSocket)
    session = first.socket.session
    first.close()
    again = Device(secure.port)
    again.socket = certificate.trust.wrap_socket(again.socket, server_hostname="localhost", session=session)
    again.send(connect_packet())
    secure.admit(again)
    assert again.socket.session_reused
    assert secure.counter("tls_resumed") == 1


def test_new_certificate_serves_new_connections(secure: Gateway, certificate: Certificate, tmp_path: Path) -> None:
    old = Device(secure.port, certificate.trust).send(connect_packet())
    secure.admit(old)
    renewed = make_certificate(tmp_path)
    secure.core.set_tls(renewed.chain, renewed.key)
    new = Device(secure.port, renewed.trust).send(connect_packet(username="new&pk"))
    secure.admit(new, "new")
    assert old.quiet()


@pytest.mark.parametrize(("chain", "key"), [(b"", None), (b"nonsense", None), (None, b""), (None, b"nonsense")])
def test_what_does_not_load_is_refused(
    gateway: Gateway, certificate: Certificate, chain: bytes | None, key: bytes | None
) -> None:
    with pytest.raises(ValueError, match="certificate chain" if key is None else "private key"):
        gateway.core.set_tls(certificate.chain if chain is None else chain, certificate.key if key is None else key)


def test_key_of_another_certificate_is_refused(gateway: Gateway, certificate: Certificate, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"[Kk]ey"):
        gateway.core.set_tls(certificate.chain, make_certificate(tmp_path).key)


def test_tls_without_certificate_is_closed(gateway: Gateway, certificate: Certificate) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Device(gateway.port, certificate.trust)
    assert gateway.counter("closed:no_certificate") == 1


def test_plain_on_a_tls_port_is_closed(make_gateway: MakeGateway, certificate: Certificate) -> None:
    gateway = make_gateway(tls="always")
    gateway.core.set_tls(certificate.chain, certificate.key)
    assert Device(gateway.port).send(connect_packet()).closed()
    assert gateway.counter("closed:tls") == 1
    secure = Device(gateway.port, certificate.trust).send(connect_packet())
    gateway.admit(secure)


def test_half_a_handshake_is_closed_with_the_connect_timeout(
    make_gateway: MakeGateway, certificate: Certificate
) -> None:
    gateway = make_gateway(connect_timeout_ms=100)
    gateway.core.set_tls(certificate.chain, certificate.key)
    assert Device(gateway.port).send(b"\x16\x03\x01\x02\x00\x01").closed()
    assert gateway.counter("closed:connect_timeout") == 1
