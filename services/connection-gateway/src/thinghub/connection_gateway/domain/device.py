"""A device's identity."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Device:
    product_key: str
    device_name: str

    @property
    def key(self) -> str:
        """`pk/dn`: the hash tag of every Redis key, and what the slot is computed from."""
        return f"{self.product_key}/{self.device_name}"
