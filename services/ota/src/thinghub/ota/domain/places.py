"""Where packages are kept, as an operator writes it.

ota-packages, /var/lib/ota, file:///var/lib/ota            a directory
s3://bucket[/prefix][?endpoint=https://host&region=name]   an S3-compatible store; without endpoint that of AWS
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OPTIONS = ("endpoint", "region")
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Directory:
    path: Path


@dataclass(frozen=True, slots=True)
class Bucket:
    """`endpoint` is empty for AWS."""

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = DEFAULT_REGION


def place_of(url: str) -> Directory | Bucket:
    """Raises ValueError with a sentence."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return _bucket(parts.netloc, parts.path.strip("/"), parts.query)
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError("a file URL is file:// and an absolute path")
        return Directory(Path(unquote(parts.path)))
    if "://" in url or not url:
        raise ValueError("packages are kept at a path, file:///path or s3://bucket")
    return Directory(Path(url).expanduser().absolute())


def _bucket(name: str, prefix: str, query: str) -> Bucket:
    if not _BUCKET.fullmatch(name):
        raise ValueError("s3:// is followed by a bucket: 3 to 63 small letters, digits, dots and hyphens")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise ValueError(f"s3://{name} has endpoint and region as options, not {', '.join(unknown)}")
    endpoint = options.get("endpoint", "").rstrip("/")
    if endpoint and (urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname):
        raise ValueError("the endpoint of an S3 store begins with http:// or https:// and names a host")
    return Bucket(name, prefix, endpoint, options.get("region") or DEFAULT_REGION)
