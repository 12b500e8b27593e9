"""Each service a process of its own, over Kafka, Redis and PostgreSQL: the way a cluster runs it."""

import asyncio
import base64
import contextlib
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.child import ServerFailed, free_port
from tests.support.openapi import Key
from tests.support.platform import Platform, Service
from thinghub.all_in_one.embedded import certificates

SERVICES = ("auth", "device-registry", "connection-gateway", "rule-engine", "shadow", "ota", "api-gateway")
DOWN_SECONDS = 1.0


class Processes(Platform):
    """`env` is added to every service's environment, `packages` says where ota keeps them (a directory when it does
    not). Ports stay the same from one start to the next. `gateways` processes hold devices: the first is
    `connection-gateway`, the next `connection-gateway-2`; `mqtt_of` has the address of each."""

    def __init__(
        self,
        folder: Path,
        *,
        bus_url: str,
        redis_url: str,
        postgres_dsn: str,
        prefix: str,
        env: dict[str, str] | None = None,
        packages: dict[str, str] | None = None,
        gateways: int = 1,
    ) -> None:
        super().__init__(sink_dsn=postgres_dsn)
        tls = folder / "tls"
        tls.mkdir(parents=True)
        files = certificates.ensure(tls)
        more = [f"connection-gateway-{number}" for number in range(2, gateways + 1)]
        names = (*SERVICES, *more)
        rpc = {name: f"127.0.0.1:{free_port()}" for name in names}
        self._metrics = {name: free_port() for name in names}
        self._shared = {
            "THINGHUB_REDIS_URL": redis_url,
            "THINGHUB_REDIS_PREFIX": prefix,
            "THINGHUB_POSTGRES_DSN": postgres_dsn,
            "THINGHUB_BUS_URL": bus_url,
            "THINGHUB_BUS_PREFIX": prefix,
            **(env or {}),
        }
        self.mqtt, self.mqtts = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        self.mqtt_of = {"connection-gateway": self.mqtt} | {name: ("127.0.0.1", free_port()) for name in more}
        api_port = free_port()
        self.api_url, self.ca = f"http://127.0.0.1:{api_port}", str(files.authority)
        self.key = Key(f"TH{secrets.token_hex(11)}", secrets.token_urlsafe(30))
        targets = {"auth": rpc["auth"], "registry": rpc["device-registry"]}
        later = {"gateway": together([rpc[name] for name in self.mqtt_of])}
        self.master_key = base64.b64encode(secrets.token_bytes(32)).decode()
        own = {
            "auth": {
                "master_key": f"test:{self.master_key}",
                "bootstrap_access_key_id": self.key.access_key_id,
                "bootstrap_access_key_secret": self.key.access_key_secret,
            },
            "device-registry": named_targets({"auth": rpc["auth"], **later}),
            "connection-gateway": {
                **named_targets(targets),
                "mqtt_host": "127.0.0.1",
                "mqtt_port": str(self.mqtt[1]),
                "mqtts_port": str(self.mqtts[1]),
                "tls_cert_file": str(files.chain),
                "tls_key_file": str(files.key),
            },
            "rule-engine": named_targets({**targets, **later}),
            "shadow": named_targets({"registry": rpc["device-registry"], **later}),
            "ota": {
                **named_targets({"registry": rpc["device-registry"], **later}),
                "listen_port": str(free_port()),
                "tls_cert_file": str(files.chain),
                "tls_key_file": str(files.key),
                **(packages or {"packages_url": str(folder / "packages")}),
            },
            "api-gateway": {
                **named_targets(
                    {**targets, **later, "rules": rpc["rule-engine"], "shadow": rpc["shadow"], "ota": rpc["ota"]}
                ),
                "listen_port": str(api_port),
                "tls_cert_file": str(files.chain),
                "tls_key_file": str(files.key),
            },
        }
        for name in more:
            ports = {"mqtt_port": str(self.mqtt_of[name][1]), "mqtts_port": str(free_port())}
            own[name] = own["connection-gateway"] | ports
        self.services = {
            name: self._service(
                name, folder, {**own[name], "rpc_listen": rpc[name], "postgres_schema": schema(prefix, name)}
            )
            for name in names
        }
        self.metrics_url = self.metrics_of("connection-gateway")

    def metrics_of(self, name: str) -> str:
        return f"http://127.0.0.1:{self._metrics[name]}/metrics"

    def readyz_of(self, name: str) -> str:
        return f"http://127.0.0.1:{self._metrics[name]}/readyz"

    def start(self) -> None:
        self.create_topics()
        for service in self.services.values():
            service.start()
        for name in self.services:
            self.wait_ready(name)

    def stop(self) -> None:
        for service in reversed(self.services.values()):
            service.stop()

    def wait_ready(self, name: str) -> None:
        self.services[name].wait_until(lambda: answers(self.readyz_of(name)))

    def kills(self) -> list[Callable[[], Awaitable[None]]]:
        """For each service: killed, away for a second, started again."""
        return [self._kill(name) for name in self.services]

    async def lose_gateway(self) -> None:
        await self.close_apis()
        gateway = self.services["connection-gateway"]
        await asyncio.to_thread(gateway.kill)
        gateway.start()
        await asyncio.to_thread(self.wait_ready, "connection-gateway")

    def _kill(self, name: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            await asyncio.to_thread(self.services[name].kill)
            await asyncio.sleep(DOWN_SECONDS)
            self.services[name].start()

        return kill

    def _service(self, name: str, folder: Path, own: dict[str, str]) -> Service:
        service = next(one for one in SERVICES if name.startswith(one))
        prefix = f"THINGHUB_{service.replace('-', '_').upper()}_"
        env = {prefix + key.upper(): value for key, value in own.items()}
        env |= {prefix + "METRICS_PORT": str(self._metrics[name])}
        module = f"thinghub.{service.replace('-', '_')}.main"
        return Service(name, [sys.executable, "-m", module], self._shared | env, folder)

    def create_topics(self) -> None:
        command = [sys.executable, "-m", "thinghub.cli.main", "admin", "topics"]
        done = subprocess.run(
            command, env=os.environ | self._shared, capture_output=True, text=True, timeout=90, check=False
        )
        if done.returncode:
            raise ServerFailed(f"`thinghub admin topics` failed: {done.stdout}{done.stderr}")


def named_targets(addresses: dict[str, str]) -> dict[str, str]:
    return {f"{name}_target": address for name, address in addresses.items()}


def together(addresses: list[str]) -> str:
    """A gRPC target: calls go round among these."""
    return addresses[0] if len(addresses) == 1 else "ipv4:" + ",".join(addresses)


def schema(prefix: str, service: str) -> str:
    return f"{prefix}{service}".replace(".", "_").replace("-", "_")


def answers(url: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return int(answer.status) == 200
    return False
