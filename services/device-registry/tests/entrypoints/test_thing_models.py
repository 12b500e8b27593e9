"""Devices that ask for their thing model, through the running service."""

import asyncio
import json
from typing import Any

from tests.support.gateway_calls import GatewayCalls
from tests.support.identity import Identity
from tests.support.registry_service import Registry
from thinghub.common.bus.port import Bus
from thinghub.common.rpc import channel
from thinghub.device_protocol.bus_topics import DEVICE_MODEL
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.registry.v1 import things_pb2 as pb
from thinghubpb.registry.v1.things_pb2_grpc import ThingModelServiceStub

TSL = {"properties": [{"identifier": "Power", "name": "Power", "accessMode": "rw", "dataType": {"type": "text"}}]}


async def published(registry: Registry, tsl: object) -> Identity:
    product_key = (await registry.product()).product_key
    models = ThingModelServiceStub(channel(registry.settings.rpc_listen))
    await models.ImportThingModel(pb.ImportThingModelRequest(product_key=product_key, tsl=json.dumps(tsl)))
    await models.PublishThingModel(pb.PublishThingModelRequest(product_key=product_key))
    return await registry.register(product_key)


def question(device: Identity, path: str, payload: bytes = b'{"id":"7|x","version":"1.0","params":{}}') -> Message:
    topic = f"/sys/{device.product_key}/{device.device_name}/{path}"
    return Message(9, device.product_key, device.device_name, topic, payload, 7, 1, handle=33)


async def answers(bus: Bus, gateway: GatewayCalls, *asked: Message, wanted: int) -> list[dict[str, Any]]:
    partition = device_partition(asked[0].product_key, asked[0].device_name, await bus.partitions(DEVICE_MODEL))
    await bus.publish(DEVICE_MODEL, partition, encode_record("gw-1", asked))
    async with asyncio.timeout(20):
        while len(gateway.downlinks) < wanted:
            await asyncio.sleep(0.02)
    return [json.loads(one.payload) for one in gateway.downlinks]


async def test_a_device_reads_the_published_thing_model(registry: Registry, bus: Bus, gateway: GatewayCalls) -> None:
    device = await published(registry, TSL)
    whole, short = await answers(
        bus,
        gateway,
        question(device, "thing/dsltemplate/get"),
        question(device, "thing/dynamicTsl/get"),
        question(device, "thing/dynamicTsl/get", b'{"id":"8","sys":{"ack":0}}'),
        wanted=2,
    )
    assert (whole["id"], whole["code"], whole["method"]) == ("7|x", 200, "thing.dsltemplate.get")
    assert whole["data"]["profile"] == {"productKey": device.product_key}
    assert [one["identifier"] for one in whole["data"]["services"]] == ["set", "get"]
    assert short["data"]["properties"] == [{"identifier": "Power", "dataType": {"type": "text"}}]
    assert (short["data"]["services"], short["method"]) == ([], "thing.dynamicTsl.get")
    first = gateway.downlinks[0]
    assert (first.origin, first.handle, first.topic[-25:]) == ("gw-1", 33, "thing/dsltemplate/get_reply"[-25:])


async def test_what_cannot_be_answered_has_a_code(registry: Registry, bus: Bus, gateway: GatewayCalls) -> None:
    without = await registry.register((await registry.product()).product_key)
    deep = await published(registry, large())
    (none,) = await answers(bus, gateway, question(without, "thing/dsltemplate/get"), wanted=1)
    assert (none["code"], none["data"]) == (5159, {})
    unread = (await answers(bus, gateway, question(without, "thing/dsltemplate/get", b"?"), wanted=2))[-1]
    assert (unread["code"], unread["id"]) == (460, "")
    too_large = (await answers(bus, gateway, question(deep, "thing/dsltemplate/get"), wanted=3))[-1]
    assert (too_large["code"], too_large["data"]) == (5161, {})


def large() -> dict[str, object]:
    """Lawful, and more than a message may have."""
    specs = {str(number): "a name that is as long as that of a value may well be" for number in range(100)}
    enum = {"type": "enum", "specs": specs}
    properties = [
        {"identifier": f"p{number}", "name": f"p{number}", "accessMode": "rw", "dataType": enum} for number in range(12)
    ]
    return {"properties": properties}
