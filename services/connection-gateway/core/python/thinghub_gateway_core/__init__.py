"""The connection plane; `__init__.pyi` is the contract. The named tuples are Python's, everything else is native."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

from thinghub_gateway_core._core import Core, codec_decode

__all__ = [
    "Accept",
    "Attach",
    "Batch",
    "Closed",
    "ConnectRequest",
    "Core",
    "Delivered",
    "Downlink",
    "Figures",
    "Limits",
    "LocalMessage",
    "Options",
    "Record",
    "Sample",
    "Subscription",
    "TopicClass",
    "TopicRule",
    "codec_decode",
]


class Options(TypedDict, total=False):
    """Settings of a core; `__init__.pyi` names the defaults."""

    origin: str
    worker_id: int
    record_max_messages: int
    record_max_bytes: int
    record_linger_ms: int
    partition_max_inflight_bytes: int
    record_timeout_ms: int
    connect_timeout_ms: int
    accept_timeout_ms: int
    max_packet_bytes: int
    max_stream_bytes: int
    keep_alive_min_s: int
    keep_alive_max_s: int
    max_out_buffer_bytes: int
    max_connections: int
    max_sub_sessions: int
    delivery_timeout_ms: int
    max_inflight_down: int
    trace_every: int
    packet_timeout_ms: int
    max_local_queue: int
    max_partial_bytes: int
    refuse_above_bytes: int


class ConnectRequest(NamedTuple):
    conn: int
    client_id: str
    username: str
    password: str
    keep_alive_s: int
    clean: bool
    address: str
    tls: bool


class Accept(NamedTuple):
    conn: int
    product_key: str
    device_name: str
    epoch: int
    ext: int
    clean: bool = True
    session_present: bool = False
    subscriptions: Sequence[str] = ()
    stopped: Sequence[str] = ()


class Attach(NamedTuple):
    gateway: int
    product_key: str
    device_name: str
    epoch: int
    ext: int


class Closed(NamedTuple):
    handle: int
    product_key: str
    device_name: str
    epoch: int
    reason: str


class Sample(NamedTuple):
    message_id: int
    traceparent: str
    received_ms: int
    topic: str


class Record(NamedTuple):
    record_id: int
    stream: int
    partition: int
    value: bytes
    messages: int
    samples: list[Sample]


class LocalMessage(NamedTuple):
    handle: int
    product_key: str
    device_name: str
    epoch: int
    category: str
    topic: str
    payload: bytes
    qos: int
    received_ms: int


class Delivered(NamedTuple):
    token: int
    outcome: Literal["delivered", "sent", "no_subscriber", "offline", "timeout", "failed"]


class Figures(NamedTuple):
    handle: int
    found: bool
    messages_up: int
    messages_down: int
    refused_permission: int
    refused_quota: int
    quota_delays: int
    in_flight: int
    queued: int
    subscriptions: list[str]
    keep_alive_s: int
    last_packet_ms_ago: int
    out_buffer: int


class Subscription(NamedTuple):
    token: int
    handle: int
    added: list[str]
    removed: list[str]
    stopped: list[str]
    resumed: list[str]


class Batch(NamedTuple):
    connects: list[ConnectRequest]
    dropped: list[int]
    closed: list[Closed]
    flushed: list[int]
    records: list[Record]
    local: list[LocalMessage]
    delivered: list[Delivered]
    inspected: list[Figures]
    subscriptions: list[Subscription]


class TopicRule(NamedTuple):
    pattern: str
    up: bool
    down: bool
    stream: int
    category: str
    auto: bool
    classes: bool
    ext: int


class TopicClass(NamedTuple):
    filter: str
    publish: bool
    subscribe: bool


class Limits(NamedTuple):
    enforce: bool
    up_qos0_per_second: int
    up_qos1_per_second: int
    down_per_second: int
    bytes_per_second: int
    subscriptions: int
    drop_qos1: bool


class Downlink(NamedTuple):
    token: int
    handle: int
    topic: str
    payload: bytes
    qos: int
    must_subscribe: bool
    dup: bool = False
