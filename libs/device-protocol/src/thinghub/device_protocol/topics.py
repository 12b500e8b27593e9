"""The topic table: every topic of the device contract, who may use it, and which service owns what arrives on it.

The connection gateway's core gets the table as data and compiles it, so another cloud's dialect is another table.
How a table is read:

- `{pk}` and `{dn}` are the session's own ProductKey and DeviceName: no other device's topic ever matches.
- `+` stands for one level, a last `#` for the rest, at least one level.
- A publish is decided by the first `up` row that matches its topic, a delivery by the first `down` row.
- A subscription is granted when one `down` row covers the whole filter. Real SDKs subscribe to topics that they only
  publish on (`config/push_reply`), so the prefix rows at the end grant everything below a device's own prefixes.
- `auto`: delivered without a SUBSCRIBE until an explicit UNSUBSCRIBE (device-mqtt §3).
- `classes`: the levels after `user` must be permitted by a topic class of the product (§11).
- `ext`: bit that the client id's `ext` must carry.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Category(StrEnum):
    """What a message is about; a bus topic carries one category."""

    CUSTOM = "custom"
    LIFECYCLE = "lifecycle"
    THING = "thing"
    SHADOW = "shadow"
    OTA = "ota"
    TAGS = "tags"
    TOPOLOGY = "topology"
    MODEL = "model"
    CONFIG = "config"
    FILES = "files"
    JOBS = "jobs"
    LOGS = "logs"
    DISTRIBUTION = "distribution"
    REGISTRATION = "registration"
    NTP = "ntp"
    RRPC = "rrpc"
    SESSION = "session"
    BROADCAST = "broadcast"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class TopicRow:
    """`owner` is the service that consumes or sends it, in the finished platform; `reference` a device-mqtt section."""

    pattern: str
    direction: Direction
    category: Category
    owner: str
    reference: str
    auto: bool = False
    ext: int = 0
    classes: bool = False
    note: str = ""

    @property
    def up(self) -> bool:
        return self.direction is not Direction.DOWN

    @property
    def down(self) -> bool:
        return self.direction is not Direction.UP


class TopicRule(NamedTuple):
    """A row as the gateway's core takes it; `stream` is an index, or LOCAL, or UNOWNED."""

    pattern: str
    up: bool
    down: bool
    stream: int
    category: str
    auto: bool
    classes: bool
    ext: int


# Answered by the gateway itself; and: nobody consumes it yet, so publishes are refused by policy.
LOCAL = -1
UNOWNED = -2
# The bit of `ext` that enables custom RRPC topics.
EXT_RRPC = 1

_GATEWAY, _REGISTRY, _RULES = "connection-gateway", "device-registry", "rule-engine"
_SHADOW, _OTA, _AUTH = "shadow", "ota", "auth"
_UP, _DOWN, _BOTH = Direction.UP, Direction.DOWN, Direction.BOTH


def _sys(path: str) -> str:
    return "/sys/{pk}/{dn}/" + path


def _up(category: Category, owner: str, reference: str, *paths: str) -> Iterator[TopicRow]:
    for path in paths:
        yield TopicRow(_sys(path), _UP, category, owner, reference)


def _down(category: Category, owner: str, reference: str, *paths: str) -> Iterator[TopicRow]:
    for path in paths:
        yield TopicRow(_sys(path), _DOWN, category, owner, reference, auto=True)


def _asks(category: Category, owner: str, reference: str, *paths: str) -> Iterator[TopicRow]:
    """The device asks on `path`, the platform answers on `path_reply`."""
    for path in paths:
        yield from _up(category, owner, reference, path)
        yield from _down(category, owner, reference, path + "_reply")


def _told(category: Category, owner: str, reference: str, *paths: str) -> Iterator[TopicRow]:
    """The platform asks on `path`, the device answers on `path_reply`."""
    for path in paths:
        yield from _down(category, owner, reference, path)
        yield from _up(category, owner, reference, path + "_reply")


def _rrpc() -> Iterator[TopicRow]:
    category = Category.RRPC
    yield from _down(category, _GATEWAY, "9", "rrpc/request/+")
    yield from _up(category, _GATEWAY, "9", "rrpc/response/+")
    yield TopicRow(
        "/ext/rrpc/#", _BOTH, category, _GATEWAY, "9", ext=EXT_RRPC, auto=True, note="answered on the same topic"
    )


