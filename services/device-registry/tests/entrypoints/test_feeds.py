"""What goes to the bus, and what comes from it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from tests.support.identity import Identity
from tests.support.registry_service import Registry, StartRegistry
from thinghub.common.bus.port import Bus, BusRecord
from thinghub.device_protocol.bodies import status_body, status_topic
from thinghub.device_protocol.bus_topics import CONTROL, DEVICE_LIFECYCLE
from thinghub.device_protocol.records import Message, decode_record, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.bus.v1 import control_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb


class Seen:
    """Everything on these topics from now on."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.policies: list[control_pb2.PolicyChanged] = []
        self.partitions: set[int] = set()

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        for record in records:
            if record.topic.endswith(CONTROL):
                self.policies.append(control_pb2.ControlEvent.FromString(record.value).policy_changed)
            else:
                self.messages += decode_record(record.value).messages
                self.partitions.add(record.partition)


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.05)


def status(identity: Identity, kind: Literal["online", "offline"], epoch: int, at_ms: int) -> Message:
    pk, dn = identity.product_key, identity.device_name
    body = status_body(
        kind,
        product_key=pk,
        device_name=dn,
        iot_id="i",
        time_ms=at_ms,
        last_ms=at_ms,
        client_ip=f"10.0.0.{epoch % 250}",
    )
    return Message(epoch * 10 + (kind == "offline"), pk, dn, status_topic(pk, dn), body, epoch, received_ms=at_ms)


async def publish(bus: Bus, identity: Identity, *messages: Message) -> None:
    partition = device_partition(identity.product_key, identity.device_name, await bus.partitions(DEVICE_LIFECYCLE))
    await bus.publish(DEVICE_LIFECYCLE, partition, encode_record("gw1", messages))


async def projected(registry: Registry, identity: Identity) -> tuple[bool, int, int, int]:
    device = await registry.device(identity)
    assert device is not None
    return device.online, device.activated_ms, device.last_online_ms, device.epoch


async def test_every_change_of_a_device_is_told_once_and_in_order(registry: Registry, bus: Bus) -> None:
    seen = Seen()
    tail = asyncio.create_task(bus.tail([DEVICE_LIFECYCLE], seen))
    await asyncio.sleep(0.3)
    identity = await registry.register((await registry.product()).product_key, "dev1")
    for enabled in (False, False, True):
        await registry.enable(identity, enabled)
    await registry.delete(identity)

    async def told() -> bool:
        return len(seen.messages) >= 4

    await eventually(told)
    await asyncio.sleep(0.3)
    tail.cancel()
    topic = f"/{identity.product_key}/dev1/thing/lifecycle"
    assert [message.topic for message in seen.messages] == [topic] * 4
    actions = ["create", "disable", "enable", "delete"]
    assert all(f'"action":"{action}"'.encode() in m.payload for action, m in zip(actions, seen.messages, strict=True))
    assert identity.device_secret.encode() not in b"".join(message.payload for message in seen.messages)
    assert {message.epoch for message in seen.messages} == {0}
    assert len({message.id for message in seen.messages}) == 4
    partitions = await bus.partitions(DEVICE_LIFECYCLE)
    assert seen.partitions == {device_partition(identity.product_key, "dev1", partitions)}


async def test_every_change_of_a_policy_is_told_with_its_version(registry: Registry, bus: Bus) -> None:
    seen = Seen()
    tail = asyncio.create_task(bus.tail([CONTROL], seen))
    await asyncio.sleep(0.3)
    product_key = (await registry.product()).product_key
    request = pb.SetProductLimitsRequest(product_key=product_key, limits=pb.Limits(down_per_second=7))
    version = (await registry.stub.SetProductLimits(request)).version

    async def changed() -> bool:
        return any(one.version == version for one in seen.policies)

    await eventually(changed)
    await registry.stub.DeleteProduct(pb.DeleteProductRequest(product_key=product_key))

    async def deleted() -> bool:
        return any(one.deleted and one.version > version for one in seen.policies)

    await eventually(deleted)
    tail.cancel()
    assert {one.product_key for one in seen.policies} == {product_key}


