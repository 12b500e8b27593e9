"""A real Kafka broker for tests: one KRaft node, its jars copied by Maven into a cache outside the checkout."""

import base64
import fcntl
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.support.child import Child, ServerFailed, free_port, port_answers, remove_directory, scratch_directory

VERSION = "3.9.1"
POM = Path(__file__).parent / "kafka" / "pom.xml"

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
num.network.threads=2
num.io.threads=4
log.retention.check.interval.ms=5000
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
"""
# The last two: a killed broker may register again only after its old session ended (9 s by default).


class KafkaServer:
    """start, stop, kill, pause, resume; port and data stay the same from one start to the next until `close`.

    The JVM's first compiler alone starts 2 s faster; who measures gives other options.
    """

    def __init__(self, jvm_options: Sequence[str] = ("-XX:TieredStopAtLevel=1",)) -> None:
        self._jvm_options = list(jvm_options)
        self._jars = kafka_jars()
        self._home = scratch_directory("kafka")
        self._properties = self._home / "server.properties"
        self._child: Child | None = None
        self.port = 0

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"kafka://{self.bootstrap}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> "KafkaServer":
        if not self.port:
            self._format()
        self._child = Child(self._java("-Xmx512m", "kafka.Kafka", str(self._properties)), self._home / "kafka.log")
        self._child.wait_until(lambda: port_answers(self.port), "Kafka")
        return self

    def stop(self) -> None:
        self._running().stop()

    def kill(self) -> None:
        self._running().kill()

    def pause(self) -> None:
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        """For good: the process ends and the data goes."""
        if self._child is not None:
            self._child.kill()
        remove_directory(self._home)

    def _running(self) -> Child:
        if self._child is None:
            raise ServerFailed("Kafka was never started")
        return self._child

    def _format(self) -> None:
        self.port = free_port()
        text = _PROPERTIES.format(port=self.port, controller_port=free_port(), data=self._home / "data")
        self._properties.write_text(text)
        command = self._java(
            "-Xmx128m", "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(self._properties)
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ServerFailed(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")

    def _java(self, heap: str, *arguments: str) -> list[str]:
        options = [*self._jvm_options, "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return ["java", heap, *options, "-cp", f"{self._jars}/*", *arguments]


def kafka_jars() -> Path:
    """The directory with the broker's jars, filled on first use. Raises ServerFailed with one sentence."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thinghub" / f"kafka-{VERSION}"
    complete = cache / ".complete"
    if shutil.which("java") is None:
        raise ServerFailed(_IMPOSSIBLE)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            _copy_jars(cache)
            complete.touch()
    return cache


def _copy_jars(target: Path) -> None:
    """Maven is given a copy of the pom: it may leave a `target` directory beside the file it reads."""
    if shutil.which("mvn") is None:
        raise ServerFailed(_IMPOSSIBLE)
    pom = target / "pom.xml"
    shutil.copy(POM, pom)
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={target}"], capture_output=True, text=True, timeout=600, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServerFailed(f"{_IMPOSSIBLE} (Maven took longer than {error.timeout} s)") from error
    if done.returncode:
        raise ServerFailed(f"{_IMPOSSIBLE} (Maven said: {done.stdout[-500:].strip()})")


_IMPOSSIBLE = (
    f"These tests need Kafka {VERSION}: install Java 17 and Maven (which fetches it), "
    "or set KAFKA_BOOTSTRAP=host:port to a running broker."
)


def _cluster_id() -> str:
    """KRaft wants 16 bytes in URL-safe base64 that does not begin with a dash."""
    return base64.urlsafe_b64encode(b"\x00" + uuid.uuid4().bytes[1:]).rstrip(b"=").decode()
