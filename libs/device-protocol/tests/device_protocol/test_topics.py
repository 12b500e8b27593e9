import pytest

from thinghub.device_protocol.topics import (
    LOCAL,
    TOPICS,
    UNOWNED,
    Category,
    delivery_row,
    publish_row,
    subscribe_row,
    topic_rules,
)

PK, DN = "a1B2", "dev1"
SYS = f"/sys/{PK}/{DN}/"

# What the two SDK families subscribe to, one SUBSCRIBE each; every one must be granted (device-mqtt §1.4, §3).
SUBSCRIBED_BY_SDKS = [
    SYS + "thing/event/property/post_reply",
    SYS + "thing/event/+/post_reply",
    SYS + "thing/config/get_reply",
    SYS + "thing/config/push",
    SYS + "thing/config/push_reply",
    SYS + "thing/deviceinfo/update_reply",
    SYS + "thing/deviceinfo/delete_reply",
    SYS + "thing/model/down_raw",
    SYS + "thing/model/up_raw_reply",
    SYS + "thing/service/property/set",
    SYS + "thing/service/+",
    SYS + "thing/topo/add_reply",
    SYS + "thing/topo/delete_reply",
    SYS + "thing/topo/get_reply",
    SYS + "thing/sub/register_reply",
    SYS + "thing/disable",
    SYS + "thing/enable",
    SYS + "thing/delete",
    SYS + "rrpc/request/+",
    SYS + "broadcast/request/+",
    SYS + "#",
    f"/shadow/get/{PK}/{DN}",
    f"/ota/device/upgrade/{PK}/{DN}",
    f"/ext/session/{PK}/{DN}/combine/login_reply",
    f"/ext/session/{PK}/{DN}/combine/logout_reply",
    f"/ext/ntp/{PK}/{DN}/response",
    f"/ext/rrpc/+/{PK}/{DN}/user/get",
    f"/ext/error/{PK}/{DN}",
    f"/broadcast/{PK}/news",
    f"/{PK}/{DN}/user/get",
    f"/{PK}/{DN}/user/#",
]
# The automatic list of §3.
AUTOMATIC = [
    *("thing/model/down_raw", "thing/model/up_raw_reply", "thing/event/alarm/post_reply"),
    *("thing/event/property/history/post_reply", "thing/deviceinfo/update_reply", "thing/deviceinfo/delete_reply"),
    *("thing/dynamicTsl/get_reply", "thing/dsltemplate/get_reply", "rrpc/request/17", "thing/service/property/set"),
    *("thing/service/property/get", "thing/service/reboot", "thing/gateway/permit", "thing/topo/change"),
    *("thing/sub/register_reply", "thing/sub/unregister_reply", "thing/topo/add_reply", "thing/topo/get_reply"),
    *("thing/disable_reply", "thing/config/push", "thing/config/get_reply", "thing/property/desired/get_reply"),
    *("thing/property/desired/delete_reply", "thing/reset_reply", "thing/proxy/provisioning/product_register_reply"),
    *("thing/bootstrap/config/push", "thing/job/notify", "thing/job/get_reply", "thing/job/update_reply"),
    *("thing/lan/x", "thing/awss/y/z", "thing/cipher/get_reply", "_thing/event/notify", "_thing/service/post_reply"),
]


@pytest.mark.parametrize("filter_", SUBSCRIBED_BY_SDKS)
def test_what_sdks_subscribe_to_is_granted(filter_: str) -> None:
    assert subscribe_row(filter_, PK, DN)


@pytest.mark.parametrize("filter_", SUBSCRIBED_BY_SDKS)
def test_the_same_filters_of_another_device_are_refused(filter_: str) -> None:
    if filter_.startswith(("/ext/rrpc", "/broadcast")):
        return  # No device in `/ext/rrpc`: messages come to a session, not to a filter; broadcasts are the product's.
    assert not subscribe_row(filter_, PK, "dev2")
    assert not subscribe_row(filter_, "a1B3", DN)


@pytest.mark.parametrize(
    "filter_", ["#", "+/#", "/#", "/sys/#", "/sys/+/+/#", f"/sys/{PK}/#", f"/sys/{PK}/+/rrpc/request/+"]
)
def test_a_filter_wider_than_the_device_is_refused(filter_: str) -> None:
    assert not subscribe_row(filter_, PK, DN)


@pytest.mark.parametrize("path", AUTOMATIC)
def test_system_downlinks_need_no_subscription(path: str) -> None:
    row = delivery_row(SYS + path, PK, DN)
    assert row
    assert row.auto


@pytest.mark.parametrize(
    ("topic", "category"),
    [
        (f"/{PK}/{DN}/user/update", Category.CUSTOM),
        (SYS + "rrpc/response/1", Category.RRPC),
        (f"/ext/rrpc/1/{PK}/{DN}/user/get", Category.RRPC),
        (SYS + "thing/event/property/post", Category.THING),
        (SYS + "thing/service/reboot_reply", Category.THING),
        (SYS + "thing/service/property/set_reply", Category.THING),
        (SYS + "thing/deviceinfo/update", Category.TAGS),
        (SYS + "thing/topo/add", Category.TOPOLOGY),
        (f"/shadow/update/{PK}/{DN}", Category.SHADOW),
        (f"/ota/device/inform/{PK}/{DN}", Category.OTA),
        (f"/ext/ntp/{PK}/{DN}/request", Category.NTP),
        (SYS + "thing/never/heard/of", Category.SYSTEM),
    ],
)
def test_a_publish_goes_to_the_category_of_its_topic(topic: str, category: Category) -> None:
    row = publish_row(topic, PK, DN)
    assert row
    assert row.category is category
    assert row.category is Category.RRPC or not publish_row(topic, PK, "dev2")


def test_rules_for_the_core_name_stream_local_or_nobody() -> None:
    rules = {rule.pattern: rule for rule in topic_rules({Category.CUSTOM: 3}, {Category.RRPC})}
    assert rules["/{pk}/{dn}/user/#"].stream == 3
    assert rules["/{pk}/{dn}/user/#"].classes
    assert rules["/sys/{pk}/{dn}/rrpc/response/+"].stream == LOCAL
    assert rules["/ext/rrpc/#"].ext == 1
    assert rules["/sys/{pk}/{dn}/thing/event/+/post"].stream == UNOWNED


def test_rows_are_unique_and_well_formed() -> None:
    assert len({(row.pattern, row.direction) for row in TOPICS}) == len(TOPICS)
    for row in TOPICS:
        assert row.pattern.startswith("/")
        assert "#" not in row.pattern[:-1]
        assert row.up or row.down
