"""The connection plane: sockets, TLS, MQTT, permissions, quotas, ordered acknowledgement, record packing.

The core decides nothing. It moves bytes, enforces what it was told, and speaks to Python only in batches:
Python waits on `event_fd`, calls `poll` for everything that happened since, and answers with the batch methods.
Every method may be called from any thread and returns without blocking on the network.

A *connection* is a socket, named by a `conn` number; a *session* is a device's presence on it, named by a `handle`
(slot index and generation, so a late answer never reaches a newer session). A connection carries 1 to 2,001 sessions:
its own (`accept`) and up to 2,000 sub-sessions, a gateway's sub-devices (`attach`). Each has its own identity, epoch,
permissions, quotas, subscriptions and record sequence; all of them share the socket, its keep-alive, the order of its
PUBACKs and its QoS 1 window.

Which session a topic speaks for: the first pair of neighbouring levels (product key, device name) that names a session
of the connection; without such a pair, the connection's own. So it is for a PUBLISH and for each filter of a SUBSCRIBE
or UNSUBSCRIBE.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

class Options(TypedDict, total=False):
    """Settings of a core; every one has a default."""

    origin: str
    """Incarnation of this gateway, written into each record. Required."""
    worker_id: int
    """0..1023, unique among live gateways; part of message ids. Required."""
    record_max_messages: int  # 500
    record_max_bytes: int  # 524288
    record_linger_ms: int  # 5
    partition_max_inflight_bytes: int
    """16 MiB: above it the connections that write to that partition are not read. Nor are those of one product while it
    holds more than three times what is still free of it, so that a product which is too fast leaves room for others."""
    record_timeout_ms: int  # 30000: a record not committed by then fails and closes its connections
    connect_timeout_ms: int  # 10000: accept to complete CONNECT
    accept_timeout_ms: int  # 5000: CONNECT to accept/reject; then CONNACK 3 and close
    max_packet_bytes: int  # 262144: larger PUBLISH is discarded and acknowledged as refused
    max_stream_bytes: int  # 1048576: larger than this closes the connection
    keep_alive_min_s: int  # 30
    keep_alive_max_s: int  # 1200
    max_out_buffer_bytes: int  # 1 MiB a connection: a slower reader is closed
    max_connections: int  # 18000
    max_sub_sessions: int  # 100000 over all connections: `attach` answers 0 above it
    delivery_timeout_ms: int  # 10000: QoS 1 downlink without PUBACK
    max_inflight_down: int  # 100 a connection, whichever of its sessions
    packet_timeout_ms: int  # 30000: a packet that began must end within this
    max_local_queue: int
    """10000 local messages not polled yet: more are dropped, acknowledged and counted. So are those of one product
    while it has more than three times what is still free."""
    max_partial_bytes: int  # 256 MiB of partial packets over all connections: above it a growing one is closed
    refuse_above_bytes: int
    """0, no bound: while gauge buffered_bytes is above it, a CONNECT is refused with CONNACK 3 (reason `memory`), and
    connections whose peers have 16 kB or more yet to take are closed (reason `memory`), the largest first. Records stay
    below it: a partition may hold no more than is still free (64 kB always), and those who write there are not read; so
    do local messages, with a quarter of it."""
    trace_every: int  # 0: never; n: one message in n carries a traceparent

class ConnectRequest(NamedTuple):
    conn: int
    client_id: str
    username: str
    password: str
    keep_alive_s: int
    clean: bool
    address: str
    """Peer, `ip:port`."""
    tls: bool

class Accept(NamedTuple):
    conn: int
    product_key: str
    device_name: str
    epoch: int
    ext: int
    """`ext` flags of the client id."""
    clean: bool = True
    """False: a persistent session. Changes of its subscriptions are reported in `Batch.subscriptions`."""
    session_present: bool = False
    """Flag of the CONNACK."""
    subscriptions: Sequence[str] = ()
    """Filters the session has from before, restored before anything is delivered. Permission and limits are those of a
    SUBSCRIBE now: a filter that is refused is counted (refused_subscribe), left out, and reported as `removed`."""
    stopped: Sequence[str] = ()
    """Automatic topics that stay unsubscribed; one that is automatic no more is reported as `resumed`."""

class Attach(NamedTuple):
    """A sub-session to begin on a live connection."""

    gateway: int
    """Handle of the connection's own session."""
    product_key: str
    device_name: str
    epoch: int
    ext: int
    """Flags of the sub-session; `ext` rules of the topic table look at these, not at the gateway's."""

