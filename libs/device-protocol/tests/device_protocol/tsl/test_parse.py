from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.tsl.creation import functions_of
from thinghub.device_protocol.tsl.document import merged, module_of, normal, slim, with_module
from thinghub.device_protocol.tsl.model import TslInvalid
from thinghub.device_protocol.tsl.parse import parse, read_document

Json = dict[str, Any]


def prop(identifier: str = "Temp", kind: str = "int", specs: object = None, **more: object) -> Json:
    return {"identifier": identifier, "name": identifier, "dataType": {"type": kind, "specs": specs or {}}, **more}


def faults_of(document: Json) -> dict[str, str]:
    with pytest.raises(TslInvalid) as raised:
        parse(document)
    return {fault.path: fault.why for fault in raised.value.faults}


SPECS = "$.properties[0].dataType.specs"


@pytest.mark.parametrize(
    ("one", "path"),
    [
        (prop(specs={"min": "10", "max": "5"}), f"{SPECS}.min"),
        (prop(specs={"min": "0", "max": "5", "step": "6"}), f"{SPECS}.step"),
        (prop(specs={"step": "0"}), f"{SPECS}.step"),
        (prop(specs={"max": "3000000000"}), f"{SPECS}.max"),
        (prop(specs={"min": "a"}), f"{SPECS}.min"),
        (prop(specs={"min": "1.5"}), f"{SPECS}.min"),
        (prop(kind="float", specs={"max": "1e39"}), f"{SPECS}.max"),
        (prop(kind="double", specs={"max": "1e999"}), f"{SPECS}.max"),
        (prop(kind="enum"), SPECS),
        (prop(kind="enum", specs={"a": "x"}), f'{SPECS}["a"]'),
        (prop(kind="enum", specs={"1": "x", "01": "y"}), SPECS),
        (prop(kind="enum", specs={str(n): "x" for n in range(101)}), SPECS),
        (prop(kind="bool", specs={"2": "x"}), SPECS),
        (prop(kind="text", specs={"length": "10241"}), f"{SPECS}.length"),
        (prop(kind="text", specs={"length": "0"}), f"{SPECS}.length"),
        (prop(kind="array", specs={"size": "513", "item": {"type": "int"}}), f"{SPECS}.size"),
        (prop(kind="array", specs={"size": "5"}), f"{SPECS}.item"),
        (
            prop(kind="array", specs={"item": {"type": "array", "specs": {"item": {"type": "int"}}}}),
            f"{SPECS}.item.type",
        ),
        (
            prop(kind="array", specs={"item": {"type": "int", "specs": {"min": "2", "max": "1"}}}),
            f"{SPECS}.item.specs.min",
        ),
        (prop(kind="struct", specs=[]), SPECS),
        (prop(kind="struct", specs=[prop(f"m{n}") for n in range(51)]), SPECS),
        (prop(kind="struct", specs=[prop("a"), prop("a")]), f"{SPECS}[1].identifier"),
        (prop(kind="struct", specs=[prop("a", "text", {"length": 0.5})]), f"{SPECS}[0].dataType.specs.length"),
        (prop(kind="nothing"), "$.properties[0].dataType.type"),
        (prop(identifier="a b"), "$.properties[0].identifier"),
        (prop(identifier="value"), "$.properties[0].identifier"),
        ({**prop(), "name": "a\0b"}, "$.properties[0].name"),
        (prop(accessMode="w"), "$.properties[0].accessMode"),
        (prop(required="yes"), "$.properties[0].required"),
        ({"identifier": "Temp"}, "$.properties[0].dataType"),
        (7, "$.properties[0]"),
    ],
)
def test_a_property_that_cannot_be_is_refused_with_its_path(one: object, path: str) -> None:
    assert path in faults_of({"properties": [one]})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"properties": [prop("a"), prop("a")]}, "$.properties[1].identifier"),
        ({"properties": {}}, "$.properties"),
        ({"properties": [prop(f"p{n}") for n in range(304)]}, "$"),
        ({"events": [{"identifier": "alarm", "type": "loud"}]}, "$.events[0].type"),
        ({"events": [{"identifier": "alarm", "method": "thing.event.other.post"}]}, "$.events[0].method"),
        ({"events": [{"identifier": "post"}]}, "$.events[0].identifier"),
        (
            {"events": [{"identifier": "post", "method": "thing.event.property.post", "outputData": [prop("gone")]}]},
            "$.events[0].outputData[0]",
        ),
        (
            {"services": [{"identifier": "get", "method": "thing.service.property.get", "inputData": ["gone"]}]},
            "$.services[0].inputData[0]",
        ),
        ({"services": [{"identifier": "run", "callType": "later"}]}, "$.services[0].callType"),
        (
            {"services": [{"identifier": "run", "inputData": [prop("a"), prop("a")]}]},
            "$.services[0].inputData[1].identifier",
        ),
        (
            {"functionBlocks": [{"functionBlockId": "b"}, {"functionBlockId": "b"}]},
            "$.functionBlocks[1].functionBlockId",
        ),
        (
            {"functionBlocks": [{"functionBlockId": "b", "properties": [prop(specs={"min": 2, "max": 1})]}]},
            "$.functionBlocks[0].properties[0].dataType.specs.min",
        ),
        ({"functionBlocks": [{"functionBlockId": f"b{n}"} for n in range(201)]}, "$.functionBlocks"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused_with_the_path(document: Json, path: str) -> None:
    assert path in faults_of(document)


def test_every_fault_is_told_at_once() -> None:
    found = faults_of({"properties": [prop(specs={"min": 2, "max": 1}), prop("b", "enum"), prop("b")]})
    assert len(found) == 3


@pytest.mark.parametrize("text", ["", "[]", "{", "1", "[" * 5000, "x" * ((1 << 20) + 1)])
def test_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(TslInvalid):
        read_document(text)


def test_types_nested_too_deep_are_refused() -> None:
    one = prop("leaf")
    for _ in range(60):
        one = prop("s", "struct", [one])
    assert faults_of({"properties": [one]})


MEMBERS = [
    *["properties", "events", "services", "functionBlocks"],
    *["identifier", "dataType", "type", "specs", "item", "min"],
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "properties",
                    "events",
                    "services",
                    "identifier",
                    "dataType",
                    "type",
                    "specs",
                    "item",
                    "min",
                    "functionBlocks",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_any_document_is_parsed_or_refused(document: Json) -> None:
    for candidate in (document, functions_of(document)):
        try:
            parse(candidate)
        except TslInvalid:
            continue
        normal(candidate, "pk")


MODEL: Json = {
    "properties": [prop("Temp", specs={"min": "0", "max": "100", "unit": "C"}, accessMode="r"), prop("On", "bool")],
    "events": [{"identifier": "alarm", "name": "Alarm", "type": "alert", "outputData": [prop("code")]}],
    "services": [{"identifier": "run", "callType": "sync", "inputData": [prop("speed")]}],
    "functionBlocks": [{"functionBlockId": "motor", "functionBlockName": "Motor", "properties": [prop("Speed")]}],
}


def test_a_model_keeps_functions_of_all_modules() -> None:
    model = parse(MODEL)
    assert [one.identifier for one in model.properties] == ["Temp", "On", "motor:Speed"]
    assert [one.writable for one in model.properties] == [False, True, True]
    assert model.properties[0].type.unit == "C"
    assert model.services[0].sync
    assert model.events[0].type == "alert"


def test_built_in_functions_follow_from_the_properties() -> None:
    document = normal(MODEL, "pk1")
    assert document["profile"] == {"productKey": "pk1"}
    post, set_, get = document["events"][0], document["services"][0], document["services"][1]  # type: ignore[index]
    assert [one["identifier"] for one in post["outputData"]] == ["Temp", "On"]
    assert [one["identifier"] for one in set_["inputData"]] == ["On"]
    assert get["inputData"] == ["Temp", "On"]
    assert normal(document, "pk1") == document
    assert parse(document) == parse(MODEL)


def test_functions_are_added_to_a_draft_and_a_second_of_one_name_is_refused() -> None:
    document = merged(normal(MODEL, "pk"), {"properties": [prop("Extra")]})
    assert [one.identifier for one in parse(document).properties] == ["Temp", "On", "Extra", "motor:Speed"]
    assert faults_of(merged(document, {"properties": [prop("Extra")]}))


def test_a_module_can_be_put_in_and_read_alone() -> None:
    document = normal(with_module(normal(MODEL, "pk"), "lamp", "Lamp", {"properties": [prop("Lit", "bool")]}), "pk")
    module = module_of(document, "lamp")
    assert module is not None
    assert module["properties"][0]["identifier"] == "Lit"  # type: ignore[index]
    assert module_of(document, "gone") is None


def test_the_slim_form_has_identifiers_and_types_only() -> None:
    short = slim(normal(MODEL, "pk"))
    assert short["properties"][0] == {  # type: ignore[index]
        "identifier": "Temp",
        "dataType": {"type": "int", "specs": {"min": "0", "max": "100", "unit": "C"}},
    }
    assert len(orjson.dumps(short)) < len(orjson.dumps(normal(MODEL, "pk")))


def test_the_creation_form_becomes_tsl() -> None:
    given_json = {
        "properties": [
            {"identifier": "T", "name": "T", "dataType": "INT", "rwFlag": "READ_ONLY",
             "dataSpecs": {"dataType": "INT", "min": "0", "max": "9", "step": "1"}},
            {"identifier": "E", "dataType": "ENUM", "dataSpecsList": [{"dataType": "ENUM", "name": "off", "value": 0}]},
            {"identifier": "A", "dataType": "ARRAY", "dataSpecs": {"childDataType": "TEXT", "size": 3}},
            {"identifier": "S", "dataType": "STRUCT",
             "dataSpecsList": [{"identifier": "x", "childDataType": "FLOAT", "dataSpecs": {"min": "0", "max": "1"}}]},
        ],
        "events": [{"identifier": "ev", "eventName": "Ev", "eventType": "ERROR_EVENT_TYPE",
                    "outputdata": [{"identifier": "o", "dataType": "DATE"}]}],
        "services": [{"identifier": "go", "serviceName": "Go", "callType": "SYNC",
                      "inputParams": [{"identifier": "i", "dataType": "BOOL", "dataSpecsList": []}]}],
    }  # fmt: skip
    model = parse(functions_of(given_json))
    assert [one.type.kind for one in model.properties] == ["int", "enum", "array", "struct"]
    assert model.properties[0].type.maximum == 9
    assert model.events[0].type == "error"
    assert model.events[0].outputs[0].type.kind == "date"
    assert model.services[0].sync
