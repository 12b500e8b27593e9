"""The device's side of the contract: connect, publish, calls, things, shadow, OTA, gateways. Begin with `Device`."""

from thinghub.device_protocol.signing import SignMethod
from thinghub.device_protocol.sub_devices import SubDeviceName
from thinghub.device_sdk.backoff import Backoff
from thinghub.device_sdk.device import Device
from thinghub.device_sdk.download import Artifact, DownloadOptions, download
from thinghub.device_sdk.errors import (
    CannotConnect,
    ChecksumMismatch,
    Closed,
    ConnectedElsewhere,
    ConnectionLost,
    ConnectRefused,
    DeadlineExceeded,
    DeviceError,
    DownloadError,
    DuplicateLogin,
    NoSession,
    NotConnected,
    NoTopology,
    ReplyError,
    SessionError,
    ShadowError,
    SubDeviceDeleted,
    SubDeviceDisabled,
    SubscriptionRefused,
    TooManyWaiting,
)
from thinghub.device_sdk.gateway import Gateway, TopologyChange
from thinghub.device_sdk.identity import Endpoint, Identity
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.ota import Upgrade
from thinghub.device_sdk.shadow import Document
from thinghub.device_sdk.sub_device import SubDevice
from thinghub.device_sdk.things import Desired

__all__ = [
    "Artifact",
    "Backoff",
    "CannotConnect",
    "ChecksumMismatch",
    "Closed",
    "ConnectRefused",
    "ConnectedElsewhere",
    "ConnectionLost",
    "DeadlineExceeded",
    "Desired",
    "Device",
    "DeviceError",
    "Document",
    "DownloadError",
    "DownloadOptions",
    "DuplicateLogin",
    "Endpoint",
    "Gateway",
    "Identity",
    "NoSession",
    "NoTopology",
    "NotConnected",
    "Options",
    "ReplyError",
    "SessionError",
    "ShadowError",
    "SignMethod",
    "SubDevice",
    "SubDeviceDeleted",
    "SubDeviceDisabled",
    "SubDeviceName",
    "SubscriptionRefused",
    "TooManyWaiting",
    "TopologyChange",
    "Upgrade",
    "download",
]
