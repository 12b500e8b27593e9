"""An authority of our own and a server certificate signed by it, made once and renewed before they end.

Devices and clients trust `ca.pem`; it lives ten years, the server certificate a year, renewed at the first start within
its last sixty days or when this machine's name has changed.
"""

import ipaddress
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from thinghub.all_in_one.embedded.places import write_private

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
RENEW_DAYS = 60


@dataclass(frozen=True)
class Certificates:
    """PEM files; `chain` is the server certificate followed by the authority's."""

    authority: Path
    chain: Path
    key: Path


def ensure(directory: Path, names: tuple[str, ...] = (), now: datetime | None = None) -> Certificates:
    """`names` are further host names or addresses beside localhost and this machine's own name."""
    now = now or datetime.now(UTC)
    files = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority_key_file = directory / "ca.key"
    wanted = _names(names)
    if not _lasts(files.authority, now) or not authority_key_file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(authority_key_file, _key_pem(key))
        write_private(files.authority, _pem(_authority(key, now)))
        files.chain.unlink(missing_ok=True)
    if not _lasts(files.chain, now) or not files.key.exists() or _names_of(files.chain) != wanted:
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        authority_key = serialization.load_pem_private_key(authority_key_file.read_bytes(), None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _server(key, authority, authority_key, wanted, now)
        write_private(files.key, _key_pem(key))
        write_private(files.chain, _pem(certificate) + _pem(authority))
    return files


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("Thinghub embedded authority")
    return (
        _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: frozenset[str],
    now: datetime,
) -> x509.Certificate:
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_name("Thinghub"), authority.subject, key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in sorted(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a device's clock may be a little behind
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _names(more: tuple[str, ...]) -> frozenset[str]:
    host = socket.gethostname().lower()
    own = {host} if host.isascii() and 0 < len(host) < 64 else set()
    listed = {name for name in more if name not in ("0.0.0.0", "::")}
    return frozenset({"localhost", "127.0.0.1", "::1"} | own | listed)


def _names_of(chain: Path) -> frozenset[str]:
    names = x509.load_pem_x509_certificate(chain.read_bytes()).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName).value
    return frozenset(str(name.value) for name in found)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _lasts(file: Path, now: datetime) -> bool:
    """It exists and is valid for the next sixty days."""
    if not file.exists():
        return False
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc > now + timedelta(days=RENEW_DAYS)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
