"""A device behind a gateway: the same calls as a Device, over the gateway's connection (device-mqtt §10)."""

from collections.abc import Awaitable, Callable

from thinghub.device_sdk.api import DeviceApi, Spawn
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.sub_connection import SubConnection

Change = Callable[["SubDevice", float], Awaitable[None]]


class SubDevice(DeviceApi):
    """Made by `Gateway.sub_device`. Calls wait while it is being logged in again, and raise SessionError once the
    platform has ended its session for good, until `login` is called again.

    A publish that meets the end of the session is acknowledged and lost (MQTT 3.1.1 cannot tell); a question then gets
    no reply and raises DeadlineExceeded.
    """

    def __init__(
        self,
        identity: Identity,
        presence: SubConnection,
        inbox: Inbox,
        options: Options,
        spawn: Spawn,
        log_in: Change,
        log_out: Change,
    ) -> None:
        super().__init__(identity, presence, inbox, options, spawn)
        self.presence, self.inbox = presence, inbox
        self._log_in, self._log_out = log_in, log_out

    async def login(self, *, deadline: float | None = None) -> None:
        """From now on it is logged in, also after breaks of the connection, until `logout`.

        Raises SessionError when the platform refuses it; CannotConnect, and then it goes on being tried."""
        await self._log_in(self, deadline or self._options.deadline)

    async def logout(self, *, deadline: float | None = None) -> None:
        """Waiting calls raise NotConnected. Raises ReplyError, DeadlineExceeded."""
        await self._log_out(self, deadline or self._options.deadline)
