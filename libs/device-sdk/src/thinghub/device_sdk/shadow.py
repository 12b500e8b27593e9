"""The device shadow (device-mqtt §5): a document the platform keeps, read and written by version.

The protocol gives its replies no id, so one question is asked at a time.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.errors import DeadlineExceeded, ShadowError
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox

log = logging.getLogger(__name__)

CONFLICT = 409
# Own updates that meet a newer version read it and try again, so often.
ATTEMPTS = 5
# The contract's word for "delete this".
DELETED = "null"


@dataclass(frozen=True, slots=True)
class Document:
    """`timestamp` in epoch seconds, as `metadata`'s."""

    version: int = 0
    reported: dict[str, Any] = field(default_factory=dict)
    desired: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    timestamp: int = 0


Control = Callable[[Document], Awaitable[None]]


class Shadow:
    """`version` is the newest seen; 0 before the first answer."""

    def __init__(self, connection: Channel, identity: Identity, inbox: Inbox, deadline: float) -> None:
        self.version = 0
        self._connection, self._deadline = connection, deadline
        self._update_topic, self._get_topic = identity.own("/shadow/update"), identity.own("/shadow/get")
        self._asking = asyncio.Lock()
        self._awaited: tuple[str, int, asyncio.Future[dict[str, Any]]] | None = None
        self._control: Control | None = None
        inbox.first(self._takes)
        inbox.route(self._get_topic, self._on_control)

    async def get(self, *, deadline: float | None = None) -> Document:
        """Raises ShadowError, DeadlineExceeded."""
        body = await self._ask({"method": "get"}, deadline)
        return self._document(body)

    async def update(
        self, reported: Mapping[str, Any], *, version: int | None = None, deadline: float | None = None
    ) -> int:
        """The new version. Without `version` the next one is found, also when others write at the same time; with it, a
        newer document raises ShadowError with code 409."""
        return await self._write("update", {"reported": dict(reported)}, version, deadline)

    async def delete(self, *attributes: str, version: int | None = None, deadline: float | None = None) -> int:
        """Deletes these reported attributes, or all of them when none is named."""
        state: object = dict.fromkeys(attributes, DELETED) if attributes else DELETED
        return await self._write("delete", {"reported": state}, version, deadline)

    async def clear_desired(self, *, version: int | None = None, deadline: float | None = None) -> int:
        """What a device does once it has done what was desired."""
        return await self._write("update", {"desired": DELETED}, version, deadline)

    def on_control(self, handler: Control) -> None:
        """`handler(document)` when a server changed what is desired, also while the device was away."""
        self._control = handler

    async def _write(
        self, method: str, state: Mapping[str, object], version: int | None, deadline: float | None
    ) -> int:
        for attempt in range(ATTEMPTS):
            if version is None and (attempt or not self.version):
                await self.get(deadline=deadline)
            chosen = self.version + 1 if version is None else version
            try:
                await self._ask({"method": method, "state": state, "version": chosen}, deadline)
            except ShadowError as error:
                if error.code != CONFLICT or version is not None or attempt == ATTEMPTS - 1:
                    raise
            else:
                self.version = max(self.version, chosen) if chosen >= 0 else 0  # a negative one starts again
                return chosen
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, question: Mapping[str, object], deadline: float | None) -> dict[str, Any]:
        seconds = deadline or self._deadline
        try:
            async with asyncio.timeout(seconds), self._asking:
                return await self._ask_alone(question, seconds)
        except TimeoutError as error:
            raise DeadlineExceeded(f"shadow {question['method']}: no reply within {seconds} s") from error

    async def _ask_alone(self, question: Mapping[str, object], seconds: float) -> dict[str, Any]:
        replied: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        version = question.get("version", 0)
        self._awaited = (str(question["method"]), version if isinstance(version, int) else 0, replied)
        try:
            await self._connection.publish(self._update_topic, json.dumps(question).encode(), 1, seconds)
            body = await replied
        finally:
            self._awaited = None
        _raise_error(body["payload"])
        return body

    def _takes(self, topic: str, payload: bytes) -> bool:
        if topic != self._get_topic or self._awaited is None or (body := _reply(payload)) is None:
            return False
        method, version, replied = self._awaited
        if _late(body["payload"], method, version):
            return True  # of a question that is no longer awaited
        if not replied.done():
            replied.set_result(body)
        return True

    async def _on_control(self, _topic: str, payload: bytes) -> None:
        body = json.loads(payload)
        if body.get("method") == "control" and self._control is not None:
            await self._control(self._document(body))

    def _document(self, body: dict[str, Any]) -> Document:
        payload = body["payload"]
        state = payload.get("state") or {}
        version = int(body.get("version") or payload.get("version") or 0)
        self.version = max(self.version, version)
        return Document(
            version,
            state.get("reported") or {},
            state.get("desired") or {},
            payload.get("metadata") or {},
            int(body.get("timestamp") or 0),
        )


def _reply(payload: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    fits = isinstance(body, dict) and body.get("method") == "reply" and isinstance(body.get("payload"), dict)
    return body if fits else None


def _late(payload: dict[str, Any], method: str, version: int) -> bool:
    """A success that cannot answer this question: its state, or its version, belong to another."""
    if payload.get("status") != "success":
        return False
    if method == "get":
        return "state" not in payload
    return "state" in payload or (version >= 0 and payload.get("version", version) != version)


def _raise_error(payload: dict[str, Any]) -> None:
    if payload.get("status") != "success":
        content = payload.get("content") or {}
        raise ShadowError(int(content.get("errorcode", 500)), str(content.get("errormessage", "")))
