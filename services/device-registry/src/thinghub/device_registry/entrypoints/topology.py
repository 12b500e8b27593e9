"""The consumer of `device.topology`: what gateways say of the devices behind them, in, replies out.

What nobody reads (replies to notices, sub-device registration) is passed over.
"""

import logging
from collections.abc import Iterator, Sequence

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.alink import AlinkError, Request, parse_request
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message, RecordFormatError, decode_record
from thinghub.device_protocol.sub_devices import MalformedSubDevice, read_names, read_proofs
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import TopologyChange
from thinghub.device_registry.service.topology_reports import Asked, TopologyReports, What

MAX_DEVICES = 1000  # named in one message; more than that fill what a device may send
MAX_WORK = 1000  # devices of one transaction
STAGE = "topology reply"
_TOPICS = {
    "thing/topo/add": What.ADD,
    "thing/topo/delete": What.DELETE,
    "thing/topo/get": What.GET,
    "thing/list/found": What.FOUND,
}


class TopologyConsumer:
    """A bus handler: returns when the effects are stored. What cannot be read is answered as a parameter error, or
    passed over when there is nobody to answer."""

    def __init__(self, reports: TopologyReports, log: logging.Logger) -> None:
        self._reports = reports
        self._log = log

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        for batch in _batches([one for record in records for one in self._read(record)]):
            await self._reports.handle(batch)

    def _read(self, record: BusRecord) -> Iterator[Asked]:
        try:
            decoded = decode_record(record.value)
        except RecordFormatError as error:
            self._log.error("a record of %s was passed over: %s", record.topic, error)
            return
        for message in decoded.messages:
            what = _TOPICS.get(message.topic.removeprefix(f"/sys/{message.product_key}/{message.device_name}/"))
            if what is not None:
                yield _asked(what, message, decoded.origin)


def _batches(asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    """One message may be as much work as hundreds of others."""
    batch: list[Asked] = []
    work = 0
    for one in asked:
        if batch and work + one.weight > MAX_WORK:
            yield batch
            batch, work = [], 0
        batch.append(one)
        work += one.weight
    if batch:
        yield batch


def _asked(what: What, message: Message, origin: str) -> Asked:
    gateway = DeviceId(message.product_key, message.device_name)
    to = gateway, message.topic, derive(message.id, STAGE), origin, message.handle
    try:
        request = parse_request(message.payload)
    except AlinkError as error:
        return Asked(what, Request(""), *to, refusal=str(error))
    try:
        if what is What.FOUND:
            return Asked(what, request, *to, found=_devices(request))
        return Asked(what, request, *to, change=_change(what, request, message, gateway))
    except MalformedSubDevice as error:
        return Asked(what, request, *to, refusal=str(error))


def _change(what: What, request: Request, message: Message, gateway: DeviceId) -> TopologyChange | None:
    at = message.epoch, message.sequence
    if what is What.ADD:
        return TopologyChange(gateway, *at, proofs=tuple(read_proofs(request.params, MAX_DEVICES)))
    if what is What.DELETE:
        return TopologyChange(gateway, *at, removed=_devices(request))
    return None


def _devices(request: Request) -> tuple[DeviceId, ...]:
    """Raises MalformedSubDevice."""
    return tuple(DeviceId(one.product_key, one.device_name) for one in read_names(request.params, MAX_DEVICES))
