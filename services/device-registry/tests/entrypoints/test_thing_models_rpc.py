"""Thing models through the running service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.registry_service import Registry
from thinghub.common.bus.port import Bus, BusRecord
from thinghub.common.errors import RemoteFault
from thinghub.common.rpc import channel
from thinghub.device_protocol.bus_topics import CONTROL
from thinghubpb.bus.v1 import control_pb2
from thinghubpb.registry.v1 import registry_pb2
from thinghubpb.registry.v1 import things_pb2 as pb
from thinghubpb.registry.v1.things_pb2_grpc import ThingModelServiceStub

if TYPE_CHECKING:
    from thinghubpb.registry.v1.things_pb2_grpc import ThingModelServiceAsyncStub


def prop(identifier: str, kind: str = "int", **specs: str) -> dict[str, object]:
    return {"identifier": identifier, "name": identifier, "dataType": {"type": kind, "specs": specs}}


def tsl(*identifiers: str) -> str:
    return orjson.dumps({"properties": [prop(one) for one in identifiers]}).decode()


@pytest.fixture
async def models(registry: Registry) -> "AsyncIterator[ThingModelServiceAsyncStub]":
    opened = channel(registry.settings.rpc_listen)
    yield ThingModelServiceStub(opened)
    await opened.close(None)


@pytest.fixture
async def key(registry: Registry) -> str:
    return (await registry.product(category_key="Ammeter")).product_key


async def refusal(call: object) -> RemoteFault:
    with pytest.raises(RemoteFault) as refused:
        await call  # type: ignore[misc]  # grpc's calls are awaitable
    return refused.value


async def shown(models: "ThingModelServiceAsyncStub", key: str, **how: Any) -> dict[str, Any]:
    answer = await models.GetThingModel(pb.GetThingModelRequest(product_key=key, **how))
    document: dict[str, Any] = orjson.loads(answer.tsl)
    return document


async def identifiers(models: "ThingModelServiceAsyncStub", key: str, **how: Any) -> list[str]:
    return [one["identifier"] for one in (await shown(models, key, **how))["properties"]]


async def test_a_product_starts_with_an_empty_thing_model(models: "ThingModelServiceAsyncStub", key: str) -> None:
    document = await shown(models, key)
    assert document["profile"] == {"productKey": key}
    assert document["properties"] == []
    published = pb.GetThingModelRequest(product_key=key, published=True)
    assert (await refusal(models.GetThingModel(published))).remote_reason == "thing_model_not_found"
    publish = pb.PublishThingModelRequest(product_key=key)
    assert (await refusal(models.PublishThingModel(publish))).remote_reason == "thing_model_not_found"


async def test_a_draft_is_effective_once_published(models: "ThingModelServiceAsyncStub", key: str) -> None:
    await models.ImportThingModel(pb.ImportThingModelRequest(product_key=key, tsl=tsl("Temp")))
    assert await identifiers(models, key) == ["Temp"]
    first = await models.PublishThingModel(
        pb.PublishThingModelRequest(product_key=key, model_version="1.0.0", description="first")
    )
    added = pb.AddThingModelFunctionsRequest(product_key=key, functions=tsl("Hum"))
    await models.AddThingModelFunctions(added)
    assert await identifiers(models, key) == ["Temp", "Hum"]
    assert await identifiers(models, key, published=True) == ["Temp"]
    again = await refusal(models.PublishThingModel(pb.PublishThingModelRequest(product_key=key, model_version="1.0.0")))
    assert again.remote_reason == "thing_model_version_exists"
    second = await models.PublishThingModel(pb.PublishThingModelRequest(product_key=key))
    assert second.version > first.version
    assert await identifiers(models, key, published=True) == ["Temp", "Hum"]
    assert await identifiers(models, key, model_version="1.0.0") == ["Temp"]
    listed = await models.ListThingModelVersions(pb.ListThingModelVersionsRequest(product_key=key))
    assert [one.model_version for one in listed.versions] == [second.model_version, "1.0.0"]
    assert listed.versions[1].description == "first"


async def test_modules_are_imported_and_read_alone(models: "ThingModelServiceAsyncStub", key: str) -> None:
    await models.ImportThingModel(pb.ImportThingModelRequest(product_key=key, tsl=tsl("Temp")))
    await models.ImportThingModel(
        pb.ImportThingModelRequest(product_key=key, tsl=tsl("Speed"), module="motor", module_name="Motor")
    )
    await models.AddThingModelFunctions(
        pb.AddThingModelFunctionsRequest(product_key=key, functions=tsl("Torque"), module="motor")
    )
    assert await identifiers(models, key) == ["Temp"]
    assert await identifiers(models, key, module="motor") == ["Speed", "Torque"]
    assert set((await shown(models, key, simple=True))["properties"][0]) == {"identifier", "dataType"}
    assert (
        await refusal(models.GetThingModel(pb.GetThingModelRequest(product_key=key, module="no")))
    ).remote_reason == "thing_model_not_found"


async def test_a_tsl_that_contradicts_itself_is_refused_with_the_path(
    models: "ThingModelServiceAsyncStub", key: str
) -> None:
    bad = orjson.dumps({"properties": [prop("a"), prop("b", min="5", max="1")]}).decode()
    fault = await refusal(models.ImportThingModel(pb.ImportThingModelRequest(product_key=key, tsl=bad)))
    assert fault.remote_reason == "thing_model_invalid"
    assert fault.details["position"] == "$.properties[1].dataType.specs.min"
    assert await identifiers(models, key) == []
    nowhere = pb.ImportThingModelRequest(product_key="a1None00000", tsl=tsl("a"))
    assert (await refusal(models.ImportThingModel(nowhere))).remote_reason == "product_not_found"


async def test_what_is_in_force_is_told_of_many_products(
    models: "ThingModelServiceAsyncStub", registry: Registry, key: str
) -> None:
    weak = (await registry.product(validate_type=1, not_stored=True)).product_key
    await models.ImportThingModel(pb.ImportThingModelRequest(product_key=key, tsl=tsl("Temp")))
    published = await models.PublishThingModel(pb.PublishThingModelRequest(product_key=key))
    request = pb.GetEffectiveThingModelsRequest(product_keys=[weak, "a1None00000", key])
    second, none, first = (await models.GetEffectiveThingModels(request)).models
    assert (first.found, first.version, first.validate_type, first.device_type) == (
        True,
        published.version,
        0,
        "Ammeter",
    )
    assert orjson.loads(first.tsl)["properties"][0]["identifier"] == "Temp"
    assert (second.found, second.version, second.tsl, second.validate_type, second.not_stored) == (True, 0, "", 1, True)
    assert not none.found


async def test_publishing_is_announced_on_control(models: "ThingModelServiceAsyncStub", bus: Bus, key: str) -> None:
    heard: asyncio.Queue[control_pb2.ControlEvent] = asyncio.Queue(100)

    async def hear(records: Sequence[BusRecord]) -> None:
        for record in records:
            heard.put_nowait(control_pb2.ControlEvent.FromString(record.value))

    tail = asyncio.create_task(bus.tail([CONTROL], hear))
    await asyncio.sleep(0.5)
    await models.ImportThingModel(pb.ImportThingModelRequest(product_key=key, tsl=tsl("Temp")))
    published = await models.PublishThingModel(pb.PublishThingModelRequest(product_key=key))
    async with asyncio.timeout(10):
        while (event := await heard.get()).WhichOneof("change") != "thing_model_changed":
            pass
    assert event.thing_model_changed == control_pb2.ThingModelChanged(product_key=key, version=published.version)
    tail.cancel()


async def test_a_deleted_product_has_no_thing_model(
    models: "ThingModelServiceAsyncStub", registry: Registry, key: str
) -> None:
    await models.ImportThingModel(pb.ImportThingModelRequest(product_key=key, tsl=tsl("Temp")))
    await models.PublishThingModel(pb.PublishThingModelRequest(product_key=key))
    await registry.stub.DeleteProduct(registry_pb2.DeleteProductRequest(product_key=key))
    gone = pb.GetThingModelRequest(product_key=key)
    assert (await refusal(models.GetThingModel(gone))).remote_reason == "product_not_found"
