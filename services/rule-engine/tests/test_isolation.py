"""A rule reads and writes only products of its own instance; device-registry says whose a product is."""

from collections.abc import Sequence

import pytest

from tests.support.rule_engine_service import PRODUCT, RuleEngine, World, until
from thinghub.common.errors import RemoteFault, Unavailable
from thinghub.device_protocol import bus_topics
from thinghub.rule_engine.errors import ProductNotFound
from thinghub.rule_engine.service.ownership import FRESH_S, MAX_REMEMBERED, Ownership
from thinghubpb.registry.v1 import registry_pb2
from thinghubpb.rule.v1 import rule_pb2

FOREIGN = "a1foreign"
TO_ANY = {"topic": "/${target}/d1/user/get"}


async def refused(engine: RuleEngine, **rule: str) -> str:
    with pytest.raises(RemoteFault) as error:
        await engine.create("r", **rule)
    assert error.value.kind == "NotFound"
    return error.value.remote_reason


async def test_a_rule_on_a_product_of_another_instance_or_of_none_is_not_created(surroundings: World) -> None:
    engine = await surroundings.start()
    await surroundings.product(FOREIGN, "b")
    assert await refused(engine, product_key=FOREIGN, instance_id="a") == "product_not_found"
    assert await refused(engine, product_key=FOREIGN) == "product_not_found"
    assert await refused(engine, product_key=PRODUCT, instance_id="b") == "product_not_found"
    assert await refused(engine, product_key="a1nobody") == "product_not_found"
    await engine.create("r", product_key=FOREIGN, instance_id="b")
    await engine.create("without a product yet", product_key="", select="")


async def test_a_rule_does_not_start_once_its_product_is_gone(surroundings: World) -> None:
    engine = await surroundings.start()
    rule = await engine.create("r")
    gone = registry_pb2.DeleteProductRequest(product_key=PRODUCT)
    await surroundings.registry.stub.DeleteProduct(gone)
    with pytest.raises(RemoteFault) as error:
        await engine.start(rule.rule_id)
    assert error.value.remote_reason == "product_not_found"
    assert not (await engine.stub.GetRule(rule_pb2.GetRuleRequest(rule_id=rule.rule_id))).rule.running


async def test_a_republish_that_names_a_foreign_product_is_not_created(surroundings: World) -> None:
    engine = await surroundings.start()
    await surroundings.product(FOREIGN, "b")
    rule = await engine.create("r")
    for target in (FOREIGN, "a1nobody"):
        with pytest.raises(RemoteFault) as error:
            await engine.action(rule.rule_id, "REPUBLISH", {"topic": f"/{target}/${{deviceName}}/user/get"})
        assert error.value.remote_reason == "product_not_found"
    await engine.action(rule.rule_id, "REPUBLISH", TO_ANY)


async def test_a_rendered_target_in_another_instance_gets_nothing_and_is_counted(surroundings: World) -> None:
    engine = await surroundings.start()
    await surroundings.product(FOREIGN, "b")
    await surroundings.product("a1own")
    await engine.running("r", "REPUBLISH", TO_ANY, "target")
    targets = (FOREIGN, "a1nobody", "a1own", PRODUCT)
    async with surroundings.read(bus_topics.DEVICE_CUSTOM) as found:
        await surroundings.publish([{"target": target} for target in targets])
        await until(lambda: len(surroundings.gateway.downlinks) == 2, "the two of the own instance")
        await until(lambda: len(found) == 3, "the source and the two")
    assert {link.device.product_key for link in surroundings.gateway.downlinks} == {"a1own", PRODUCT}
    outcomes = {
        outcome: engine.count("action_results_total", type="REPUBLISH", outcome=outcome)
        for outcome in ("foreign_instance", "unknown_product", "sent", "refused", "parked")
    }
    assert outcomes == {"foreign_instance": 1, "unknown_product": 1, "sent": 2, "refused": 0, "parked": 0}


async def test_while_the_registry_is_away_known_targets_are_served_and_others_wait(surroundings: World) -> None:
    engine = await surroundings.start()
    await surroundings.product("a1later")
    await engine.running("known", "REPUBLISH", {"topic": f"/{PRODUCT}/d1/user/get"}, "n")
    await engine.running("any", "REPUBLISH", TO_ANY, "target", where="target = 'a1later'")
    await surroundings.registry.stop()
    await surroundings.publish([{"n": 1}])
    await until(lambda: len(surroundings.gateway.downlinks) == 1, "what was known at creation")
    await surroundings.publish([{"target": "a1later"}])
    await until(lambda: engine.count("action_results_total", type="REPUBLISH", outcome="parked") >= 1, "parked")
    with pytest.raises(RemoteFault) as error:
        await engine.create("r")
    assert error.value.kind == "Unavailable"
    await surroundings.start_registry(
        rpc_listen=surroundings.registry.target, postgres_schema=surroundings.registry.settings.postgres_schema
    )
    await until(
        lambda: "a1later" in {link.device.product_key for link in surroundings.gateway.downlinks}, "what waited", 30
    )


# -- what is remembered -----------------------------------------------------------------------------------------------


class Registry:
    """Instances by product; `away` makes it unavailable, `asked` is what it was asked for."""

    def __init__(self, **instances: str) -> None:
        self.found = instances
        self.away = False
        self.asked: list[list[str]] = []

    async def instances(self, product_keys: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(product_keys))
        if self.away:
            raise Unavailable("the registry is away")
        return {key: self.found[key] for key in product_keys if key in self.found}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_answers_are_remembered_for_five_seconds_but_not_that_a_product_is_unknown() -> None:
    registry, clock = Registry(a="one"), Clock()
    ownership = Ownership(registry, clock)
    assert await ownership.instances(["a", "a", "b"]) == {"a": "one"}
    registry.found["b"] = "two"
    assert await ownership.instances(["a", "b"]) == {"a": "one", "b": "two"}
    assert registry.asked == [["a", "b"], ["b"]]
    clock.now += FRESH_S
    registry.found = {"b": "three"}
    assert await ownership.instances(["a", "b"]) == {"b": "three"}


async def test_a_registry_that_is_away_is_asked_once_in_five_seconds_for_what_is_known() -> None:
    registry, clock = Registry(a=""), Clock()
    ownership = Ownership(registry, clock)
    await ownership.instances(["a"])
    registry.away = True
    clock.now += FRESH_S
    assert await ownership.instances(["a"]) == {"a": ""}
    assert await ownership.instances(["a"]) == {"a": ""}
    assert len(registry.asked) == 2
    with pytest.raises(Unavailable):
        await ownership.instances(["a", "b"])
    with pytest.raises(Unavailable):
        await ownership.require("", "a")


async def test_creation_always_asks_and_what_is_remembered_is_bounded() -> None:
    registry = Registry(**{f"p{number}": "one" for number in range(MAX_REMEMBERED + 1)})
    ownership = Ownership(registry, Clock())
    await ownership.instances(registry.found)
    await ownership.require("one", "p1")
    with pytest.raises(ProductNotFound):
        await ownership.require("two", "p1")
    await ownership.instances(["p0"])
    await ownership.instances(["p3"])
    assert registry.asked[1:] == [["p1"], ["p1"], ["p0"]]
