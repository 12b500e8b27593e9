"""The public SDKs as a test drives them: each a process in an environment of its own that speaks lines of JSON."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.identity import Identity
from tests.support.platform import Platform

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
PYTHON = ROOT / os.environ.get("THINGHUB_SDKS_VENV", ".venv-sdks") / "bin" / "python"
EVENTS = 1000
LINE_BYTES = 4 << 20
# the SDK's clients by our names: signature V3 unless the name says V1
CLIENTS = ("http", "http-v1", "https", "https-v1")


class Raised(Exception):
    """The SDK raised; the arguments are what the script told of it."""


def command(script: str) -> list[str]:
    """Runs that script in the SDKs' environment."""
    assert PYTHON.exists(), f"{PYTHON} is missing: `make sdks` makes it"
    return [str(PYTHON), str(SCRIPTS / f"{script}.py")]


class Script:
    """`async with` starts and ends the process; every wait has a deadline."""

    def __init__(self, name: str, settings: object) -> None:
        self._command = [*command(name), json.dumps(settings)]
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._events: dict[str, asyncio.Queue[list[Any]]] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            env=os.environ | {"NO_PROXY": "*", "no_proxy": "*"},
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """The end of its input ends it; what takes longer is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 3)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._reader.cancel()

    async def ask(self, deadline: float = 20, **request: Any) -> Any:
        """Raises Raised with what the SDK raised."""
        assert self._process.stdin is not None
        self._number += 1
        number, answered = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        self._process.stdin.write(json.dumps({"number": number, **request}).encode() + b"\n")
        try:
            answer = await asyncio.wait_for(answered, deadline)
        finally:
            del self._asked[number]
        if "raised" in answer:
            raise Raised(answer["raised"])
        for fault in ("mistyped", "unknown"):
            assert not answer.get(fault), f"{request}: {fault}: {answer[fault]}"
        return answer["result"]

    async def event(
        self, name: str, fits: Callable[[list[Any]], bool] = lambda args: True, deadline: float = 20
    ) -> list[Any]:
        """The arguments of the next such call back that fits; those that do not are passed over."""
        async with asyncio.timeout(deadline):
            while not fits(args := await self._queue(name).get()):
                pass
            return args

    def said(self, name: str) -> int:
        """How many such call backs wait."""
        return self._queue(name).qsize()

    def _queue(self, name: str) -> asyncio.Queue[list[Any]]:
        return self._events.setdefault(name, asyncio.Queue(EVENTS))

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "event" in said:
                self._queue(said["event"]).put_nowait(said["args"])
            else:
                self._answer(said["number"], said)
        for number in self._asked:
            self._answer(number, {"raised": "the script ended"})

    def _answer(self, number: int, said: dict[str, Any]) -> None:
        waiting = self._asked.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(said)


class LinkKitDevice(Script):
    """A device of aliyun-iot-linkkit, connected. `tsl`: a file, "" for a product without one, None for a device that is
    no thing; `mqtt` goes to its config_mqtt."""

    def __init__(
        self, platform: Platform, identity: Identity, *, tls: bool = False, tsl: str | None = "", **mqtt: object
    ) -> None:
        host, port = platform.mqtts if tls else platform.mqtt
        trust = {"cadata": Path(platform.ca).read_text()} if tls else {"secure": ""}
        self.identity = identity
        self._thing = tsl is not None
        mqtt = {"endpoint": host, "port": port, **trust, **mqtt}
        super().__init__("linkkit_device", {**asdict(identity), "tsl": tsl, "mqtt": mqtt})

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self._connect()
        except BaseException:
            await self.end()
            raise
        return self

    async def _connect(self) -> None:
        await self.call("connect_async")
        _, code, *_ = await self.event("on_connect")
        assert code == 0
        if self._thing:
            await self.event("on_thing_enable")

    async def call(self, method: str, *args: Any) -> Any:
        return await self.ask(call=method, args=args)

    async def publish(self, topic: str, payload: str, qos: int = 1) -> None:
        code, _ = await self.call("publish_topic", topic, payload, qos)
        assert code == 0

    async def message(self, topic: str = "", deadline: float = 20) -> tuple[str, str]:
        """The next message that no parser of the SDK took, on that topic or on any: topic and payload."""
        args = await self.event("on_topic_message", lambda args: topic in ("", args[0]), deadline)
        return args[0], args[1]


class Servers(Script):
    """A process with the clients of alibabacloud-iot20180120 that CLIENTS names, and one with a "wrong key"."""

    def __init__(self, platform: Platform) -> None:
        key = {
            "access_key_id": platform.key.access_key_id,
            "access_key_secret": platform.key.access_key_secret,
            "endpoint": platform.api_url.removeprefix("http://"),
        }
        plain, tls, old = {"protocol": "HTTP", **key}, {"ca": platform.ca, **key}, {"signature_algorithm": "v2"}
        made = dict(zip(CLIENTS, (plain, plain | old, tls, tls | old), strict=True))
        super().__init__("api_caller", made | {"wrong key": plain | {"access_key_secret": "not it"}})

    async def call(self, client: str, method: str, **request: Any) -> dict[str, Any]:
        body: dict[str, Any] = await self.ask(call=method, client=client, request=request)
        return body

    async def ok(self, client: str, method: str, **request: Any) -> dict[str, Any]:
        body = await self.call(client, method, **request)
        assert body["Success"] is True, f"{method}: {body}"
        return body
