"""What is in force for a product's devices."""

from dataclasses import dataclass
from enum import IntEnum

from thinghub.device_protocol.tsl.validator import Validator


class Strictness(IntEnum):
    """ValidateType of a product."""

    # One bad property refuses the whole post.
    FULL = 0
    # The good ones are stored, the bad ones told apart.
    WEAK = 1
    # Nothing is validated.
    NONE = 2


@dataclass(frozen=True, slots=True)
class ThingModel:
    """`version` 0: nothing was published, so the validator knows no function. `stored` False: no history."""

    product_key: str
    version: int
    validator: Validator
    strictness: Strictness = Strictness.FULL
    stored: bool = True
    device_type: str = ""
