"""Tags through the running service: from devices over the bus, from callers over gRPC."""

import asyncio
import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway_calls import GatewayCalls
from tests.support.identity import Identity
from tests.support.registry_service import Registry, ref
from thinghub.common.bus.port import Bus
from thinghub.common.errors import RemoteFault
from thinghub.common.rpc import channel
from thinghub.device_protocol.bus_topics import DEVICE_TAGS
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.registry.v1 import tags_pb2 as pb
from thinghubpb.registry.v1.tags_pb2_grpc import TagServiceStub

if TYPE_CHECKING:
    from thinghubpb.registry.v1.tags_pb2_grpc import TagServiceAsyncStub

IDS = count(1)


class Tags:
    """Tags of one device, seen from both sides."""

    def __init__(self, registry: Registry, bus: Bus, gateway: GatewayCalls, identity: Identity) -> None:
        self.stub: TagServiceAsyncStub = TagServiceStub(channel(registry.settings.rpc_listen))
        self._bus, self._gateway, self.identity = bus, gateway, identity

    def message(self, what: str, params: object, sequence: int, *, epoch: int = 7, **members: object) -> Message:
        key, name = self.identity.product_key, self.identity.device_name
        payload = json.dumps({"id": f"id-{sequence}", "version": "1.0", "params": params, **members}).encode()
        topic = f"/sys/{key}/{name}/thing/deviceinfo/{what}"
        return Message(next(IDS), key, name, topic, payload, epoch, sequence, handle=33)

    async def send(self, *messages: Message) -> None:
        partitions = await self._bus.partitions(DEVICE_TAGS)
        partition = device_partition(self.identity.product_key, self.identity.device_name, partitions)
        await self._bus.publish(DEVICE_TAGS, partition, encode_record("gw-1", messages))

    async def replies(self, wanted: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(20):
            while len(self._gateway.downlinks) < wanted:
                await asyncio.sleep(0.02)
        return [json.loads(one.payload) for one in self._gateway.downlinks]

    async def get(self) -> tuple[dict[str, str], dict[str, str]]:
        answer = await self.stub.GetDeviceTags(pb.GetDeviceTagsRequest(ref=ref(self.identity)))
        return dict(answer.tags), dict(answer.system_tags)

    async def save(self, tags: dict[str, str]) -> None:
        await self.stub.SaveDeviceTags(pb.SaveDeviceTagsRequest(ref=ref(self.identity), tags=tags))

    async def refused(self, tags: dict[str, str]) -> str:
        with pytest.raises(RemoteFault) as fault:
            await self.save(tags)
        return fault.value.remote_reason


@pytest.fixture
async def tags(registry: Registry, bus: Bus, gateway: GatewayCalls) -> Tags:
    identity = await registry.register((await registry.product()).product_key)
    return Tags(registry, bus, gateway, identity)


def entry(key: str, value: str = "v", **more: str) -> dict[str, str]:
    return {"attrKey": key, "attrValue": value, **more}


async def test_a_device_sets_and_deletes_tags_and_is_answered_where_it_asked(tags: Tags, gateway: GatewayCalls) -> None:
    await tags.send(
        tags.message("update", [entry("a"), entry("b"), entry("SYS", "js", domain="SYSTEM")], 1, method="its.own"),
        tags.message("delete", [{"attrKey": "a"}, {"attrKey": "never"}], 2),
        tags.message("update", "no tags", 3),
        tags.message("update", [entry("silent")], 4, sys={"ack": 0}),
        tags.message("update", [entry("last")], 5),
    )
    replies = await tags.replies(4)
    assert [(one["id"], one["code"], one["method"], one["data"]) for one in replies] == [
        ("id-1", 200, "its.own", {}),
        ("id-2", 200, "thing.deviceinfo.delete", {}),
        ("id-3", 460, "thing.deviceinfo.update", {}),
        ("id-5", 200, "thing.deviceinfo.update", {}),
    ]
    assert all(one["message"] for one in replies)
    first = gateway.downlinks[0]
    assert first.topic.endswith("/thing/deviceinfo/update_reply")
    assert (first.origin, first.handle, first.device.device_name) == ("gw-1", 33, tags.identity.device_name)
    assert await tags.get() == ({"b": "v", "last": "v", "silent": "v"}, {"SYS": "js"})


async def test_replay_and_latecomers_change_nothing(tags: Tags) -> None:
    update, delete = tags.message("update", [entry("a", "1")], 1), tags.message("delete", [{"attrKey": "a"}], 2)
    await tags.send(update, delete)
    await tags.replies(2)
    await tags.save({"b": "by the API"})
    await tags.send(update, tags.message("update", [entry("b", "old")], 99, epoch=6))
    assert [one["code"] for one in await tags.replies(4)] == [200] * 4
    assert await tags.get() == ({"b": "by the API"}, {})


async def test_a_device_that_does_not_exist_any_more_is_told_so(tags: Tags, registry: Registry) -> None:
    await tags.save({"a": "v"})
    await registry.delete(tags.identity)
    await tags.send(tags.message("update", [entry("a")], 1))
    assert [one["code"] for one in await tags.replies(1)] == [6100]
    again = await registry.register(tags.identity.product_key, tags.identity.device_name)
    assert again.device_name == tags.identity.device_name
    assert await tags.get() == ({}, {}), "the tags of the former device are gone"


async def test_callers_save_delete_and_are_bounded(tags: Tags) -> None:
    await tags.save({"a": "1", "b": "2"})
    await tags.save({"b": "3"})
    assert await tags.get() == ({"a": "1", "b": "3"}, {})
    for _ in range(2):
        await tags.stub.DeleteDeviceTag(pb.DeleteDeviceTagRequest(ref=ref(tags.identity), key="a"))
    assert await tags.get() == ({"b": "3"}, {})
    assert await tags.refused({f"k{number}": "v" for number in range(101)}) == "tag_limit"
    assert await tags.refused({f"k{number}": "v" for number in range(100)}) == "tag_limit"
    assert await tags.refused({"": "v"}) == "tags_invalid"
    assert await tags.refused({}) == "tag_limit"
    await tags.save({f"k{number}": "v" for number in range(99)})
    assert len((await tags.get())[0]) == 100


async def test_ten_writers_of_one_device_lose_no_tag(tags: Tags) -> None:
    await asyncio.gather(*(tags.save({f"k{number}": "v"}) for number in range(10)))
    assert len((await tags.get())[0]) == 10
