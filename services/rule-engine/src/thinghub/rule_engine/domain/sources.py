"""Where a rule takes its messages from: FROM in the SQL, ProductKey and ShortTopic in the API.

    topic type | short topic                           | topic
    1 custom   | `+/user/update`, `dn/user/#`, `${dn}…` | /{pk}/{short}
    2 status   | `+`, a device name                    | /as/mqtt/status/{pk}/{short}
    0 system   | `+/thing/event/property/post`,        | /{pk}/{short}
               | `+/thing/event/{event}/post`,         |
               | both with `/history/post` at the end, |
               | `+/thing/downlink/reply/message`,     |
               | `+/thing/lifecycle`, `+/thing/topo/lifecycle`, `+/thing/list/found`
               | `+/ota/upgrade`, `+/ota/version/post` |
               | `${packageId}/${jobId}/ota/job/status`  about a job, not a device; ids, or `+` or these words for all

`+` and `${dn}` as device name mean every device of the product. Other system topics have no producer yet.
"""

from dataclasses import dataclass

from thinghub.rule_engine.errors import TopicInvalid, TopicTypeUnsupported, TopicUnsupported

SYSTEM, CUSTOM, STATUS = 0, 1, 2
STATUS_PREFIX = "/as/mqtt/status/"
MAX_SHORT_TOPIC = 256
_WHOLE = (
    "thing/downlink/reply/message",
    "thing/lifecycle",
    "thing/topo/lifecycle",
    "thing/list/found",
    "ota/upgrade",
    "ota/version/post",
)
_JOB_STATUS = ("ota", "job", "status")


@dataclass(frozen=True, slots=True)
class Source:
    """`device` is None for every device; `levels` is the filter below it, empty for status. `of_job`: about no device,
    `device` is the package and `levels` begin with the job."""

    product_key: str
    device: str | None
    levels: tuple[str, ...]
    of_job: bool = False


def check_topic_type(topic_type: int) -> None:
    if topic_type not in (SYSTEM, CUSTOM, STATUS):
        raise TopicTypeUnsupported(f"there is no topic type {topic_type}: use 0 (system), 1 (custom) or 2 (status)")


def full_topic(product_key: str, short_topic: str, topic_type: int) -> str:
    """The topic as the API shows it; empty while a part is missing."""
    if not product_key or not short_topic:
        return ""
    return f"{STATUS_PREFIX}{product_key}/{short_topic}" if topic_type == STATUS else f"/{product_key}/{short_topic}"


def parse_source(product_key: str, short_topic: str, topic_type: int) -> Source:
    """Raises TopicTypeUnsupported, TopicInvalid."""
    check_topic_type(topic_type)
    check_product_key(product_key)
    device, *levels = _levels(short_topic)
    if topic_type == SYSTEM and tuple(levels[1:]) == _JOB_STATUS:
        package, job = (_name_or_every(level, number) for number, level in enumerate((device, levels[0]), 1))
        return Source(product_key, package, (job or "+", *_JOB_STATUS), of_job=True)
    every = device in ("+", "${dn}")
    if not every and any(sign in device for sign in "+#$"):
        raise TopicInvalid(f"{device!r} is not a device name: write one, or + for every device", position="1")
    if topic_type == STATUS:
        _check_status(levels)
    elif topic_type == SYSTEM:
        _check_system(levels)
    else:
        _check_custom(levels)
    return Source(product_key, None if every else device, tuple(levels))


def check_product_key(product_key: str) -> None:
    if not product_key or len(product_key) > 64 or any(sign in "/+#$" or sign.isspace() for sign in product_key):
        raise TopicInvalid(f"{product_key[:64]!r} is not a product key")


def _levels(short_topic: str) -> list[str]:
    if len(short_topic.encode("utf-8", "replace")) > MAX_SHORT_TOPIC:
        raise TopicInvalid(f"the short topic is longer than {MAX_SHORT_TOPIC} bytes")
    levels = short_topic.split("/")
    for number, level in enumerate(levels, 1):
        if not level or "\0" in level:
            raise TopicInvalid(f"level {number} of the short topic {short_topic!r} is empty", position=str(number))
    return levels


def _name_or_every(level: str, number: int) -> str | None:
    """A package or a job; None for all of them."""
    if level == "+" or level in ("${packageId}", "${jobId}"):
        return None
    if any(sign in level for sign in "+#$"):
        raise TopicInvalid(f"{level!r} is neither an id nor + for all of them", position=str(number))
    return level


def _check_status(levels: list[str]) -> None:
    if levels:
        raise TopicInvalid("the short topic of a status rule is a device name or +, nothing more", position="2")


def _check_system(levels: list[str]) -> None:
    if "/".join(levels) in _WHOLE:
        return
    if len(levels) < 3 or levels[:2] != ["thing", "event"] or levels[3:] not in (["post"], ["history", "post"]):
        raise TopicUnsupported(
            "a system topic is a device name or +, then thing/event/property/post, thing/event/{event}/post, either of "
            "them with history/post, one of " + ", ".join(_WHOLE) + "; or ${packageId}/${jobId}/ota/job/status",
            position="2",
        )
    if any(sign in levels[2] for sign in "#$") or ("+" in levels[2] and levels[2] != "+"):
        raise TopicInvalid(f"{levels[2]!r} is no event", position="4")


def _check_custom(levels: list[str]) -> None:
    if len(levels) < 2 or levels[0] != "user":
        raise TopicInvalid("a custom short topic is a device name or +, then user/ and a topic", position="2")
    for number, level in enumerate(levels, 2):
        last = number == len(levels) + 1
        if ("#" in level and (level != "#" or not last)) or ("+" in level and level != "+"):
            raise TopicInvalid(
                f"level {number}, {level!r}: + takes a whole level, # a whole last level", position=str(number)
            )
