"""`thinghub up` as a process: what a user, a script and a supervisor see of it."""

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.openapi import ApiRefused, Key, OpenApi

ANY_PORTS = [f"--{name}-port=0" for name in ("mqtt", "mqtts", "api", "ota", "metrics")]
READY_SECONDS = 40


class Up:
    """A running `thinghub up`, without the demo unless asked for."""

    def __init__(self, data: Path, *options: str, demo: bool = False) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        command = [sys.executable, "-m", "thinghub.cli.main", "up", "--data-dir", str(data)]
        command += [] if demo else ["--no-demo"]
        with self.log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*command, *ANY_PORTS, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    @property
    def endpoints_file(self) -> Path:
        return self.data / "endpoints.json"

    def ready(self) -> "Up":
        wait_until(lambda: self.endpoints_file.exists() or self.process.poll() is not None, READY_SECONDS)
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self

    @property
    def endpoints(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.endpoints_file.read_text())
        return read

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def servers(self) -> dict[str, int]:
        """Process ids by name of what it started itself."""
        return {child.name(): child.pid for child in psutil.Process(self.process.pid).children()}

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def api(self) -> OpenApi:
        here = self.endpoints
        return OpenApi(here["api"], Key(here["access_key_id"], here["access_key_secret"]))


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(name: str = "data", *options: str, demo: bool = False) -> Up:
        started.append(Up(tmp_path / name, *options, demo=demo))
        return started[-1]

    yield start
    for each in started:
        family = each.children() if each.process.poll() is None else []
        for file in each.data.rglob("process.json"):
            pid = json.loads(file.read_text())["pid"]
            family += [psutil.Process(pid)] if psutil.pid_exists(pid) else []
        each.process.kill()
        each.process.wait(10)
        for member in family:
            if member.is_running():
                member.kill()
        psutil.wait_procs(family, 10)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


async def products(api: OpenApi) -> list[str]:
    answer = await api.ok("QueryProductList", CurrentPage=1, PageSize=10)
    return [product["ProductName"] for product in answer["Data"]["List"]["ProductInfo"]]


async def create(api: OpenApi, name: str) -> None:
    await api.ok("CreateProduct", ProductName=name, NodeType=0)


async def test_ready_is_said_written_and_true_and_ctrl_c_leaves_nothing(up: Callable[..., Up]) -> None:
    one = up().ready()
    here = one.endpoints
    assert set(here) == {
        "mqtt",
        "mqtts",
        "api",
        "metrics",
        "ota",
        "ca",
        "access_key_id",
        "access_key_secret",
        "environment",
        "version",
    }
    assert stat.S_IMODE(one.endpoints_file.stat().st_mode) == 0o600
    assert here["version"] == 1
    assert Path(here["ca"]).is_absolute()
    trust = ssl.create_default_context(cafile=here["ca"])
    async with httpx.AsyncClient(trust_env=False, verify=trust) as http:
        for url in (f"{here['api']}/readyz", f"{here['api']}/healthz", here["metrics"]):
            assert (await http.get(url)).status_code == 200
        assert (await http.get(f"{here['api'].replace('http:', 'https:')}/readyz")).status_code == 200
    await asyncio.to_thread(_tls_answers, here["mqtts"], trust)
    await asyncio.to_thread(_tls_answers, here["mqtt"], trust)
    family = one.children()
    assert {"redis-server", "postgres"} <= {child.name() for child in family}
    assert await asyncio.to_thread(one.stop) == 0
    assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not one.endpoints_file.exists()
    assert one.process.stdout is not None
    lines = one.process.stdout.read().splitlines()
    assert len([line for line in lines if line.startswith("Ready")]) == 1


async def test_a_killed_parent_s_children_are_ended_and_the_data_is_there(up: Callable[..., Up]) -> None:
    first = up().ready()
    key = first.endpoints["access_key_id"]
    api = first.api()
    await create(api, "survivor")
    await api.close()
    left = first.servers()
    first.process.kill()
    first.process.wait(10)
    assert all(psutil.pid_exists(pid) for pid in left.values())
    first.endpoints_file.unlink()  # a killed one leaves it; the next removes it at its start
    second = up().ready()
    assert second.endpoints["access_key_id"] == key
    assert set(second.servers().values()).isdisjoint(left.values())
    assert not any(psutil.pid_exists(pid) for pid in left.values())
    api = second.api()
    assert await products(api) == ["survivor"]
    await api.close()


async def test_killed_servers_come_back_and_the_platform_with_them(up: Callable[..., Up]) -> None:
    one = up().ready()
    api = one.api()
    await create(api, "before")
    old = one.servers()
    for name in ("redis-server", "postgres"):
        os.kill(old[name], signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: len(set(one.servers().values()) - set(old.values())) == 2)

    async def works() -> bool:
        """Reads and writes, each part being back in its own time."""
        try:
            if "after" not in await products(api):
                await create(api, "after")
            return sorted(await products(api)) == ["after", "before"]
        except (ApiRefused, AssertionError, httpx.HTTPError):
            return False

    deadline = time.monotonic() + 60
    while not await works():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    await api.close()


def test_two_run_side_by_side_and_share_nothing(up: Callable[..., Up]) -> None:
    one, other = up("one"), up("other")
    here, there = one.ready().endpoints, other.ready().endpoints
    for name in ("mqtt", "mqtts", "api", "metrics", "ca", "access_key_id", "access_key_secret"):
        assert here[name] != there[name]


