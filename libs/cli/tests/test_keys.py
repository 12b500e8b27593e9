from thinghub.cli.keys import line


def test_a_key_is_told_by_what_to_do_with_it() -> None:
    assert line({"KeyId": "k2", "State": "active", "Records": {"device": 3, "former_device": 1}}) == (
        "k2  seals every secret; it opens 3 device, 1 former device"
    )
    assert "its line may be removed" in line({"KeyId": "k1", "State": "unused", "Records": {}})
    assert "keep its line" in line({"KeyId": "k1", "State": "in_use", "Records": {"named": 1}})
    assert "put its line back" in line({"KeyId": "k0", "State": "missing", "Records": {"named": 1}})
