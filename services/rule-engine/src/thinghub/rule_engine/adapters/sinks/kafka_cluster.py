"""A Kafka cluster that rules write to: one producer a secret, shared by the actions that name it.

kafka-python blocks while it looks for brokers and topics, so whatever may block runs in a thread of the cluster's own;
answers come from the library's sender thread.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import kafka
import orjson
from kafka import errors as kafka_errors
from kafka.future import Future

from thinghub.common.bus.kafka import quiet_library
from thinghub.rule_engine.adapters.sinks.kept_secret import KeptSecret
from thinghub.rule_engine.errors import ActionConfigInvalid, KafkaTopicNotFound, SinkUnreachable
from thinghub.rule_engine.ports.secrets import Secret, Secrets
from thinghub.rule_engine.ports.sinks import SinkDown

BATCH_BYTES = 128 << 10
REQUEST_BYTES = 8 << 20
LINGER_MS = 5
# The library must have given up before we do.
LIBRARY_SHARE = 0.8

_REFUSING = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.PolicyViolationError,
)
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_MEMBERS = {"bootstrap_servers", "security_protocol", "sasl_mechanism", "username", "password", "ca"}
Options = dict[str, Any]  # what the library takes
Offered = list[Future | Exception]
T = TypeVar("T")


class Record(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def cluster_options(text: str) -> Options:
    """Of the secret `{"bootstrap_servers": "h:p,h:p", "security_protocol", "sasl_mechanism", "username", "password",
    "ca"}`; without a protocol, plain text, or SASL over TLS when there is a user. Raises ActionConfigInvalid; the text
    itself is never shown."""
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _unusable("is not a JSON object of texts")
    if unknown := given.keys() - _MEMBERS:
        raise _unusable(f"has a member {min(unknown)[:40]!r}; there are {', '.join(sorted(_MEMBERS))}")
    servers = [server.strip() for server in given.get("bootstrap_servers", "").split(",")]
    if not all(_is_address(server) for server in servers):
        raise _unusable("has no bootstrap_servers: host:port, several with commas between")
    protocol = given.get("security_protocol", "SASL_SSL" if "username" in given else "PLAINTEXT")
    mechanism = given.get("sasl_mechanism", "PLAIN")
    if protocol not in _PROTOCOLS or mechanism not in _MECHANISMS:
        raise _unusable(
            f"names another protocol than {', '.join(_PROTOCOLS)} or mechanism than {', '.join(_MECHANISMS)}"
        )
    options: Options = {"bootstrap_servers": servers, "security_protocol": protocol}
    if protocol.startswith("SASL"):
        if "username" not in given or "password" not in given:
            raise _unusable("has no username and password")
        options["sasl_mechanism"] = mechanism
        options |= {"sasl_plain_username": given["username"], "sasl_plain_password": given["password"]}
    if protocol.endswith("SSL"):
        try:
            options["ssl_context"] = ssl.create_default_context(cadata=given.get("ca"))
        except ssl.SSLError:
            raise _unusable("has a ca that is not a PEM certificate") from None
    return options


def _is_address(server: str) -> bool:
    host, _, port = server.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536


def _unusable(why: str) -> ActionConfigInvalid:
    return ActionConfigInvalid(f"the secret that cluster_ref names {why}", position="cluster_ref")


class Cluster:
    """`deadline_s` bounds a connect, a look at a topic, and the sending of a batch."""

    def __init__(self, secrets: Secrets, instance_id: str, name: str, deadline_s: float) -> None:
        self._kept = KeptSecret(secrets, instance_id, name, "cluster_ref")
        self._deadline_s = deadline_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rule-kafka")
        self._producer: kafka.KafkaProducer | None = None
        self._secret: Secret | None = None

    async def check(self, topic: str) -> None:
        """Raises SecretNotFound, ActionConfigInvalid, KafkaTopicNotFound, SinkUnreachable, Unavailable (auth)."""
        options = cluster_options((await self._kept.required()).value)
        try:
            found = await self._call(lambda: _has_topic(options, topic, self._library_ms))
        except SinkDown as error:
            message = f"the topic could not be looked at: {error}"
            raise SinkUnreachable(message, position="cluster_ref") from error
        if not found:
            raise KafkaTopicNotFound(f"the cluster has no topic {topic!r}", position="topic")

    async def send(self, records: Sequence[Record]) -> list[str | None]:
        """One answer a record, None when every replica in sync has it. Raises SinkDown."""
        secret = await self._kept.current()
        try:
            async with asyncio.timeout(self._deadline_s):
                offered = await self._call(lambda: self._offer(secret, records))
                await _answers(offered)
                failures = [_failure(one) for one in offered]
                for failure in failures:
                    if failure is not None and not isinstance(failure, _REFUSING):
                        raise SinkDown(repr(failure)) from failure
        except TimeoutError as error:
            self._doubt()
            raise SinkDown("no answer in time") from error
        except SinkDown:
            self._doubt()
            raise
        return [None if failure is None else repr(failure) for failure in failures]

    async def close(self) -> None:
        """Batches that are under way fail."""
        with contextlib.suppress(RuntimeError):  # closed before
            self._thread.submit(self._drop)
        self._thread.shutdown(wait=False)

    @property
    def _library_ms(self) -> int:
        return max(500, int(self._deadline_s * 1000 * LIBRARY_SHARE))

    def _doubt(self) -> None:
        """The next batch begins with the secret as it is then, and a producer that nothing has gone wrong with."""
        self._kept.doubt()
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._drop)

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError as error:
            raise SinkDown("no answer in time") from error
        except (kafka_errors.KafkaError, OSError, RuntimeError) as error:
            raise SinkDown(repr(error)) from error
        except ActionConfigInvalid as error:  # the secret was changed to something unusable
            raise SinkDown(error.message) from error

    # In the cluster's thread

    def _offer(self, secret: Secret, records: Sequence[Record]) -> Offered:
        if self._producer is None or self._secret != secret:
            self._drop()
            self._producer, self._secret = self._connect(cluster_options(secret.value)), secret
        offered: Offered = []
        for record in records:
            try:
                offered.append(self._producer.send(record.topic, record.value, record.key, record.headers))
            except _REFUSING as error:
                offered.append(error)
        return offered

    def _connect(self, options: Options) -> "kafka.KafkaProducer":
        library_ms = self._library_ms
        return kafka.KafkaProducer(
            **options,
            client_id="thinghub-rule-engine",
            acks="all",
            # An idempotent producer ends for good at the first record that the broker refuses; a repeat is told by its
            # header anyway. One request at a time keeps the order of what is tried again.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
            request_timeout_ms=library_ms // 2,
            delivery_timeout_ms=library_ms,
            max_block_ms=library_ms // 2,
            bootstrap_timeout_ms=library_ms // 2,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # `close` would wait for each batch in turn: the sender's thread ends first and fails what is left.
        producer._sender.force_close()
        producer._sender.join(2)
        with contextlib.suppress(kafka_errors.KafkaError):
            producer.close(1)


class Clusters:
    """All of a process."""

    def __init__(self, secrets: Secrets, deadline_s: float) -> None:
        self._secrets = secrets
        self._deadline_s = deadline_s
        self._clusters: dict[tuple[str, str], Cluster] = {}
        quiet_library()

    def of(self, instance_id: str, name: str) -> Cluster:
        key = instance_id, name
        if key not in self._clusters:
            self._clusters[key] = Cluster(self._secrets, instance_id, name, self._deadline_s)
        return self._clusters[key]

    async def close(self) -> None:
        for cluster in self._clusters.values():
            await cluster.close()


async def _answers(offered: Offered) -> None:
    """Returns when the library has said something to each."""
    waited = [one for one in offered if isinstance(one, Future)]
    if not waited:
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    lock = threading.Lock()
    left = len(waited)

    def one_more(_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
                loop.call_soon_threadsafe(done.set)

    for future in waited:
        future.add_both(one_more)
    await done.wait()


def _failure(offered: Future | Exception) -> Exception | None:
    if isinstance(offered, Exception):
        return offered
    found: Exception | None = offered.exception
    return found


def _has_topic(options: Options, topic: str, library_ms: int) -> bool:
    admin = kafka.KafkaAdminClient(**options, request_timeout_ms=library_ms, bootstrap_timeout_ms=library_ms // 2)
    try:
        [found] = admin.describe_topics([topic])
    finally:
        admin.close()
    error = kafka_errors.for_code(found["error_code"])
    if error is kafka_errors.NoError:
        return True
    if error in (kafka_errors.UnknownTopicOrPartitionError, kafka_errors.InvalidTopicError):
        return False
    raise error(topic)
