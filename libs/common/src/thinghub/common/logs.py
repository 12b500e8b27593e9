"""Logs: JSON lines on stderr (or a human form on a terminal), bounded, without secrets.

*Bounded*: of each event (logger, level, message template) the first lines of a second are written; the rest of that
second is counted and written as one line with `repeated`. So a storm of refusals costs a line, and the memory for it is
bounded too: message templates beyond a thousand a second share one counter. Write templates with arguments
(`log.info("refused %s", why)`), not formatted strings: a formatted string is a template of its own. What libraries log
is formatted as they like, so a logger that is not ours counts as one event. kafka-python tells of every retry by
several loggers, with tracebacks, while a broker is away; our bus says so once, so `kafka` is silent unless DEBUG is
asked for.

*Without secrets*: the value of a field, or of a `name=value` in the text, whose name says password, secret, signature
or token is replaced. It is a net below careful code, not a licence.

Fields are given by `extra={"fields": {...}}` or directly, `extra={"device": name}`.
"""

import logging
import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TextIO

import orjson

from thinghub.common import tracing

OWN = "thinghub"
WHOLE = "thinghub.audit"
"""Its lines stand for records, not for events: none is held back."""

LINES_A_SECOND = 10
TEMPLATES_A_SECOND = 1000
TEXT_BYTES = 8192

current_service: ContextVar[str] = ContextVar("thinghub_service", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "fields", "taskName"}
_SECRET_NAME = re.compile(r"password|passwd|secret|signature|token|authorization|private_?key", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"""((?:\w*(?:password|passwd|secret|signature|token|authorization)\w*)["']?\s*[=:]\s*)"""
    r"""("[^"]*"|'[^']*'|(?:Bearer|Basic)\s+\S+|[^\s,;&)}\]]+)""",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s/:@]*):[^\s/@]+@")
HIDDEN = "***"


@dataclass
class _Count:
    lines: int = 0
    repeated: int = 0


class Gate:
    """Decides which events of a second are written. Not thread-safe: the handler calls it under its lock."""

    def __init__(self, lines: int = LINES_A_SECOND, templates: int = TEMPLATES_A_SECOND) -> None:
        self._lines = lines
        self._templates = templates
        self._second = 0
        self._counts: dict[tuple[str, int, str], _Count] = {}

    def admit(self, logger: str, level: int, template: str) -> bool:
        if logger == WHOLE:
            return True
        own = logger == OWN or logger.startswith(OWN + ".")
        key = (logger, level, template if own else "other events")
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= self._templates:
                key = (OWN, level, "other events")
            count = self._counts.setdefault(key, _Count())
        if count.lines < self._lines:
            count.lines += 1
            return True
        count.repeated += 1
        return False

    def turn(self, now: float) -> list[tuple[str, int, str, int]]:
        """(logger, level, template, times) of what was held back, once a second is over."""
        second = math.floor(now) if math.isfinite(now) else -1
        if second == self._second:
            return []
        self._second = second
        held = [(*key, count.repeated) for key, count in self._counts.items() if count.repeated]
        self._counts.clear()
        return held


class Handler(logging.StreamHandler[TextIO]):
    """Writes admitted events. `tick` writes the counts of a storm that has ended; the run loop calls it every
    second."""

    def __init__(self, stream: TextIO, gate: Gate | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(stream)
        self._gate = gate or Gate()
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        self.tick()
        if self._gate.admit(record.name, record.levelno, str(record.msg)):
            super().emit(record)

    def tick(self) -> None:
        self._write_held(self._clock())

    def finish(self) -> None:
        """Writes what is still held back."""
        self._write_held(math.inf)

    def _write_held(self, now: float) -> None:
        self.acquire()
        try:
            for logger, level, template, times in self._gate.turn(now):
                record = logging.LogRecord(logger, level, "", 0, template, None, None)
                record.fields = {"repeated": times}
                super().emit(record)
        finally:
            self.release()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, service, logger, msg, trace when sampled, then the fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": round(record.created, 3),
            "level": record.levelname,
            "service": current_service.get() or self._service,
            "logger": record.name,
            "msg": redact_text(_message(record)),
        }
        if trace_id := tracing.current().trace_id:
            line["trace"] = trace_id
        line.update(_fields(record))
        if record.exc_info:
            line["error"] = redact_text(self.formatException(record.exc_info))[-TEXT_BYTES:]
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class HumanFormatter(logging.Formatter):
    """`12:00:01 INFO  auth  message  field=value`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = (
            f"{moment} {record.levelname:<7} {current_service.get() or self._service}  {redact_text(_message(record))}"
        )
        text += "".join(f"  {name}={value}" for name, value in _fields(record).items())
        if record.exc_info:
            text += "\n" + redact_text(self.formatException(record.exc_info))[-TEXT_BYTES:]
        return text


def setup(
    service: str,
    level: str = "INFO",
    form: Literal["auto", "json", "human"] = "auto",
    stream: TextIO | None = None,
) -> Handler:
    """Sends everything logged in this process to `stream` (stderr). Calling again replaces what was set up before."""
    out = stream or sys.stderr
    human = form == "human" or (form == "auto" and out.isatty())
    handler = Handler(out)
    handler.setFormatter(HumanFormatter(service) if human else JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("kafka").setLevel(root.level if root.level <= logging.DEBUG else logging.CRITICAL)
    for noisy in ("grpc", "asyncio", "opentelemetry", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    return handler


def redact(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields with secret values hidden, at any depth."""
    return {
        str(name): HIDDEN if _SECRET_NAME.search(str(name)) else _redact_value(value) for name, value in fields.items()
    }


def redact_text(text: str) -> str:
    """Hides `secret=...`, `"token": "..."` and the password of a URL."""
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", _SECRET_TEXT.sub(rf"\1{HIDDEN}", text))


def _redact_value(value: object) -> object:
    if isinstance(value, str):
        return redact_text(value[:TEXT_BYTES])
    if isinstance(value, Mapping):
        return redact(value)
    return value


def _fields(record: logging.LogRecord) -> dict[str, object]:
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    given = getattr(record, "fields", None)
    return redact(own | given if isinstance(given, dict) else own)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()[:TEXT_BYTES]
    except (TypeError, ValueError):
        return f"{record.msg} {record.args!r}"[:TEXT_BYTES]  # a wrong call of ours must not lose the event