class Closed(NamedTuple):
    """A session ended. `flushed` sessions are reported once more in `Batch.flushed`.

    When a connection ends, each of its sessions is reported, the sub-sessions before its own."""

    handle: int
    product_key: str
    device_name: str
    epoch: int
    reason: str
    """As in the counters: `client` (DISCONNECT), `eof`, `error`, `keep_alive`, `packet_timeout`, `protocol`, `tls`,
    `memory` (a bound on it), `slow_reader`, `record_failed`, `store` (a change of subscriptions), `stop`,
    `internal`, or what `close` was given.
    Of a sub-session: that of its connection, `replaced` (the same device was attached again), or what `close` was
    given."""

class Sample(NamedTuple):
    message_id: int
    traceparent: str
    received_ms: int
    topic: str

class Record(NamedTuple):
    """A finished bus record; answer with `commit` or `fail`."""

    record_id: int
    stream: int
    """Index into the streams given to `set_streams`."""
    partition: int
    value: bytes
    """Encoded thinghubpb.bus.v1.Record."""
    messages: int
    samples: list[Sample]

class LocalMessage(NamedTuple):
    """An uplink message of a category the gateway itself answers: handle, names and epoch are those of the session it
    speaks for.

    Or, with category `foreign`, the report of a publish that was refused for permission (and acknowledged) although
    another device might publish there: `handle` and `epoch` are the connection's own session's, `product_key` and
    `device_name` that other device's as the topic names it, `payload` is empty. Topic classes of its product are taken
    as permitted. It comes after quota, and only while less than half of max_local_queue waits, so that a flood of them
    leaves room for the rest."""

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
    """What a session did since it began. Counts go round at 2**32."""

    handle: int
    found: bool
    """False: no such session (any more); the rest is 0 or empty."""
    messages_up: int
    """Published and not refused."""
    messages_down: int
    """Written to the device, either quality."""
    refused_permission: int
    """Publishes; those to topics that have no owner included."""
    refused_quota: int
    quota_delays: int
    in_flight: int
    """QoS 1 messages of this session not acknowledged yet."""
    queued: int
    """Those that wait behind the connection's window."""
    subscriptions: list[str]
    """At most 100."""
    keep_alive_s: int
    """Of the connection, as the next two."""
    last_packet_ms_ago: int
    out_buffer: int
    """Bytes written that the peer has not taken."""

class Subscription(NamedTuple):
    """Subscriptions of a persistent session changed; answer with `confirm_subscriptions` or `fail_subscriptions`.

    One SUBSCRIBE or UNSUBSCRIBE is one change, its filters for sub-sessions (which are always clean) left out, and its
    SUBACK or UNSUBACK waits for the answer. A packet that changes nothing is not reported and waits only behind earlier
    ones; nothing else waits. The change is in effect for deliveries already. Tokens of a session rise in the order in
    which its changes must be applied."""

    token: int
    handle: int
    added: list[str]
    removed: list[str]
    stopped: list[str]
    """Automatic topics now unsubscribed, as the filters of the UNSUBSCRIBE."""
    resumed: list[str]

class Batch(NamedTuple):
    connects: list[ConnectRequest]
    dropped: list[int]
    """Connections that closed between their ConnectRequest and accept."""
    closed: list[Closed]
    flushed: list[int]
    """Handles of closed sessions whose uplink messages are all committed (or failed)."""
    records: list[Record]
    local: list[LocalMessage]
    delivered: list[Delivered]
    inspected: list[Figures]
    subscriptions: list[Subscription]

