"""One RPC-style request as it came over the wire, and the signature it carries.

Where things are (open-api.md §1, §2):

    style   Authorization: ACS3-HMAC-SHA256 ...   -> ACS3; anything else -> V1
    action  ACS3: header x-acs-action, else parameter Action.   V1: parameter Action, since headers are not signed
            there; a header beside it must say the same.
    format  parameter Format (JSON or XML, either case); without it ACS3 gets JSON, unless it accepts XML only, and V1
            gets XML, the documented default of the wire protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from thinghub.api_gateway.domain import canonical
from thinghub.api_gateway.domain.values import Signature, SignatureAlgorithm
from thinghub.api_gateway.errors import Refused, invalid, missing

VERSION = "2018-01-20"
MAX_NONCE = 128
V1_MANDATORY = ("AccessKeyId", "Signature", "SignatureMethod", "SignatureNonce", "Timestamp")


@dataclass(frozen=True, slots=True)
class WireRequest:
    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    parameters: Mapping[str, str]
    """Query and form body, merged."""
    body: bytes

    @property
    def is_acs3(self) -> bool:
        return is_acs3(self.headers)


def is_acs3(headers: Mapping[str, str]) -> bool:
    return headers.get("authorization", "").lstrip().upper().startswith("ACS3-")


def answer_format(headers: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    """`json` or `xml`; see the module. Raises Refused (InvalidParameter) for another Format."""
    asked = parameters.get("Format", "").lower()
    if asked in ("json", "xml"):
        return asked
    if asked:
        raise invalid("Format", "it is JSON or XML")
    if not is_acs3(headers):
        return "xml"
    accept = headers.get("accept", "")
    return "xml" if "xml" in accept and "json" not in accept and "*/*" not in accept else "json"


def action_of(wire: WireRequest) -> str:
    """Raises Refused for a missing or contradictory action, or another version."""
    action = _named(wire, "x-acs-action", "Action")
    version = _named(wire, "x-acs-version", "Version")
    if not action:
        raise Refused("MissingAction", "Name the action: header x-acs-action (ACS3) or parameter Action (V1).")
    if version != VERSION:
        raise Refused("InvalidVersion", f"The version is {VERSION}.")
    return action


def signature_of(wire: WireRequest) -> Signature:
    """What auth has to check. Raises Refused for a proof that is incomplete or malformed."""
    return _acs3(wire) if wire.is_acs3 else _v1(wire)


def _named(wire: WireRequest, header: str, parameter: str) -> str:
    by_header, by_parameter = wire.headers.get(header, ""), wire.parameters.get(parameter, "")
    if wire.is_acs3:
        return by_header or by_parameter
    if by_header and by_parameter and by_header != by_parameter:
        raise invalid(parameter, f"the header {header} says something else")
    return by_parameter


def _v1(wire: WireRequest) -> Signature:
    parameters = wire.parameters
    for name in V1_MANDATORY:
        if not parameters.get(name):
            raise missing(name)
    if parameters["SignatureMethod"].upper() != "HMAC-SHA1":
        raise invalid("SignatureMethod", "it is HMAC-SHA1")
    if parameters.get("SignatureVersion", "1.0") != "1.0":
        raise invalid("SignatureVersion", "it is 1.0")
    return Signature(
        algorithm=SignatureAlgorithm.HMAC_SHA1,
        access_key_id=parameters["AccessKeyId"],
        string_to_sign=canonical.v1_string_to_sign(wire.method, parameters),
        signature=parameters["Signature"],
        nonce=_nonce(parameters["SignatureNonce"], "SignatureNonce"),
        timestamp_ms=canonical.timestamp_ms(parameters["Timestamp"]),
    )


def _acs3(wire: WireRequest) -> Signature:
    authorization = canonical.parse_acs3(wire.headers["authorization"])
    canonical.check_signed_headers(authorization.signed_headers, wire.headers)
    body_hash = canonical.check_body_hash(wire.body, wire.headers["x-acs-content-sha256"])
    request = canonical.acs3_canonical_request(
        wire.method, "/", wire.query, wire.headers, authorization.signed_headers, body_hash
    )
    return Signature(
        algorithm=SignatureAlgorithm.ACS3_HMAC_SHA256,
        access_key_id=authorization.access_key_id,
        string_to_sign=canonical.acs3_string_to_sign(request),
        signature=authorization.signature,
        nonce=_nonce(wire.headers["x-acs-signature-nonce"], "x-acs-signature-nonce"),
        timestamp_ms=canonical.timestamp_ms(wire.headers["x-acs-date"].strip()),
    )


def _nonce(text: str, name: str) -> str:
    if not 1 <= len(text) <= MAX_NONCE:
        raise invalid(name, f"it has 1 to {MAX_NONCE} characters")
    return text
