"""The services of messages, put together, on those of sessions.

up        Records ── bus;  Ntp, Notices ── what the gateway answers itself
down      Delivery ─┬─ Pushes;  Keeping ── queues of persistent sessions
          Broadcasts, Requests (RRPC) ── Pushes
support   Lookup, Inspection, TracedMessages ── Explain
"""

import time
from collections.abc import Callable, Coroutine

from thinghub.connection_gateway.service.broadcasts import Broadcasts
from thinghub.connection_gateway.service.delivery import Delivery
from thinghub.connection_gateway.service.explain import Explain
from thinghub.connection_gateway.service.inspection import Inspection
from thinghub.connection_gateway.service.keeping import Keeping
from thinghub.connection_gateway.service.lookup import Lookup
from thinghub.connection_gateway.service.notices import Notices
from thinghub.connection_gateway.service.ntp import Ntp
from thinghub.connection_gateway.service.outside import Outside
from thinghub.connection_gateway.service.records import Records
from thinghub.connection_gateway.service.requests import Requests
from thinghub.connection_gateway.service.session_services import SessionServices
from thinghub.connection_gateway.service.traced import Read, TracedMessages
from thinghub.connection_gateway.settings import Settings
from thinghub.device_protocol.message_ids import MessageIds


class MessageServices:
    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        sessions: SessionServices,
        records: Records,
        worker: int,
        sampled: Read,
        clock_ms: Callable[[], int],
    ) -> None:
        """`sampled` reads the sampled messages of a record; `worker` is in the ids of the gateway's own messages."""
        gateway, claims, peers, count = outside.gateway, outside.claims, outside.peers, outside.count
        table, pushes = sessions.table, sessions.pushes
        next_id = MessageIds(worker, clock_ms).next
        self.records = records
        self.ntp = Ntp(pushes, clock_ms, count)
        self.notices = Notices(table, pushes, next_id, time.monotonic, count)
        self.keeping = Keeping(gateway, outside.queues, sessions.outboxes, peers, table, count)
        self.delivery = Delivery(gateway, claims, peers, table, pushes, self.keeping, clock_ms)
        self.broadcasts = Broadcasts(
            gateway,
            outside.roster,
            peers,
            table,
            pushes,
            per_second=settings.broadcast_per_second,
            every_device_s=settings.broadcast_all_seconds,
            topic_s=settings.broadcast_topic_seconds,
            count=count,
        )
        self.requests = Requests(
            gateway,
            worker,
            next_id,
            claims,
            peers,
            table,
            pushes,
            bound=settings.max_inflight_requests,
            count=count,
        )
        self.lookup = Lookup(gateway, claims, table)
        self.inspection = Inspection(outside.connections, table)
        self.traced = TracedMessages(outside.remembered, sampled, count)
        self.explain = Explain(
            gateway, self.lookup, claims, outside.remembered, self.inspection, peers, settings.sampled_every
        )

    def jobs(self) -> list[Coroutine[None, None, None]]:
        """What has to run while the gateway serves."""
        return [self.records.run(), self.requests.run(), self.traced.run()]

    def waiting(self) -> dict[str, Callable[[], int]]:
        """What waits, by queue."""
        return {"records": lambda: self.records.held}
