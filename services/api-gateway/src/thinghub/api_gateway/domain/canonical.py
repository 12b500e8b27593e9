"""The two request signatures, up to the string that is signed (open-api.md §2).

Pure functions: what is computed here goes to auth together with the signature the caller sent; the secret stays there.

V1 signs every parameter (query and form body) except `Signature`. ACS3 signs the query, chosen headers and a hash of
the body. Both sign decoded values encoded anew by RFC 3986, whatever encoding came over the wire.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from thinghub.api_gateway.domain.encoding import encode
from thinghub.api_gateway.errors import Refused

ACS3 = "ACS3-HMAC-SHA256"
ACS3_MUST_SIGN = frozenset({"host", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"})
_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def canonical_query(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{encode(name)}={encode(parameters[name])}" for name in sorted(parameters))


def v1_string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """`parameters` are all of query and body; `Signature` among them is left out. An empty value is signed too."""
    signed = {name: value for name, value in parameters.items() if name != "Signature"}
    return f"{method}&%2F&{encode(canonical_query(signed))}"


@dataclass(frozen=True, slots=True)
class Acs3Authorization:
    access_key_id: str
    signed_headers: tuple[str, ...]
    signature: str


def parse_acs3(header: str) -> Acs3Authorization:
    """Reads `ACS3-HMAC-SHA256 Credential=..,SignedHeaders=a;b,Signature=..`. Raises Refused (IncompleteSignature)."""
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ACS3:
        raise Refused("IncompleteSignature", f"The signature algorithm is not supported; use {ACS3}.")
    members: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        if name in members:
            raise Refused("IncompleteSignature", f"The Authorization header gives {name} twice.")
        members[name] = value.strip()
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not members.get(name):
            raise Refused("IncompleteSignature", f"The Authorization header has no {name}.")
    signed = tuple(members["SignedHeaders"].lower().split(";"))
    if len(set(signed)) != len(signed) or not all(_HEADER_NAME.fullmatch(name) for name in signed):
        raise Refused("IncompleteSignature", "SignedHeaders is not a list of different header names.")
    return Acs3Authorization(members["Credential"], signed, members["Signature"])


def acs3_canonical_request(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], signed: Sequence[str], body_hash: str
) -> str:
    """`headers` by lower-case name. Exactly the names in `signed` are signed, in that order."""
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed)
    return "\n".join([method, path, canonical_query(query), lines, ";".join(signed), body_hash])


def acs3_string_to_sign(canonical_request: str) -> str:
    return f"{ACS3}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"


def check_signed_headers(signed: Iterable[str], headers: Mapping[str, str]) -> None:
    """Refuses a signature that leaves out what it must cover: the host, and every `x-acs-` header that was sent."""
    present = set(signed)
    for name in sorted(ACS3_MUST_SIGN - headers.keys()):
        raise Refused("IncompleteSignature", f"The header {name} is missing.")
    for name in sorted(present - headers.keys()):
        raise Refused("IncompleteSignature", f"The signed header {name} was not sent.")
    must = ACS3_MUST_SIGN | {name for name in headers if name in ("x-acs-action", "x-acs-version")}
    for name in sorted(must - present):
        raise Refused("IncompleteSignature", f"The header {name} must be among SignedHeaders.")


def check_body_hash(body: bytes, claimed: str) -> str:
    """Hex SHA-256 of the body; raises Refused (SignatureDoesNotMatch) if the header says another."""
    actual = hashlib.sha256(body).hexdigest()
    if claimed.strip().lower() != actual:
        raise Refused("SignatureDoesNotMatch", f"x-acs-content-sha256 does not match the body, whose hash is {actual}.")
    return actual


def timestamp_ms(text: str) -> int:
    """Epoch milliseconds of `YYYY-MM-DDThh:mm:ssZ`. Raises Refused (InvalidTimeStamp.Format)."""
    try:
        if not _TIMESTAMP.fullmatch(text):
            raise ValueError(text)
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused(
            "InvalidTimeStamp.Format", "The time stamp is not of the form YYYY-MM-DDThh:mm:ssZ in UTC."
        ) from error
    return int(moment.timestamp()) * 1000
