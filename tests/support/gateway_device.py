"""A gateway device with sub-devices behind it, written from the reference alone (device-mqtt §10)."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from tests.support.device import Device, Inbound
from tests.support.identity import Identity

WRITTEN = {"hmacSha256": hashlib.sha256, "hmacsha1": hashlib.sha1, "hmacMd5": hashlib.md5}


def name(sub: Identity) -> dict[str, str]:
    return {"productKey": sub.product_key, "deviceName": sub.device_name}


def proof(sub: Identity, method: str = "hmacSha256") -> dict[str, object]:
    """As the Python SDK writes it: the whole client id is signed."""
    client = f"{sub.product_key}.{sub.device_name}|lan=Python,_v=2.2.1,_ss=1|"
    content = f"clientId{client}deviceName{sub.device_name}productKey{sub.product_key}timestamp1524448722000"
    sign = hmac.new(sub.device_secret.encode(), content.encode(), WRITTEN[method]).hexdigest()
    return {
        **name(sub),
        "clientId": client,
        "timestamp": "1524448722000",
        "cleanSession": "false",
        "signMethod": method,
        "sign": sign,
    }


def sys(device: Identity, path: str) -> str:
    return f"/sys/{device.product_key}/{device.device_name}/{path}"


class GatewayDevice:
    """Around a connected device: what arrives is kept by topic until somebody waits for it."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.identity = device.identity
        self._ids = count(1)
        self._kept: list[Inbound] = []

    @property
    def errors(self) -> str:
        return f"/ext/error/{self.identity.product_key}/{self.identity.device_name}"

    def session(self, step: str) -> str:
        return f"/ext/session/{self.identity.product_key}/{self.identity.device_name}/combine/{step}"

    async def add(self, *subs: Identity) -> dict[str, Any]:
        return await self.ask(sys(self.identity, "thing/topo/add"), [proof(sub) for sub in subs])

    async def login(self, sub: Identity, deadline: float = 10.0) -> dict[str, Any]:
        return await self.ask(self.session("login"), proof(sub), deadline)

    async def batch_login(self, *subs: Identity) -> dict[str, Any]:
        params = {"signMethod": "hmacSha256", "deviceList": [proof(sub) for sub in subs]}
        return await self.ask(self.session("batch_login"), params)

    async def logout(self, sub: Identity) -> dict[str, Any]:
        return await self.ask(self.session("logout"), name(sub))

    async def batch_logout(self, *subs: Identity) -> dict[str, Any]:
        return await self.ask(self.session("batch_logout"), [name(sub) for sub in subs])

    async def ask(self, topic: str, params: object, deadline: float = 10.0) -> dict[str, Any]:
        """The reply, whose id is the request's."""
        number = str(next(self._ids))
        self.device.publish(topic, json.dumps({"id": number, "version": "1.0", "params": params}).encode())
        answer = json.loads((await self.receive(topic + "_reply", deadline)).payload)
        assert answer["id"] == number
        assert {"code", "message", "data"} <= set(answer)
        return dict(answer)

    async def error(self, sub: Identity, deadline: float = 10.0) -> int:
        """Code of the next notice about this sub-device."""
        while True:
            notice = json.loads((await self.receive(self.errors, deadline)).payload)
            if notice["data"] == name(sub):
                assert notice["id"].isdigit()
                assert notice["message"]
                return int(notice["code"])

    async def receive(self, topic: str, deadline: float = 10.0) -> Inbound:
        """The next message on this topic, or on a topic that begins like it when it ends with `/`."""
        async with asyncio.timeout(deadline):
            while True:
                for kept in self._kept:
                    if kept.topic == topic or (topic.endswith("/") and kept.topic.startswith(topic)):
                        self._kept.remove(kept)
                        return kept
                self._kept.append(await self.device.inbox.get())

    def quiet(self, topics: Sequence[str] = ()) -> bool:
        """Whether nothing of these topics (default: notices) arrived that nobody waited for."""
        while not self.device.inbox.empty():
            self._kept.append(self.device.inbox.get_nowait())
        return not [one for one in self._kept if one.topic in (topics or (self.errors,))]
