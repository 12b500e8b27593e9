import orjson
import pytest

from thinghub.common.errors import Fault
from thinghub.rule_engine.domain.configurations import (
    Function,
    Kafka,
    Rds,
    Republish,
    parse_configuration,
    resource_of,
    target_device,
)
from thinghub.rule_engine.domain.outputs import Origin, Output
from thinghub.rule_engine.domain.templates import Reference, Template, parse_template
from thinghub.rule_engine.domain.urls import parse_url

RDS: dict[str, object] = {"dsn_ref": "db", "table": "t", "columns": {"c": "${x}"}}
OUTPUT = Output(
    1, 2, Origin(3, "pk", "dn", "/pk/dn/user/a", 0), {"x": 1, "s": "text", "o": {"p": [1]}, "a.b": 2, "n": None}
)


def test_rds_in_full() -> None:
    text = orjson.dumps(
        {**RDS, "table": "s.t", "columns": {"k": "${x}", "m": "a${x}b", "n": 5}, "mode": "upsert", "keys": ["k"]}
    ).decode()
    columns = (("k", Template((Reference("x"),))), ("m", Template(("a", Reference("x"), "b"))), ("n", 5))
    assert parse_configuration("RDS", text) == Rds("db", ("s", "t"), columns, True, ("k",), "message_id", False)


def test_rds_defaults() -> None:
    assert parse_configuration("RDS", orjson.dumps(RDS).decode()) == Rds(
        "db", ("t",), (("c", Template((Reference("x"),))),), False, (), "message_id", False
    )


BAD_RDS = [
    ({"dsn_ref": None}, "dsn_ref"),
    ({"dsn_ref": ""}, "dsn_ref"),
    ({"table": "a.b.c"}, "table"),
    ({"table": "a."}, "table"),
    ({"table": "x" * 64}, "table"),
    ({"columns": {}}, "columns"),
    ({"columns": []}, "columns"),
    ({"columns": {"c": {}}}, "columns.c"),
    ({"columns": {"c": "${x"}}, "columns.c"),
    ({"columns": {"c\0": 1}}, "columns"),
    ({"mode": "replace"}, "mode"),
    ({"mode": "upsert"}, "keys"),
    ({"keys": ["c"]}, "keys"),
    ({"mode": "upsert", "keys": ["d"]}, "keys"),
    ({"mode": "upsert", "keys": ["c", "c"]}, "keys"),
    ({"keys": "c"}, "keys"),
    ({"id_column": 5}, "id_column"),
    ({"id_column": "c"}, "id_column"),
    ({"create": 1}, "create"),
    ({"password": "x"}, "password"),
]


@pytest.mark.parametrize(("change", "member"), BAD_RDS)
def test_rds_is_refused_naming_the_member(change: dict[str, object], member: str) -> None:
    with pytest.raises(Fault) as refusal:
        parse_configuration("RDS", orjson.dumps({**RDS, **change}).decode())
    assert refusal.value.reason == "action_config_invalid"
    assert refusal.value.details["position"] == member


@pytest.mark.parametrize(("text", "position"), [("{", "2"), ("[]", "1"), ("", "1"), ('{"a":1,}', "7")])
def test_what_is_no_json_object_is_refused_with_its_position(text: str, position: str) -> None:
    with pytest.raises(Fault) as refusal:
        parse_configuration("RDS", text)
    assert refusal.value.reason == "action_config_invalid"
    assert refusal.value.details["position"] == position


def test_republish() -> None:
    found = parse_configuration("REPUBLISH", '{"topic":"/pk/${deviceName}/user/get","topicType":1,"uid":"1"}')
    assert found == Republish(Template(("/pk/", Reference("deviceName"), "/user/get")))


BAD_REPUBLISH = [
    ('{"topic":"/sys/pk/dn/thing/service/property/set","topicType":0}', "topic_type_unsupported"),
    ('{"topic":"/pk/dn/user/get","topicType":2}', "action_config_invalid"),
    ('{"topic":"/pk/dn/user/get","topicType":false}', "action_config_invalid"),
    ('{"topic":"/pk/dn/thing/x"}', "topic_unsupported"),
    ('{"topic":"/pk/dn/user"}', "action_config_invalid"),
    ('{"topic":"pk/dn/user/get"}', "action_config_invalid"),
    ('{"topic":"/pk/+/user/get"}', "action_config_invalid"),
    ('{"topic":"/pk//user/get"}', "action_config_invalid"),
    ('{"topic":"/pk/${dn/user/get"}', "action_config_invalid"),
    ('{"topicType":1}', "action_config_invalid"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_REPUBLISH)
def test_republish_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Fault) as refusal:
        parse_configuration("REPUBLISH", text)
    assert refusal.value.reason == reason


