"""The thing model on the device's side: properties, events, services, tags (device-mqtt §4)."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinghub.device_protocol.alink import REPLY, SUCCESS, AlinkError, Request, parse_request, reply
from thinghub.device_protocol.codes import Alink
from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.errors import ReplyError
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox
from thinghub.device_sdk.requests import Requests

log = logging.getLogger(__name__)

SERVICE = "thing/service/"
SET, GET = SERVICE + "property/set", SERVICE + "property/get"

Properties = dict[str, Any]  # values are whatever the product's model says
PropertySet = Callable[[Properties], Awaitable[None]]
PropertyGet = Callable[[list[str]], Awaitable[Properties]]
Service = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Desired:
    """What a property is desired to be; `version` counts its changes."""

    value: Any
    version: int


class Things:
    """Handlers refuse what they are asked by raising ReplyError: its code and message are the answer."""

    def __init__(
        self, connection: Channel, identity: Identity, requests: Requests, inbox: Inbox, deadline: float
    ) -> None:
        self._connection, self._identity, self._requests = connection, identity, requests
        self._deadline = deadline
        self._set: PropertySet | None = None
        self._get: PropertyGet | None = None
        self._services: dict[str, Service] = {}
        for path in (SET, GET, SERVICE + "+"):
            inbox.route(identity.sys(path), self._on_call)

    async def post_properties(
        self,
        values: Mapping[str, Any],
        *,
        time_ms: int | None = None,
        deadline: float | None = None,
        acknowledged: Callable[[], None] | None = None,
    ) -> None:
        """Returns when the platform replied 200; `time_ms` (epoch) stamps all of them; `acknowledged` is called when
        the platform has the post, before it replies.

        Raises ReplyError, DeadlineExceeded."""
        stamped = values if time_ms is None else {name: _stamped(value, time_ms) for name, value in values.items()}
        await self._requests.ask("thing/event/property/post", dict(stamped), deadline or self._deadline, acknowledged)

    async def post_history(
        self,
        properties: Mapping[str, Sequence[tuple[Any, int]]],
        events: Mapping[str, Sequence[tuple[Mapping[str, Any], int]]] | None = None,
        *,
        deadline: float | None = None,
    ) -> None:
        """Several values a property, or events, each with its epoch ms, in one post: what piled up while away."""
        params = {"properties": _series(properties), "events": _series(events or {})}
        await self._ask("thing/event/property/batch/post", params, deadline)

    async def post_event(
        self, event: str, output: Mapping[str, Any], *, time_ms: int | None = None, deadline: float | None = None
    ) -> None:
        """`event` is its identifier, `block:event` in a module. Raises ReplyError, DeadlineExceeded."""
        params: dict[str, Any] = {"value": dict(output)}
        if time_ms is not None:
            params["time"] = time_ms
        await self._ask(f"thing/event/{event}/post", params, deadline)

    async def desired(self, names: Sequence[str] = (), *, deadline: float | None = None) -> dict[str, Desired]:
        """Of these properties, or of all when none is named; those that nothing is desired of are left out.

        Raises ReplyError, DeadlineExceeded."""
        data: Any = await self._ask("thing/property/desired/get", list(names), deadline)
        return {name: Desired(one["value"], int(one["version"])) for name, one in (data or {}).items()}

    async def delete_desired(
        self, versions: Mapping[str, int | None] | None = None, *, deadline: float | None = None
    ) -> None:
        """What a device does once it has done what was desired. A value that has another version by now stays; None is
        any version, and without names everything is deleted. Raises ReplyError, DeadlineExceeded."""
        named = versions or {}
        params = {name: {} if version is None else {"version": version} for name, version in named.items()}
        await self._ask("thing/property/desired/delete", params, deadline)

    async def update_tags(self, tags: Mapping[str, str], *, deadline: float | None = None) -> None:
        params = [{"attrKey": key, "attrValue": value} for key, value in tags.items()]
        await self._ask("thing/deviceinfo/update", params, deadline)

    async def delete_tags(self, keys: Sequence[str], *, deadline: float | None = None) -> None:
        await self._ask("thing/deviceinfo/delete", [{"attrKey": key} for key in keys], deadline)

    def on_property_set(self, handler: PropertySet) -> None:
        """`handler({"Temp": 30.5})`; the platform is told success when it returns."""
        self._set = handler

    def on_property_get(self, handler: PropertyGet) -> None:
        """`handler(["Temp"])` returns the values; the platform asks rarely."""
        self._get = handler

    def on_service(self, service: str, handler: Service) -> None:
        """Both call types: `handler(input)` returns the output, or None for none."""
        self._services[service] = handler

    async def answer(self, topic: str, payload: bytes) -> bytes | None:
        """The answer to a call that came on `topic` or says by its method what it is; None: it is no such call.

        Synchronous services come as RRPC and are answered there (device-mqtt §4)."""
        try:
            request = parse_request(payload)
        except AlinkError:
            return None
        path = request.method.replace(".", "/") or topic.removeprefix(self._identity.sys(""))
        if not path.startswith(SERVICE):
            return None
        try:
            output = await self._call(path, request)
        except ReplyError as error:
            return reply(request, error.code, error.message, error.data)
        except Exception:
            log.exception("the handler of %s failed", path)
            return reply(request, Alink.SYSTEM_ERROR, "the device's handler failed")
        return reply(request, Alink.SUCCESS, SUCCESS, output)

    async def _on_call(self, topic: str, payload: bytes) -> None:
        if (answer := await self.answer(topic, payload)) is not None:
            await self._connection.publish(topic + REPLY, answer, 1, self._deadline)

    async def _call(self, path: str, request: Request) -> Mapping[str, Any] | None:
        params: Any = request.params
        if path == SET and self._set is not None:
            await self._set(_object(params))
            return None
        if path == GET and self._get is not None:
            return await self._get(list(params or ()))
        service = self._services.get(path.removeprefix(SERVICE))
        if service is None:
            raise ReplyError(Alink.REQUEST_ERROR, f"the device does not serve {path}")
        return await service(_object(params))

    async def _ask(self, path: str, params: object, deadline: float | None) -> object:
        return await self._requests.ask(path, params, deadline or self._deadline)


def _object(params: object) -> dict[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise ReplyError(Alink.PARAMETER_ERROR, "params is not an object")
    return params


def _stamped(value: object, time_ms: int) -> dict[str, object]:
    return {"value": value, "time": time_ms}


def _series(named: Mapping[str, Sequence[tuple[Any, int]]]) -> dict[str, list[dict[str, object]]]:
    return {name: [_stamped(value, time_ms) for value, time_ms in values] for name, values in named.items()}
