"""A connection gateway that is a process of its own, beside those in the test's loop: to be killed and frozen."""

import asyncio
import os
import secrets
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.support.child import Child, free_port
from tests.support.device import Device
from tests.support.gateways import Hub
from tests.support.identity import Identity
from thinghub.common.errors import Fault, RemoteFault
from thinghub.common.rpc import channel
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.gateway.v1.gateway_pb2_grpc import GatewayServiceStub

if TYPE_CHECKING:
    from thinghubpb.gateway.v1.gateway_pb2_grpc import GatewayServiceAsyncStub

START_SECONDS = 30
COMMAND = [sys.executable, "-m", "thinghub.connection_gateway.main"]


class GatewayProcess:
    """Made by `start_gateway`; ended by the test, or with it."""

    def __init__(self, hub: Hub, name: str, settings: dict[str, object]) -> None:
        port, metrics = free_port(), free_port()
        chosen = {**hub.settings_of(name), "mqtt_port": port, "metrics_port": metrics, **settings}
        env = {f"THINGHUB_CONNECTION_GATEWAY_{key.upper()}": str(value) for key, value in chosen.items()}
        self.mqtt = ("127.0.0.1", port)
        self.child = Child(COMMAND, hub.folder / f"{name}.log", os.environ | env)
        self._channel = channel(str(chosen["rpc_listen"]))
        self.rpc: GatewayServiceAsyncStub = GatewayServiceStub(self._channel)

    async def ready(self) -> None:
        """Returns when devices may connect."""
        async with asyncio.timeout(START_SECONDS):
            while not await self._listens():
                assert self.child.running, self.child.tail()
                await asyncio.sleep(0.05)

    async def connect(self, identity: Identity) -> Device:
        return await Device(identity).connect(*self.mqtt)

    async def end(self) -> None:
        self.child.kill()
        await self._channel.close(None)

    async def _listens(self) -> bool:
        with suppress(OSError, Fault, RemoteFault):
            _, writer = await asyncio.open_connection(*self.mqtt)
            writer.close()
            await self.rpc.GetSessions(pb.GetSessionsRequest())
            return True
        return False


async def start_gateway(hub: Hub, **settings: object) -> GatewayProcess:
    """Returns when devices may connect."""
    started = GatewayProcess(hub, f"process-{secrets.token_hex(3)}", settings)
    await started.ready()
    return started
