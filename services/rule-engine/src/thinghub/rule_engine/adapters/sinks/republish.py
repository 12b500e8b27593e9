"""REPUBLISH: an output becomes a custom message of the device its topic names.

It goes to the device first and then to the bus, so that a gateway that is away does not make the rules behind it see
the message at every try. Both carry the derived id. A message that has passed five rules goes no further, and none
goes to a product of another instance than the rule's.
"""

from collections.abc import Callable, Mapping, Sequence

import orjson

from thinghub.common.errors import Fault
from thinghub.rule_engine.domain.configurations import Republish, fixed_target, target_device
from thinghub.rule_engine.domain.outputs import Output, derived_id
from thinghub.rule_engine.domain.sql.kinds import ValueKind
from thinghub.rule_engine.ports.messages import CustomMessages, Delivered, Devices, PlatformMessage
from thinghub.rule_engine.ports.sinks import SinkDown
from thinghub.rule_engine.service.ownership import Ownership

HOP_LIMIT = 5
MAX_PAYLOAD = 262_144

Count = Callable[[str, int], None]


class RepublishSinks:
    """`count(outcome, n)` learns of what neither fails nor arrives: `hop_limit`, `foreign_instance`, `unknown_product`
    and the outcomes of delivery."""

    def __init__(self, ownership: Ownership, devices: Devices, messages: CustomMessages, count: Count) -> None:
        self._ownership = ownership
        self._devices = devices
        self._messages = messages
        self._count = count

    async def check(self, instance_id: str, configuration: Republish, fields: Mapping[str, ValueKind]) -> None:
        """The topic's product, where the configuration names it; its device may be made later. Raises ProductNotFound,
        Unavailable."""
        product_key = fixed_target(configuration.topic)
        if product_key is not None:
            await self._ownership.require(instance_id, product_key)

    def open(self, instance_id: str, configuration: Republish) -> "RepublishSink":
        return RepublishSink(instance_id, configuration, self._ownership, self._devices, self._messages, self._count)


class RepublishSink:
    def __init__(
        self,
        instance_id: str,
        configuration: Republish,
        ownership: Ownership,
        devices: Devices,
        messages: CustomMessages,
        count: Count,
    ) -> None:
        self._instance_id = instance_id
        self._ownership = ownership
        self._topic = configuration.topic
        self._devices = devices
        self._messages = messages
        self._count = count

    async def deliver(self, outputs: Sequence[Output]) -> list[str | None]:
        answers: list[str | None] = [None] * len(outputs)
        messages: list[tuple[int, PlatformMessage]] = []
        for index, output in enumerate(outputs):
            if output.origin.hops >= HOP_LIMIT:
                self._count("hop_limit", 1)
                continue
            try:
                messages.append((index, self._render(output)))
            except ValueError as error:
                answers[index] = str(error)
        try:
            await self._send(await self._own(messages), answers)
        except Fault as error:
            raise SinkDown(error.message) from error
        return answers

    async def close(self) -> None:
        """The channel and the bus are the process's."""

    async def _own(self, messages: list[tuple[int, PlatformMessage]]) -> list[tuple[int, PlatformMessage]]:
        """Those for products of the rule's instance; the others end here, counted."""
        instances = await self._ownership.instances(message.product_key for _, message in messages)
        own: list[tuple[int, PlatformMessage]] = []
        for index, message in messages:
            instance_id = instances.get(message.product_key)
            if instance_id == self._instance_id:
                own.append((index, message))
            else:
                self._count("unknown_product" if instance_id is None else "foreign_instance", 1)
        return own

    async def _send(self, messages: list[tuple[int, PlatformMessage]], answers: list[str | None]) -> None:
        if not messages:
            return
        outcomes = await self._devices.deliver([message for _, message in messages])
        arrived: list[PlatformMessage] = []
        for (index, message), outcome in zip(messages, outcomes, strict=True):
            self._count(outcome.value, 1)
            if outcome is Delivered.FAILED:
                answers[index] = "the gateway could not store or forward it"
            else:
                arrived.append(message)
        await self._messages.put(arrived)

    def _render(self, output: Output) -> PlatformMessage:
        """Raises ValueError saying why it cannot be a message."""
        topic = self._topic.text(output)
        if topic is None:
            raise ValueError("a reference in the topic has no value")
        product_key, device_name = target_device(topic)
        payload = orjson.dumps(output.result)
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"the payload has {len(payload)} bytes, more than {MAX_PAYLOAD}")
        origin = output.origin
        return PlatformMessage(
            id=derived_id(output),
            product_key=product_key,
            device_name=device_name,
            topic=topic,
            payload=payload,
            qos=1 if origin.qos else 0,
            hops=origin.hops + 1,
            received_ms=origin.received_ms,
            traceparent=origin.traceparent,
        )