def _custom() -> Iterator[TopicRow]:
    yield TopicRow("/{pk}/{dn}/user/#", _BOTH, Category.CUSTOM, _RULES, "11", classes=True)


def _thing() -> Iterator[TopicRow]:
    category = Category.THING
    # `+` is `property` or an event's identifier.
    yield from _asks(category, _SHADOW, "4", "thing/event/+/post")
    yield from _asks(
        category, _SHADOW, "4", *(f"thing/event/property/{how}/post" for how in ("pack", "history", "batch"))
    )
    yield from _asks(category, _SHADOW, "4", "thing/property/desired/get", "thing/property/desired/delete")
    # Not of the category that shadow reads: the registry answers them.
    yield from _asks(Category.MODEL, _REGISTRY, "4", "thing/dsltemplate/get", "thing/dynamicTsl/get")
    yield from _told(category, _SHADOW, "4", "thing/service/property/set", "thing/service/property/get")
    yield TopicRow(
        _sys("thing/service/+"),
        _BOTH,
        category,
        _SHADOW,
        "4",
        auto=True,
        note="{service}, {block}:{service}, their _reply",
    )
    yield from _asks(category, _SHADOW, "4", "thing/model/up_raw")
    yield from _told(category, _SHADOW, "4", "thing/model/down_raw")
    yield from _asks(category, _SHADOW, "3", "thing/reset", "thing/cipher/get", "_thing/service/post")
    yield from _down(category, _SHADOW, "3", "_thing/event/notify")
    for family in ("lan", "awss"):
        yield TopicRow(_sys(f"thing/{family}/#"), _BOTH, category, _SHADOW, "3", auto=True)


def _tags() -> Iterator[TopicRow]:
    yield from _asks(Category.TAGS, _REGISTRY, "4", "thing/deviceinfo/update", "thing/deviceinfo/delete")


def _device(pattern: str, direction: Direction, category: Category, owner: str, reference: str) -> TopicRow:
    return TopicRow(pattern + "/{pk}/{dn}", direction, category, owner, reference, auto=direction is _DOWN)


def _shadow() -> Iterator[TopicRow]:
    yield _device("/shadow/update", _UP, Category.SHADOW, _SHADOW, "5")
    yield _device("/shadow/get", _DOWN, Category.SHADOW, _SHADOW, "5")


def _ota() -> Iterator[TopicRow]:
    category = Category.OTA
    yield _device("/ota/device/inform", _UP, category, _OTA, "6")
    yield _device("/ota/device/progress", _UP, category, _OTA, "6")
    yield _device("/ota/device/upgrade", _DOWN, category, _OTA, "6")
    yield TopicRow(
        "/ota/device/request/{pk}/{dn}", _BOTH, category, _OTA, "6", auto=True, note="the automatic list names it too"
    )
    yield from _asks(category, _OTA, "6", "thing/ota/firmware/get")


def _services() -> Iterator[TopicRow]:
    yield from _asks(Category.CONFIG, _REGISTRY, "7", "thing/config/get")
    yield from _told(Category.CONFIG, _REGISTRY, "7", "thing/config/push")
    yield TopicRow("/ext/ntp/{pk}/{dn}/request", _UP, Category.NTP, _GATEWAY, "8")
    yield TopicRow("/ext/ntp/{pk}/{dn}/response", _DOWN, Category.NTP, _GATEWAY, "8", auto=True)
    yield from _asks(Category.LOGS, _REGISTRY, "12", "thing/config/log/get", "thing/log/post", "_thing/diag/post")
    yield from _told(Category.LOGS, _REGISTRY, "12", "thing/config/log/push")
    yield from _asks(Category.FILES, _OTA, "6", "thing/file/download")
    yield from _asks(
        Category.FILES, _OTA, "12", *(f"thing/file/upload/mqtt/{step}" for step in ("init", "send", "cancel"))
    )
    yield from _told(Category.JOBS, _OTA, "12", "thing/job/notify")
    yield from _asks(Category.JOBS, _OTA, "12", "thing/job/get", "thing/job/update")
    yield from _told(Category.DISTRIBUTION, _REGISTRY, "12", "thing/bootstrap/notify", "thing/bootstrap/config/push")


