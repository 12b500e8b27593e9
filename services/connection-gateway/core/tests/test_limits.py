"""Files, connections, idle cost, and arguments that are not right."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway_core import CLASSES, LIMITS, Device, Gateway, MakeGateway
from thinghub_gateway_core import Core, Options, TopicClass, TopicRule

ROOT = Path(__file__).parents[4]

FILE_LIMIT = """
import resource, socket
from tests.support.gateway_core import Device, Gateway, connect_packet

gateway = Gateway()
kept, _ = gateway.device("kept")
held = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(20)]
gateway.counter("connections_accepted", 21)
# Every descriptor but those the clients below need is in use; the core has its reserve.
clients = [socket.socket() for _ in range(10)]
used = max(client.fileno() for client in clients) + 1
resource.setrlimit(resource.RLIMIT_NOFILE, (used, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for client in clients:
    client.settimeout(20)
    client.connect(("127.0.0.1", gateway.port))
for client in clients:
    try:
        assert client.recv(1) == b""
    except ConnectionResetError:
        pass
assert gateway.counter("accept_refused:files", 10) == 10
before = gateway.core.counters()["turns"]
assert kept.quiet()
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for client in clients + held:
    client.close()
gateway.device("again")
gateway.core.stop()
print("served")
"""


def test_at_the_file_limit_connections_are_accepted_closed_and_counted() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr


def test_connections_above_the_bound_are_closed_and_counted(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_connections=2)
    first, _ = gateway.device("a")
    _second, _ = gateway.device("b")
    assert Device(gateway.port).closed()
    assert gateway.counter("accept_refused:max_connections") == 1
    first.close()
    gateway.take(gateway.seen.flushed)
    _third, _ = gateway.device("c")


def test_stopped_listeners_refuse_and_sessions_go_on(gateway: Gateway) -> None:
    device, _ = gateway.device()
    gateway.core.stop_listening()
    assert device.quiet()
    with pytest.raises(ConnectionRefusedError):
        Device(gateway.port)
    assert device.quiet()


def test_idle_core_rests(gateway: Gateway) -> None:
    """Turns, not seconds, are counted: a core with idle devices hardly wakes up."""
    devices = [gateway.device(f"d{n}")[0] for n in range(20)]
    gateway.poll(0.5)
    before = gateway.core.counters()["turns"]
    gateway.poll(1.0)
    assert gateway.core.counters()["turns"] - before < 50
    assert all(device.quiet() for device in devices)


def test_host_may_be_a_name_or_ipv6(gateway: Gateway) -> None:
    assert gateway.core.listen("localhost", 0, "never") > 0


def test_port_in_use_is_an_oserror(gateway: Gateway) -> None:
    with pytest.raises(OSError, match="in use"):
        gateway.core.listen("127.0.0.1", gateway.port, "sniff")


@pytest.mark.parametrize(
    "options",
    [
        {"origin": "a"},
        {"worker_id": 1},
        {"origin": "a", "worker_id": 1024},
        {"origin": "a", "worker_id": 1, "unknown": 1},
        {"origin": "a", "worker_id": 1, "keep_alive_max_s": 70_000},
    ],
)
def test_wrong_options_are_refused(options: Options) -> None:
    with pytest.raises(ValueError, match=r"worker_id|origin|unknown option|above 65535"):
        Core(options)


@pytest.mark.parametrize("pattern", ["/a/#/b", "/a/b+", "/a/{x}", "/a#"])
def test_wrong_patterns_are_refused(gateway: Gateway, pattern: str) -> None:
    with pytest.raises(ValueError, match="level"):
        gateway.core.set_topic_table([TopicRule(pattern, True, True, 0, "c", False, False, 0)])


def test_wrong_class_is_refused_and_the_policy_held_stays(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match="filter"):
        gateway.core.set_product_policy("pk", 2, [*CLASSES, TopicClass("a/#/b", True, True)], LIMITS)
    assert gateway.core.has_product_policy("pk") == 1


def test_a_stream_has_partitions(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match="partitions"):
        gateway.core.set_streams([0])


def test_core_starts_once(gateway: Gateway) -> None:
    with pytest.raises(RuntimeError):
        gateway.core.start()


def test_core_never_started_stops() -> None:
    Core(Options(origin="a", worker_id=1)).stop()


def test_many_cores_leave_no_descriptor_behind() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    Gateway().core.stop()
    before = descriptors()
    for _ in range(20):
        gateway = Gateway()
        gateway.device()
        gateway.core.stop()
        del gateway
    assert descriptors() <= before + 2
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 100
