"""What only an S3 store can do wrong, on a real server."""

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.s3_server import KEY_ID, SECRET, S3Server
from thinghub.all_in_one.embedded import certificates
from thinghub.common.settings import SettingsError, load
from thinghub.ota.adapters import s3_packages
from thinghub.ota.adapters.s3_packages import Access, S3Packages
from thinghub.ota.app import packages_at
from thinghub.ota.domain.places import Bucket
from thinghub.ota.errors import StoreUnavailable
from thinghub.ota.settings import Settings

KEY = "ota/00000000000000000000000000000000.bin"


def bucket(server: S3Server, name: str = "packages") -> Bucket:
    return Bucket(name, endpoint=server.endpoint)


def access(key_id: str = KEY_ID, secret: str = SECRET) -> Access:
    return Access(key_id, secret)


async def megabytes(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield bytes(1 << 20)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (access(secret="wrong"), "the S3 store refuses the access key or what it may do: "),
        (access(key_id="nobody"), "the S3 store failed: XAdminUserNotFound"),  # this server's word for it
    ],
)
async def test_wrong_credentials_are_a_sentence(s3_server: S3Server, given: Access, words: str) -> None:
    packages = S3Packages(bucket(s3_server), given)
    for ask in (packages.prepare, lambda: packages.put(KEY, megabytes(1)), lambda: packages.find(KEY)):
        with pytest.raises(StoreUnavailable, match=words) as refusal:
            await ask()
        assert given.secret not in refusal.value.message


async def test_a_bucket_that_is_not_there_is_a_sentence(s3_server: S3Server) -> None:
    packages = S3Packages(bucket(s3_server, "nowhere"), access())
    for ask in (packages.prepare, lambda: packages.put(KEY, megabytes(1)), lambda: packages.find(KEY)):
        with pytest.raises(StoreUnavailable, match="no such bucket"):
            await ask()


async def test_a_store_that_does_not_answer_is_waited_for_no_longer_than_said(private_s3: S3Server) -> None:
    patient = S3Packages(bucket(private_s3), access())
    packages = S3Packages(bucket(private_s3), Access(KEY_ID, SECRET, request_s=1))
    await patient.put(KEY, megabytes(1))
    private_s3.pause()
    async with asyncio.timeout(30):
        for ask in (packages.prepare, lambda: packages.find(KEY), lambda: packages.put(KEY, megabytes(11))):
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                await ask()
    private_s3.resume()
    assert (await patient.put(KEY, megabytes(11))).size == 11 << 20


async def test_uploads_beyond_the_bound_wait_and_then_are_told(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_packages, "WAIT_S", 0.2)
    packages = S3Packages(bucket(s3_server), access())
    release = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await release.wait()

    waiting = [
        asyncio.create_task(packages.put(f"ota/{number:032x}.bin", slow())) for number in range(s3_packages.UPLOADS)
    ]
    await asyncio.sleep(0.1)
    with pytest.raises(StoreUnavailable, match="too many"):
        await packages.put(KEY, megabytes(1))
    release.set()
    assert len(await asyncio.gather(*waiting)) == s3_packages.UPLOADS
    await packages.put(KEY, megabytes(1))


async def test_memory_stays_within_the_parts_of_an_upload(s3_server: S3Server) -> None:
    packages = S3Packages(bucket(s3_server), access())
    await packages.put(KEY, megabytes(20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await packages.put(KEY, megabytes(200))).size == 200 << 20
    kept = await packages.find(KEY)
    assert kept is not None
    assert sum([len(piece) async for piece in kept.read(0, kept.size)]) == 200 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "kB"


async def test_a_store_with_a_certificate_of_its_own_ca_is_trusted_when_told(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path)
    server = S3Server(str(files.chain), str(files.key)).start()
    try:
        trusting = {"s3_ca_file": str(files.authority)}
        packages = packages_at(load(Settings, **server.settings("below/here"), **trusting))
        await packages.prepare()
        await packages.put(KEY, megabytes(1))
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await packages_at(load(Settings, **server.settings())).prepare()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"packages_url": "ftp://x"}, "PACKAGES_URL: packages are kept"),
        ({"packages_url": "s3://B"}, "bucket"),
        ({"packages_url": "s3://packages?endpiont=http://x"}, "endpiont"),
        ({"packages_url": "s3://packages?endpoint=minio:9000"}, "http://"),
        ({"s3_access_key_id": "k"}, "both"),
        ({"packages_url": "s3://packages", "s3_ca_file": "nowhere.pem"}, "s3_ca_file"),
    ],
)
def test_settings_that_make_no_place_are_refused_with_a_sentence(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        packages_at(load(Settings, **given))
