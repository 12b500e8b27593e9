"""Custom topic classes: `/{pk}/{dn}/user/` + short name, and who may use it (device-mqtt §11)."""

from dataclasses import dataclass
from enum import Enum

from thinghub.device_registry.domain.names import check_text
from thinghub.device_registry.errors import TopicClassInvalid, TopicOperationInvalid

MAX_CLASSES = 50
MAX_TOPIC_BYTES = 128
MAX_SLASHES = 7
# The shortest device name there can be: a class is refused only when no device could use it.
_DEVICE = "xxxx"
_FORBIDDEN = set("+#\0")


class Operation(Enum):
    PUB = "PUB"
    SUB = "SUB"
    ALL = "ALL"


@dataclass(frozen=True, slots=True)
class TopicClass:
    """`id` 0 before it is stored, unless it was given."""

    id: int
    product_key: str
    short_name: str
    operation: Operation
    description: str = ""
    codec: str = ""
    proxy_subscribe: bool = False


DEFAULT_CLASSES = (("update", Operation.PUB), ("update/error", Operation.PUB), ("get", Operation.SUB))
DEFAULT_NAMES = frozenset(name for name, _ in DEFAULT_CLASSES)


def default_classes(product_key: str) -> list[TopicClass]:
    """What a new product starts with; ids are given by the store."""
    return [TopicClass(0, product_key, name, operation) for name, operation in DEFAULT_CLASSES]


def check_topic_class(topic_class: TopicClass) -> None:
    """Raises TopicClassInvalid, TopicOperationInvalid."""
    if topic_class.id < 0:
        raise TopicClassInvalid("a topic class's id is a positive integer")
    name = topic_class.short_name
    topic = f"/{topic_class.product_key}/{_DEVICE}/user/{name}"
    if not name or len(topic.encode()) > MAX_TOPIC_BYTES or topic.count("/") > MAX_SLASHES:
        raise TopicClassInvalid(f"a topic has at most {MAX_TOPIC_BYTES} bytes and {MAX_SLASHES} slashes")
    levels = name.split("/")
    for position, level in enumerate(levels):
        _check_level(level, last=position == len(levels) - 1)
    if topic_class.operation is not Operation.SUB and {"+", "#"} & set(levels):
        raise TopicOperationInvalid("a topic class with a wildcard is for subscribing only")
    check_text(topic_class.description, "Desc", 1024)
    check_text(topic_class.codec, "Codec", 64)


def _check_level(level: str, last: bool) -> None:
    if level == "+" or (level == "#" and last):
        return
    if not level or _FORBIDDEN & set(level) or " " in level or not level.isprintable():
        raise TopicClassInvalid("a level is text without + # and blanks, or the whole of + or, at the end, #")
