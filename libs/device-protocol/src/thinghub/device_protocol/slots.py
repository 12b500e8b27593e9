"""Slots: where a device lives (invariants §3).

A device's slot is CRC16/XMODEM of `pk/dn` modulo 16384, the function Redis Cluster uses for `{pk/dn}`, so one number
says both. A slot's partition is fixed by the slot map, version 1: the slots are cut into equal runs.
"""

from binascii import crc_hqx

SLOTS = 16384
SLOT_MAP_VERSION = 1


def crc16(data: bytes) -> int:
    """CRC16/XMODEM: polynomial 0x1021, start 0, not reflected. `123456789` gives 0x31C3."""
    return crc_hqx(data, 0)


def slot(product_key: str, device_name: str) -> int:
    return crc16(f"{product_key}/{device_name}".encode()) % SLOTS


def partition(slot_number: int, partitions: int) -> int:
    """Partition of a slot in a topic of `partitions` partitions (slot map version 1)."""
    return slot_number * partitions // SLOTS


def device_partition(product_key: str, device_name: str, partitions: int) -> int:
    return partition(slot(product_key, device_name), partitions)
