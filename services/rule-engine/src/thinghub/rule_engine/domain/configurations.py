"""Action configurations: the JSON text of the API to what a sink works by. Every refusal names the member."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Never

import orjson

from thinghub.rule_engine.domain.sources import check_product_key
from thinghub.rule_engine.domain.templates import Reference, Template, parse_template
from thinghub.rule_engine.domain.urls import Url, parse_url
from thinghub.rule_engine.errors import (
    ActionConfigInvalid,
    ActionTypeUnsupported,
    TopicInvalid,
    TopicTypeUnsupported,
    TopicUnsupported,
)

MAX_CONFIGURATION = 65_536
MAX_COLUMNS = 100
MAX_TOPIC = 256
MAX_URL = 2048
_KAFKA_TOPIC = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Rds:
    """One row an output. `columns` maps a column to a template or a constant (number, boolean, null). `id_column` None
    accepts duplicates; `keys` are the columns an upsert is decided by."""

    dsn_ref: str
    table: tuple[str, ...]
    columns: tuple[tuple[str, "Template | int | float | bool | None"], ...]
    upsert: bool = False
    keys: tuple[str, ...] = ()
    id_column: str | None = "message_id"
    create: bool = False


@dataclass(frozen=True, slots=True)
class Republish:
    """The output goes to the custom topic that `topic` renders to."""

    topic: Template


@dataclass(frozen=True, slots=True)
class Kafka:
    """One record an output. Without `key` a record is keyed by its device, so that a device's records keep their
    order."""

    cluster_ref: str
    topic: str
    key: Template | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """One POST an output. `hmac_ref` None leaves requests unsigned."""

    url: Url
    hmac_ref: str | None = None


Configuration = Rds | Republish | Kafka | Function


def parse_configuration(type: str, text: str) -> Configuration:
    """Raises ActionTypeUnsupported, ActionConfigInvalid, TopicTypeUnsupported, TopicUnsupported."""
    parse = _PARSERS.get(type)
    if parse is None:
        raise ActionTypeUnsupported(f"action type {type[:40]!r} is not available; there are {', '.join(_PARSERS)}")
    if len(text) > MAX_CONFIGURATION:
        raise ActionConfigInvalid(f"the configuration is longer than {MAX_CONFIGURATION} characters", position="")
    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ActionConfigInvalid(f"the configuration is not JSON: {error}", position=str(error.pos + 1)) from None
    if not isinstance(members, dict):
        raise ActionConfigInvalid("the configuration is not a JSON object", position="1")
    return parse(members)


def resource_of(configuration: Configuration) -> str:
    """What an action writes to, as an error message names it."""
    match configuration:
        case Rds():
            return ".".join(configuration.table)
        case Republish():
            return configuration.topic.source
        case Kafka():
            return configuration.topic
        case Function():
            return configuration.url.text


def _refuse(member: str, problem: str) -> Never:
    raise ActionConfigInvalid(f"{member}: {problem}", position=member)


def _known(members: Mapping[str, object], names: set[str]) -> None:
    for name in members:
        if name not in names:
            _refuse(name[:64], f"unknown; there are {', '.join(sorted(names))}")


def _rds(members: dict[str, object]) -> Rds:
    _known(members, {"dsn_ref", "table", "columns", "mode", "keys", "id_column", "create"})
    columns = _columns(members.get("columns"))
    names = [name for name, _ in columns]
    mode = members.get("mode", "insert")
    if mode not in ("insert", "upsert"):
        _refuse("mode", "is insert or upsert")
    id_column = members.get("id_column", "message_id")
    if id_column is not None:
        id_column = _identifier(id_column, "id_column")
        if id_column in names:
            _refuse("id_column", f"{id_column!r} is also one of the columns")
    create = members.get("create", False)
    if not isinstance(create, bool):
        _refuse("create", "is true or false")
    return Rds(
        dsn_ref=_text(members.get("dsn_ref"), "dsn_ref", 128),
        table=_table(members.get("table")),
        columns=columns,
        upsert=mode == "upsert",
        keys=_keys(members.get("keys", []), names, mode == "upsert"),
        id_column=id_column,
        create=create,
    )


def _text(value: object, member: str, most: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        _refuse(member, f"must be text of 1 to {most} characters")
    return value


def _identifier(value: object, member: str) -> str:
    text = _text(value, member, 63)
    if "\0" in text or len(text.encode()) > 63:
        _refuse(member, "is not a name PostgreSQL takes: at most 63 bytes, no zero byte")
    return text


def _table(value: object) -> tuple[str, ...]:
    parts = _text(value, "table", 127).split(".")
    if len(parts) > 2:
        _refuse("table", "is a table, or a schema and a table with a dot between")
    return tuple(_identifier(part, "table") for part in parts)


def _columns(value: object) -> tuple[tuple[str, Template | int | float | bool | None], ...]:
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_COLUMNS:
        _refuse("columns", f"must be an object of 1 to {MAX_COLUMNS} columns")
    return tuple((_identifier(name, "columns"), _cell(item, f"columns.{name}")) for name, item in value.items())


def _cell(value: object, member: str) -> Template | int | float | bool | None:
    if value is None or isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        _refuse(member, "must be text, a number, a boolean or null")
    try:
        return parse_template(value)
    except ValueError as error:
        _refuse(member, str(error))


def _keys(value: object, columns: list[str], upsert: bool) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        _refuse("keys", "must be a list of column names")
    for key in value:
        if key not in columns:
            _refuse("keys", f"{key[:63]!r} is not one of the columns")
    if upsert is not bool(value) or len(set(value)) != len(value):
        _refuse("keys", "names the columns an upsert is decided by, each once; empty for an insert")
    return tuple(value)


def _republish(members: dict[str, object]) -> Republish:
    _known(members, {"topic", "topicType", "uid"})
    topic_type = members.get("topicType", 1)
    if topic_type == 0 and not isinstance(topic_type, bool):
        raise TopicTypeUnsupported("REPUBLISH to system topics (topicType 0) is not available", position="topicType")
    if topic_type != 1 or isinstance(topic_type, bool):
        _refuse("topicType", "must be 1")
    text = _text(members.get("topic"), "topic", MAX_TOPIC)
    try:
        template = parse_template(text)
    except ValueError as error:
        _refuse("topic", str(error))
    _check_target(text, template)
    return Republish(template)


def _check_target(text: str, template: Template) -> None:
    """What can be seen before the references have values."""
    fixed = Template(tuple("x" if isinstance(piece, Reference) else piece for piece in template.pieces))
    levels = "".join(str(piece) for piece in fixed.pieces).split("/")
    if any(sign in level for level in levels for sign in "+#"):
        _refuse("topic", "cannot have wildcards")
    if text.startswith("/") and len(levels) > 3 and levels[3] not in ("user", "x"):
        raise TopicUnsupported("REPUBLISH goes to custom topics, /{productKey}/{deviceName}/user/...", position="topic")
    if not text.startswith("/") or len(levels) < 5 or not all(levels[1:]):
        _refuse("topic", "must be /{productKey}/{deviceName}/user/ and a topic")


def fixed_target(topic: Template) -> str | None:
    """The product key that a checked REPUBLISH topic names, None when it has to be rendered to tell."""
    first = topic.pieces[0]
    key, slash, _ = first[1:].partition("/") if isinstance(first, str) else ("", "", "")
    return key if slash else None


def target_device(topic: str) -> tuple[str, str]:
    """Product key and device name of a rendered REPUBLISH topic. Raises ValueError saying what is wrong with it."""
    levels = topic.split("/")
    if len(topic.encode("utf-8", "replace")) > MAX_TOPIC:
        raise ValueError(f"the topic is longer than {MAX_TOPIC} bytes")
    if len(levels) < 5 or levels[0] or not all(levels[1:]) or levels[3] != "user":
        raise ValueError(f"{topic!r} is not a custom topic")
    if any(sign in topic for sign in "+#\0"):
        raise ValueError(f"{topic!r} has a wildcard")
    try:
        check_product_key(levels[1])
    except TopicInvalid as error:
        raise ValueError(error.message) from None
    return levels[1], levels[2]


def _kafka(members: dict[str, object]) -> Kafka:
    _known(members, {"cluster_ref", "topic", "key"})
    topic = _text(members.get("topic"), "topic", 249)
    if not _KAFKA_TOPIC.fullmatch(topic) or topic in (".", ".."):
        _refuse("topic", "is a name of letters, digits, dots, underscores and hyphens")
    key = members.get("key")
    try:
        template = None if key is None else parse_template(_text(key, "key", 1024))
    except ValueError as error:
        _refuse("key", str(error))
    return Kafka(_text(members.get("cluster_ref"), "cluster_ref", 128), topic, template)


def _function(members: dict[str, object]) -> Function:
    _known(members, {"url", "method", "hmac_ref"})
    if members.get("method", "POST") != "POST":
        _refuse("method", "is POST")
    try:
        url = parse_url(_text(members.get("url"), "url", MAX_URL))
    except ValueError as error:
        _refuse("url", str(error))
    hmac_ref = members.get("hmac_ref")
    return Function(url, None if hmac_ref is None else _text(hmac_ref, "hmac_ref", 128))


_PARSERS: dict[str, Callable[[dict[str, object]], Configuration]] = {
    "RDS": _rds,
    "REPUBLISH": _republish,
    "KAFKA": _kafka,
    "FC": _function,
}
