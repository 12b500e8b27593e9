import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thinghub.all_in_one.embedded import certificates
from thinghub.all_in_one.embedded.certificates import Certificates


async def shakes_hands(files: Certificates, name: str) -> bool:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.chain, files.key)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cafile=files.authority)
        trust.verify_flags |= ssl.VERIFY_X509_STRICT
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        except ssl.SSLCertVerificationError:
            return False
        writer.close()
        return True


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "edge.example"])
async def test_a_client_that_trusts_the_authority_accepts_the_server_by_each_name(tmp_path: Path, name: str) -> None:
    assert await shakes_hands(certificates.ensure(tmp_path, ("edge.example", "0.0.0.0")), name)


async def test_another_name_is_not_accepted(tmp_path: Path) -> None:
    assert not await shakes_hands(certificates.ensure(tmp_path), "elsewhere.example")


def test_certificates_are_kept(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in _files(certificates.ensure(tmp_path))]
    assert [file.read_bytes() for file in _files(certificates.ensure(tmp_path))] == first


def test_the_server_certificate_is_renewed_in_time_and_the_authority_stays(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path)
    authority, chain = files.authority.read_bytes(), files.chain.read_bytes()
    certificates.ensure(tmp_path, now=datetime.now(UTC) + timedelta(days=330))
    assert files.chain.read_bytes() == chain
    certificates.ensure(tmp_path, now=datetime.now(UTC) + timedelta(days=340))
    assert files.chain.read_bytes() != chain
    assert files.authority.read_bytes() == authority


async def test_a_new_name_renews_the_server_certificate(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    assert await shakes_hands(certificates.ensure(tmp_path, ("edge.example",)), "edge.example")


def test_keys_are_private(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*.key")} == {0o600}


def _files(made: Certificates) -> list[Path]:
    return [made.authority, made.chain, made.key]