def test_unknown_type_is_refused_naming_those_there_are() -> None:
    with pytest.raises(Fault, match="RDS, REPUBLISH") as refusal:
        parse_configuration("MNS", "{}")
    assert refusal.value.reason == "action_type_unsupported"


VALUES = [
    ("${x}", 1),
    ("${ s }", "text"),
    ("${o}", {"p": [1]}),
    ("${o.p}", [1]),
    ("${a.b}", 2),
    ("${n}", None),
    ("${missing}", None),
    ("${missing.deep}", None),
    ("a ${x} b ${s}", "a 1 b text"),
    ("${o}${x}", '{"p":[1]}1'),
    ("a${n}", None),
    ("plain", "plain"),
    ("", ""),
    ("$x {y}", "$x {y}"),
    ("${deviceName}", "dn"),
    ("${productKey}", "pk"),
    ("${messageId}", "3"),
]


@pytest.mark.parametrize(("template", "value"), VALUES)
def test_template_gives(template: str, value: object) -> None:
    assert parse_template(template).value(OUTPUT) == value


def test_a_field_hides_a_built_in_name() -> None:
    assert parse_template("${deviceName}").value(OUTPUT._replace(result={"deviceName": "x"})) == "x"


def test_target_device_of_a_rendered_topic() -> None:
    assert target_device("/pk/dn/user/a/b") == ("pk", "dn")


@pytest.mark.parametrize(
    "topic",
    [
        "/pk/dn/user",
        "/pk//user/a",
        "/pk/dn/sys/a",
        "pk/dn/user/a/b",
        "/pk/d+/user/a",
        "/p k/dn/user/a",
        "/pk/dn/user/" + "x" * 300,
    ],
)
def test_a_rendered_topic_that_is_no_custom_topic_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        target_device(topic)


FC: dict[str, object] = {"url": "https://fn.example/f", "method": "POST", "hmac_ref": "key"}
KAFKA: dict[str, object] = {"cluster_ref": "k", "topic": "fleet.data_1", "key": "${x}"}


def test_a_function_and_a_kafka_topic() -> None:
    assert parse_configuration("FC", orjson.dumps(FC).decode()) == Function(parse_url("https://fn.example/f"), "key")
    assert parse_configuration("FC", '{"url":"http://h/"}') == Function(parse_url("http://h/"))
    expected = Kafka("k", "fleet.data_1", Template((Reference("x"),)))
    assert parse_configuration("KAFKA", orjson.dumps(KAFKA).decode()) == expected
    assert parse_configuration("KAFKA", '{"cluster_ref":"k","topic":"t"}') == Kafka("k", "t")


@pytest.mark.parametrize(
    ("type", "change", "member"),
    [
        ("FC", {"url": None}, "url"),
        ("FC", {"url": "ftp://h/"}, "url"),
        ("FC", {"url": "http://u:p@h/"}, "url"),
        ("FC", {"url": "http://h/" + "x" * 2048}, "url"),
        ("FC", {"method": "GET"}, "method"),
        ("FC", {"hmac_ref": ""}, "hmac_ref"),
        ("FC", {"functionName": "f"}, "functionName"),
        ("KAFKA", {"cluster_ref": None}, "cluster_ref"),
        ("KAFKA", {"topic": ""}, "topic"),
        ("KAFKA", {"topic": "a/b"}, "topic"),
        ("KAFKA", {"topic": ".."}, "topic"),
        ("KAFKA", {"topic": "${x}"}, "topic"),
        ("KAFKA", {"topic": "x" * 250}, "topic"),
        ("KAFKA", {"key": 5}, "key"),
        ("KAFKA", {"key": "${x"}, "key"),
        ("KAFKA", {"brokers": "h:1"}, "brokers"),
    ],
)
def test_they_are_refused_naming_the_member(type: str, change: dict[str, object], member: str) -> None:
    given = (FC if type == "FC" else KAFKA) | change
    with pytest.raises(Fault) as refusal:
        parse_configuration(type, orjson.dumps(given).decode())
    assert (refusal.value.reason, refusal.value.details["position"]) == ("action_config_invalid", member)


@pytest.mark.parametrize(
    ("type", "configuration", "resource"),
    [
        ("RDS", {**RDS, "table": "s.t"}, "s.t"),
        ("REPUBLISH", {"topic": "/pk/${deviceName}/user/get"}, "/pk/${deviceName}/user/get"),
        ("KAFKA", KAFKA, "fleet.data_1"),
        ("FC", FC, "https://fn.example/f"),
    ],
)
def test_an_error_names_what_an_action_writes_to(type: str, configuration: object, resource: str) -> None:
    assert resource_of(parse_configuration(type, orjson.dumps(configuration).decode())) == resource
