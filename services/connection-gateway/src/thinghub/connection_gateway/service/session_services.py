"""The services of sessions, put together: how one begins, what it keeps, how it ends.

Policies, Attempts, Refusals ── Admission ─┬─ Connects
                                           └─ Logins ── SubDevices <── TopologyChecks
Subscriptions, Outboxes ── what persistent sessions keep
Closing <── Kicks ── other owners
Vigil ─┬─ Expiry ── sessions of gateways that died
       └─ Reassertion ── own claims, after an outage of Redis
"""

import time
from collections.abc import Callable, Coroutine

from thinghub.connection_gateway.domain.outbox import Window
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import SessionTable
from thinghub.connection_gateway.domain.vigil import Vigil
from thinghub.connection_gateway.service.admission import Admission
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.connects import ConnectLimits, Connects
from thinghub.connection_gateway.service.expiry import Expiry
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.logins import LoginLimits, Logins
from thinghub.connection_gateway.service.outboxes import Outboxes
from thinghub.connection_gateway.service.outside import Outside
from thinghub.connection_gateway.service.policies import Policies
from thinghub.connection_gateway.service.pushes import Pushes
from thinghub.connection_gateway.service.reassertion import Reassertion
from thinghub.connection_gateway.service.refusals import Refusals
from thinghub.connection_gateway.service.sub_devices import SubDevices
from thinghub.connection_gateway.service.subscriptions import Subscriptions
from thinghub.connection_gateway.service.topology_checks import TopologyChecks
from thinghub.connection_gateway.settings import Settings

# Between two looks at what connected persistent sessions keep.
RENEW_SECONDS = 30.0


class SessionServices:
    def __init__(self, settings: Settings, outside: Outside, clock_ms: Callable[[], int]) -> None:
        self._settings, self._outside, self._clock_ms = settings, outside, clock_ms
        connections, count = outside.connections, outside.count
        self.table = SessionTable()
        self.policies = Policies(outside.policies, connections)
        self.closing = Closing(connections, outside.claims, self.table, outside.events, clock_ms)
        self.pushes = Pushes(connections, settings.max_inflight_downlinks)
        self.subscriptions = Subscriptions(connections, outside.queues, count)
        self.outboxes = Outboxes(
            connections,
            outside.queues,
            self.closing,
            self.table,
            Window(settings.queue_window),
            bound=settings.max_inflight_queued,
            max_bytes=settings.max_inflight_queued_bytes,
            renew_seconds=min(RENEW_SECONDS, settings.session_keep_seconds / 4),
            tally=count,
        )
        self._ends()
        self._begins()

    def _ends(self) -> None:
        """By another owner, by a gateway's death, by the topology."""
        settings, outside, count = self._settings, self._outside, self._outside.count
        self.kicks = Kicks(
            outside.gateway,
            outside.claims,
            outside.peers,
            self.table,
            self.closing,
            self.outboxes,
            outside.queues,
            count,
        )
        self.vigil = Vigil(settings.lease_seconds, time.monotonic())
        self.expiry = Expiry(
            outside.estates,
            outside.events,
            lambda: self.vigil.trusts(time.monotonic()),
            settings.lease_seconds / 6,
            self._clock_ms,
            count,
        )
        self.reassertion = Reassertion(
            outside.estates,
            self.table,
            self.closing,
            outside.events,
            per_second=settings.reassert_per_second,
            every=settings.claims_check_seconds,
            missed=self.outboxes.look,
            clock_ms=self._clock_ms,
            count=count,
        )
        self.topology_checks = TopologyChecks(outside.topology, self.table, self.closing)

    def _begins(self) -> None:
        """By a CONNECT, or by the log-in of a sub-device: one admission for both."""
        settings, outside, count, clock_ms = self._settings, self._outside, self._outside.count, self._clock_ms
        self.attempts = Attempts(
            outside.remembered, self.policies.need, settings.remembered_per_second, time.monotonic, clock_ms, count
        )
        self.refusals = Refusals()
        admission = Admission(
            outside.claims,
            self.table,
            self.kicks,
            self.closing,
            outside.events,
            self.attempts,
            self.outboxes,
            clock_ms,
        )
        # A device has one allowance, whichever way it comes.
        per_device = Rates(settings.connects_per_minute)
        self.connects = Connects(
            outside.connections,
            outside.authenticator,
            self.policies,
            admission,
            ConnectLimits(per_device, Rates(settings.failures_per_minute), settings.connects_enforce),
            self.attempts,
            self.refusals,
            clock_ms,
            count,
        )
        self.logins = Logins(
            outside.connections,
            outside.authenticator,
            outside.topology,
            self.policies,
            admission,
            self.table,
            LoginLimits(
                per_device,
                Rates(settings.failures_per_minute),
                settings.connects_enforce,
                settings.max_sub_devices,
                settings.max_sessions,
            ),
            clock_ms,
            count,
        )
        self.sub_devices = SubDevices(
            self.logins,
            self.table,
            self.closing,
            self.pushes,
            self.refusals,
            self.attempts,
            settings.sub_devices_per_second,
            count,
        )

    def jobs(self) -> list[Coroutine[None, None, None]]:
        """What has to run while the gateway serves."""
        return [
            self.expiry.run(),
            self.reassertion.run(),
            self.connects.run(),
            self.sub_devices.run(),
            self.refusals.run(),
            self.closing.run(),
            self.subscriptions.run(),
            self.outboxes.run(),
            self.attempts.run(),
            self.policies.watch(self._settings.policy_check_seconds),
            self.topology_checks.watch(self._settings.policy_check_seconds),
        ]

    def waiting(self) -> dict[str, Callable[[], int]]:
        """What waits, by queue."""
        return {
            "downlinks": lambda: len(self.pushes),
            "queued downlinks": lambda: len(self.outboxes),
            "subscriptions": lambda: len(self.subscriptions),
            "leaving": lambda: self.table.leaving,
            "attempts": lambda: len(self.attempts),
            "logins": lambda: len(self.sub_devices),
        }

    async def stop(self, seconds: float) -> bool:
        """No session begins any more, all end. False: not all were released in time."""
        self.connects.stop()
        self.sub_devices.stop()
        self.closing.close(self.table.live(), "shutdown")
        return await self.closing.drained(seconds)
