import orjson

from thinghub.device_registry.domain.announcements import DeviceAnnounced, Lifecycle, lifecycle_message
from thinghub.device_registry.domain.devices import DeviceId

CREATED = DeviceAnnounced(DeviceId("a1pk", "dev1"), Lifecycle.CREATE, "iot1", 1_700_000_000_000)


def test_a_lifecycle_message_is_of_the_platform_and_holds_no_secret() -> None:
    message = lifecycle_message(7, CREATED)
    assert (message.topic, message.epoch, message.hops) == ("/a1pk/dev1/thing/lifecycle", 0, 0)
    assert orjson.loads(message.payload) == {
        "action": "create",
        "iotId": "iot1",
        "productKey": "a1pk",
        "deviceName": "dev1",
        "deviceSecret": "",
        "messageCreateTime": 1_700_000_000_000,
    }


def test_telling_an_entry_twice_repeats_the_message_id_and_another_entry_has_another() -> None:
    assert lifecycle_message(7, CREATED) == lifecycle_message(7, CREATED)
    assert lifecycle_message(7, CREATED).id != lifecycle_message(8, CREATED).id
    assert 0 < lifecycle_message(7, CREATED).id < 2**63
