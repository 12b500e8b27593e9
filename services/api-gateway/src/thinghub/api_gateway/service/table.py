"""Every operation, once. Faces and documents are made from this."""

from thinghub.api_gateway.service import administration, devices, imports, messaging, products, rules, topics
from thinghub.api_gateway.service.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *products.OPERATIONS,
    *devices.OPERATIONS,
    *topics.OPERATIONS,
    *messaging.OPERATIONS,
    *rules.OPERATIONS,
    *administration.OPERATIONS,
    *imports.OPERATIONS,
)
