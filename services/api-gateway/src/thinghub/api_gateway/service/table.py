"""Every operation, once. Faces and documents are made from this."""

from thinghub.api_gateway.service import (
    administration,
    broadcasts,
    devices,
    imports,
    messaging,
    ota,
    products,
    registrations,
    rules,
    shadows,
    support,
    tags,
    thing_models,
    thing_services,
    things,
    topics,
    topology,
)
from thinghub.api_gateway.service.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *products.OPERATIONS,
    *devices.OPERATIONS,
    *registrations.OPERATIONS,
    *tags.OPERATIONS,
    *topology.OPERATIONS,
    *topics.OPERATIONS,
    *thing_models.OPERATIONS,
    *things.OPERATIONS,
    *thing_services.OPERATIONS,
    *messaging.OPERATIONS,
    *broadcasts.OPERATIONS,
    *rules.OPERATIONS,
    *shadows.OPERATIONS,
    *ota.OPERATIONS,
    *support.OPERATIONS,
    *administration.OPERATIONS,
    *imports.OPERATIONS,
)
