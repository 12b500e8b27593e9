"""The device's side of the contract: connect, publish, be called, things, shadow, OTA. Begin with `Device`."""

from thinghub.device_protocol.signing import SignMethod
from thinghub.device_sdk.backoff import Backoff
from thinghub.device_sdk.device import Device
from thinghub.device_sdk.download import Artifact, DownloadOptions, download
from thinghub.device_sdk.errors import (
    CannotConnect,
    ChecksumMismatch,
    Closed,
    ConnectionLost,
    ConnectRefused,
    DeadlineExceeded,
    DeviceError,
    DownloadError,
    NotConnected,
    ReplyError,
    ShadowError,
    SubscriptionRefused,
    TooManyWaiting,
)
from thinghub.device_sdk.identity import Endpoint, Identity
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.ota import Upgrade
from thinghub.device_sdk.shadow import Document

__all__ = [
    "Artifact",
    "Backoff",
    "CannotConnect",
    "ChecksumMismatch",
    "Closed",
    "ConnectRefused",
    "ConnectionLost",
    "DeadlineExceeded",
    "Device",
    "DeviceError",
    "Document",
    "DownloadError",
    "DownloadOptions",
    "Endpoint",
    "Identity",
    "NotConnected",
    "Options",
    "ReplyError",
    "ShadowError",
    "SignMethod",
    "SubscriptionRefused",
    "TooManyWaiting",
    "Upgrade",
    "download",
]
