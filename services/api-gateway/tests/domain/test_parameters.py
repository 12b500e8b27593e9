"""Wire parameters: decoding, merging, nesting. Whatever bytes come in, the answer is members or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.api_gateway.domain.encoding import MAX_PARAMETERS, decode_form, encode, merge
from thinghub.api_gateway.domain.parameters import Shape, nest
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.api import read_request
from thinghub.api_gateway.service.model import Request
from thinghub.api_gateway.service.table import OPERATIONS

BAD = ("0", "-1", "1001", "x", "１", "01")
SHAPE = Shape(frozenset({"A", "B"}), frozenset({"DeviceName"}), {"Tag": frozenset({"TagKey", "TagValue"})})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", {}),
        (b"A=1&B=2", {"A": "1", "B": "2"}),
        (b"A=p+1", {"A": "p 1"}),
        (b"A=p%201%2B", {"A": "p 1+"}),
        (b"A=%E4%B8%80", {"A": "一"}),
        (b"A=\xe4\xb8\x80", {"A": "一"}),
        (b"A", {"A": ""}),
        (b"A=b=c", {"A": "b=c"}),
        (b"&&A=1&", {"A": "1"}),
    ],
)
def test_forms_that_decode(raw: bytes, expected: dict[str, str]) -> None:
    assert decode_form(raw, "query string") == expected


@pytest.mark.parametrize(
    "raw",
    [b"A=%", b"A=%4", b"A=%zz", b"%=1", b"A=%ff", b"A=\xff", b"A=1&A=1", b"A&A", b"=1", b"A=%00", b"A.%31=1&A.1=2"],
)
def test_forms_that_are_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        decode_form(raw, "query string")
    assert refusal.value.code == "InvalidParameter"


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(Refused):
        decode_form(b"&".join(b"A%d=1" % i for i in range(MAX_PARAMETERS + 1)), "body")


def test_a_parameter_in_query_and_body_is_refused() -> None:
    assert merge({"A": "1"}, {"B": "2"}) == {"A": "1", "B": "2"}
    with pytest.raises(Refused) as refusal:
        merge({"A": "1"}, {"A": "1"})
    assert refusal.value.details["parameter"] == "A"


@given(st.dictionaries(st.text(min_size=1).filter(lambda t: "\0" not in t), st.text().filter(lambda t: "\0" not in t)))
def test_what_is_encoded_decodes_to_itself(parameters: dict[str, str]) -> None:
    raw = "&".join(f"{encode(name)}={encode(value)}" for name, value in parameters.items()).encode()
    assert decode_form(raw, "body") == parameters


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"A": "1", "Other": "x"}, {"A": "1"}),
        ({"A": ""}, {}),
        ({"A.1": "x"}, {}),
        ({"DeviceName.2": "b", "DeviceName.1": "a"}, {"DeviceName": ["a", "b"]}),
        ({"DeviceName.10": "j", "DeviceName.9": "i"}, {"DeviceName": ["i", "j"]}),
        (
            {"Tag.1.TagKey": "k", "Tag.1.TagValue": "v", "Tag.3.TagKey": "m", "Tag.3.Other": "x"},
            {"Tag": [{"TagKey": "k", "TagValue": "v"}, {"TagKey": "m"}]},
        ),
    ],
)
def test_parameters_that_nest(parameters: dict[str, str], expected: dict[str, object]) -> None:
    assert nest(parameters, SHAPE) == expected


@pytest.mark.parametrize(
    "name", ["DeviceName", "DeviceName.", "Tag.x.TagKey", "Tag", *(f"DeviceName.{i}" for i in BAD)]
)
def test_indexes_that_are_refused(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        nest({name: "v"}, SHAPE)
    assert refusal.value.code == "InvalidParameter"


@given(st.sampled_from([o for o in OPERATIONS if o.rpc]), st.binary(max_size=300))
def test_any_bytes_become_a_request_or_a_refusal(operation: object, raw: bytes) -> None:
    _read(operation, raw)


@given(st.data())
def test_any_values_of_the_right_names_become_a_request_or_a_refusal(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from([o for o in OPERATIONS if o.rpc]))
    shape = operation.shape
    names = [*shape.scalars, *(f"{n}.{i}" for n in shape.lists for i in (1, 2)), *(f"{n}.1.Key" for n in shape.objects)]
    parameters = data.draw(st.dictionaries(st.sampled_from(names), st.text(max_size=20)))
    _read(operation, "&".join(f"{encode(k)}={encode(v)}" for k, v in parameters.items()).encode())


def _read(operation: object, raw: bytes) -> None:
    row = next(o for o in OPERATIONS if o is operation)
    try:
        request = read_request(row, nest(decode_form(raw, "body"), row.shape))
    except Refused as refused:
        status = refused.status
    else:
        assert isinstance(request, Request)
        status = 200
    assert status < 500
