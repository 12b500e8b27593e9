"""The platform as a user runs it: all in one process, or each service a process (`processes`).

Both forms give the same handle, so that a flow cannot ask which one it has.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.child import Child
from tests.support.openapi import Key, OpenApi


class Service:
    """One of our processes: a command that can be started again after it ended or was killed."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], folder: Path) -> None:
        self.name = name
        self._command, self._env = command, env
        self._log = folder / f"{name}.log"
        self._child: Child | None = None

    def start(self) -> None:
        self._child = Child(self._command, self._log, os.environ | self._env)

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        self._running().wait_until(ready, self.name, seconds)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(seconds=20)

    def kill(self) -> None:
        self._running().kill()

    def pause(self) -> None:
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def _running(self) -> Child:
        assert self._child is not None, f"{self.name} was never started"
        return self._child


@dataclass
class Platform:
    """Addresses and API clients; `sink_dsn` is a PostgreSQL of the test's own that rules may write to, `sink_kafka` the
    addresses of a Kafka."""

    sink_dsn: str
    sink_kafka: str = ""
    mqtt: tuple[str, int] = ("127.0.0.1", 0)
    mqtts: tuple[str, int] = ("127.0.0.1", 0)
    api_url: str = ""
    metrics_url: str = ""
    ca: str = ""
    key: Key = field(default_factory=lambda: Key("", ""))
    _apis: list[OpenApi] = field(default_factory=list)

    def api(self, face: str = "acs3", key: Key | None = None) -> OpenApi:
        self._apis.append(OpenApi(self.api_url, key or self.key, face=face))
        return self._apis[-1]

    async def close_apis(self) -> None:
        while self._apis:
            await self._apis.pop().close()

    def start(self) -> None:
        raise AssertionError("a form of the platform starts itself")

    def stop(self) -> None:
        raise AssertionError("a form of the platform stops itself")

    async def lose_gateway(self) -> None:
        """The connection gateway goes away as hard as this form allows, and comes back; APIs are to be opened anew."""
        await self.restart()

    async def restart(self) -> None:
        await self.close_apis()
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)


class AllInOne(Platform):
    """`thinghub up --no-demo` on a data directory of its own; ports are chosen anew at each start."""

    def __init__(self, folder: Path, sink_dsn: str, env: dict[str, str] | None = None) -> None:
        super().__init__(sink_dsn)
        self.data_dir = folder / "data"
        ports = [f"--{name}-port=0" for name in ("mqtt", "mqtts", "api", "ota", "metrics")]
        command = [
            sys.executable,
            "-m",
            "thinghub.cli.main",
            "up",
            "--no-demo",
            "--data-dir",
            str(self.data_dir),
            *ports,
        ]
        self.service = Service("all-in-one", command, env or {}, folder)

    def start(self) -> None:
        endpoints = self.data_dir / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        self.service.start()
        self.service.wait_until(endpoints.exists)
        self._read(json.loads(endpoints.read_text()))

    def stop(self) -> None:
        self.service.stop()

    def _read(self, endpoints: dict[str, Any]) -> None:
        self.mqtt, self.mqtts = address(endpoints["mqtt"]), address(endpoints["mqtts"])
        self.api_url, self.metrics_url, self.ca = endpoints["api"], endpoints["metrics"], endpoints["ca"]
        self.key = Key(endpoints["access_key_id"], endpoints["access_key_secret"])


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
