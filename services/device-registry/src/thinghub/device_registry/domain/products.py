"""Products, their limits, and instances."""

from dataclasses import dataclass
from enum import Enum

from thinghub.device_registry.domain.names import check_product_key, check_product_name, check_text
from thinghub.device_registry.errors import ProductInvalid

DEFAULT_INSTANCE = ""
STATUS = "DEVELOPMENT_STATUS"
_MAX_LANE = 255
_MAX_RATE = 1_000_000
_MAX_BYTES = 1 << 30
_SHORT = 64


class LimitMode(Enum):
    ENFORCE = "enforce"
    OBSERVE = "observe"  # count, do not refuse


@dataclass(frozen=True, slots=True)
class Limits:
    """What each device of a product may do; 0 is the contract's default. Rates a second, bytes a connection."""

    mode: LimitMode = LimitMode.ENFORCE
    up_qos0_per_second: int = 0
    up_qos1_per_second: int = 0
    down_per_second: int = 0
    bytes_per_second: int = 0
    subscriptions: int = 0
    drop_qos1: bool = False


CONTRACT_LIMITS = Limits(
    up_qos0_per_second=30, up_qos1_per_second=10, down_per_second=50, bytes_per_second=1024 * 1024, subscriptions=100
)
"""device-mqtt §1.4. The reference gives gateway products no other numbers."""


def resolve(limits: Limits, default: Limits = CONTRACT_LIMITS) -> Limits:
    """No zeros left."""
    return Limits(
        limits.mode,
        limits.up_qos0_per_second or default.up_qos0_per_second,
        limits.up_qos1_per_second or default.up_qos1_per_second,
        limits.down_per_second or default.down_per_second,
        limits.bytes_per_second or default.bytes_per_second,
        limits.subscriptions or default.subscriptions,
        limits.drop_qos1,
    )


def check_limits(limits: Limits) -> None:
    rates = (limits.up_qos0_per_second, limits.up_qos1_per_second, limits.down_per_second, limits.subscriptions)
    if not all(0 <= rate <= _MAX_RATE for rate in rates) or not 0 <= limits.bytes_per_second <= _MAX_BYTES:
        raise ProductInvalid("a limit is 0 (the contract's default) or a positive number in range", member="limits")


@dataclass(frozen=True, slots=True)
class Instance:
    id: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Product:
    key: str
    instance_id: str
    name: str
    description: str = ""
    node_type: int = 0  # 0 device, 1 gateway
    data_format: int = 1  # 0 passthrough, 1 Alink JSON
    auth_type: str = "secret"
    net_type: int = 3
    protocol_type: str = ""
    category_key: str = ""
    commodity_code: str = ""
    validate_type: int = 0  # 0 full, 1 weak, 2 nothing is validated
    id2: bool = False
    lane: int = 0
    not_stored: bool = False
    limits: Limits = Limits()
    status: str = STATUS
    created_ms: int = 0


_RANGES = {
    "node_type": (0, 1),
    "data_format": (0, 1),
    "validate_type": (0, 2),
    "net_type": (0, 32),
    "lane": (0, _MAX_LANE),
}


def check_product(product: Product) -> None:
    """Of a product to create; an empty key is still to be generated."""
    check_product_name(product.name)
    if product.key:
        check_product_key(product.key)
    check_text(product.description, "Description", 1024)
    for member in ("protocol_type", "category_key", "commodity_code"):
        check_text(getattr(product, member), member, _SHORT)
    if product.auth_type not in ("secret", "id2", "x509"):
        raise ProductInvalid("the authentication type is secret, id2 or x509", member="auth_type")
    for member, (least, most) in _RANGES.items():
        if not least <= getattr(product, member) <= most:
            raise ProductInvalid(f"{member} is {least} to {most}", member=member)
    check_limits(product.limits)
