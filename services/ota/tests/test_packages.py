"""The package port on a real socket: uploads by policy, downloads by signed URL."""

import asyncio
import hashlib
import ssl

import grpc
import httpx
import pytest

from tests.support.ota_service import PACKAGE, Fleet, post_form
from thinghub.common.errors import RemoteFault
from thinghubpb.ota.v1 import ota_pb2 as pb


async def url_of(fleet: Fleet, firmware: pb.Firmware) -> str:
    request = pb.GetFirmwareRequest(firmware_id=firmware.firmware_id)
    return (await fleet.stub.GetFirmware(request)).firmware.url


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
        assert (await http.get(url, headers={"Range": f"bytes={len(PACKAGE)}-"})).status_code == 416


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


@pytest.mark.parametrize(("size", "sign"), [(1, ""), (0, "0" * 32), (len(PACKAGE), "0" * 32)])
async def test_a_package_with_another_size_or_digest_is_refused(fleet: Fleet, size: int, sign: str) -> None:
    with pytest.raises(RemoteFault) as refusal:
        await fleet.firmware(size=size, sign=sign)
    assert refusal.value.remote_reason == "package_mismatch"


async def test_an_upload_that_breaks_off_leaves_nothing(fleet: Fleet, ota_settings: dict[str, object]) -> None:
    place = await fleet.stub.CreateUpload(pb.CreateUploadRequest())
    host, _, port = place.host.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    fields = {
        "key": place.key,
        "OSSAccessKeyId": place.access_key_id,
        "policy": place.policy,
        "Signature": place.signature,
    }
    body = "".join(f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
    body += '--B\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + "x" * 400_000
    head = (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 900000\r\n\r\n"
    )
    writer.write((head + body).encode())
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
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
