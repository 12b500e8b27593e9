import json

from thinghub.device_protocol.bodies import found_body, lifecycle_body, local_time, status_body, topology_body, utc_time

# 2018-08-31T07:32:28.205Z, the moment of the reference's example.
MOMENT = 1_535_700_748_205


def test_status_is_the_reference_body() -> None:
    body = status_body(
        "online",
        product_key="a1B2",
        device_name="dev1",
        iot_id="4z81",
        time_ms=MOMENT,
        last_ms=MOMENT - 10,
        client_ip="203.0.113.7",
    )
    assert json.loads(body) == {
        "status": "online",
        "productKey": "a1B2",
        "deviceName": "dev1",
        "iotId": "4z81",
        "time": "2018-08-31 15:32:28.205",
        "utcTime": "2018-08-31T07:32:28.205Z",
        "lastTime": "2018-08-31 15:32:28.195",
        "utcLastTime": "2018-08-31T07:32:28.195Z",
        "clientIp": "203.0.113.7",
    }


def test_milliseconds_keep_their_zeros() -> None:
    assert local_time(MOMENT - 203).endswith(".002")
    assert utc_time(MOMENT - 205).endswith(".000Z")


def test_the_secret_stands_in_the_body_of_create_only() -> None:
    names = {"product_key": "a1B2", "device_name": "dev1", "iot_id": "4z81", "time_ms": MOMENT}
    created = json.loads(lifecycle_body("create", **names, device_secret="s"))  # type: ignore[arg-type]
    assert created == {
        "action": "create",
        "iotId": "4z81",
        "productKey": "a1B2",
        "deviceName": "dev1",
        "deviceSecret": "s",
        "messageCreateTime": MOMENT,
    }
    deleted = json.loads(
        lifecycle_body("delete", product_key="a1B2", device_name="dev1", iot_id="4z81", time_ms=1, device_secret="s")
    )
    assert "deviceSecret" not in deleted


def test_topology_and_found_devices_are_the_reference_bodies() -> None:
    names = {"gateway_key": "a1B2", "gateway_name": "gw", "gateway_iot_id": "4z81"}
    devices = [{"iotId": "4z82", "productKey": "a1B3", "deviceName": "dev1"}]
    body = {"gwIotId": "4z81", "gwProductKey": "a1B2", "gwDeviceName": "gw", "devices": devices}
    assert json.loads(found_body(**names, devices=devices)) == body
    made = topology_body("create", **names, devices=devices, time_ms=MOMENT)
    assert json.loads(made) == {"action": "create", **body, "messageCreateTime": MOMENT}
