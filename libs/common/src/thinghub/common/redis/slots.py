"""Redis Cluster's hash slots (Redis Cluster specification, "Key distribution model")."""

import binascii

SLOTS = 16384


def key_slot(key: bytes) -> int:
    """CRC16 (XMODEM) of the key, or of what is between its first "{" and the next "}" when that is not empty."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return binascii.crc_hqx(key, 0) % SLOTS
