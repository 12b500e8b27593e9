"""Products."""

from pydantic import Field

from thinghub.api_gateway.domain.values import Product, Role
from thinghub.api_gateway.errors import Refused, invalid
from thinghub.api_gateway.service.model import Empty, Members, Name, Paged, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

NET_TYPES = {"WIFI": 3, "CELLULAR": 6, "ETHERNET": 7, "OTHER": 8, "LORA": 9}
MAX_DESCRIPTION = 100


class ProductRequest(Request):
    product_key: Name


class CreateProductRequest(Request):
    product_name: Name = Field(description="4 to 30 characters.", examples=["water meters"])
    node_type: int = Field(description="0 device, 1 gateway.", examples=[0])
    data_format: int = Field(1, ge=0, le=1, description="0 passthrough, 1 Alink JSON.")
    description: Text = ""
    auth_type: Text = "secret"
    net_type: Text = Field("", description="WIFI, CELLULAR, ETHERNET, LORA or OTHER.")
    protocol_type: Text = ""
    category_key: Text = ""
    aliyun_commodity_code: Text = ""
    validate_type: int = Field(0, ge=0, le=2, description="0 full, 1 weak, 2 nothing is validated.")
    publish_auto: bool = True
    id2: bool = False


class CreatedProduct(Members):
    product_key: str
    product_name: str
    product_secret: str | None = None
    description: str | None = None
    node_type: int
    data_format: int
    auth_type: str
    protocol_type: str | None = None
    aliyun_commodity_code: str | None = None
    id2: bool


class CreateProductResponse(Response):
    data: CreatedProduct
    product_key: str


class ProductDetail(Members):
    product_key: str
    product_name: str
    product_secret: str | None = None
    description: str | None = None
    node_type: int
    data_format: int
    auth_type: str
    net_type: int
    protocol_type: str | None = None
    category_key: str | None = None
    category_name: str | None = None
    aliyun_commodity_code: str | None = None
    product_status: str
    validate_type: int
    device_count: int
    gmt_create: int = Field(description="Epoch milliseconds.")
    id2: bool
    owner: bool = True


class QueryProductResponse(Response):
    data: ProductDetail


class QueryProductListRequest(Paged):
    aliyun_commodity_code: Text = ""


class ProductInfo(Members):
    product_key: str
    product_name: str
    description: str | None = None
    node_type: int
    data_format: int
    auth_type: str
    device_count: int
    gmt_create: int


class ProductInfos(Members):
    product_info: list[ProductInfo]


class ProductPage(Members):
    list: ProductInfos
    current_page: int
    page_size: int
    page_count: int
    total: int


class QueryProductListResponse(Response):
    data: ProductPage


async def create_product(call: Call, request: CreateProductRequest) -> CreateProductResponse:
    product = await call.owners.products.create(new_product(call.instance_id, request))
    return CreateProductResponse(
        product_key=product.product_key,
        data=CreatedProduct(
            product_key=product.product_key,
            product_name=product.name,
            product_secret=product.product_secret or None,
            description=product.description or None,
            node_type=product.node_type,
            data_format=product.data_format,
            auth_type=product.auth_type or "secret",
            protocol_type=product.protocol_type or None,
            aliyun_commodity_code=product.commodity_code or None,
            id2=product.id2,
        ),
    )


def new_product(
    instance_id: str, request: CreateProductRequest, product_key: str = "", product_secret: str = ""
) -> Product:
    """The product a request describes. Raises Refused for members that the contract bounds."""
    if request.node_type not in (0, 1):
        raise Refused("iot.prod.InvalidNodeType", "NodeType is 0 (device) or 1 (gateway).")
    if len(request.description) > MAX_DESCRIPTION:
        raise Refused("iot.prod.LongProductDesc", f"Description has at most {MAX_DESCRIPTION} characters.")
    if request.net_type and request.net_type not in NET_TYPES:
        raise invalid("NetType", f"it is one of {', '.join(NET_TYPES)}")
    return Product(
        product_key=product_key,
        product_secret=product_secret,
        instance_id=instance_id,
        name=request.product_name,
        description=request.description,
        node_type=request.node_type,
        data_format=request.data_format,
        auth_type=request.auth_type,
        net_type=NET_TYPES.get(request.net_type, NET_TYPES["WIFI"]),
        protocol_type=request.protocol_type,
        category_key=request.category_key,
        commodity_code=request.aliyun_commodity_code,
        validate_type=request.validate_type,
        id2=request.id2,
    )


async def query_product(call: Call, request: ProductRequest) -> QueryProductResponse:
    product = await call.owners.products.get(call.instance_id, request.product_key, call.shows_secrets)
    return QueryProductResponse(
        data=ProductDetail(
            product_key=product.product_key,
            product_name=product.name,
            product_secret=product.product_secret or None,
            description=product.description or None,
            node_type=product.node_type,
            data_format=product.data_format,
            auth_type=product.auth_type or "secret",
            net_type=product.net_type,
            protocol_type=product.protocol_type or None,
            category_key=product.category_key or None,
            aliyun_commodity_code=product.commodity_code or None,
            product_status=product.status or "DEVELOPMENT_STATUS",
            validate_type=product.validate_type,
            device_count=product.device_count,
            gmt_create=product.created_ms,
            id2=product.id2,
        )
    )


async def query_product_list(call: Call, request: QueryProductListRequest) -> QueryProductListResponse:
    products, total = await call.owners.products.list(
        call.instance_id, request.aliyun_commodity_code, request.current_page, request.page_size
    )
    infos = [
        ProductInfo(
            product_key=product.product_key,
            product_name=product.name,
            description=product.description or None,
            node_type=product.node_type,
            data_format=product.data_format,
            auth_type=product.auth_type or "secret",
            device_count=product.device_count,
            gmt_create=product.created_ms,
        )
        for product in products
    ]
    return QueryProductListResponse(
        data=ProductPage(
            list=ProductInfos(product_info=infos),
            current_page=request.current_page,
            page_size=request.page_size,
            page_count=-(-total // request.page_size),
            total=total,
        )
    )


async def delete_product(call: Call, request: ProductRequest) -> Empty:
    await call.owners.products.delete(call.instance_id, request.product_key)
    return Empty()


OPERATIONS = (
    Operation(
        "CreateProduct", "Products", Role.ADMINISTRATOR, True, CreateProductRequest, CreateProductResponse,
        create_product, Rest("POST", "/v1/products", 201), "Creates a product and its secret.",
    ),
    Operation(
        "QueryProduct", "Products", Role.READER, False, ProductRequest, QueryProductResponse,
        query_product, Rest("GET", "/v1/products/{ProductKey}"), "Reads one product.",
        note="ProductSecret is shown to administrators only.",
    ),
    Operation(
        "QueryProductList", "Products", Role.READER, False, QueryProductListRequest, QueryProductListResponse,
        query_product_list, Rest("GET", "/v1/products"), "Lists products, page by page.",
    ),
    Operation(
        "DeleteProduct", "Products", Role.ADMINISTRATOR, True, ProductRequest, Empty,
        delete_product, Rest("DELETE", "/v1/products/{ProductKey}"), "Deletes a product that has no devices.",
    ),
)  # fmt: skip
