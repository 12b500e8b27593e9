"""Thing models (TSL) of products."""

from pydantic import Field

from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.errors import invalid, missing
from thinghub.api_gateway.service.model import Empty, Members, Name, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.products import ProductRequest

MAX_TSL = 1 << 20


class ThingModelRequest(Request):
    product_key: Name
    function_block_id: Text = Field("", description="A module; empty is the default one.", examples=[""])


class ImportThingModelTslRequest(ThingModelRequest):
    tsl_str: str = Field("", max_length=MAX_TSL, description="TSL, a JSON object as text.", examples=["{}"])
    tsl_url: Text = Field("", description="Not read here: give TslStr.", examples=[""])
    function_block_name: Text = Field("", examples=[""])


class CreateThingModelRequest(ThingModelRequest):
    thing_model_json: str = Field(
        max_length=MAX_TSL, description="`properties`, `events`, `services` to add, a JSON object as text."
    )
    function_block_name: Text = ""


class PublishThingModelRequest(ProductRequest):
    model_version: Text = Field("", description="Name of the version; made from the time when absent.")
    description: Text = ""


class GetThingModelTslRequest(ThingModelRequest):
    model_version: Text = Field("", description="A published version.")
    simple: bool = Field(False, description="Identifiers and data types only.")


class ThingModelTsl(Members):
    tsl_str: str


class GetThingModelTslResponse(Response):
    data: ThingModelTsl


class ModelVersion(Members):
    model_version: str
    description: str
    gmt_create: int


class ModelVersions(Members):
    model_versions: list[ModelVersion]


class ListThingModelVersionResponse(Response):
    data: ModelVersions


async def import_thing_model_tsl(call: Call, request: ImportThingModelTslRequest) -> Empty:
    if request.tsl_url:
        raise invalid("TslUrl", "files elsewhere are not fetched; give the text as TslStr")
    if not request.tsl_str:
        raise missing("TslStr")
    await call.owners.thing_models.import_tsl(
        call.instance_id, request.product_key, request.tsl_str, request.function_block_id, request.function_block_name
    )
    return Empty()


async def create_thing_model(call: Call, request: CreateThingModelRequest) -> Empty:
    await call.owners.thing_models.add(
        call.instance_id,
        request.product_key,
        request.thing_model_json,
        request.function_block_id,
        request.function_block_name,
    )
    return Empty()


async def publish_thing_model(call: Call, request: PublishThingModelRequest) -> Empty:
    await call.owners.thing_models.publish(
        call.instance_id, request.product_key, request.model_version, request.description
    )
    return Empty()


async def get_thing_model_tsl(call: Call, request: GetThingModelTslRequest) -> GetThingModelTslResponse:
    return await _shown(call, request, published=False)


async def get_thing_model_tsl_published(call: Call, request: GetThingModelTslRequest) -> GetThingModelTslResponse:
    return await _shown(call, request, published=True)


async def _shown(call: Call, request: GetThingModelTslRequest, published: bool) -> GetThingModelTslResponse:
    tsl = await call.owners.thing_models.get(
        call.instance_id,
        request.product_key,
        published,
        request.model_version,
        request.function_block_id,
        request.simple,
    )
    return GetThingModelTslResponse(data=ThingModelTsl(tsl_str=tsl))


async def list_thing_model_version(call: Call, request: ProductRequest) -> ListThingModelVersionResponse:
    versions = await call.owners.thing_models.versions(call.instance_id, request.product_key)
    rows = [
        ModelVersion(model_version=one.model_version, description=one.description, gmt_create=one.created_ms)
        for one in versions
    ]
    return ListThingModelVersionResponse(data=ModelVersions(model_versions=rows))


_PATH = "/v1/products/{ProductKey}/thing-model"

OPERATIONS = (
    Operation(
        "ImportThingModelTsl", "Thing model (TSL)", Role.ADMINISTRATOR, True, ImportThingModelTslRequest, Empty,
        import_thing_model_tsl, Rest("PUT", _PATH), "Replaces the draft of a product's thing model.",
        note="A TSL with a fault is refused whole, with the fault's JSON path. TslUrl is not fetched.",
    ),
    Operation(
        "CreateThingModel", "Thing model (TSL)", Role.ADMINISTRATOR, True, CreateThingModelRequest, Empty,
        create_thing_model, Rest("POST", f"{_PATH}/functions", 201), "Adds functions to the draft.",
        note="ThingModelJson in the spelling of TSL or of the action itself (unconfirmed); either is read.",
    ),
    Operation(
        "PublishThingModel", "Thing model (TSL)", Role.ADMINISTRATOR, True, PublishThingModelRequest, Empty,
        publish_thing_model, Rest("POST", f"{_PATH}/versions", 201), "Makes the draft effective.",
    ),
    Operation(
        "GetThingModelTsl", "Thing model (TSL)", Role.READER, False, GetThingModelTslRequest, GetThingModelTslResponse,
        get_thing_model_tsl, Rest("GET", _PATH), "Shows the draft, or a version.",
        note="TslUrl is left out.",
    ),
    Operation(
        "GetThingModelTslPublished", "Thing model (TSL)", Role.READER, False, GetThingModelTslRequest,
        GetThingModelTslResponse, get_thing_model_tsl_published, Rest("GET", f"{_PATH}/published"),
        "Shows the effective thing model, or a version.", note="TslUrl is left out.",
    ),
    Operation(
        "ListThingModelVersion", "Thing model (TSL)", Role.READER, False, ProductRequest,
        ListThingModelVersionResponse, list_thing_model_version, Rest("GET", f"{_PATH}/versions"),
        "Lists the published versions, newest first.",
    ),
)  # fmt: skip
