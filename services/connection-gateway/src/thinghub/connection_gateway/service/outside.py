"""What the services reach of the world, as ports."""

from dataclasses import dataclass
from typing import Protocol

from thinghub.connection_gateway.ports import (
    Authenticator,
    Claims,
    Connections,
    Count,
    DurableStatusEvents,
    Estates,
    Peers,
    PolicySource,
    Queues,
    Reclaims,
    StatusEvents,
    Topology,
)
from thinghub.connection_gateway.service.attempts import Remembered
from thinghub.connection_gateway.service.broadcasts import BroadcastPeers, Roster
from thinghub.connection_gateway.service.inspection import Inspectable


class Plane(Connections, Inspectable, Protocol):
    """The connection plane."""


class Others(Peers, BroadcastPeers, Protocol):
    """The other gateways."""


class Statuses(StatusEvents, DurableStatusEvents, Protocol):
    """Status events, with or without waiting for them."""


class Holdings(Estates, Reclaims, Protocol):
    """The indexes of what gateways hold, dead ones' and one's own."""


@dataclass(frozen=True)
class Outside:
    gateway: str
    """This gateway's incarnation."""
    connections: Plane
    authenticator: Authenticator
    policies: PolicySource
    topology: Topology
    claims: Claims
    queues: Queues
    estates: Holdings
    peers: Others
    events: Statuses
    remembered: Remembered
    roster: Roster
    count: Count
