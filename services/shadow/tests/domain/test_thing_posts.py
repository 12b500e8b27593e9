import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.tsl.parse import parse
from thinghub.device_protocol.tsl.validator import Validator
from thinghub.shadow.domain.thing_bodies import by_time, moments, property_body, reply_body
from thinghub.shadow.domain.thing_models import Strictness, ThingModel
from thinghub.shadow.domain.thing_posts import Post, PostReader

FUNCTIONS = parse(
    {
        "properties": [
            {"identifier": "Temp", "dataType": {"type": "int", "specs": {"min": "0", "max": "100"}}},
            {"identifier": "Text", "dataType": {"type": "text"}},
            {
                "identifier": "Spot",
                "dataType": {"type": "struct", "specs": [{"identifier": "x", "dataType": {"type": "int"}}]},
            },
            *({"identifier": f"p{number}", "dataType": {"type": "int"}} for number in range(210)),
        ],
        "events": [
            {
                "identifier": "alarm",
                "name": "Alarm",
                "type": "alert",
                "outputData": [{"identifier": "code", "required": True, "dataType": {"type": "int"}}],
            }
        ],
    }
)
NOW = 1_700_000_000_000


def read(what: str, params: object, strictness: Strictness = Strictness.FULL) -> Post:
    post = PostReader(ThingModel("pk", 1, Validator(FUNCTIONS), strictness), NOW).read(what, params)
    assert post is not None
    return post


def kept(post: Post) -> dict[str, list[tuple[object, int]]]:
    return {identifier: [(item.value, item.time_ms) for item in values] for identifier, values in post.items.items()}


def test_values_come_bare_or_with_their_time() -> None:
    post = read("property", {"Temp": {"value": 5, "time": NOW - 1}, "Text": "hi", "Spot": {"x": 1}, "None": 1})
    assert kept(post) == {"Temp": [(5, NOW - 1)], "Text": [("hi", NOW)], "Spot": [({"x": 1}, NOW)]}
    assert kept(read("property", {"Temp": {"value": 5}})) == {"Temp": [(5, NOW)]}
    assert kept(read("property", {"Temp": {"value": 5, "time": str(NOW)}})) == {"Temp": [(5, NOW)]}


def test_full_validation_refuses_the_whole_post() -> None:
    post = read("property", {"Text": "hi", "Temp": 101})
    assert (post.code, post.items) == (6306, {})
    assert "Temp" in post.message


def test_weak_validation_keeps_the_good_ones_and_tells_the_bad_ones() -> None:
    post = read("property", {"Text": "hi", "Temp": 101}, Strictness.WEAK)
    assert (post.code, kept(post)) == (200, {"Text": [("hi", NOW)]})
    assert (post.failed["Temp"].value, post.failed["Temp"].code) == (101, 6306)
    body = orjson.loads(property_body({"iotId": "i"}, NOW, "7", {}, post.failed, "Ammeter"))
    assert body["checkFailedData"]["Temp"]["code"] == 6306


def test_without_validation_everything_with_a_name_is_kept() -> None:
    post = read("property", {"Temp": "hot", "Other": 1, "b:Other": 2, "no name": 3}, Strictness.NONE)
    assert set(post.items) == {"Temp", "Other", "b:Other"}


@pytest.mark.parametrize(
    ("member", "code"),
    [
        ({"time": 1}, 6327),
        ({"value": 1, "time": "now"}, 6326),
        ({"value": 1, "time": -1}, 6326),
        ({"value": 1, "time": 2**60}, 6326),
        ({"value": 1, "time": True}, 6326),
    ],
)
def test_a_wrapping_that_makes_no_sense_is_refused(member: object, code: int) -> None:
    assert read("property", {"Temp": member}).code == code


def test_a_post_has_at_most_200_properties() -> None:
    assert read("property", {f"p{number}": 1 for number in range(200)}).code == 200
    for strictness in Strictness:
        assert read("property", {f"p{number}": 1 for number in range(201)}, strictness).code == 6106


def test_a_value_that_could_not_be_written_again_is_bad_in_every_mode() -> None:
    deep: object = 1
    for _ in range(900):
        deep = [deep]
    assert read("property", {"Spot": {"x": 1, "y": deep}}).code == 6312
    for strictness in (Strictness.WEAK, Strictness.NONE):
        post = read("property", {"Spot": {"x": 1, "y": deep}, "Temp": 1}, strictness)
        assert set(post.items) == {"Temp"}
        assert post.failed["Spot"].value is None
        property_body({}, NOW, "", moments(post)[0], post.failed, "")


def test_hostile_posts_cost_bounded_time() -> None:
    wide = {str(number): number for number in range(100_000)}
    started = time.process_time()
    assert read("property", wide).code == 6106
    assert read("property", {"Spot": wide}).code == 200
    assert read("property/batch", {"properties": {"Temp": [{"value": 1}] * 100_000}}).code == 6106
    assert read("property/batch", {"events": {"alarm": [{"code": 1}] * 100_000}}).code == 6356
    assert time.process_time() - started < 2