def test_a_second_one_on_the_same_data_is_refused_in_a_sentence(up: Callable[..., Up]) -> None:
    one = up().ready()
    two = up()
    assert two.process.wait(30) == 1
    assert f"(process {one.process.pid}) uses the data directory" in two.log.read_text()
    assert one.endpoints_file.exists()


def test_a_taken_port_is_refused_in_a_sentence(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one = up("data", f"--api-port={port}")
        assert one.process.wait(30) == 1
        assert one.log.read_text() == (
            f"thinghub: Port {port} is already taken: choose another with --api-port (0 takes any free one).\n"
        )


def test_a_target_runs_with_what_it_needs_only(up: Callable[..., Up]) -> None:
    one = up("data", "--target", "device-registry").ready()
    assert one.stop(signal.SIGTERM) == 0
    assert one.process.stdout is not None
    assert "starting auth, device-registry\n" in one.process.stdout.read()


# What the demo shows of each hop, in a pipe.
HOPS = {
    "the gateway's log-in": r"● greenhouse +logged in climate, soil, light +[\d.]+ ms",
    "a reading": r"▲ climate +\d+\.\d °C  \d+ %  by greenhouse",
    "the bus": r"[├└] light +gateway, bus +[\d.]+ ms",
    "the reply": r"[├└] soil +shadow: checked, stored, replied +[\d.]+ ms",
    "climate's row": r"[├└] climate +rule keep_greenhouse wrote row …\d{4}: \d+\.\d °C  \d+ % +[\d.]+ ms",
    "soil's row": r"[├└] soil +rule keep_greenhouse wrote row …\d{4}: soil \d+ % +[\d.]+ ms",
    "light's row": r"[├└] light +rule keep_greenhouse wrote row …\d{4}: \d+ lx +[\d.]+ ms",
    "the wish": r"▼ socket +UpdateDeviceShadow  power (on|off)",
    "the control": r"├ socket +control arrived, the relay is (on|off) +[\d.]+ ms",
    "the report": r"├ socket +reported: power (on|off), version \d+ +[\d.]+ ms",
    "the switched shadow": r"└ socket +GetDeviceShadow says: power (on|off) +[\d.]+ ms",
    "the payment": r"▼ speaker +InvokeThingService  Announce \d+\.\d\d",
    "the announcement": r"├ speaker +♪ Received \d+\.\d\d +[\d.]+ ms",
    "the answer": r"└ speaker +answered that it said: Received \d+\.\d\d +[\d.]+ ms",
    "the chart": r"~ climate +\d+\.\d [▁▂▃▄▅▆▇█]+ \d+\.\d temperature, QueryDevicePropertyData",
}


@pytest.mark.timeout(150)
async def test_the_demo_shows_every_hop_and_finds_its_things_again(up: Callable[..., Up]) -> None:
    for earlier in ("empty", "rows so far"):
        one = up("data", demo=True).ready()
        shown = await asyncio.to_thread(_until_shown, one, list(HOPS.values()))
        assert re.search(rf"table +greenhouse, .*{earlier}", shown)
        api = one.api()
        assert sorted(await products(api)) == ["demo_greenhouses", "demo_sensors", "demo_sockets", "demo_speakers"]
        await api.close()
        assert await asyncio.to_thread(one.stop) == 0
        assert one.process.stdout is not None
        shown += one.process.stdout.read()
        assert " ! " not in shown
        assert "\x1b" not in shown
        assert "Stopped. The data stays in" in shown


def _until_shown(one: Up, wanted: list[str]) -> str:
    assert one.process.stdout is not None
    seen, missing = "", list(wanted)
    for line in one.process.stdout:
        seen += line
        missing = [pattern for pattern in missing if not re.search(pattern, line)]
        if not missing:
            return seen
    raise AssertionError(f"never shown: {missing}\n{seen}")


async def test_the_demo_s_reader_may_leave(up: Callable[..., Up]) -> None:
    one = up("data", demo=True)
    assert one.process.stdout is not None
    one.process.stdout.readline()
    one.process.stdout.close()
    one.ready()
    api = one.api()

    async def socket_is_switched() -> bool:
        answer = await api.call("QueryProductList", CurrentPage=1, PageSize=10)
        keys = {each["ProductName"]: each["ProductKey"] for each in answer["Data"]["List"]["ProductInfo"]}
        if "demo_sockets" not in keys:
            return False
        shadow = await api.call("GetDeviceShadow", ProductKey=keys["demo_sockets"], DeviceName="socket")
        return '"power"' in shadow.get("ShadowMessage", "")

    deadline = time.monotonic() + 40
    while not await socket_is_switched():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    await api.close()
    assert await asyncio.to_thread(one.stop) == 0


def test_a_second_ctrl_c_ends_everything_at_once(up: Callable[..., Up]) -> None:
    one = up().ready()
    family = one.children()
    postgres = psutil.Process(one.servers()["postgres"])
    postgres.suspend()  # so that the orderly stop has to wait for it
    one.process.send_signal(signal.SIGINT)
    wait_until(lambda: not psutil.pid_exists(one.servers().get("redis-server", 0)) or not one.endpoints_file.exists())
    begun = time.monotonic()
    while one.process.poll() is None and time.monotonic() - begun < 10:
        one.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert one.process.wait(1) != 0
    _, alive = psutil.wait_procs(family, 5)
    assert not alive


def _tls_answers(address: str, trust: ssl.SSLContext) -> None:
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 5) as plain,
        trust.wrap_socket(plain, server_hostname=host) as secured,
    ):
        assert secured.version() in ("TLSv1.2", "TLSv1.3")
