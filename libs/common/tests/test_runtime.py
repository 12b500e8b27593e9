"""A service as a process: start, readiness, signals, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SERVICE = Path(__file__).with_name("running_service.py")


class Running:
    """The process, its log lines, and its HTTP endpoint."""

    def __init__(self, what: str, *arguments: str, **environment: str) -> None:
        given = {name: value for name, value in os.environ.items() if not name.startswith("THINGHUB_")}
        given |= {"THINGHUB_METRICS_PORT": "0", "THINGHUB_SAMPLE_WHAT": what, "THINGHUB_SHUTDOWN_SECONDS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(SERVICE), *arguments], env=given | environment, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []
        self.address = ""

    def until(self, text: str) -> dict[str, Any]:
        """Reads log lines until one says this."""
        for raw in self.process.stderr or ():
            self.lines.append(json.loads(raw))
            if text in self.lines[-1]["msg"]:
                return self.lines[-1]
        raise AssertionError(f"the process ended without {text!r}: {self.lines}")

    def get(self, path: str) -> tuple[int, str]:
        if not self.address:
            self.address = self.until("metrics and health on")["address"]
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def until_ready(self) -> None:
        deadline = time.monotonic() + 10
        while self.get("/readyz")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, seconds: float = 10) -> int:
        """Waits for the end; returns the exit code."""
        _, rest = self.process.communicate(timeout=seconds)
        self.lines += [json.loads(line) for line in rest.splitlines()]
        return self.process.returncode

    @property
    def messages(self) -> list[str]:
        return [line["msg"] for line in self.lines]


@pytest.fixture
def started() -> Iterator[list[Running]]:
    running: list[Running] = []
    yield running
    for one in running:
        one.process.kill()
        one.process.communicate()


def _start(started: list[Running], what: str, *arguments: str, **environment: str) -> Running:
    started.append(Running(what, *arguments, **environment))
    return started[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(started: list[Running], number: signal.Signals) -> None:
    service = _start(started, "serve")
    service.until_ready()
    service.process.send_signal(number)
    assert service.end() == 0
    assert service.messages[-3:] == [f"stopping on {number.name}", "closed in order", "stopped"]


def test_a_service_that_returns_when_told_to_stop_has_stopped(started: list[Running]) -> None:
    service = _start(started, "return")
    service.until_ready()
    service.process.terminate()
    assert service.end() == 0
    assert service.messages[-1] == "stopped"


def test_it_tells_its_health_and_metrics(started: list[Running]) -> None:
    service = _start(started, "wait")
    assert service.get("/healthz") == (200, "ok\n")
    status, body = service.get("/readyz")
    assert status == 503
    assert json.loads(body)["not_ready"] == ["sample/store"]
    assert service.get("/other")[0] == 404
    assert "process_cpu_seconds_total" in service.get("/metrics")[1]
    ready = _start(started, "serve")
    ready.until_ready()
    assert 'thinghub_component_ok{component="store",service="sample"} 1.0' in ready.get("/metrics")[1]
    assert "thinghub_sample_begun_total 1.0" in ready.get("/metrics")[1]


def test_a_defect_ends_it_with_1_logged_once(started: list[Running]) -> None:
    service = _start(started, "fail")
    assert service.end() == 1
    failures = [line for line in service.lines if line["level"] == "ERROR"]
    assert [line["msg"] for line in failures] == ["service failed"]
    assert "KeyError: 'a defect'" in failures[0]["error"]


def test_a_service_that_does_not_stop_is_left_after_its_time(started: list[Running]) -> None:
    service = _start(started, "hang")
    service.until_ready()
    began = time.monotonic()
    service.process.terminate()
    assert service.end() == 1
    assert 0.9 < time.monotonic() - began < 4
    assert "not stopped after" in service.messages[-1]


def test_a_thread_that_does_not_end_is_left_after_its_time(started: list[Running]) -> None:
    service = _start(started, "thread")
    service.until_ready()
    service.process.terminate()
    assert service.end(5) == 1
    assert "stopped" in service.messages


def test_a_second_signal_ends_it_at_once(started: list[Running]) -> None:
    service = _start(started, "hang", THINGHUB_SHUTDOWN_SECONDS="60")
    service.until_ready()
    service.process.terminate()
    service.until("not listening")
    service.process.terminate()
    assert service.end(3) == 128 + signal.SIGTERM


def test_wrong_settings_end_it_with_2_and_a_sentence(started: list[Running]) -> None:
    service = _start(started, "serve", THINGHUB_SAMPLE_METRICS_PORT="many")
    _, error = service.process.communicate(timeout=10)
    assert service.process.returncode == 2
    assert error.startswith("THINGHUB_SAMPLE_METRICS_PORT='many': ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("two",)], ids=["alone", "beside another service"])
@pytest.mark.parametrize("what", ["misconfigured", "misconfigured_within"])
def test_settings_a_service_cannot_use_end_it_with_2_and_a_sentence(
    started: list[Running], what: str, arguments: tuple[str, ...]
) -> None:
    service = _start(started, what, *arguments)
    _, error = service.process.communicate(timeout=10)
    assert service.process.returncode == 2
    said = [line for line in error.splitlines() if not line.startswith("{")]
    assert said == ["the sample key cannot be used: it is too short"]
    assert "Traceback" not in error
    assert "failed" not in error


def test_a_variable_that_nothing_reads_is_a_warning(started: list[Running]) -> None:
    service = _start(started, "serve", THINGHUB_SAMPLE_WAHT="x")
    assert service.until("WAHT")["msg"].endswith("did you mean THINGHUB_SAMPLE_WHAT?")


def test_a_metrics_port_that_is_taken_is_a_sentence(started: list[Running]) -> None:
    first = _start(started, "serve")
    first.until_ready()
    port = first.address.rpartition(":")[2]
    second = _start(started, "serve", THINGHUB_METRICS_PORT=port)
    assert second.end() == 1
    assert [line["msg"].partition(":")[0] for line in second.lines] == ["cannot serve metrics on 127.0.0.1"]


def test_services_in_one_process_share_health_and_registry(started: list[Running]) -> None:
    process = _start(started, "serve", "two")
    process.until_ready()
    components = json.loads(process.get("/readyz")[1])["components"]
    assert [(part["service"], part["ok"]) for part in components] == [("first", True), ("second", True)]
    text = process.get("/metrics")[1]
    assert "thinghub_first_begun_total 1.0" in text
    assert "thinghub_second_begun_total 1.0" in text
    process.process.terminate()
    assert process.end() == 0
    assert {line["service"] for line in process.lines if line["msg"] == "closed in order"} == {"first", "second"}


def test_one_failing_service_ends_the_process(started: list[Running]) -> None:
    process = _start(started, "fail", "two")
    assert process.end() == 1
    assert [(line["service"], line["msg"]) for line in process.lines if line["level"] == "ERROR"] == [
        ("second", "service failed")
    ]
    assert process.messages.count("closed in order") == 2
