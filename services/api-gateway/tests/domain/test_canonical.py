"""Signatures against requests that the vendor's SDKs really sent (tests/data), and the refusals of malformed ones."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from thinghub.api_gateway.domain import canonical
from thinghub.api_gateway.domain.encoding import decode_form, merge
from thinghub.api_gateway.entrypoints.signed_request import WireRequest, action_of, answer_format, signature_of
from thinghub.api_gateway.errors import Refused

CAPTURED = json.loads((Path(__file__).parent.parent / "data" / "captured_requests.json").read_text())
SECRET = CAPTURED["access_key_secret"]


def wire_of(request: dict[str, Any]) -> WireRequest:
    query = decode_form(urlsplit(request["target"]).query.encode(), "query string")
    body = request["body"].encode()
    headers = {name.lower(): value for name, value in request["headers"]}
    return WireRequest(request["method"], headers, query, merge(query, decode_form(body, "body")), body)


def name_of(request: dict[str, Any]) -> str:
    headers = {name.lower(): value for name, value in request["headers"]}
    return f"{request['client']} {headers['x-acs-action']}"


@pytest.mark.parametrize("request_", CAPTURED["requests"], ids=name_of)
def test_string_to_sign_gives_the_signature_that_the_sdk_sent(request_: dict[str, Any]) -> None:
    proof = signature_of(wire_of(request_))
    if request_["client"].endswith("acs3"):
        expected = hmac.new(SECRET.encode(), proof.string_to_sign.encode(), hashlib.sha256).hexdigest()
    else:
        digest = hmac.new(f"{SECRET}&".encode(), proof.string_to_sign.encode(), hashlib.sha1).digest()
        expected = base64.b64encode(digest).decode()
    assert proof.signature == expected
    assert proof.access_key_id == CAPTURED["access_key_id"]
    assert proof.timestamp_ms == 1_795_440_231_000


@pytest.mark.parametrize("request_", CAPTURED["requests"], ids=name_of)
def test_every_sdk_names_its_action_and_gets_json(request_: dict[str, Any]) -> None:
    wire = wire_of(request_)
    assert action_of(wire) == wire.headers["x-acs-action"]
    assert answer_format(wire.headers, wire.parameters) == "json"


@pytest.mark.parametrize(
    ("method", "parameters", "expected"),
    [
        ("GET", {"B": "2", "A": "1"}, "GET&%2F&A%3D1%26B%3D2"),
        ("POST", {"A": "", "Signature": "x"}, "POST&%2F&A%3D"),
        ("POST", {"A": "a b*~/"}, "POST&%2F&A%3Da%2520b%252A~%252F"),
        ("POST", {"A.10": "x", "A.2": "y"}, "POST&%2F&A.10%3Dx%26A.2%3Dy"),
    ],
)
def test_v1_string_to_sign(method: str, parameters: dict[str, str], expected: str) -> None:
    assert canonical.v1_string_to_sign(method, parameters) == expected


def test_acs3_canonical_request_keeps_the_order_of_signed_headers_and_trims_values() -> None:
    text = canonical.acs3_canonical_request(
        "GET", "/", {"b": "2", "a": "x y"}, {"z": " 1 ", "a": "2"}, ["z", "a"], "HASH"
    )
    assert text == "GET\n/\na=x%20y&b=2\nz:1\na:2\n\nz;a\nHASH"


GOOD = "ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=host;x-acs-date,Signature=00"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "ACS3-HMAC-SM3 Credential=ak,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SHA256",
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SHA256 Credential=ak,Signature=00",
        "ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=host",
        "ACS3-HMAC-SHA256 Credential=ak,Credential=bk,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=host;host,Signature=00",
        "ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=ho st,Signature=00",
        "ACS3-HMAC-SHA256 Credential=ak,SignedHeaders=;,Signature=00",
        "ACS3-HMAC-SHA256 garbage",
    ],
)
def test_malformed_authorization_is_an_incomplete_signature(header: str) -> None:
    with pytest.raises(Refused) as refusal:
        canonical.parse_acs3(header)
    assert refusal.value.code == "IncompleteSignature"


def test_authorization_is_read() -> None:
    assert canonical.parse_acs3(GOOD) == canonical.Acs3Authorization("ak", ("host", "x-acs-date"), "00")


HEADERS = {"host": "h", "x-acs-date": "d", "x-acs-signature-nonce": "n", "x-acs-content-sha256": "s"}


@pytest.mark.parametrize(
    ("headers", "signed"),
    [
        ({"host": "h"}, ["host"]),
        (HEADERS, ["host"]),
        (HEADERS, [*HEADERS, "accept"]),
        (HEADERS | {"x-acs-action": "Pub"}, [*HEADERS]),
        (HEADERS | {"x-acs-version": "1"}, [*HEADERS]),
    ],
)
def test_signature_must_cover_host_and_the_acs_headers(headers: dict[str, str], signed: list[str]) -> None:
    with pytest.raises(Refused) as refusal:
        canonical.check_signed_headers(signed, headers)
    assert refusal.value.code == "IncompleteSignature"


def test_signed_headers_that_cover_everything_pass() -> None:
    canonical.check_signed_headers([*HEADERS, "x-acs-action"], HEADERS | {"x-acs-action": "Pub", "accept": "a"})


def test_a_body_of_another_hash_is_a_signature_mismatch() -> None:
    assert canonical.check_body_hash(b"", hashlib.sha256(b"").hexdigest().upper()) == hashlib.sha256(b"").hexdigest()
    with pytest.raises(Refused) as refusal:
        canonical.check_body_hash(b"x", hashlib.sha256(b"").hexdigest())
    assert refusal.value.code == "SignatureDoesNotMatch"


BAD_TIMES = (
    "",
    "now",
    "1",
    "2026-11-23 05:27:43",
    "2026-11-23T05:27:43",
    "2026-13-23T05:27:43Z",
    "2026-11-23T05:27:43Z\n",
    "２026-11-23T05:27:43Z",
)


@pytest.mark.parametrize("text", BAD_TIMES)
def test_other_time_stamps_are_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        canonical.timestamp_ms(text)
    assert refusal.value.code == "InvalidTimeStamp.Format"


def test_a_v1_header_may_not_name_another_action_than_the_signed_parameter() -> None:
    parameters = {"Action": "QueryProduct", "Version": "2018-01-20"}
    wire = WireRequest("POST", {"x-acs-action": "DeleteProduct"}, parameters, parameters, b"")
    with pytest.raises(Refused) as refusal:
        action_of(wire)
    assert refusal.value.code == "InvalidParameter"


def test_an_unsigned_header_alone_names_no_v1_action() -> None:
    wire = WireRequest("POST", {"x-acs-action": "Pub", "x-acs-version": "2018-01-20"}, {}, {}, b"")
    with pytest.raises(Refused) as refusal:
        action_of(wire)
    assert refusal.value.code == "MissingAction"


ACS3 = {"authorization": GOOD}


@pytest.mark.parametrize(
    ("headers", "parameters", "expected"),
    [
        ({}, {}, "xml"),
        ({}, {"Format": "json"}, "json"),
        ({}, {"Format": "JSON"}, "json"),
        (ACS3, {"Format": "XML"}, "xml"),
        (ACS3, {}, "json"),
        (ACS3 | {"accept": "application/json"}, {}, "json"),
        (ACS3 | {"accept": "application/xml"}, {}, "xml"),
        (ACS3 | {"accept": "application/xml, */*"}, {}, "json"),
    ],
)
def test_answer_format(headers: dict[str, str], parameters: dict[str, str], expected: str) -> None:
    assert answer_format(headers, parameters) == expected


def test_another_format_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        answer_format({}, {"Format": "YAML"})
    assert refusal.value.code == "InvalidParameter"
