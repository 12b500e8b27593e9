"""Bodies of platform-made messages (server-subscription §4): what rules and subscribers read."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import orjson

# The contract's "local" times are those of its home region.
REGION_TIME = timezone(timedelta(hours=8))


def status_topic(product_key: str, device_name: str) -> str:
    return f"/as/mqtt/status/{product_key}/{device_name}"


def lifecycle_topic(product_key: str, device_name: str) -> str:
    return f"/{product_key}/{device_name}/thing/lifecycle"


def topology_topic(gateway_key: str, gateway_name: str) -> str:
    return f"/{gateway_key}/{gateway_name}/thing/topo/lifecycle"


def found_topic(gateway_key: str, gateway_name: str) -> str:
    return f"/{gateway_key}/{gateway_name}/thing/list/found"


def local_time(epoch_ms: int) -> str:
    """`2018-08-31 15:32:28.205` in UTC+8."""
    return _moment(epoch_ms).astimezone(REGION_TIME).strftime("%Y-%m-%d %H:%M:%S.") + f"{epoch_ms % 1000:03d}"


def utc_time(epoch_ms: int) -> str:
    """`2018-08-31T07:32:28.205Z`."""
    return _moment(epoch_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{epoch_ms % 1000:03d}Z"


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms // 1000, UTC)


def status_body(
    status: Literal["online", "offline"],
    *,
    product_key: str,
    device_name: str,
    iot_id: str,
    time_ms: int,
    last_ms: int,
    client_ip: str,
) -> bytes:
    """`time_ms` is when the platform saw the change, `last_ms` the device's last sign of life; both epoch ms."""
    return orjson.dumps(
        {
            "status": status,
            "productKey": product_key,
            "deviceName": device_name,
            "iotId": iot_id,
            "time": local_time(time_ms),
            "utcTime": utc_time(time_ms),
            "lastTime": local_time(last_ms),
            "utcLastTime": utc_time(last_ms),
            "clientIp": client_ip,
        }
    )


def lifecycle_body(
    action: Literal["create", "delete", "enable", "disable"],
    *,
    product_key: str,
    device_name: str,
    iot_id: str,
    time_ms: int,
    device_secret: str = "",
) -> bytes:
    """`deviceSecret` stands in the body of `create` only."""
    body: dict[str, object] = {
        "action": action,
        "iotId": iot_id,
        "productKey": product_key,
        "deviceName": device_name,
    }
    if action == "create":
        body["deviceSecret"] = device_secret
    body["messageCreateTime"] = time_ms
    return orjson.dumps(body)


def topology_body(
    action: Literal["create", "delete", "enable", "disable"],
    *,
    gateway_key: str,
    gateway_name: str,
    gateway_iot_id: str,
    devices: object,
    time_ms: int,
) -> bytes:
    """`devices` is a list of `{"iotId","productKey","deviceName"}`."""
    return orjson.dumps(
        {
            "action": action,
            "gwIotId": gateway_iot_id,
            "gwProductKey": gateway_key,
            "gwDeviceName": gateway_name,
            "devices": devices,
            "messageCreateTime": time_ms,
        }
    )


def found_body(*, gateway_key: str, gateway_name: str, gateway_iot_id: str, devices: object) -> bytes:
    """The same of devices that a gateway found; the `iotId` of one that is not registered is empty."""
    return orjson.dumps(
        {
            "gwIotId": gateway_iot_id,
            "gwProductKey": gateway_key,
            "gwDeviceName": gateway_name,
            "devices": devices,
        }
    )
