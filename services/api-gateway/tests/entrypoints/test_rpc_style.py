"""The RPC-style face over a real socket: both signatures, both forms, and every kind of bad request."""

import base64
import hashlib
import hmac
import re
import secrets
import time
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.openapi import ApiRefused, Key, OpenApi, joined, percent, stamp

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def v1_query(
    key: Key, parameters: dict[str, str | None], method: str = "POST", body: dict[str, str] | None = None
) -> str:
    """A signed query; `parameters` may replace or, with None, remove any of the common ones."""
    common: dict[str, str | None] = {
        "Version": "2018-01-20",
        "Format": "JSON",
        "AccessKeyId": key.access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": secrets.token_hex(16),
        "Timestamp": stamp(),
    }
    query = {name: value for name, value in (common | parameters).items() if value is not None}
    to_sign = f"{method}&%2F&{percent(joined(query | (body or {})))}"
    digest = hmac.new(f"{key.access_key_secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
    return joined({"Signature": base64.b64encode(digest).decode()} | query)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a gateway refusal, whose shape is checked."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert set(body) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert REQUEST_ID.fullmatch(body["RequestId"])
    return answer.status_code, body["Code"]


@pytest.mark.parametrize("face", ["acs3", "v1"])
async def test_both_signatures_are_accepted(platform: "Platform", face: str) -> None:
    answer = await platform.api(face).ok("QueryProductList", CurrentPage=1, PageSize=10)
    assert REQUEST_ID.fullmatch(answer["RequestId"])
    assert answer["Success"] is True
    assert answer["Code"] == ""
    assert set(answer["Data"]) == {"List", "CurrentPage", "PageSize", "PageCount", "Total"}


async def test_get_is_signed_and_served_like_post(platform: "Platform") -> None:
    query = v1_query(platform.key, {"Action": "QueryProductList"}, method="GET")
    assert (await platform.http.get(f"/?{query}")).json()["Success"] is True


async def test_parameters_of_the_form_body_are_merged_and_signed(platform: "Platform") -> None:
    body = {"ProductKey": "nosuchproduct"}
    query = v1_query(platform.key, {"Action": "QueryProduct"}, body=body)
    answer = await platform.http.post(f"/?{query}", data=body)
    assert (answer.status_code, answer.json()["Code"]) == (200, "iot.prod.NotExistedProduct")


async def test_everything_may_be_in_the_form_body(platform: "Platform") -> None:
    signed = v1_query(platform.key, {"Action": "QueryProductList"})
    answer = await platform.http.post(
        "/", content=signed, headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.json()["Success"] is True


async def test_an_absent_format_is_xml_in_v1(platform: "Platform") -> None:
    answer = await platform.http.post("/?" + v1_query(platform.key, {"Action": "QueryProductList", "Format": None}))
    assert answer.headers["content-type"] == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(answer.content)
    assert root.tag == "QueryProductListResponse"
    assert root.findtext("Success") == "true"
    refused = await platform.http.get("/?Action=Nothing&Version=2018-01-20")
    assert ElementTree.fromstring(refused.content).tag == "Error"
    assert ElementTree.fromstring(refused.content).findtext("Code") == "InvalidAction.NotFound"


async def test_business_refusals_are_http_200(platform: "Platform") -> None:
    answer = await platform.api().call("QueryProduct", ProductKey="nosuchproduct")
    assert answer["Success"] is False
    assert answer["Code"] == "iot.prod.NotExistedProduct"
    assert answer["ErrorMessage"]
    assert REQUEST_ID.fullmatch(answer["RequestId"])


ROWS: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
    ("no action", {}, (400, "MissingAction")),
    ("unknown action", {"Action": "Nothing"}, (404, "InvalidAction.NotFound")),
    ("action of the REST face only", {"Action": "CreateAccessKey"}, (404, "InvalidAction.NotFound")),
    ("no version", {"Action": "QueryProduct", "Version": None}, (400, "InvalidVersion")),
    ("another version", {"Action": "QueryProduct", "Version": "2017-01-01"}, (400, "InvalidVersion")),
    ("no access key", {"Action": "QueryProduct", "AccessKeyId": None}, (400, "MissingParameter")),
    ("unknown access key", {"Action": "QueryProduct", "AccessKeyId": "nobody"}, (404, "InvalidAccessKeyId.NotFound")),
    ("no nonce", {"Action": "QueryProduct", "SignatureNonce": None}, (400, "MissingParameter")),
    ("no time stamp", {"Action": "QueryProduct", "Timestamp": None}, (400, "MissingParameter")),
    ("malformed time stamp", {"Action": "QueryProduct", "Timestamp": "yesterday"}, (400, "InvalidTimeStamp.Format")),
    (
        "old time stamp",
        {"Action": "QueryProduct", "Timestamp": "2018-01-01T00:00:00Z"},
        (400, "InvalidTimeStamp.Expired"),
    ),
    ("another method", {"Action": "QueryProduct", "SignatureMethod": "HMAC-MD5"}, (400, "InvalidParameter")),
    ("another version of V1", {"Action": "QueryProduct", "SignatureVersion": "2.0"}, (400, "InvalidParameter")),
    ("long nonce", {"Action": "QueryProduct", "SignatureNonce": "n" * 200}, (400, "InvalidParameter")),
    ("missing parameter", {"Action": "RRpc", "ProductKey": "p", "DeviceName": "d"}, (200, "")),
    (
        "missing timeout",
        {"Action": "RRpc", "ProductKey": "p", "DeviceName": "d", "RequestBase64Byte": "aGk="},
        (400, "MissingParameter"),
    ),
    ("mistyped parameter", {"Action": "QueryProductList", "PageSize": "ten"}, (400, "InvalidParameter")),
    ("page size over the bound", {"Action": "QueryProductList", "PageSize": "201"}, (400, "InvalidParameter")),
    ("huge number", {"Action": "GetRule", "RuleId": "9" * 400}, (400, "InvalidParameter")),
    ("list without index", {"Action": "BatchGetDeviceState", "DeviceName": "d"}, (400, "InvalidParameter")),
    ("index zero", {"Action": "BatchGetDeviceState", "DeviceName.0": "d"}, (400, "InvalidParameter")),
]


@pytest.mark.parametrize(("parameters", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_bad_requests_are_named(
    platform: "Platform", parameters: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = await platform.http.post("/?" + v1_query(platform.key, parameters))
    if expected[0] == 200:
        assert answer.json()["Code"] == "iot.messagebroker.NullMessageContent"
    else:
        assert refusal(answer) == expected


async def test_a_missing_parameter_is_named(platform: "Platform") -> None:
    query = v1_query(platform.key, {"Action": "CreateRule"})
    assert '"Name"' in (await platform.http.post(f"/?{query}")).json()["Message"]


async def test_a_missing_key_has_its_business_code(platform: "Platform") -> None:
    assert (await platform.api().call("QueryProduct"))["Code"] == "iot.prod.NullProductKey"
    assert (await platform.api().call("DisableThing", ProductKey="p"))["Code"] == "iot.device.NullDeviceName"


@pytest.mark.parametrize("face", ["acs3", "v1"])
async def test_a_wrong_secret_is_a_signature_mismatch_that_shows_no_secret(platform: "Platform", face: str) -> None:
    wrong = Key(platform.key.access_key_id, "wrong")
    with pytest.raises(ApiRefused) as refused:
        await platform.api(face, wrong).call("QueryProductList")
    assert (refused.value.status, refused.value.code) == (400, "SignatureDoesNotMatch")
    assert platform.key.access_key_secret not in refused.value.message
    assert "server string to sign is:" in refused.value.message


@pytest.mark.parametrize("face", ["acs3", "v1"])
async def test_a_nonce_serves_once(platform: "Platform", face: str) -> None:
    api = platform.api(face)
    make = api.acs3 if face == "acs3" else api.v1
    nonce = secrets.token_hex(16)
    first = await platform.http.send(make("QueryProductList", {}, nonce=nonce))
    again = await platform.http.send(make("QueryProductList", {}, nonce=nonce))
    assert first.json()["Success"] is True
    assert refusal(again) == (400, "SignatureNonceUsed")


@pytest.mark.parametrize("face", ["acs3", "v1"])
@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_time_stamp_outside_the_window_is_refused(platform: "Platform", face: str, minutes: int) -> None:
    api = platform.api(face)
    make = api.acs3 if face == "acs3" else api.v1
    answer = await platform.http.send(make("QueryProductList", {}, when=time.time() + 60 * minutes))
    assert refusal(answer) == (400, "InvalidTimeStamp.Expired")


async def test_an_acs3_request_that_was_changed_is_refused(platform: "Platform") -> None:
    request = platform.api().acs3("QueryProductList", {"PageSize": "10"})
    request.headers["x-acs-action"] = "QueryProduct"
    assert refusal(await platform.http.send(request)) == (400, "SignatureDoesNotMatch")


async def test_an_acs3_body_that_was_changed_is_refused(platform: "Platform") -> None:
    headers = dict(platform.api().acs3("QueryProductList", {}).headers)
    headers |= {"content-type": "application/x-www-form-urlencoded", "content-length": "10"}
    request = platform.http.build_request("POST", "/", headers=headers, content=b"PageSize=1")
    assert refusal(await platform.http.send(request)) == (400, "SignatureDoesNotMatch")


async def test_an_unsigned_action_header_is_refused(platform: "Platform") -> None:
    request = platform.api().acs3("QueryProductList", {})
    authorization = request.headers["authorization"].replace("x-acs-action;", "")
    request.headers["authorization"] = authorization
    assert refusal(await platform.http.send(request)) == (400, "IncompleteSignature")


JSON_FORMAT = "/?Format=JSON&Action=QueryProductList&Version=2018-01-20"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/?Format=JSON&A=%zz", "InvalidParameter"),
        ("/?Format=JSON&A=%ff", "InvalidParameter"),
        ("/?Format=JSON&A=1&A=2", "InvalidParameter"),
        ("/?Format=JSON&A=%00", "InvalidParameter"),
        ("/?Format=TEXT", "InvalidParameter"),
        (JSON_FORMAT, "MissingParameter"),
    ],
)
async def test_malformed_queries_are_refused(platform: "Platform", target: str, code: str) -> None:
    answer = await platform.http.post(target)
    assert answer.status_code == 400
    assert code in answer.text


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"content-type": "application/json"}, b"{}", 415, "UnsupportedMediaType"),
        ({"content-type": "multipart/form-data"}, b"x", 415, "UnsupportedMediaType"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"A=%", 400, "InvalidParameter"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"\xff\xfe\x00\x01", 400, "InvalidParameter"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"Format=JSON", 400, "InvalidParameter"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"A=" + b"a" * (1 << 20), 413, "RequestBodyTooLarge"),
    ],
)
async def test_bad_bodies_are_refused(
    platform: "Platform", headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answer = await platform.http.post(JSON_FORMAT, headers=headers, content=body)
    assert answer.status_code == status
    assert code in answer.text


async def test_a_chunked_body_is_bounded_too(platform: "Platform") -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b"a" * 32768

    answer = await platform.http.post(JSON_FORMAT, content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize("authorization", ["ACS3-HMAC-SHA256", "ACS3-HMAC-SM3 Credential=a", "ACS3-HMAC-SHA256 x=y"])
async def test_malformed_authorization_is_refused(platform: "Platform", authorization: str) -> None:
    headers = {"authorization": authorization, "x-acs-action": "QueryProductList", "x-acs-version": "2018-01-20"}
    assert refusal(await platform.http.post("/", headers=headers)) == (400, "IncompleteSignature")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.binary(max_size=200), body=st.binary(max_size=200), authorization=st.text(max_size=60))
async def test_garbage_never_makes_a_server_error(
    platform: "Platform", query: bytes, body: bytes, authorization: str
) -> None:
    legal = bytes(byte for byte in authorization.encode() if 31 < byte < 127).decode().strip()
    headers = {"content-type": "application/x-www-form-urlencoded", "authorization": legal}
    target = "/?" + "".join(f"%{byte:02x}" if i % 2 else chr(byte % 94 + 33) for i, byte in enumerate(query))
    answer = await platform.http.post(target.replace("#", ""), headers=headers, content=body)
    assert 400 <= answer.status_code < 500


async def test_an_owner_that_is_away_is_service_unavailable(platform: "Platform") -> None:
    api: OpenApi = platform.api()
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    await api.ok("RegisterDevice", ProductKey=product["ProductKey"], DeviceName="device1")
    platform.gateways.away = True
    with pytest.raises(ApiRefused) as refused:
        await api.call("GetDeviceStatus", ProductKey=product["ProductKey"], DeviceName="device1")
    assert (refused.value.status, refused.value.code) == (503, "ServiceUnavailable")
