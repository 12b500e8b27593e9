"""The package port on a real socket: uploads by policy, downloads by signed URL."""

import asyncio
import hashlib
import ssl

import grpc
import httpx
import pytest

from tests.support.ota_service import PACKAGE, Fleet, post_form
from tests.support.rule_engine_service import until
from tests.support.servers import S3Server
from thinghub.common.errors import RemoteFault
from thinghub.common.runtime import Runtime
from thinghub.ota.entrypoints import packages
from thinghubpb.ota.v1 import ota_pb2 as pb

in_both_stores = pytest.mark.parametrize("packages_place", ["directory", "s3"], indirect=True)


class SlowForm:
    """A form whose first half is sent, and the rest when it is wanted."""

    def __init__(self, place: pb.CreateUploadResponse, package: bytes) -> None:
        self._host, _, self._port = place.host.removeprefix("http://").partition(":")
        fields = {
            "key": place.key,
            "OSSAccessKeyId": place.access_key_id,
            "policy": place.policy,
            "Signature": place.signature,
        }
        part = '--B\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
        text = "".join(f"{part.format(name)}{value}\r\n" for name, value in fields.items()) + part.format("file")
        body = text.encode() + package + b"\r\n--B--\r\n"
        head = f"Host: h\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n"
        self._form = f"POST / HTTP/1.1\r\n{head}".encode() + body

    async def begin(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        self._writer.write(self._form[: len(self._form) // 2])
        await self._writer.drain()

    async def end(self) -> bytes:
        """The answer's first line."""
        self._writer.write(self._form[len(self._form) // 2 :])
        return await self.answer()

    async def answer(self) -> bytes:
        line = await self._reader.readline()
        self._writer.close()
        return line

    def break_off(self) -> None:
        self._writer.close()


async def url_of(fleet: Fleet, firmware: pb.Firmware) -> str:
    request = pb.GetFirmwareRequest(firmware_id=firmware.firmware_id)
    return (await fleet.stub.GetFirmware(request)).firmware.url


@in_both_stores
async def test_what_was_uploaded_is_downloaded_whole_and_in_ranges(
    fleet: Fleet, ota_settings: dict[str, object]
) -> None:
    url = await url_of(fleet, await fleet.firmware())
    trust = ssl.create_default_context(cafile=str(ota_settings["tls_cert_file"]).replace("server", "ca"))
    async with httpx.AsyncClient(trust_env=False, verify=trust) as http:
        whole = await http.get(url)
        assert (whole.status_code, whole.content) == (200, PACKAGE)
        assert whole.headers["accept-ranges"] == "bytes"
        assert (await http.get(url.replace("http://", "https://"))).content == PACKAGE
        head = await http.head(url)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(PACKAGE)), b"")
        for asked, first, last in (("0-0", 0, 0), ("100-199", 100, 199), ("1048000-", 1048000, len(PACKAGE) - 1)):
            part = await http.get(url, headers={"Range": f"bytes={asked}"})
            assert (part.status_code, part.content) == (206, PACKAGE[first : last + 1])
            assert part.headers["content-range"] == f"bytes {first}-{last}/{len(PACKAGE)}"
        assert (await http.get(url, headers={"Range": "bytes=-5"})).content == PACKAGE[-5:]
        past = await http.get(url, headers={"Range": f"bytes={len(PACKAGE)}-"})
        assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{len(PACKAGE)}")
        for if_range, status in ((whole.headers["etag"], 206), (whole.headers["last-modified"], 206), ('"other"', 200)):
            part = await http.get(url, headers={"Range": "bytes=5-", "If-Range": if_range})
            assert (part.status_code, len(part.content)) == (status, len(PACKAGE) - (5 if status == 206 else 0))


@in_both_stores
async def test_a_url_altered_by_one_character_is_403(fleet: Fleet) -> None:
    url = await url_of(fleet, await fleet.firmware())
    start = url.index("/ota/")
    async with httpx.AsyncClient(trust_env=False) as http:
        for place in (*range(start + 1, len(url), 9), len(url) - 1):
            altered = url[:place] + ("x" if url[place] != "x" else "y") + url[place + 1 :]
            assert (await http.get(altered)).status_code == 403, altered
        for other in (url.partition("?")[0], url[:-1], url + "0", url[: start + 1], url[: start + 1] + "metrics"):
            assert (await http.get(other)).status_code in (403, 405), other


async def test_an_upload_past_its_policy_is_refused(fleet: Fleet) -> None:
    place = await fleet.stub.CreateUpload(pb.CreateUploadRequest())
    other = await fleet.stub.CreateUpload(pb.CreateUploadRequest())
    for changed, status, code in (
        ({"key": other.key}, 403, "AccessDenied"),
        ({"policy": other.policy}, 403, "SignatureDoesNotMatch"),
        ({"Signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
        ({"OSSAccessKeyId": "x"}, 403, "AccessDenied"),
    ):
        answer = await post_form(place, b"package", **changed)
        assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True), answer.text
    empty = await post_form(place, b"")
    assert (empty.status_code, "EntityTooSmall" in empty.text) == (400, True)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(place.host, content=b"no form")).status_code == 400
    with pytest.raises(RemoteFault) as refusal:
        await fleet.firmware(url=place.firmware_url)
    assert refusal.value.remote_reason == "package_not_found"
    assert (await post_form(place, PACKAGE)).status_code == 200


@in_both_stores
async def test_a_package_that_a_firmware_was_made_of_is_not_overwritten(fleet: Fleet) -> None:
    place = await fleet.upload()
    assert (await post_form(place, PACKAGE[:-1] + b"!")).status_code == 200
    with pytest.raises(RemoteFault) as refusal:
        await fleet.firmware(url=place.firmware_url)
    assert refusal.value.remote_reason == "package_mismatch"
    changed = hashlib.md5(PACKAGE[:-1] + b"!").hexdigest()
    firmware = await fleet.firmware(url=place.firmware_url, sign=changed)
    assert (await post_form(place, PACKAGE)).status_code == 409
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(await url_of(fleet, firmware))).content == PACKAGE[:-1] + b"!"


@in_both_stores
async def test_a_package_taken_during_an_upload_stays_as_it_is(fleet: Fleet) -> None:
    place = await fleet.upload()
    slow = SlowForm(place, b"x" * 1_000_000)
    await slow.begin()
    firmware = await fleet.firmware(url=place.firmware_url)
    assert b" 409 " in await slow.end()
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(await url_of(fleet, firmware))).content == PACKAGE


@pytest.mark.parametrize("packages_place", ["private_s3"], indirect=True)
async def test_while_the_s3_store_is_away_clients_are_told_and_then_all_is_well(
    fleet: Fleet, private_s3: S3Server, runtimes: list[Runtime]
) -> None:
    (runtime,) = runtimes
    large = bytes(24 << 20)  # more than the buffers between ota and its client hold
    url = await url_of(fleet, await fleet.firmware(package=large))
    place = await fleet.stub.CreateUpload(pb.CreateUploadRequest())
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        private_s3.kill()
        for answer in (await http.get(url), await post_form(place, PACKAGE)):
            assert (answer.status_code, "ServiceUnavailable" in answer.text) == (503, True)
            assert "the S3 store cannot be reached" in answer.text
        await until(lambda: not runtime.health.ready(), "ota says that it is not ready", 60)
        assert "the S3 store cannot be reached" in str(runtime.health.report())
        private_s3.start()
        assert (await post_form(place, PACKAGE)).status_code == 200
        assert (await http.get(url)).content == large
        async with http.stream("GET", url) as response:
            pieces = response.aiter_bytes(1024)
            await anext(pieces)
            private_s3.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                [piece async for piece in pieces]

    def counted() -> dict[str, float | None]:
        value = runtime.metrics.registry.get_sample_value
        outcomes = ("upload stored", "upload unavailable", "download whole", "download unavailable", "download broken")
        labels = (dict(zip(("what", "outcome"), one.split(), strict=True)) for one in outcomes)
        return {one: value("thinghub_ota_transfers_total", given) for one, given in zip(outcomes, labels, strict=True)}

    expected = {
        "upload stored": 2.0,
        "upload unavailable": 1.0,
        "download whole": 1.0,
        "download unavailable": 1.0,
        "download broken": 1.0,
    }
    await until(lambda: counted() == expected, "all is counted", 60)


async def test_who_sends_or_takes_nothing_for_too_long_is_cut_off(
    fleet: Fleet, runtimes: list[Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await url_of(fleet, await fleet.firmware(package=bytes(24 << 20)))
    place = await fleet.stub.CreateUpload(pb.CreateUploadRequest())
    monkeypatch.setattr(packages, "STALL_S", 0.3)
    slow = SlowForm(place, b"x" * 1_000_000)
    await slow.begin()
    assert b" 400 " in await slow.answer()
    host, _, path = url.removeprefix("http://").partition("/")
    address, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(address, int(port), limit=1024)
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    value = runtimes[0].metrics.registry.get_sample_value

    def cut_off() -> bool:
        broken = ({"what": what, "outcome": "broken"} for what in ("upload", "download"))
        return [value("thinghub_ota_transfers_total", one) for one in broken] == [1.0, 1.0]

    await until(cut_off, "both are cut off", 60)
    assert b" 200 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize(("size", "sign"), [(1, ""), (0, "0" * 32), (len(PACKAGE), "0" * 32)])
async def test_a_package_with_another_size_or_digest_is_refused(fleet: Fleet, size: int, sign: str) -> None:
    with pytest.raises(RemoteFault) as refusal:
        await fleet.firmware(size=size, sign=sign)
    assert refusal.value.remote_reason == "package_mismatch"


@in_both_stores
async def test_an_upload_that_breaks_off_leaves_nothing(fleet: Fleet) -> None:
    place = await fleet.stub.CreateUpload(pb.CreateUploadRequest())
    slow = SlowForm(place, b"x" * 1_000_000)
    await slow.begin()
    await asyncio.sleep(0.3)
    slow.break_off()
    with pytest.raises(RemoteFault):
        await fleet.firmware(url=place.firmware_url)
    answer = await post_form(place, PACKAGE)
    assert answer.status_code == 200


async def test_uploads_and_urls_have_their_limits(fleet: Fleet, ota_channel: grpc.aio.Channel) -> None:
    with pytest.raises(RemoteFault):
        await fleet.stub.CreateUpload(pb.CreateUploadRequest(suffix="../x"))
    with pytest.raises(RemoteFault):
        await fleet.firmware("")
    with pytest.raises(RemoteFault):
        await fleet.firmware("1" * 65)
    with pytest.raises(RemoteFault):
        await fleet.firmware(type=1)
    with pytest.raises(RemoteFault):
        await fleet.firmware(sign_method="CRC")
