"""`thinghub why`: where it asks, what it prints, its exit codes. The platform's own answers are in
tests/integration/flows/why.py."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from thinghub.cli.why import why_command
from thinghub.cli.why_page import page

LIMITS = {
    "Mode": "enforce", "UpQos0PerSecond": 30, "UpQos1PerSecond": 10, "DownPerSecond": 50, "BytesPerSecond": 1048576,
    "Subscriptions": 100, "OverQuota": "delayed",
}  # fmt: skip
REFUSED = {
    "Kind": "refused", "Reason": "bad_signature", "Meaning": "wrong signature", "Advice": "Re-flash it.",
    "ClientAddress": "10.0.0.7:4711", "GatewayAddress": "gw:9103", "UtcTime": "2026-11-23T02:11:03.123Z",
}  # fmt: skip
CLOSED = REFUSED | {"Kind": "closed", "Meaning": "the device fell silent", "UtcTime": "2026-11-23T02:00:00.000Z"}
SICK: dict[str, Any] = {
    "ProductKey": "a1pk", "DeviceName": "attic", "Healthy": False, "Cause": "refused",
    "Conclusion": "Its last connect was refused: wrong signature, from 10.0.0.7.",
    "Device": {
        "IotId": "iot", "ProductName": "p", "Disabled": False, "Activated": True,
        "UtcCreate": "2026-11-01T00:00:00.000Z", "UtcActive": "2026-11-02T00:00:00.000Z",
    },
    "Session": {"Online": False, "BarredSeconds": 7}, "Attempts": [REFUSED, CLOSED], "LastClose": CLOSED,
    "Limits": LIMITS, "Messages": [], "SampledEvery": 0, "Away": [],
}  # fmt: skip
ONLINE = {
    "Online": True, "Gateway": "inc", "GatewayAddress": "gw:9103", "GatewayAlive": True, "Clean": False, "Epoch": 7,
    "UtcConnected": "2026-11-23T02:12:00.000Z", "ClientAddress": "10.0.0.7:4711", "BarredSeconds": 0,
}  # fmt: skip
TRAFFIC = {
    "MessagesUp": 12, "MessagesDown": 3, "RefusedForPermission": 0, "RefusedForQuota": 4, "QuotaDelays": 0,
    "InFlight": 2, "Queued": 0, "KeepAliveSeconds": 60, "LastPacketSecondsAgo": 9, "UnsentBytes": 0, "SubDevices": 0,
    "Subscriptions": ["/a/b", "/c/d"],
}  # fmt: skip
WELL = SICK | {"Healthy": True, "Cause": "online", "Conclusion": "It is online.", "Session": ONLINE, "Traffic": TRAFFIC}


class Server:
    """One canned answer, and what was asked for it: an HTTP server because the command is what is tested."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                credentials = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()
                outer.asked.append((self.path, credentials))
                self.send_response(outer.status)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answers(self, body: object, status: int = 200) -> None:
        self.body, self.status = json.dumps(body).encode(), status


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever)
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("API", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "CA"):
        monkeypatch.delenv(f"THINGHUB_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def here(server: Server, tmp_path: Path) -> Server:
    """The server as a platform that runs on ./data."""
    (tmp_path / "data").mkdir()
    endpoints = {"api": server.url, "access_key_id": "first", "access_key_secret": "s3cret"}
    (tmp_path / "data" / "endpoints.json").write_text(json.dumps(endpoints))
    return server


def test_a_problem_is_told_and_the_exit_code_is_1(here: Server, capsys: pytest.CaptureFixture[str]) -> None:
    here.answers(SICK)
    assert why_command(["a1pk", "attic"]) == 1
    assert here.asked == [("/v1/products/a1pk/devices/attic/why", "first:s3cret")]
    said = capsys.readouterr().out
    assert said.startswith(f"attic of a1pk does not work\n{SICK['Conclusion']}\n")
    assert "2026-11-23 02:11:03  refused   10.0.0.7:4711  wrong signature" in said
    assert "\nlast close  2026-11-23 02:00:00  closed    10.0.0.7:4711  the device fell silent\n" in said
    assert "offline; barred for 7 s" in said
    assert "30 QoS 0 and 10 QoS 1" in said
    assert "trace ratio is 0" in said
    assert "\x1b" not in said
    assert "s3cret" not in said


def test_a_device_that_works_is_exit_code_0(here: Server, capsys: pytest.CaptureFixture[str]) -> None:
    here.answers(WELL)
    assert why_command(["a1pk", "attic"]) == 0
    said = capsys.readouterr().out
    assert "online since 2026-11-23 02:12:00 from 10.0.0.7:4711 on gateway gw:9103" in said
    assert "12 up, 3 down; 4 dropped over quota; 2 not acknowledged by it; last packet 9 s ago, keep-alive 60 s" in said
    assert "subscribed to /a/b, /c/d" in said


def test_names_are_quoted_and_json_is_the_answer_as_it_is(here: Server, capsys: pytest.CaptureFixture[str]) -> None:
    here.answers(SICK)
    assert why_command(["a1/pk", "att ic", "--json"]) == 1
    assert here.asked[0][0] == "/v1/products/a1%2Fpk/devices/att%20ic/why"
    assert json.loads(capsys.readouterr().out) == SICK


def test_the_environment_says_where_and_as_whom(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(WELL)
    monkeypatch.setenv("THINGHUB_API", f"{server.url}/")
    assert why_command(["a1pk", "attic"]) == 2
    assert "THINGHUB_ACCESS_KEY_ID" in capsys.readouterr().err
    monkeypatch.setenv("THINGHUB_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("THINGHUB_ACCESS_KEY_SECRET", "own")
    assert why_command(["a1pk", "attic"]) == 0
    assert server.asked == [("/v1/products/a1pk/devices/attic/why", "mine:own")]


def test_the_key_of_the_data_directory_goes_to_no_other_address(
    here: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why_command(["a1pk", "attic", "--api", here.url.replace("127.0.0.1", "localhost")]) == 2
    assert here.asked == []
    assert "there is no access key" in capsys.readouterr().err


def test_a_product_that_does_not_exist_is_an_answer(here: Server, capsys: pytest.CaptureFixture[str]) -> None:
    here.answers({"code": "iot.prod.NotExistedProduct", "message": "There is no product a1pk."}, 404)
    assert why_command(["a1pk", "attic"]) == 1
    assert "There is no product a1pk." in capsys.readouterr().out
    assert why_command(["a1pk", "attic", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["Cause"] == "no_product"


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (401, {"code": "Unauthorized", "message": "no"}, "does not know the access key first"),
        (403, {"code": "Forbidden.RAM", "message": "The key may not."}, "The key may not. (Forbidden.RAM)"),
        (404, {"code": "NotFound", "message": "There is no GET here."}, "There is no GET here."),
        (503, {"code": "ServiceUnavailable", "message": "A part is away."}, "A part is away."),
        (200, [], "answered 200"),
        (502, "bad gateway", "/readyz"),
    ],
)
def test_what_is_no_answer_is_exit_code_2(
    here: Server, capsys: pytest.CaptureFixture[str], status: int, body: object, word: str
) -> None:
    here.answers(body, status)
    assert why_command(["a1pk", "attic"]) == 2
    said = capsys.readouterr()
    assert word in said.err
    assert said.out == ""


def test_without_a_platform_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why_command(["a1pk", "attic"]) == 2
    assert "no platform runs on the data directory data: give --data-dir, or --api" in capsys.readouterr().err
    (tmp_path / "endpoints.json").write_text("{")
    assert why_command(["a1pk", "attic", "--data-dir", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("THINGHUB_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("THINGHUB_ACCESS_KEY_SECRET", "own")
    assert why_command(["a1pk", "attic", "--api", "http://127.0.0.1:1"]) == 2
    assert "start the platform, or give its address" in capsys.readouterr().err
    assert why_command(["a1pk", "attic", "--api", "http://127.0.0.1:1", "--ca", str(tmp_path / "none")]) == 2
    assert "--ca" in capsys.readouterr().err
    assert why_command(["a1pk", "attic", "--api", "no address"]) == 2


def test_what_a_terminal_would_obey_is_shown_escaped() -> None:
    message = {"Topic": "/a\x1b[2Jb", "Size": 5, "Qos": 1, "MessageId": "1", "TraceId": "t", "UtcTime": None}
    said = page(WELL | {"Messages": [message]}, False)
    assert "/a\\x1b[2Jb  5 bytes" in said
    assert "\x1b" not in said


def test_colours_only_where_asked_for() -> None:
    assert "\x1b[31;1mdoes not work\x1b[0m" in page(SICK, True)
    assert "\x1b[32;1mworks\x1b[0m" in page(WELL, True)


def test_a_sub_device_is_shown_with_its_gateway_device() -> None:
    behind = {"ProductKey": "a1hub", "DeviceName": "hub", "Online": False}
    assert "behind      gateway device a1hub/hub, OFFLINE" in page(SICK | {"GatewayDevice": behind}, False)


def test_what_is_away_is_named_and_nothing_is_made_up_for_it() -> None:
    away = [{"Part": "device-registry", "Why": "it cannot be reached"}, {"Part": "connection-gateway", "Why": "Redis"}]
    answer = {name: value for name, value in SICK.items() if name not in ("Device", "Session", "LastClose")}
    said = page(answer | {"Away": away, "Attempts": [], "SampledEvery": None}, False)
    assert "device      not known now" in said
    assert "session     not known now\nattempts    not known now\n" in said
    assert "messages    not known now" in said
    assert "away        device-registry (it cannot be reached): what it would say is missing" in said
    assert "connection-gateway (Redis)" in said
    assert "device      not registered" in page(answer, False)


def test_a_rotation_of_the_secret_is_told_with_whether_the_device_follows() -> None:
    rotation = {
        "UnderWay": True, "UtcStarted": "2026-11-23T02:00:00.000Z", "UtcFormerUntil": "2026-11-30T02:00:00.000Z",
        "NewSecretUsed": False,
    }  # fmt: skip
    told = page(SICK | {"SecretRotation": rotation}, False)
    assert "rotated 2026-11-23 02:00:00, the former one stops 2026-11-30 02:00:00; " in told
    assert "it has not used the new one yet" in told
    told = page(SICK | {"SecretRotation": rotation | {"UnderWay": False}}, False)
    assert "the former one stopped 2026-11-30 02:00:00; it has not used the new one\n" in told
    used = {"NewSecretUsed": True, "UtcNewSecretUsed": "2026-11-24T00:00:00.000Z"}
    assert "it used the new one first 2026-11-24 00:00:00" in page(SICK | {"SecretRotation": rotation | used}, False)
