"""What the SDK raises. One tree, so that `except DeviceError` catches all of it and nothing else.

DeviceError
├── NotConnected            no connection now, and the call does not wait for one
├── CannotConnect           the first connection did not come about in time; `__cause__` says why
├── ConnectRefused          CONNACK said no; `code` is 1 to 5, `permanent` whether another attempt can help
├── ConnectionLost          the connection ended under a call that cannot be repeated by itself
├── Closed                  the device was closed
├── DeadlineExceeded        also a TimeoutError
├── TooManyWaiting          a bound of the SDK is reached; nothing was sent
├── SubscriptionRefused     SUBACK said 0x80; `filters` are those refused
├── ReplyError              a reply's code was not 200; `code`, `message`, `data` are the platform's
├── ShadowError             the shadow's error reply; `code` and `message`
├── SessionError            a sub-device's log-in was refused, or its session ended; `code`, `message`, `device`
│   ├── ConnectedElsewhere      427: it logged in elsewhere
│   ├── NoSession               520: it spoke and was not logged in
│   ├── SubDeviceDeleted        521
│   ├── SubDeviceDisabled       522
│   ├── DuplicateLogin          527
│   └── NoTopology              6401: it is not, or no longer, this gateway's
└── DownloadError           an OTA download failed; `step` is the progress code that tells the platform
    └── ChecksumMismatch    what was downloaded is not what was announced
"""

from collections.abc import Sequence

from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.sub_devices import SubDeviceName

# CONNACK codes after which the same CONNECT cannot succeed: protocol, client id, credentials, not authorized.
PERMANENT_CODES = frozenset({1, 2, 4, 5})


class DeviceError(Exception):
    """Anything the SDK raises on purpose."""


class NotConnected(DeviceError):
    pass


class CannotConnect(DeviceError):
    pass


class ConnectRefused(DeviceError):
    def __init__(self, code: int) -> None:
        super().__init__(f"the platform refused the connection with return code {code}")
        self.code = code

    @property
    def permanent(self) -> bool:
        return self.code in PERMANENT_CODES


class ConnectionLost(DeviceError):
    pass


class Closed(DeviceError):
    pass


class DeadlineExceeded(DeviceError, TimeoutError):
    pass


class TooManyWaiting(DeviceError):
    pass


class SubscriptionRefused(DeviceError):
    def __init__(self, filters: Sequence[str]) -> None:
        super().__init__(f"subscription refused: {', '.join(filters)}")
        self.filters = tuple(filters)


class ReplyError(DeviceError):
    """`data` is the reply's own, of any JSON kind."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.data = code, message, data


class ShadowError(DeviceError):
    """`code` is one of device-mqtt §5: 400 to 409, 500."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class SessionError(DeviceError):
    """`device` is the sub-device; `code` one of device-mqtt §10."""

    def __init__(self, device: SubDeviceName, code: int, message: str) -> None:
        super().__init__(f"{device.device_name}: {code}: {message}")
        self.device, self.code, self.message = device, code, message


class ConnectedElsewhere(SessionError):
    pass


class NoSession(SessionError):
    pass


class SubDeviceDeleted(SessionError):
    pass


class SubDeviceDisabled(SessionError):
    pass


class DuplicateLogin(SessionError):
    pass


class NoTopology(SessionError):
    pass


_SESSION_ERRORS: dict[int, type[SessionError]] = {
    Alink.CONNECTED_ELSEWHERE: ConnectedElsewhere,
    Alink.NO_SESSION: NoSession,
    Alink.SUB_DEVICE_DELETED: SubDeviceDeleted,
    Alink.SUB_DEVICE_DISABLED: SubDeviceDisabled,
    Alink.DEVICE_DISABLED: SubDeviceDisabled,
    Alink.DUPLICATE_LOGIN: DuplicateLogin,
    Alink.NO_TOPOLOGY: NoTopology,
}


def session_error(device: SubDeviceName, code: int, message: str) -> SessionError:
    """The class of a code; codes of no class of their own are plain SessionErrors."""
    return _SESSION_ERRORS.get(code, SessionError)(device, code, message)


class DownloadError(DeviceError):
    step = -2


class ChecksumMismatch(DownloadError):
    step = -3