class TopicRule(NamedTuple):
    """One row of the device contract's topic table, as the core compiles it.

    `pattern` has levels `{pk}` and `{dn}` (the session's own), `+` (one level) and a last `#` (the rest, at least one
    level). The first fitting rule decides: for a publish the first `up` rule that matches, for a subscription the first
    `down` rule that covers the whole filter, for an automatic delivery whether the first `down` rule that matches is
    `auto`. Custom topics (`classes`) are bounded to 128 bytes and 7 slashes, others to 256 bytes.
    """

    pattern: str
    up: bool
    down: bool
    stream: int
    """Index into the streams; -1 local (reported in `Batch.local`); -2 no owner yet: publishes refused by policy."""
    category: str
    auto: bool
    """Delivered without a SUBSCRIBE until an explicit UNSUBSCRIBE."""
    classes: bool
    """Custom topics: the level(s) after `user` must be permitted by a topic class of the product."""
    ext: int
    """Flag bits the session must have been accepted with; 0 for none."""

class TopicClass(NamedTuple):
    filter: str
    """Below `/{pk}/{dn}/user/`: levels, `+`, a last `#`."""
    publish: bool
    subscribe: bool

class Limits(NamedTuple):
    """Of each device of a product; 0 is no limit. A rate's burst is one second's worth."""

    enforce: bool
    """False: count what would be refused, refuse nothing."""
    up_qos0_per_second: int
    up_qos1_per_second: int
    down_per_second: int
    bytes_per_second: int
    subscriptions: int
    drop_qos1: bool
    """Over quota: drop (and acknowledge as refused) rather than delay reading."""

class Downlink(NamedTuple):
    token: int
    handle: int
    topic: str
    payload: bytes
    qos: int
    """0 or 1: the publisher's."""
    must_subscribe: bool
    """False delivers whatever was subscribed (replies), an UNSUBSCRIBE included."""
    dup: bool = False
    """Flag of a QoS 1 PUBLISH: it was sent to the device before, perhaps on another connection. Packet ids begin anew
    on every connection."""

