"""Bodies of `thing.data`: what rules and subscribers read (server-subscription §4)."""

from collections.abc import Mapping, Sequence

import orjson

from thinghub.shadow.domain.thing_posts import Failed, Item, Occurred, Post


def property_topic(product_key: str, device_name: str) -> str:
    return f"/{product_key}/{device_name}/thing/event/property/post"


def event_topic(product_key: str, device_name: str, identifier: str) -> str:
    return f"/{product_key}/{device_name}/thing/event/{identifier}/post"


def property_history_topic(product_key: str, device_name: str) -> str:
    return f"/{product_key}/{device_name}/thing/event/property/history/post"


def event_history_topic(product_key: str, device_name: str, identifier: str) -> str:
    return f"/{product_key}/{device_name}/thing/event/{identifier}/history/post"


def reply_topic(product_key: str, device_name: str) -> str:
    return f"/{product_key}/{device_name}/thing/downlink/reply/message"


def moments(post: Post) -> Sequence[Mapping[str, Item]]:
    """The values of a post, apart where a property has several: what was the case at each time, oldest first. A post
    with one value a property is one moment, whatever the times."""
    items = post.items
    if all(len(values) == 1 for values in items.values()):
        return [{identifier: values[0] for identifier, values in items.items()}] if items else []
    return by_time(post)


def by_time(post: Post) -> Sequence[Mapping[str, Item]]:
    """The same, always apart by time."""
    at: dict[int, dict[str, Item]] = {}
    for identifier, values in post.items.items():
        for item in values:
            at.setdefault(item.time_ms, {})[identifier] = item
    return [at[time_ms] for time_ms in sorted(at)]


def property_body(
    identity: Mapping[str, str],
    received_ms: int,
    request_id: str,
    items: Mapping[str, Item],
    failed: Mapping[str, Failed],
    device_type: str,
) -> bytes:
    """`identity` has iotId, productKey and deviceName."""
    return orjson.dumps(
        {
            **identity,
            "gmtCreate": received_ms,
            "deviceType": device_type,
            "requestId": request_id,
            "checkFailedData": {
                identifier: {"value": one.value, "code": one.code, "message": one.message}
                for identifier, one in failed.items()
            },
            "items": {identifier: {"value": item.value, "time": item.time_ms} for identifier, item in items.items()},
        }
    )


def plain_body(
    identity: Mapping[str, str], received_ms: int, request_id: str, plain: Mapping[str, object], device_type: str
) -> bytes:
    """The same of a plain post."""
    return orjson.dumps(
        {
            **identity,
            "gmtCreate": received_ms,
            "deviceType": device_type,
            "requestId": request_id,
            "checkFailedData": {},
            "items": {identifier: {"value": value, "time": received_ms} for identifier, value in plain.items()},
        }
    )


def event_body(identity: Mapping[str, str], received_ms: int, occurred: Occurred) -> bytes:
    event = occurred.event
    return orjson.dumps(
        {
            "identifier": event.identifier,
            "name": event.name,
            "type": event.type,
            **identity,
            "gmtCreate": received_ms,
            "value": occurred.value,
            "time": occurred.time_ms,
        }
    )


def reply_body(
    identity: Mapping[str, str], received_ms: int, request_id: str, code: int, message: str, topic: str, data: object
) -> bytes:
    """`requestId` is a number when the id is one, as in the contract's example."""
    number = int(request_id) if request_id.isascii() and request_id.isdigit() and len(request_id) < 19 else request_id
    return orjson.dumps(
        {
            "gmtCreate": received_ms,
            **identity,
            "requestId": number,
            "code": code,
            "message": message,
            "topic": topic,
            "data": {} if data is None else data,
        }
    )


def text_of(value: object) -> str:
    """A value as the API shows it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
