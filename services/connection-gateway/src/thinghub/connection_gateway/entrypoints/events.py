"""The pump: everything the core has to say, in batches, on the event loop.

The core signals a descriptor once however much happened; one turn takes it all and hands each kind to its owner.
Nothing here waits: what takes time is queued by whoever owns it.
"""

import asyncio
import logging
from collections.abc import Iterable

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Change
from thinghub.connection_gateway.domain.live import Live
from thinghub.connection_gateway.service.connects import ConnectRequest
from thinghub.connection_gateway.service.message_services import MessageServices
from thinghub.connection_gateway.service.notices import Foreign
from thinghub.connection_gateway.service.ntp import Asked
from thinghub.connection_gateway.service.session_services import SessionServices
from thinghub.connection_gateway.service.sub_devices import SessionMessage
from thinghub.device_protocol.topics import Category
from thinghub_gateway_core import Closed, Core, Delivered, Figures, LocalMessage, Subscription
from thinghub_gateway_core import ConnectRequest as CoreConnectRequest

# The core's report of a publish on a topic of a device without a session on the connection.
FOREIGN = "foreign"

log = logging.getLogger("thinghub.connection_gateway.events")


class Pump:
    def __init__(self, core: Core, sessions: SessionServices, messages: MessageServices) -> None:
        self._core, self._sessions, self._messages = core, sessions, messages
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._loop.add_reader(self._core.event_fd(), self.turn)

    def stop(self) -> None:
        self._loop.remove_reader(self._core.event_fd())

    def turn(self) -> None:
        batch = self._core.poll()
        self._messages.records.forward(batch.records)
        self._messages.traced.note(batch.records)
        self._delivered(batch.delivered)
        self._subscribed(batch.subscriptions)
        self._local(batch.local)
        self._closed(batch.closed)
        self._sessions.closing.on_flushed(batch.flushed)
        inspected = ((one.handle, _live(one) if one.found else None) for one in batch.inspected)
        self._messages.inspection.on_inspected(inspected)
        self._sessions.connects.dropped(batch.dropped)
        self._connect(batch.connects)

    def _connect(self, requests: Iterable[CoreConnectRequest]) -> None:
        now = self._loop.time()
        taken = [
            ConnectRequest(one.conn, one.client_id, one.username, one.password, one.clean, one.address, now)
            for one in requests
        ]
        if taken:
            self._sessions.connects.submit(taken)

    def _delivered(self, delivered: Iterable[Delivered]) -> None:
        for one in delivered:
            if one.token < 0:
                self._sessions.outboxes.on_delivered(one.token, one.outcome)
            else:
                self._sessions.pushes.on_delivered(one.token, one.outcome)

    def _subscribed(self, subscriptions: Iterable[Subscription]) -> None:
        changes, strays = [], []
        for one in subscriptions:
            session = self._sessions.table.by_handle(one.handle)
            if session is None:
                strays.append(one.token)
                continue
            filters = (tuple(one.added), tuple(one.removed), tuple(one.stopped), tuple(one.resumed))
            changes.append((one.token, Change(session.device, session.epoch, *filters)))
        if changes:
            self._sessions.subscriptions.submit(changes)
        if strays:
            self._sessions.subscriptions.reject(strays)

    def _closed(self, closed: Iterable[Closed]) -> None:
        ended = []
        for one in closed:
            self._messages.requests.on_closed(one.handle)
            self._sessions.outboxes.end(one.handle)
            session = self._sessions.closing.on_closed(one.handle)
            if session is not None:
                ended.append((session, one.reason))
                self._sessions.attempts.closed(session, one.reason)
        self._sessions.sub_devices.closed(session.handle for session, _ in ended)
        self._messages.notices.ended(ended)

    def _local(self, messages: Iterable[LocalMessage]) -> None:
        asked, logins, foreign = [], [], []
        for message in messages:
            device = Device(message.product_key, message.device_name)
            if message.category == Category.NTP:
                asked.append(Asked(message.handle, device, message.payload, min(message.qos, 1), message.received_ms))
            elif message.category == Category.RRPC:
                self._messages.requests.on_response(device, message.topic, message.payload)
            elif message.category == Category.SESSION:
                logins.append(SessionMessage(message.handle, message.topic, message.payload, min(message.qos, 1)))
            elif message.category == FOREIGN:
                foreign.append(Foreign(message.handle, device))
            else:
                log.error("the core reported a local message of category %s, which nobody serves", message.category)
        if asked:
            self._messages.ntp.answer(asked)
        self._sessions.sub_devices.submit(logins)
        self._messages.notices.foreign(foreign)


def _live(figures: Figures) -> Live:
    return Live(
        figures.messages_up,
        figures.messages_down,
        figures.refused_permission,
        figures.refused_quota,
        figures.quota_delays,
        figures.in_flight,
        figures.queued,
        tuple(figures.subscriptions),
        figures.keep_alive_s,
        figures.last_packet_ms_ago,
        figures.out_buffer,
    )
