"""What a device can do on the platform, whatever carries it: `Device` has a connection, `SubDevice` its gateway's."""

from collections.abc import Callable, Coroutine
from typing import Any

from thinghub.device_sdk.calls import Answering, Calls
from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.clock import Clock
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Handler, Inbox
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.ota import Ota
from thinghub.device_sdk.requests import Requests
from thinghub.device_sdk.shadow import Shadow
from thinghub.device_sdk.things import Things

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class DeviceApi:
    """`things`, `shadow`, `ota` are the platform's services seen from here. Handlers given before it is connected miss
    nothing."""

    def __init__(self, identity: Identity, channel: Channel, inbox: Inbox, options: Options, spawn: Spawn) -> None:
        self.identity = identity
        self._channel, self._inbox, self._options = channel, inbox, options
        deadline = options.deadline
        self._requests = Requests(channel, identity, options.waiting)
        inbox.first(self._requests.takes)
        self.things = Things(channel, identity, self._requests, inbox, deadline)
        self._clock = Clock(channel, identity, inbox)
        self._calls = Calls(channel, identity, inbox, self.things)
        self.shadow = Shadow(channel, identity, inbox, deadline)
        self.ota = Ota(channel, identity, self._requests, inbox, spawn, deadline)

    @property
    def connected(self) -> bool:
        return self._channel.connected

    @property
    def dropped(self) -> int:
        """QoS 0 messages that came while the inbox was full."""
        return self._inbox.dropped

    def topic(self, short: str) -> str:
        """The device's custom topic: `update` gives `/{pk}/{dn}/user/update`."""
        return self.identity.custom(short)

    async def wait_connected(self, deadline: float | None = None) -> None:
        """Raises CannotConnect when time is up, or what ended it for good: ConnectRefused, SessionError."""
        await self._channel.wait_up(deadline or self._options.deadline)

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, deadline: float | None = None) -> None:
        """QoS 1 returns when the platform has the message, over as many connections as that takes. QoS 0 needs one now.

        A publish that the platform refuses by permission or quota is acknowledged too (MQTT 3.1.1 cannot tell).
        Raises DeadlineExceeded (it may have arrived all the same), NotConnected, TooManyWaiting, ConnectRefused."""
        await self._channel.publish(topic, payload, qos, deadline or self._options.deadline)

    async def subscribe(self, filter_: str, handler: Handler, *, qos: int = 1, deadline: float | None = None) -> None:
        """`handler(topic, payload)` for each message, in order; QoS 1 is acknowledged when it returns, so a message may
        come again after a break. Before entering (or log-in), it is subscribed with the first connection.

        Raises SubscriptionRefused, DeadlineExceeded."""
        self._inbox.route(filter_, handler)
        if not self._channel.wanted:
            self._channel.subscribe_later(filter_, qos)
            return
        try:
            await self._channel.subscribe(filter_, qos, deadline or self._options.deadline)
        except BaseException:
            self._inbox.unroute(filter_)
            raise

    async def unsubscribe(self, filter_: str, *, deadline: float | None = None) -> None:
        await self._channel.unsubscribe(filter_, deadline or self._options.deadline)
        self._inbox.unroute(filter_)

    def on_call(self, handler: Answering) -> None:
        """System RRPC: `handler(request bytes)` returns the answer's bytes."""
        self._calls.on_call(handler)

    async def on_custom_call(self, topic: str, handler: Answering, *, deadline: float | None = None) -> None:
        """RRPC on a topic of the server's choice, such as `device.topic("rpc")`."""
        await self._calls.on_custom(topic, handler, deadline or self._options.deadline)

    async def ask(self, path: str, params: object, *, deadline: float | None = None) -> object:
        """Any question of the Alink kind that has no method here, such as `thing/config/get`: the reply's data.

        Raises ReplyError, DeadlineExceeded."""
        return await self._requests.ask(path, params, deadline or self._options.deadline)

    async def server_time(self, *, deadline: float | None = None) -> float:
        """The platform's clock, epoch milliseconds. Raises DeadlineExceeded."""
        return await self._clock.now(deadline or self._options.deadline)
