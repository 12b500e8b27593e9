from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from thinghub.device_protocol.slots import SLOTS, crc16, device_partition, partition, slot

names = st.text(alphabet="abcXYZ019_-.:@", min_size=1, max_size=32)


def test_crc16_is_xmodem() -> None:
    assert crc16(b"123456789") == 0x31C3


@given(names, names)
def test_a_device_has_the_slot_of_its_redis_keys(product_key: str, device_name: str) -> None:
    assert slot(product_key, device_name) == key_slot(f"session:{{{product_key}/{device_name}}}".encode())


@given(st.integers(min_value=1, max_value=1024))
def test_partitions_cut_the_slots_into_equal_runs(partitions: int) -> None:
    runs = [partition(number, partitions) for number in range(0, SLOTS, 7)]
    assert runs == sorted(runs)
    assert 0 <= runs[0] <= runs[-1] < partitions
    assert partition(SLOTS - 1, partitions) == partitions - 1


def test_the_partition_of_a_device_never_changes_by_accident() -> None:
    assert device_partition("a1B2", "dev1", 8) == slot("a1B2", "dev1") * 8 // SLOTS
