"""The sessions of this gateway: who is claimed here, who is connected, who is on the way out.

    claimed ──accept──> live ──closed──> leaving ──flushed──> gone (the claim may be released)
       └── superseded before it was accepted: rejected

A kick names the epoch up to which sessions end. It can overtake the answer of the claim it is about, so an epoch told
to end is remembered for a while: whatever is claimed or accepted at or below it is over before it begins.

A sub-device's session has a *parent*, the own session of the gateway device whose connection carries it. It has claim,
epoch and handle of its own and ends alone or with its parent.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Kept

REMEMBERED_KICKS = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """`handle` is the core's name of the session, `connection` that of its socket; `since_ms` is epoch milliseconds.
    `parent` is there for a sub-device, `kept` for a persistent session until it is connected."""

    device: Device
    epoch: int
    connection: int
    ext: int
    iot_id: str
    client: str
    since_ms: int
    clean: bool = True
    handle: int = 0
    parent: "Session | None" = None
    kept: Kept | None = None

    def under(self, handle: int) -> "Session":
        """Connected; what it kept is the connection plane's now."""
        return replace(self, handle=handle, kept=None)

    @property
    def client_ip(self) -> str:
        return self.client.rpartition(":")[0].strip("[]")


class SessionTable:
    """Bounded by the core's connections. A device has one live session here, and two for the moment of a takeover."""

    def __init__(self) -> None:
        self._arriving: dict[Device, int] = {}
        self._claimed: dict[Device, list[Session]] = {}
        self._live: dict[Device, list[Session]] = {}
        self._by_handle: dict[int, Session] = {}
        self._leaving: dict[int, Session] = {}
        self._ended: OrderedDict[Device, int] = OrderedDict()
        self._behind: Counter[int] = Counter()

    def arriving(self, devices: Iterable[Device]) -> None:
        """These devices are about to be claimed; undone by `arrived`."""
        for device in devices:
            self._arriving[device] = self._arriving.get(device, 0) + 1

    def arrived(self, devices: Iterable[Device]) -> None:
        for device in devices:
            self._arriving[device] -= 1
            if not self._arriving[device]:
                del self._arriving[device]

    def claim(self, session: Session) -> bool:
        """Notes a claim before its session is accepted. False: it was told to end already."""
        if session.epoch <= self._ended.get(session.device, 0):
            return False
        self._claimed.setdefault(session.device, []).append(session)
        return True

    def unclaim(self, session: Session) -> bool:
        """Takes a claim that is about to be accepted or refused. False: it was superseded meanwhile."""
        if session not in self._claimed.get(session.device, ()):
            return False
        _take(self._claimed, session)
        return True

    def accepted(self, session: Session) -> None:
        """The session is connected under its handle."""
        self._by_handle[session.handle] = session
        self._live.setdefault(session.device, []).append(session)
        if session.parent is not None:
            self._behind[session.parent.handle] += 1

    def renew(self, session: Session, epoch: int) -> Session:
        """A connected session goes on under a newer claim."""
        renewed = replace(session, epoch=epoch)
        self._by_handle[session.handle] = renewed
        live = self._live[session.device]
        live[live.index(session)] = renewed
        return renewed

    def supersede(self, device: Device, up_to_epoch: int) -> list[Session]:
        """Ends what this device has here up to that epoch: returns the connected sessions, to be closed; claimed ones
        find out when they are to be accepted."""
        self._remember(device, up_to_epoch)
        for session in [one for one in self._claimed.get(device, ()) if one.epoch <= up_to_epoch]:
            _take(self._claimed, session)
        return [one for one in self._live.get(device, ()) if one.epoch <= up_to_epoch]

    def closed(self, handle: int) -> Session | None:
        """The session is not to be delivered to any more; its uplink may still be on the way."""
        session = self._by_handle.pop(handle, None)
        if session is not None:
            _take(self._live, session)
            self._leaving[handle] = session
            self._left(session)
        return session

    def flushed(self, handle: int) -> Session | None:
        return self._leaving.pop(handle, None)

    def of(self, device: Device) -> Session | None:
        """The device's newest connected session here."""
        return max(self._live.get(device, ()), key=lambda session: session.epoch, default=None)

    def here(self, device: Device, parent: Session) -> Session | None:
        """The sub-device's session on this gateway's connection, unless it was told to end."""
        session = self.of(device)
        ours = session is not None and session.parent is not None and session.parent.handle == parent.handle
        return session if session is not None and ours and self.stands(session) else None

    def stands(self, session: Session) -> bool:
        """Whether it is connected and was not told to end."""
        return session.handle in self._by_handle and session.epoch > self._ended.get(session.device, 0)

    def behind(self, handle: int) -> int:
        """How many sub-devices are online behind the gateway of this handle."""
        return self._behind[handle]

    def by_handle(self, handle: int) -> Session | None:
        return self._by_handle.get(handle)

    def holds(self, device: Device) -> bool:
        """Whether the device is, or is about to be, connected here."""
        return device in self._live or device in self._claimed or device in self._arriving

    def live(self) -> list[Session]:
        return list(self._by_handle.values())

    @property
    def leaving(self) -> int:
        return len(self._leaving)

    def __len__(self) -> int:
        return len(self._by_handle)

    def _left(self, session: Session) -> None:
        if session.parent is not None:
            self._behind[session.parent.handle] -= 1
            if not self._behind[session.parent.handle]:
                del self._behind[session.parent.handle]

    def _remember(self, device: Device, epoch: int) -> None:
        self._ended[device] = max(epoch, self._ended.pop(device, 0))
        if len(self._ended) > REMEMBERED_KICKS:
            self._ended.popitem(last=False)


def _take(table: dict[Device, list[Session]], session: Session) -> None:
    sessions = table[session.device]
    sessions.remove(session)
    if not sessions:
        del table[session.device]