async def test_statuses_make_the_projection_and_lower_epochs_are_ignored(registry: Registry, bus: Bus) -> None:
    identity = await registry.register((await registry.product()).product_key, "dev1")
    history = [
        (status(identity, "online", 5, 1000), (True, 1000, 1000, 5)),
        (status(identity, "online", 7, 2000), (True, 1000, 2000, 7)),
        (status(identity, "offline", 5, 2100), (True, 1000, 2000, 7)),
        (status(identity, "offline", 7, 2200), (False, 1000, 2000, 7)),
        (status(identity, "online", 7, 2000), (False, 1000, 2000, 7)),
        (status(identity, "online", 6, 2300), (False, 1000, 2000, 7)),
        (status(identity, "online", 8, 3000), (True, 1000, 3000, 8)),
    ]
    marker = await registry.register(identity.product_key, "marker")
    for number, (message, expected) in enumerate(history, 1):
        # The marker shares the record, so when it is seen the message before it has been applied.
        await publish(bus, identity, message, status(marker, "online", number, number))

        async def applied(number: int = number) -> bool:
            return (await projected(registry, marker))[3] == number

        await eventually(applied)
        assert await projected(registry, identity) == expected
    await publish(bus, identity, *(message for message, _ in history), status(marker, "online", 100, 100))

    async def replayed() -> bool:
        return (await projected(registry, marker))[3] == 100

    await eventually(replayed)
    assert await projected(registry, identity) == (True, 1000, 3000, 8), "a replay changes nothing"


async def test_what_cannot_be_read_is_passed_over_and_the_rest_goes_on(registry: Registry, bus: Bus) -> None:
    identity = await registry.register((await registry.product()).product_key, "dev1")
    partition = device_partition(identity.product_key, "dev1", await bus.partitions(DEVICE_LIFECYCLE))
    await bus.publish(DEVICE_LIFECYCLE, partition, b"\xff not a record")
    topic = status_topic(identity.product_key, "dev1")
    broken = Message(1, identity.product_key, "dev1", topic, b"{", 3)
    stranger = status(Identity("a1nobody", "nobody", ""), "online", 9, 1)
    await publish(bus, identity, broken, stranger, status(identity, "online", 4, 4000))

    async def online() -> bool:
        return (await projected(registry, identity))[0]

    await eventually(online)


async def test_a_device_registered_anew_was_never_online_and_old_messages_do_not_make_it_so(
    registry: Registry, bus: Bus
) -> None:
    identity = await registry.register((await registry.product()).product_key, "dev1")
    await publish(bus, identity, status(identity, "online", 5, 1000))

    async def online() -> bool:
        return (await projected(registry, identity))[0]

    await eventually(online)
    await registry.delete(identity)
    anew = await registry.register(identity.product_key, "dev1")
    assert await projected(registry, anew) == (False, 0, 0, 5)
    late = [status(anew, "online", 5, 1000), status(anew, "offline", 5, 1100), status(anew, "online", 6, 5000)]
    await publish(bus, anew, *late[:2])
    await publish(bus, anew, late[2])
    await eventually(online)
    assert await projected(registry, anew) == (True, 5000, 5000, 6)


async def test_announcements_wait_for_a_bus_without_topics_and_are_told_when_it_has_them(
    start_registry: StartRegistry, bus: Bus, prefix: str
) -> None:
    early = await start_registry(ready=False, bus_prefix=f"{prefix}later.")

    async def serving() -> bool:
        return early.runtime.health.component("device-registry", "postgres").is_ok

    await eventually(serving)
    identity = await early.register((await early.product()).product_key, "dev1")
    assert not early.runtime.health.ready()
    await asyncio.sleep(1.2)
    topics = early.runtime.health.component("device-registry", "bus topics")
    assert "thinghub admin topics" in topics.why
    seen = Seen()
    tail = asyncio.create_task(bus.tail([DEVICE_LIFECYCLE], seen))
    await asyncio.sleep(0.3)
    await start_registry()  # another process, whose bus works, tells what the first one wrote

    async def told() -> bool:
        return [message.device_name for message in seen.messages] == [identity.device_name]

    await eventually(told)
    tail.cancel()
