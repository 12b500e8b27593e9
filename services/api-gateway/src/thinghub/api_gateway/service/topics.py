"""Topic classes of products."""

from pydantic import Field

from thinghub.api_gateway.domain.values import Role, TopicClass, TopicOperation
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.model import Members, Name, Request, Response, Text, Topic
from thinghub.api_gateway.service.operation import Call, Operation, Rest
from thinghub.api_gateway.service.products import ProductRequest


class CreateProductTopicRequest(Request):
    product_key: Name
    topic_short_name: Topic = Field(description="Below /{ProductKey}/{DeviceName}/user/.", examples=["alarm"])
    operation: Name = Field(description="PUB, SUB or ALL: what devices may do.", examples=["SUB"])
    desc: Text = ""
    codec: Text = ""
    enable_proxy_subscribe: bool = False


class CreateProductTopicResponse(Response):
    topic_id: int


class ProductTopicInfo(Members):
    id: str
    product_key: str
    topic_short_name: str
    operation: str
    desc: str | None = None
    codec: str | None = None
    enable_proxy_subscribe: bool


class ProductTopicInfos(Members):
    product_topic_info: list[ProductTopicInfo]


class QueryProductTopicResponse(Response):
    data: ProductTopicInfos


def new_topic_class(request: CreateProductTopicRequest, topic_id: int = 0) -> TopicClass:
    """Raises Refused for an operation that is not PUB, SUB or ALL."""
    if request.operation not in ("PUB", "SUB", "ALL"):
        raise Refused("iot.messagebroker.InvalidTopicTemplateOperationValue", "Operation is PUB, SUB or ALL.")
    return TopicClass(
        product_key=request.product_key,
        short_name=request.topic_short_name,
        operation=TopicOperation[request.operation],
        topic_id=topic_id,
        description=request.desc,
        codec=request.codec,
        proxy_subscribe=request.enable_proxy_subscribe,
    )


async def create_product_topic(call: Call, request: CreateProductTopicRequest) -> CreateProductTopicResponse:
    topic_id = await call.owners.topic_classes.create(call.instance_id, new_topic_class(request))
    return CreateProductTopicResponse(topic_id=topic_id)


async def query_product_topic(call: Call, request: ProductRequest) -> QueryProductTopicResponse:
    classes = await call.owners.topic_classes.list(call.instance_id, request.product_key)
    infos = [
        ProductTopicInfo(
            id=str(cls.topic_id),
            product_key=cls.product_key or request.product_key,
            topic_short_name=cls.short_name,
            operation=cls.operation.name,
            desc=cls.description or None,
            codec=cls.codec or None,
            enable_proxy_subscribe=cls.proxy_subscribe,
        )
        for cls in classes
    ]
    return QueryProductTopicResponse(data=ProductTopicInfos(product_topic_info=infos))


OPERATIONS = (
    Operation(
        "CreateProductTopic", "Topics", Role.ADMINISTRATOR, True, CreateProductTopicRequest,
        CreateProductTopicResponse, create_product_topic, Rest("POST", "/v1/products/{ProductKey}/topics", 201),
        "Adds a topic class to a product.",
    ),
    Operation(
        "QueryProductTopic", "Topics", Role.READER, False, ProductRequest, QueryProductTopicResponse,
        query_product_topic, Rest("GET", "/v1/products/{ProductKey}/topics"), "Lists a product's topic classes.",
    ),
)  # fmt: skip