class Core:
    def __init__(self, options: Options) -> None: ...
    def set_tls(self, certificate_chain_pem: bytes, key_pem: bytes) -> None:
        """Certificates for new connections; may be called again. Raises ValueError when they do not load."""

    def set_streams(self, partitions: list[int]) -> None:
        """How many partitions each stream has; index = stream. A device's slot is CRC16 of `pk/dn` mod 16384 and its
        partition is slot * partitions // 16384 (slot map version 1)."""

    def set_topic_table(self, rules: list[TopicRule]) -> None:
        """A publish is decided by the first `up` rule that matches its topic, a delivery by the first `down` rule; a
        SUBSCRIBE is granted when any one `down` rule covers the whole filter (rule level `+` covers `+` and names, a
        last `#` the rest). A session's `{pk}` and `{dn}` must be written out in a filter."""

    def set_product_policy(self, product_key: str, version: int, classes: list[TopicClass], limits: Limits) -> None:
        """Takes effect on the product's live sessions as well. An older version than the one held is ignored."""

    def has_product_policy(self, product_key: str) -> int:
        """Version held, 0 when none."""

    def drop_product_policy(self, product_key: str) -> None:
        """No session of the product is accepted from now on; live ones keep what they have until closed."""
    def listen(self, host: str, port: int, tls: Literal["sniff", "always", "never"]) -> int:
        """Opens a listener and returns its port. `sniff` tells TLS (0x16) from MQTT (0x10) by the first byte.
        Raises OSError."""

    def start(self) -> None: ...
    def stop_listening(self) -> None: ...
    def stop(self) -> None:
        """Closes everything and joins the reactor thread (at most 5 s)."""

    def event_fd(self) -> int:
        """Readable when `poll` has something; `poll` clears it."""

    def poll(self) -> Batch: ...
    def accept(self, sessions: list[Accept]) -> list[int]:
        """Sends CONNACK 0 and returns session handles; 0 where the connection is gone or its product has no policy.

        A connection whose product has no policy stays to be rejected or accepted later. A handle always ends in
        `Closed` and `flushed`, also when its connection went away in this very moment."""

    def attach(self, sessions: list[Attach]) -> list[int]:
        """Begins sub-sessions and returns their handles. From then on the device publishes, subscribes and receives
        over that connection; nothing is written to the peer.

        0 where `gateway` is not the handle of a connection's own live session, the device is the connection's own, its
        product has no policy, 2,000 other devices are attached there, or max_sub_sessions over all connections. A
        device attached already is replaced: the older session ends with reason `replaced`. A handle always ends in
        `Closed` and `flushed`, also when its connection went away in this very moment."""

    def reject(self, refusals: list[tuple[int, int, str]]) -> None:
        """(conn, CONNACK return code, reason for the counters): sends CONNACK and closes."""

    def close(self, handles: list[tuple[int, str]]) -> None:
        """(handle, reason): ends sessions. Their uplink is sealed at once; `Batch.flushed` says when it is committed.

        A sub-session ends alone: the connection stays, what is under way towards the device is answered `offline`, and
        what it publishes from then on is refused (and reported as `foreign`). A connection's own session ends the
        connection and with it every session on it. A handle that ended before is ignored."""

    def deliver(self, messages: list[Downlink]) -> None:
        """Every token is answered in `Batch.delivered`, once: QoS 0 `sent` when written; QoS 1 `delivered` at PUBACK,
        `timeout`, or `offline` when the session ended first; `failed` over the downlink rate, or when the queue behind
        the window is full: 100 messages of the session, 100 and 10 more for each sub-session of the connection, or
        max_out_buffer_bytes of them together."""

    def confirm_subscriptions(self, tokens: list[int]) -> None:
        """The changes are stored: their SUBACK or UNSUBACK may leave, in the order of the packets. Tokens of
        connections that ended meanwhile are ignored, here and in `fail_subscriptions`.

        A connection with 16 answers waiting is not read when another SUBSCRIBE or UNSUBSCRIBE comes."""

    def fail_subscriptions(self, tokens: list[int]) -> None:
        """The changes could not be stored: their connections are closed with reason `store`, so that the devices come
        again. So is one whose change is not answered within accept_timeout_ms."""

    def commit(self, record_ids: list[int]) -> None: ...
    def fail(self, record_ids: list[int]) -> None:
        """The connections with messages in these records are closed, so the devices resend; so is one whose
        sub-session ended since it published them."""

    def inspect(self, handles: list[int]) -> None:
        """Asks for the figures of these sessions; they come in a later `Batch.inspected`, one a handle, in order."""

    def counters(self) -> dict[str, int]:
        """Monotonic counters and gauges by name, `family:reason` where there are reasons.

        Gauges: running (1 while the reactor's thread lives), connections, sessions (sub-sessions included),
        sub_sessions, records_outstanding, inflight_bytes (of records open and uncommitted), local_waiting,
        buffered_bytes (inflight_bytes, what peers have not taken, partial packets, and what was not polled).
        Connections: connections_accepted, accept_refused:{files,max_connections}, accept_errors, connect_requests,
        sessions_accepted, sub_sessions_attached, tls_handshakes, tls_resumed, refused_connect:{reason given to reject,
        protocol_version, keep_alive_range, accept_timeout, overloaded, memory}, closed:{reason of Closed; also
        connect_timeout, no_certificate, tls, error}, sub_closed:{reason of Closed}, protocol:{not_connected,
        second_connect,qos2,server_packet,too_large,bad_length,bad_flags,bad_type,bad_body,bad_utf8,bad_packet_id,bad_topic,bad_qos,
        bad_protocol}.
        Uplink: bytes_in, messages_in:{qos0,qos1} (refused ones included, over-quota and too large ones not),
        refused_publish:{permission,quota,owner_absent,too_large,local_queue}, quota_delayed, quota_observed,
        backpressure_pauses, local_messages, foreign_publishes (reported), pubacks.
        Records: records, record_messages, record_bytes, records_committed, records_failed, records_timed_out,
        late_answers (commit or fail of a record that is not outstanding).
        Downlink: bytes_out, subscribes, unsubscribes, refused_subscribe:{permission,limit,filters},
        subscribe_limit_observed, downlink:{sent,delivered,no_subscriber,offline,timeout,failed}, downlink_quota,
        unknown_pubacks.
        Reactor: turns, naps, poisoned_commands, poisoned_connections, poisoned_turns (0 unless the core
        has a defect)."""

    def sessions(self) -> int: ...
    def connections(self) -> int: ...

def codec_decode(data: bytes, max_packet_bytes: int = ...) -> list[tuple[str, dict[str, object]]]:
    """Decodes a whole buffer of MQTT 3.1.1 packets, for tests and tools. Raises ValueError with the reason."""
