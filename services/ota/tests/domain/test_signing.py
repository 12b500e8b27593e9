"""Upload policies and download URLs: what is signed opens, whatever was altered does not."""

import base64
import string
from urllib.parse import urlsplit

import orjson
import pytest

from thinghub.ota.domain import signing
from thinghub.ota.errors import DownloadRefused, UploadRefused

KEY = bytes(range(32))
NOW_MS = 1_700_000_000_000
PLACE = "ota/0123456789abcdef0123456789abcdef.bin"


def opened(url: str, now_s: float = 1_700_000_000) -> str:
    parts = urlsplit(url)
    return signing.check_download(KEY, parts.path, parts.query, now_s)


def test_a_signed_url_opens_its_package_until_it_expires() -> None:
    url = signing.download_url(KEY, "https://h:1", PLACE, 1_700_000_100)
    assert opened(url) == PLACE
    with pytest.raises(DownloadRefused):
        opened(url, 1_700_000_100)
    with pytest.raises(DownloadRefused):
        signing.check_download(bytes(32), urlsplit(url).path, urlsplit(url).query, 1_700_000_000)


def test_no_character_of_a_url_can_be_altered_added_or_left_out() -> None:
    url = signing.download_url(KEY, "", PLACE, 1_700_000_100)
    path, _, query = url.partition("?")
    for place in range(len(path) + 1, len(url)):
        for other in (*string.ascii_letters[place % 7 :: 7], "0", "9", "&", "=", "%", "/", ""):
            altered = url[:place] + other + url[place + 1 :]
            if altered == url:
                continue
            with pytest.raises(DownloadRefused):
                signing.check_download(KEY, path, altered[len(path) + 1 :], 1_700_000_000)
    for place in range(len(path)):
        with pytest.raises(DownloadRefused):
            signing.check_download(KEY, path[:place] + "x" + path[place + 1 :], query, 1_700_000_000)
    for more in ("&a=1", "0", "%00", "&Signature=" + "0" * 64):
        with pytest.raises(DownloadRefused):
            signing.check_download(KEY, path, query + more, 1_700_000_000)


def form(**changed: str) -> dict[str, str]:
    made = signing.upload_form(KEY, PLACE, NOW_MS + 60_000, 1000)
    given = {
        "key": made.key,
        "policy": made.policy,
        "ossaccesskeyid": made.access_key_id,
        "signature": made.signature,
    }
    return given | changed


def test_a_form_grants_what_its_policy_says() -> None:
    assert signing.check_form(KEY, form(), NOW_MS) == signing.Grant(PLACE, 1000)
    policy = orjson.loads(base64.b64decode(form()["policy"]))
    assert policy["expiration"] == "2023-11-14T22:14:20.000Z"
    assert policy["conditions"] == [["content-length-range", 1, 1000], ["eq", "$key", PLACE]]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": PLACE.replace("0", "1")}, "AccessDenied"),
        ({"policy": base64.b64encode(b'{"expiration":"2999-01-01T00:00:00.000Z"}').decode()}, "SignatureDoesNotMatch"),
        ({"signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"signature": ""}, "AccessDenied"),
        ({"ossaccesskeyid": "other"}, "AccessDenied"),
    ],
)
def test_a_form_past_its_policy_is_refused(changed: dict[str, str], code: str) -> None:
    with pytest.raises(UploadRefused) as refusal:
        signing.check_form(KEY, form(**changed), NOW_MS)
    assert (refusal.value.status, refusal.value.code) == (403, code)


def test_a_form_expires() -> None:
    with pytest.raises(UploadRefused, match="Policy expired"):
        signing.check_form(KEY, form(), NOW_MS + 60_000)


@pytest.mark.parametrize("suffix", ["bin", ".tar", "GZ", ""])
def test_a_new_key_is_a_key(suffix: str) -> None:
    key = signing.new_key(suffix)
    assert key is not None
    assert signing.is_key(key)
    assert signing.key_of_url(f"https://anywhere:9/{key}") == key


@pytest.mark.parametrize("suffix", ["a/b", "..", "x" * 17, "tar.gz", "é"])
def test_a_suffix_cannot_leave_the_directory(suffix: str) -> None:
    assert signing.new_key(suffix) is None


@pytest.mark.parametrize("url", ["", "http://h/ota/x.bin", f"ftp://h/{PLACE}", f"http://h/x/{PLACE}", "http://[", "//"])
def test_other_urls_name_no_package(url: str) -> None:
    assert signing.key_of_url(url) == ""
