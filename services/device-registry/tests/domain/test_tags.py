"""What devices say of their tags."""

import json

import pytest

from thinghub.device_protocol.alink import AlinkError
from thinghub.device_protocol.codes import Alink
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.tags import TagChange, TagsRefused, TagState, apply, read_change

DEVICE = DeviceId("pk", "dn")
UPDATE, DELETE = "/sys/pk/dn/thing/deviceinfo/update", "/sys/pk/dn/thing/deviceinfo/delete"


def read(params: object, topic: str = UPDATE) -> TagChange:
    payload = json.dumps({"id": "1", "params": params}).encode()
    return read_change(payload, topic, DEVICE, 7, 1)[1]


def test_domains_are_kept_apart() -> None:
    change = read([{"attrKey": "k", "attrValue": "v"}, {"attrKey": "k", "attrValue": "s", "domain": "SYSTEM"}])
    assert change.values == {("", "k"): "v", ("SYSTEM", "k"): "s"}
    removed = read([{"attrKey": "k", "domain": "SYSTEM"}], DELETE)
    state, _, _ = apply(TagState(change.values), removed)
    assert state is not None
    assert state.tags == {("", "k"): "v"}


def test_numbers_are_kept_as_json_writes_them() -> None:
    assert read([{"attrKey": "k", "attrValue": 1.5}, {"attrKey": "b", "attrValue": True}]).values == {
        ("", "k"): "1.5",
        ("", "b"): "true",
    }


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        [],
        ["k"],
        [{}],
        [{"attrKey": "", "attrValue": "v"}],
        [{"attrKey": "k" * 129, "attrValue": "v"}],
        [{"attrKey": "k\n", "attrValue": "v"}],
        [{"attrKey": 5, "attrValue": "v"}],
        [{"attrKey": "k"}],
        [{"attrKey": "k", "attrValue": "v" * 1025}],
        [{"attrKey": "k", "attrValue": "a\0b"}],
        [{"attrKey": "k", "attrValue": {}}],
        [{"attrKey": "k", "attrValue": "v", "domain": "OTHER"}],
        [{"attrKey": f"k{n}", "attrValue": "v"} for n in range(101)],
    ],
)
def test_what_are_no_tags_is_refused(params: object) -> None:
    with pytest.raises(TagsRefused) as refused:
        read(params)
    assert refused.value.request.id == "1"


def test_bytes_that_are_no_envelope_have_nobody_to_answer() -> None:
    with pytest.raises(AlinkError):
        read_change(b"[" * 10_000, UPDATE, DEVICE, 7, 1)


def test_a_hundred_tags_a_domain() -> None:
    full = TagState({("", f"k{n}"): "v" for n in range(100)}, 7, 1)
    more = TagChange(DEVICE, 7, 2, {("", "more"): "v"})
    assert apply(full, more)[1] is Alink.PARAMETER_ERROR
    assert apply(full, more)[0] is full
    system = TagChange(DEVICE, 7, 2, {("SYSTEM", "more"): "v"})
    assert apply(full, system)[1] is Alink.SUCCESS
    changed, code, _ = apply(full, TagChange(DEVICE, 7, 2, {("", "k1"): "new"}))
    assert code is Alink.SUCCESS
    assert changed is not None
    assert (changed.tags["", "k1"], changed.epoch, changed.sequence) == ("new", 7, 2)


def test_a_message_that_comes_late_or_again_changes_nothing_and_is_answered() -> None:
    state = TagState({("", "k"): "now"}, 7, 5)
    for epoch, sequence in ((7, 5), (7, 4), (6, 99)):
        late = TagChange(DEVICE, epoch, sequence, {("", "k"): "then"})
        assert apply(state, late)[:2] == (state, Alink.SUCCESS)


def test_a_device_that_does_not_exist() -> None:
    assert apply(None, TagChange(DEVICE, 7, 1, {("", "k"): "v"}))[:2] == (None, Alink.DEVICE_NOT_FOUND)