def test_events_come_wrapped_or_flat() -> None:
    for params in ({"value": {"code": 3}, "time": NOW}, {"code": 3}):
        (occurred,) = read("alarm", params).events
        assert (occurred.value, occurred.time_ms, occurred.event.name) == ({"code": 3}, NOW, "Alarm")
    assert read("alarm", {}).code == 6302
    assert read("alarm", {"code": "x"}).code == 6306
    assert read("alarm", {"code": "x"}, Strictness.NONE).code == 200
    assert read("gone", {}).code == 6300
    assert read("alarm", []).code == 460


def test_a_batch_is_told_moment_by_moment() -> None:
    post = read(
        "property/batch",
        {
            "properties": {
                "Temp": [{"value": 2, "time": 20}, {"value": 1, "time": 10}],
                "p1": [{"value": 5, "time": 10}],
            }
        },
    )
    told = [{name: item.value for name, item in moment.items()} for moment in moments(post)]
    assert told == [{"Temp": 1, "p1": 5}, {"Temp": 2}]


def reader(strictness: Strictness = Strictness.FULL, past: bool = False) -> PostReader:
    return PostReader(ThingModel("pk", 1, Validator(FUNCTIONS), strictness), NOW, past)


def test_a_part_of_a_pack_is_a_post_of_one_device() -> None:
    post = reader().pack({"Temp": {"value": 1, "time": 5}, "Text": "hi"}, {"alarm": {"value": {"code": 1}}})
    assert kept(post) == {"Temp": [(1, 5)], "Text": [("hi", NOW)]}
    assert [one.time_ms for one in post.events] == [NOW]
    assert reader().pack(None, None).code == 200
    assert reader().pack([], None).code == 460
    assert reader().pack({"Temp": "hot"}, None).code == 6306
    assert reader().pack(None, {"gone": {}}).code == 6300


def test_a_part_of_a_history_has_times_and_they_are_past() -> None:
    entries = [{"Temp": {"value": 2, "time": 20}}, {"Temp": {"value": 1, "time": 10}, "p1": {"value": 5, "time": 10}}]
    post = reader(past=True).history(entries, [{"alarm": {"value": {"code": 1}, "time": 30}}])
    assert kept(post) == {"Temp": [(2, 20), (1, 10)], "p1": [(5, 10)]}
    assert [{name: item.value for name, item in one.items()} for one in by_time(post)] == [
        {"Temp": 1, "p1": 5},
        {"Temp": 2},
    ]
    assert post.events[0].time_ms == 30
    assert reader(past=True).history(entries[0], None).code == 200
    for member in (1, {"value": 1}, {"x": 1}, {"value": 1, "time": NOW + 120_000}, {"value": 1, "time": None}):
        assert reader(past=True).history([{"Temp": member}], None).code == 6326, member
    for event in ({"code": 1}, {"value": {"code": 1}}, {"value": {"code": 1}, "time": NOW + 120_000}):
        assert reader(past=True).history(None, [{"alarm": event}]).code == 6326, event
    weak = reader(Strictness.WEAK, past=True).history([{"Temp": 1, "p1": {"value": 5, "time": 10}}], None)
    assert (weak.code, kept(weak), list(weak.failed)) == (200, {"p1": [(5, 10)]}, ["Temp"])


def test_a_part_of_a_history_is_bounded() -> None:
    entries: object
    malformed: object
    one = {"Temp": {"value": 1, "time": 1}}
    assert reader(past=True).history([one] * 200, None).code == 200
    for entries in ([one] * 201, [{}] * 100_000, [{f"p{number}": one["Temp"] for number in range(101)}] * 2):
        assert reader(past=True).history(entries, None).code == 6106
    event = {"alarm": {"value": {"code": 1}, "time": 1}}
    assert reader(past=True).history(None, [event] * 200).code == 200
    assert reader(past=True).history(None, [event] * 201).code == 6356
    for malformed in (5, "text", [5], [[]]):
        assert reader(past=True).history(malformed, None).code == 460
        assert reader(past=True).history(None, malformed).code == 460


def test_what_is_not_read_here_is_left_alone() -> None:
    assert reader().read("property/history", {}) is None
    assert reader().read("property/pack", {}) is None


def test_the_answer_of_a_device_names_its_request_by_number() -> None:
    body = orjson.loads(reply_body({"iotId": "i"}, NOW, "1234", 200, "success", "/sys/a/b", None))
    assert (body["requestId"], body["data"], body["topic"]) == (1234, {}, "/sys/a/b")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "time", "Temp", "Spot", "x", "properties", "events", "alarm"]), inner
        )
    ),
    max_leaves=15,
)


@given(st.sampled_from(["property", "property/batch", "alarm", "gone"]), JSON, st.sampled_from(Strictness))
def test_any_post_is_judged(what: str, params: object, strictness: Strictness) -> None:
    post = read(what, params, strictness)
    assert post.code == 200 or not (post.items or post.events)
    for moment in moments(post):
        property_body({}, NOW, "1", moment, post.failed, "")


@given(JSON, JSON, st.sampled_from(Strictness))
def test_any_part_is_judged(properties: object, events: object, strictness: Strictness) -> None:
    for post in (
        reader(strictness).pack(properties, events),
        reader(strictness, past=True).history(properties, events),
    ):
        assert post.code == 200 or not (post.items or post.events)
        for moment in (*moments(post), *by_time(post)):
            property_body({}, NOW, "1", moment, post.failed, "")