def _gateways() -> Iterator[TopicRow]:
    category = Category.TOPOLOGY
    yield from _asks(category, _REGISTRY, "10", *(f"thing/topo/{what}" for what in ("add", "delete", "get")))
    yield from _asks(category, _REGISTRY, "10", "thing/list/found", "thing/sub/register", "thing/sub/unregister")
    yield from _asks(category, _REGISTRY, "10", "thing/proxy/provisioning/product_register")
    yield from _told(category, _REGISTRY, "10", "thing/topo/add/notify", "thing/topo/change", "thing/gateway/permit")
    yield from _told(category, _REGISTRY, "10", "thing/disable", "thing/enable", "thing/delete")
    for step in ("login", "batch_login", "logout", "batch_logout"):
        topic = "/ext/session/{pk}/{dn}/combine/" + step
        yield TopicRow(topic, _UP, Category.SESSION, _GATEWAY, "10")
        yield TopicRow(topic + "_reply", _DOWN, Category.SESSION, _GATEWAY, "10", auto=True)
    yield _device("/ext/error", _DOWN, Category.SESSION, _GATEWAY, "10")


def _platform() -> Iterator[TopicRow]:
    for topic, reference in (("/ext/register", "1.1"), ("/ext/regnwl", "1.1"), ("/ext/auth/identity/response", "1.2")):
        yield TopicRow(topic, _DOWN, Category.REGISTRATION, _AUTH, reference, auto=True)
    yield from _down(Category.BROADCAST, _GATEWAY, "9", "broadcast/request/+")
    yield TopicRow("/broadcast/{pk}/#", _DOWN, Category.BROADCAST, _GATEWAY, "9", note="to subscribers only")


def _prefixes() -> Iterator[TopicRow]:
    """Whatever else is below a device's own prefixes: granted, delivered, and nobody's when published."""
    yield TopicRow(_sys("#"), _BOTH, Category.SYSTEM, "", "3", auto=True)
    yield TopicRow("/ext/session/{pk}/{dn}/#", _BOTH, Category.SYSTEM, "", "10", auto=True)
    yield TopicRow("/ext/ntp/{pk}/{dn}/#", _BOTH, Category.SYSTEM, "", "8", auto=True)
    for prefix in ("/shadow/+", "/ota/device/+"):
        yield TopicRow(prefix + "/{pk}/{dn}", _BOTH, Category.SYSTEM, "", "3", auto=True)


TOPICS: tuple[TopicRow, ...] = (
    *_rrpc(),
    *_custom(),
    *_thing(),
    *_tags(),
    *_shadow(),
    *_ota(),
    *_services(),
    *_gateways(),
    *_platform(),
    *_prefixes(),
)


def topic_rules(streams: Mapping[Category, int], local: Collection[Category] = ()) -> list[TopicRule]:
    """The table for the core: `streams` gives the stream of a category with an owner on the bus, `local` the categories
    that the gateway answers itself; publishes on all other rows are refused by policy."""
    return [
        TopicRule(
            row.pattern,
            row.up,
            row.down,
            LOCAL if row.category in local else streams.get(row.category, UNOWNED),
            row.category.value,
            row.auto,
            row.classes,
            row.ext,
        )
        for row in TOPICS
    ]


def publish_row(topic: str, product_key: str, device_name: str) -> TopicRow | None:
    """The row that decides a publish of this device to `topic`; None refuses it."""
    return next((row for row in TOPICS if row.up and matches(row.pattern, topic, product_key, device_name)), None)


def delivery_row(topic: str, product_key: str, device_name: str) -> TopicRow | None:
    """The row under which this device may get a message on `topic`; None: it is not this device's topic."""
    return next((row for row in TOPICS if row.down and matches(row.pattern, topic, product_key, device_name)), None)


def subscribe_row(filter_: str, product_key: str, device_name: str) -> TopicRow | None:
    """A row that grants the whole subscription; None refuses it."""
    return next((row for row in TOPICS if row.down and matches(row.pattern, filter_, product_key, device_name)), None)


def matches(pattern: str, topic: str, product_key: str, device_name: str) -> bool:
    """Whether the pattern, as this device's, covers a topic or a whole filter: what a filter's wildcard may stand for
    must be allowed at its level."""
    own = {"{pk}": product_key, "{dn}": device_name}
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        if len(levels) <= len(wanted):
            return False
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        level != "#" if want == "+" else own.get(want, want) == level
        for want, level in zip(wanted, levels, strict=True)
    )
