"""An API operation: one row from which both faces, the OpenAPI document and the reference are made.

name       public action name
role       least role that may call it
write      changes something (or reaches a device)
request    pydantic model; aliases are the public names
run        async function (Call, request) -> response; raises faults and `Refused`
rest       method and path of the REST face; members named in the path are taken from it
rpc        False: not part of the public contract, REST only
form       members that the vendor's SDK sends in the form body (the RPC face takes every member from either place)
unbound    needs an access key that is not bound to an instance
codes      public codes for fault reasons where this operation differs from the table in errors.py
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from thinghub.api_gateway.domain.parameters import Shape
from thinghub.api_gateway.domain.values import Caller, Role
from thinghub.api_gateway.ports import (
    AccessKeys,
    Applications,
    Audit,
    Callers,
    DeadLetters,
    Desired,
    Devices,
    DeviceSecrets,
    Gateways,
    Histories,
    Instances,
    MasterKeys,
    MessageIdSource,
    Ota,
    Products,
    Rules,
    Secrets,
    Shadows,
    Tags,
    ThingCalls,
    ThingModels,
    Things,
    TopicClasses,
    Topology,
)
from thinghub.api_gateway.service.model import Request, Response, shape_of
from thinghub.api_gateway.service.policies import Policies


@dataclass(frozen=True, slots=True)
class Owners:
    """Everything an operation may call."""

    callers: Callers
    access_keys: AccessKeys
    secrets: Secrets
    master_keys: MasterKeys
    audit: Audit
    instances: Instances
    products: Products
    policies: Policies
    devices: Devices
    device_secrets: DeviceSecrets
    applications: Applications
    tags: Tags
    topology: Topology
    topic_classes: TopicClasses
    thing_models: ThingModels
    things: Things
    thing_calls: ThingCalls
    desired: Desired
    histories: Histories
    gateways: Gateways
    rules: Rules
    dead_letters: DeadLetters
    shadows: Shadows
    ota: Ota
    message_ids: MessageIdSource


@dataclass(frozen=True, slots=True)
class Call:
    """One call under way. `instance_id` is the one it acts in; empty for every instance."""

    owners: Owners
    caller: Caller
    instance_id: str

    @property
    def shows_secrets(self) -> bool:
        """Device and product secrets are for administrators; other roles get the same answer without them."""
        return self.caller.role >= Role.ADMINISTRATOR


Run = Callable[[Call, Any], Awaitable[Response]]
"""The second argument is the row's own request model, which a common type cannot say."""


@dataclass(frozen=True, slots=True)
class Rest:
    """`defaults` are values of members that a REST caller leaves out, where they differ from the RPC face's."""

    method: str
    path: str
    status: int = 200
    defaults: Mapping[str, object] = field(default_factory=dict)

    @property
    def path_members(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))


@dataclass(frozen=True)
class Operation:
    name: str
    group: str
    role: Role
    write: bool
    request: type[Request]
    response: type[Response]
    run: Run
    rest: Rest
    summary: str
    note: str = ""
    rpc: bool = True
    form: tuple[str, ...] = ()
    unbound: bool = False
    codes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def shape(self) -> Shape:
        return shape_of(self.request)
