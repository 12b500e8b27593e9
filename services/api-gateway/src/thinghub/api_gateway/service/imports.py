"""Administrative import: what a fleet already depends on keeps its identifiers and secrets. REST only."""

from pydantic import Field, SecretStr

from thinghub.api_gateway.domain.values import NewDevice, Role
from thinghub.api_gateway.service.devices import RegisterDeviceResponse, registered
from thinghub.api_gateway.service.model import Identifier, Name, Request, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.products import (
    CreatedProduct,
    CreateProductRequest,
    CreateProductResponse,
    new_product,
)
from thinghub.api_gateway.service.rules import CreateRuleRequest, CreateRuleResponse, new_rule
from thinghub.api_gateway.service.topics import (
    CreateProductTopicRequest,
    CreateProductTopicResponse,
    new_topic_class,
)


class ImportProductRequest(CreateProductRequest):
    product_key: Name
    product_secret: SecretStr = Field(min_length=1, max_length=128)


class ImportDeviceRequest(Request):
    product_key: Name
    device_name: Name
    device_secret: SecretStr = Field(min_length=1, max_length=128)
    iot_id: Text = Field("", description="Generated when absent.")
    nickname: Text = ""


class ImportProductTopicRequest(CreateProductTopicRequest):
    topic_id: Identifier


class ImportRuleRequest(CreateRuleRequest):
    rule_id: Identifier


async def import_product(call: Call, request: ImportProductRequest) -> CreateProductResponse:
    product = await call.owners.products.create(
        new_product(call.instance_id, request, request.product_key, request.product_secret.get_secret_value())
    )
    return CreateProductResponse(
        product_key=product.product_key,
        data=CreatedProduct(
            product_key=product.product_key,
            product_name=product.name,
            node_type=product.node_type,
            data_format=product.data_format,
            auth_type=product.auth_type or "secret",
            id2=product.id2,
        ),
    )


async def import_device(call: Call, request: ImportDeviceRequest) -> RegisterDeviceResponse:
    device = await call.owners.devices.register(
        NewDevice(
            call.instance_id, request.product_key, request.device_name, request.nickname, request.iot_id,
            request.device_secret.get_secret_value(),
        )
    )  # fmt: skip
    return registered(device)


async def import_product_topic(call: Call, request: ImportProductTopicRequest) -> CreateProductTopicResponse:
    topic_id = await call.owners.topic_classes.create(call.instance_id, new_topic_class(request, request.topic_id))
    return CreateProductTopicResponse(topic_id=topic_id)


async def import_rule(call: Call, request: ImportRuleRequest) -> CreateRuleResponse:
    rule = await call.owners.rules.create(new_rule(call.instance_id, request, request.rule_id))
    return CreateRuleResponse(rule_id=rule.rule_id)


OPERATIONS = (
    Operation(
        "ImportProduct", "Import", Role.ADMINISTRATOR, True, ImportProductRequest, CreateProductResponse,
        import_product, Rest("POST", "/v1/import/products", 201),
        "Creates a product with its key and secret.", rpc=False,
    ),
    Operation(
        "ImportDeviceIdentity", "Import", Role.ADMINISTRATOR, True, ImportDeviceRequest, RegisterDeviceResponse,
        import_device, Rest("POST", "/v1/import/devices", 201),
        "Registers a device with its secret and IotId.", rpc=False,
    ),
    Operation(
        "ImportProductTopic", "Import", Role.ADMINISTRATOR, True, ImportProductTopicRequest,
        CreateProductTopicResponse, import_product_topic, Rest("POST", "/v1/import/topics", 201),
        "Adds a topic class with its id to a product.",
        "A class that every product begins with (update, update/error, get) is replaced.", rpc=False,
    ),
    Operation(
        "ImportRule", "Import", Role.ADMINISTRATOR, True, ImportRuleRequest, CreateRuleResponse,
        import_rule, Rest("POST", "/v1/import/rules", 201), "Creates a stopped rule with its id.", rpc=False,
    ),
)  # fmt: skip
