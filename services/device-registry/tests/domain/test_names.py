import pytest

from thinghub.common.errors import InvalidArgument
from thinghub.device_registry.domain import names


@pytest.mark.parametrize("name", ["abcd", "p one", "a_-@()", "温度计", "温度", "x" * 30, "Ünïcode", "テスト製品"])
def test_product_names_of_the_contract_are_accepted(name: str) -> None:
    names.check_product_name(name)


@pytest.mark.parametrize("name", ["", "abc", "温", "x" * 31, "a/b/c", "abc\x00d", "abc'd", "<script>"])
def test_other_product_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        names.check_product_name(name)
    assert refused.value.reason == "product_name_invalid"


@pytest.mark.parametrize("name", ["dev1", "a-_@.:", "x" * 32, "12345678"])
def test_device_names_of_the_contract_are_accepted(name: str) -> None:
    names.check_device_name(name)


@pytest.mark.parametrize("name", ["abc", "x" * 33, "a/bc", "a bc", "a+bc", "a#bc", "温度计温度计", "abcd\n", "{abc}"])
def test_device_names_that_would_break_topics_and_keys_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        names.check_device_name(name)
    assert refused.value.reason == "device_name_invalid"


def test_generated_identifiers_look_like_the_contracts() -> None:
    key, name, iot_id = names.generate_product_key(), names.generate_device_name(), names.generate_iot_id()
    assert key.startswith("a1")
    assert len(key) == 11
    names.check_product_key(key)
    names.check_device_name(name)
    names.check_iot_id(iot_id)
    assert len(iot_id) >= 29
    assert len({names.generate_iot_id() for _ in range(1000)}) == 1000
