"""Every operation, once. Faces and documents are made from this."""

from thinghub.api_gateway.service import (
    administration,
    devices,
    imports,
    messaging,
    products,
    registrations,
    rules,
    shadows,
    thing_models,
    tags,
    topics,
)
from thinghub.api_gateway.service.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *products.OPERATIONS,
    *devices.OPERATIONS,
    *registrations.OPERATIONS,
    *tags.OPERATIONS,
    *topics.OPERATIONS,
    *thing_models.OPERATIONS,
    *messaging.OPERATIONS,
    *rules.OPERATIONS,
    *shadows.OPERATIONS,
    *administration.OPERATIONS,
    *imports.OPERATIONS,
)
