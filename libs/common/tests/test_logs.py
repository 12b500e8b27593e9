"""Log lines: their form, their bound, and what is never in them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from thinghub.common import logs
from thinghub.common.logs import LINES_A_SECOND, Gate, redact, redact_text
from thinghub.common.tracing import Tracing


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def handler(out: io.StringIO, clock: Clock) -> logs.Handler:
    handler = logs.Handler(out, clock=clock)
    handler.setFormatter(logs.JsonFormatter("auth"))
    return handler


@pytest.fixture
def log(handler: logs.Handler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("thinghub.auth.test")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.handlers, logger.propagate = [], True


def _lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object(log: logging.Logger, out: io.StringIO) -> None:
    log.info("refused %s", "d1", extra={"fields": {"code": 4}, "device": "pk/d1"})
    (line,) = _lines(out)
    assert line.pop("ts") > 0
    assert line == {
        "level": "INFO",
        "service": "auth",
        "logger": "thinghub.auth.test",
        "msg": "refused d1",
        "code": 4,
        "device": "pk/d1",
    }


def test_the_trace_is_named_inside_a_sampled_span_only(log: logging.Logger, out: io.StringIO) -> None:
    with Tracing.memory(ratio=1.0).span("work") as span:
        log.info("inside")
    log.info("outside")
    inside, outside = _lines(out)
    assert inside["trace"] == span.trace_id
    assert "trace" not in outside


def test_an_exception_is_one_line(log: logging.Logger, out: io.StringIO) -> None:
    try:
        raise ValueError("password=geheim is wrong")
    except ValueError:
        log.exception("failed")
    (line,) = _lines(out)
    assert "ValueError" in line["error"]
    assert "geheim" not in out.getvalue()


def test_a_storm_is_one_line_a_second_with_its_count(
    log: logging.Logger, handler: logs.Handler, out: io.StringIO, clock: Clock
) -> None:
    for number in range(5000):
        log.warning("refused %s", number)
    assert len(_lines(out)) == LINES_A_SECOND
    clock.now += 1
    handler.tick()
    last = _lines(out)[-1]
    assert (last["msg"], last["repeated"], last["level"]) == ("refused %s", 5000 - LINES_A_SECOND, "WARNING")
    handler.tick()
    assert len(_lines(out)) == LINES_A_SECOND + 1


@pytest.fixture
def set_up(out: io.StringIO) -> Iterator[logs.Handler]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield logs.setup("auth", "INFO", "json", out)
    root.handlers[:], root.level = before
    logging.captureWarnings(False)


def test_the_storm_of_a_library_is_bounded_whatever_its_messages(set_up: logs.Handler, out: io.StringIO) -> None:
    for number in range(5000):
        logging.getLogger("somelibrary.client").error(f"connection {number} failed")
    set_up.finish()
    lines = _lines(out)
    assert LINES_A_SECOND < len(lines) <= 4 * (LINES_A_SECOND + 1)  # the seconds this may take
    assert (lines[-1]["logger"], lines[-1]["msg"]) == ("somelibrary.client", "other events")
    assert sum(line.get("repeated", 1) for line in lines) == 5000


def test_kafkas_library_is_silent_unless_debug_is_asked_for(set_up: logs.Handler, out: io.StringIO) -> None:
    client = logging.getLogger("kafka.client")
    client.error("connection failed")
    assert out.getvalue() == ""
    logs.setup("auth", "DEBUG", "json", out)
    client.debug("connection failed")
    assert [line["msg"] for line in _lines(out)] == ["connection failed"]


def test_lines_of_the_audit_log_are_records_and_none_is_held_back() -> None:
    gate = Gate()
    assert all(gate.admit("thinghub.audit", logging.ERROR, "one template") for _ in range(10 * LINES_A_SECOND))


def test_a_rare_event_passes_during_a_storm(log: logging.Logger, out: io.StringIO) -> None:
    for number in range(1000):
        log.warning("refused %s", number)
    log.warning("something else")
    assert _lines(out)[-1]["msg"] == "something else"


def test_what_is_held_back_is_written_at_the_end(log: logging.Logger, handler: logs.Handler, out: io.StringIO) -> None:
    for _ in range(LINES_A_SECOND + 5):
        log.info("again")
    handler.finish()
    assert _lines(out)[-1]["repeated"] == 5


def test_memory_is_bounded_when_every_message_is_another() -> None:
    gate = Gate(lines=10, templates=100)
    admitted = sum(gate.admit("thinghub.a", logging.INFO, f"message {number}") for number in range(100_000))
    assert admitted == 110
    assert gate.turn(1.0) == [("thinghub", logging.INFO, "other events", 100_000 - 110)]


def test_secret_fields_are_hidden_at_any_depth() -> None:
    fields = {"password": "geheim", "deviceSecret": "geheim", "a": {"accessToken": "geheim", "ok": 1}, "sign": "x"}
    assert redact(fields) == {
        "password": "***",
        "deviceSecret": "***",
        "a": {"accessToken": "***", "ok": 1},
        "sign": "x",
    }


@pytest.mark.parametrize(
    "text",
    [
        "connect password=geheim, again",
        '{"deviceSecret": "geheim", "a": 1}',
        "{'token': 'geheim'}",
        "GET /?Action=Pub&Signature=geheim&x=1",
        "postgresql://user:geheim@host/db",
        "redis://:geheim@host",
        "Authorization: Bearer geheim",
    ],
)
def test_secrets_in_a_text_are_hidden(text: str) -> None:
    assert "geheim" not in redact_text(text)
    assert "***" in redact_text(text)


def test_a_text_without_secrets_is_left_alone() -> None:
    text = "device pk/dn at 127.0.0.1:1883 sent 3 messages, token bucket empty"
    assert redact_text(text) == text


def test_a_wrong_call_loses_nothing(handler: logs.Handler, out: io.StringIO) -> None:
    handler.emit(logging.LogRecord("thinghub.auth", logging.INFO, "", 0, "%d devices", ("three",), None))
    assert "three" in _lines(out)[0]["msg"]


def test_a_terminal_gets_the_human_form() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    before = (logging.getLogger().handlers[:], logging.getLogger().level)
    try:
        assert isinstance(logs.setup("auth", stream=Terminal()).formatter, logs.HumanFormatter)
        assert isinstance(logs.setup("auth", stream=io.StringIO()).formatter, logs.JsonFormatter)
        terminal = Terminal()
        logs.setup("auth", stream=terminal)
        logging.getLogger("thinghub.auth").info("hello", extra={"device": "d"})
        assert terminal.getvalue().endswith("INFO    auth  hello  device=d\n")
    finally:
        logging.getLogger().handlers[:], logging.getLogger().level = before
