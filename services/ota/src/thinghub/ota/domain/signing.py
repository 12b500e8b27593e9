"""What the store of packages lets a caller do without an account: one upload, or downloads for a while.

    upload    the form carries a policy (base64 JSON: expiration, size, exact key) and its HMAC
    download  /{key}?Expires=..&OSSAccessKeyId=..&Signature=..   the HMAC is of everything before `&Signature=`

The names are those of the contract's object store, so that its clients' form posts work as they are. Both MACs are
HMAC-SHA256 over the exact text: whatever byte of a URL is altered, it does not verify. Times are arguments.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson

from thinghub.ota.errors import DownloadRefused, UploadRefused

ACCESS_KEY_ID = "thinghub-ota"
KEY_BYTES = 32
_PREFIX = "ota/"
_KEY = re.compile(r"ota/[0-9a-f]{32}\.[a-z0-9]{1,16}")
_SUFFIX = re.compile(r"[a-z0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class UploadForm:
    key: str
    policy: str
    access_key_id: str
    signature: str


def new_key(suffix: str) -> str | None:
    """Where a new package goes; None for a suffix that is none."""
    suffix = suffix.lower().removeprefix(".") or "bin"
    return f"{_PREFIX}{secrets.token_hex(16)}.{suffix}" if _SUFFIX.fullmatch(suffix) else None


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def key_of_url(url: str) -> str:
    """The key a firmware URL names, empty for a URL that is none of ours. Its host is not looked at: a platform may
    have moved since the upload."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    found = parts.path[1:]
    return found if parts.scheme in ("http", "https") and _KEY.fullmatch(found) else ""


def upload_form(signing_key: bytes, key: str, expires_ms: int, max_bytes: int) -> UploadForm:
    expiration = datetime.fromtimestamp(expires_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    conditions: list[object] = [["content-length-range", 1, max_bytes], ["eq", "$key", key]]
    policy = base64.b64encode(orjson.dumps({"expiration": expiration, "conditions": conditions})).decode()
    return UploadForm(key, policy, ACCESS_KEY_ID, _mac(signing_key, "POST", policy))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a form may upload."""

    key: str
    max_bytes: int


def check_form(signing_key: bytes, form: Mapping[str, str], now_ms: int) -> Grant:
    """The grant of a form's fields (names in lower case). Raises UploadRefused."""
    policy, signature = form.get("policy", ""), form.get("signature", "")
    if not policy or not signature or form.get("ossaccesskeyid") != ACCESS_KEY_ID:
        raise UploadRefused(403, "AccessDenied", "The form has no OSSAccessKeyId, policy and Signature of this store.")
    if not _same(_mac(signing_key, "POST", policy), signature):
        raise UploadRefused(403, "SignatureDoesNotMatch", "The signature is not that of the policy.")
    members = orjson.loads(base64.b64decode(policy))  # ours: it is signed
    expiration = datetime.fromisoformat(members["expiration"])
    if now_ms >= expiration.timestamp() * 1000:
        raise UploadRefused(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    (_, _, max_bytes), (_, _, key) = members["conditions"]
    if form.get("key") != key:
        raise UploadRefused(403, "AccessDenied", "Invalid according to Policy: the key is another one.")
    return Grant(key, max_bytes)


def download_url(signing_key: bytes, base: str, key: str, expires_s: int) -> str:
    signed = f"/{key}?Expires={expires_s}&OSSAccessKeyId={ACCESS_KEY_ID}"
    return f"{base}{signed}&Signature={_mac(signing_key, 'GET', signed)}"


def check_download(signing_key: bytes, path: str, query: str, now_s: float) -> str:
    """The key of a request's exact path and query. Raises DownloadRefused."""
    unsigned, separator, signature = query.rpartition("&Signature=")
    signed = f"{path}?{unsigned}"
    if not separator or not _same(_mac(signing_key, "GET", signed), signature):
        raise DownloadRefused("the URL is not signed by this store")
    expires = int(unsigned.partition("&")[0].removeprefix("Expires="))  # ours: it is signed
    if now_s >= expires:
        raise DownloadRefused("the URL has expired")
    return path[1:]


def _mac(signing_key: bytes, what: str, text: str) -> str:
    return hmac.new(signing_key, f"{what}\n{text}".encode(), hashlib.sha256).hexdigest()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
