"""What the public contract has no action for: limits, secrets, access keys, instances, tokens. REST only."""

from typing import Literal

from pydantic import Field, SecretStr

from thinghub.api_gateway.domain.values import AccessKey, LimitMode, Limits, Role
from thinghub.api_gateway.errors import Refused, invalid
from thinghub.api_gateway.service.model import Empty, Members, Name, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

RoleName = Literal["reader", "operator", "administrator"]
MAX_TOKEN_SECONDS = 86_400


class ByKey(Request):
    """Pages by key: `after` is the last key of the previous page."""

    after: Text = ""
    limit: int = Field(100, ge=1, le=200)


class IssueTokenRequest(Request):
    lifetime_seconds: int = Field(3600, ge=60, le=MAX_TOKEN_SECONDS)


class IssueTokenResponse(Response):
    token: str
    expires_ms: int


class SetProductLimitsRequest(Request):
    """0 means the contract's default."""

    product_key: Name
    mode: Literal["enforce", "observe"] = Field("enforce", description="observe: count, refuse nothing.")
    up_qos0_per_second: int = Field(0, ge=0, le=1_000_000)
    up_qos1_per_second: int = Field(0, ge=0, le=1_000_000)
    down_per_second: int = Field(0, ge=0, le=1_000_000)
    bytes_per_second: int = Field(0, ge=0, le=2**31 - 1)
    subscriptions: int = Field(0, ge=0, le=100_000)
    drop_qos1: bool = Field(False, description="Over quota, drop QoS 1 instead of delaying it.")


class SetProductLimitsResponse(Response):
    version: int


class PutSecretRequest(Request):
    name: Name
    value: SecretStr = Field(min_length=1, max_length=65_536)


class PutSecretResponse(Response):
    version: int


class SecretNameRequest(Request):
    name: Name


class SecretInfo(Members):
    name: str
    version: int
    modified_ms: int


class ListSecretsResponse(Response):
    secrets: list[SecretInfo]


class CreateAccessKeyRequest(Request):
    role: RoleName
    bound_instance_id: Text = Field("", description="Instance the key is bound to; empty for every instance.")
    description: Text = ""
    access_key_id: Text = Field("", description="Given together with the secret (an import), else generated.")
    access_key_secret: SecretStr = SecretStr("")


class AccessKeyInfo(Members):
    access_key_id: str
    role: RoleName
    bound_instance_id: str
    description: str
    created_ms: int


class CreateAccessKeyResponse(Response):
    access_key_id: str
    access_key_secret: str = Field(description="Shown this once.")
    role: RoleName
    bound_instance_id: str
    created_ms: int


class ListAccessKeysResponse(Response):
    access_keys: list[AccessKeyInfo]


class AccessKeyRequest(Request):
    access_key_id: Name


class CreateInstanceRequest(Request):
    instance_id: Text = Field("", description="Kept when given, else generated.")
    name: Name


class InstanceInfo(Members):
    instance_id: str
    name: str
    created_ms: int


class ListInstancesResponse(Response):
    instances: list[InstanceInfo]


class CreateInstanceResponse(Response):
    instance_id: str
    name: str
    created_ms: int


async def issue_token(call: Call, request: IssueTokenRequest) -> IssueTokenResponse:
    if call.caller.by_token:
        raise Refused("Forbidden.RAM", "A token is issued for an access key, not for another token.")
    token = await call.owners.callers.issue_token(call.caller.access_key_id, request.lifetime_seconds)
    return IssueTokenResponse(token=token.token, expires_ms=token.expires_ms)


async def set_product_limits(call: Call, request: SetProductLimitsRequest) -> SetProductLimitsResponse:
    limits = Limits(
        mode=LimitMode[request.mode.upper()],
        up_qos0_per_second=request.up_qos0_per_second,
        up_qos1_per_second=request.up_qos1_per_second,
        down_per_second=request.down_per_second,
        bytes_per_second=request.bytes_per_second,
        subscriptions=request.subscriptions,
        drop_qos1=request.drop_qos1,
    )
    version = await call.owners.products.set_limits(call.instance_id, request.product_key, limits)
    return SetProductLimitsResponse(version=version)


async def put_secret(call: Call, request: PutSecretRequest) -> PutSecretResponse:
    version = await call.owners.secrets.put(call.instance_id, request.name, request.value.get_secret_value())
    return PutSecretResponse(version=version)


async def list_secrets(call: Call, request: ByKey) -> ListSecretsResponse:
    secrets = await call.owners.secrets.list(call.instance_id, request.after, request.limit)
    return ListSecretsResponse(
        secrets=[SecretInfo(name=s.name, version=s.version, modified_ms=s.modified_ms) for s in secrets]
    )


async def delete_secret(call: Call, request: SecretNameRequest) -> Empty:
    await call.owners.secrets.delete(call.instance_id, request.name)
    return Empty()


async def create_access_key(call: Call, request: CreateAccessKeyRequest) -> CreateAccessKeyResponse:
    secret = request.access_key_secret.get_secret_value()
    if bool(request.access_key_id) != bool(secret):
        raise invalid("AccessKeySecret", "AccessKeyId and AccessKeySecret are given together or not at all")
    key, secret = await call.owners.access_keys.create(
        Role[request.role.upper()], request.bound_instance_id, request.description, request.access_key_id, secret
    )
    return CreateAccessKeyResponse(
        access_key_id=key.access_key_id,
        access_key_secret=secret,
        role=_ROLE_NAMES[key.role],
        bound_instance_id=key.instance_id,
        created_ms=key.created_ms,
    )


async def list_access_keys(call: Call, request: ByKey) -> ListAccessKeysResponse:
    keys = await call.owners.access_keys.list(request.after, request.limit)
    return ListAccessKeysResponse(access_keys=[_info(key) for key in keys])


def _info(key: AccessKey) -> AccessKeyInfo:
    return AccessKeyInfo(
        access_key_id=key.access_key_id,
        role=_ROLE_NAMES[key.role],
        bound_instance_id=key.instance_id,
        description=key.description,
        created_ms=key.created_ms,
    )


_ROLE_NAMES: dict[Role, RoleName] = {
    Role.READER: "reader",
    Role.OPERATOR: "operator",
    Role.ADMINISTRATOR: "administrator",
}


async def delete_access_key(call: Call, request: AccessKeyRequest) -> Empty:
    await call.owners.access_keys.delete(request.access_key_id)
    return Empty()


async def create_instance(call: Call, request: CreateInstanceRequest) -> CreateInstanceResponse:
    made = await call.owners.instances.create(request.instance_id, request.name)
    return CreateInstanceResponse(instance_id=made.instance_id, name=made.name, created_ms=made.created_ms)


async def list_instances(call: Call, request: ByKey) -> ListInstancesResponse:
    instances = await call.owners.instances.list(request.after, request.limit)
    return ListInstancesResponse(
        instances=[InstanceInfo(instance_id=i.instance_id, name=i.name, created_ms=i.created_ms) for i in instances]
    )


OPERATIONS = (
    Operation(
        "IssueToken", "Administration", Role.READER, False, IssueTokenRequest, IssueTokenResponse,
        issue_token, Rest("POST", "/v1/tokens", 201), "Issues a bearer token for the calling access key.",
        rpc=False, note="Authenticate with HTTP Basic: a token cannot issue another.",
    ),
    Operation(
        "SetProductLimits", "Administration", Role.ADMINISTRATOR, True, SetProductLimitsRequest,
        SetProductLimitsResponse, set_product_limits, Rest("PUT", "/v1/products/{ProductKey}/limits"),
        "Sets what each device of a product may do.", rpc=False,
    ),
    Operation(
        "PutSecret", "Administration", Role.ADMINISTRATOR, True, PutSecretRequest, PutSecretResponse,
        put_secret, Rest("PUT", "/v1/secrets/{Name}"), "Stores a named secret that rule actions refer to.", rpc=False,
    ),
    Operation(
        "ListSecrets", "Administration", Role.ADMINISTRATOR, False, ByKey, ListSecretsResponse,
        list_secrets, Rest("GET", "/v1/secrets"), "Lists named secrets, without their values.", rpc=False,
    ),
    Operation(
        "DeleteSecret", "Administration", Role.ADMINISTRATOR, True, SecretNameRequest, Empty,
        delete_secret, Rest("DELETE", "/v1/secrets/{Name}"), "Deletes a named secret.", rpc=False,
    ),
    Operation(
        "CreateAccessKey", "Administration", Role.ADMINISTRATOR, True, CreateAccessKeyRequest,
        CreateAccessKeyResponse, create_access_key, Rest("POST", "/v1/access-keys", 201),
        "Creates an access key.", rpc=False, unbound=True,
    ),
    Operation(
        "ListAccessKeys", "Administration", Role.ADMINISTRATOR, False, ByKey, ListAccessKeysResponse,
        list_access_keys, Rest("GET", "/v1/access-keys"), "Lists access keys, without their secrets.",
        rpc=False, unbound=True,
    ),
    Operation(
        "DeleteAccessKey", "Administration", Role.ADMINISTRATOR, True, AccessKeyRequest, Empty,
        delete_access_key, Rest("DELETE", "/v1/access-keys/{AccessKeyId}"), "Deletes an access key.",
        rpc=False, unbound=True, codes={"access_key_unknown": "iot.accesskey.NotExistedAccessKey"},
    ),
    Operation(
        "CreateInstance", "Administration", Role.ADMINISTRATOR, True, CreateInstanceRequest, CreateInstanceResponse,
        create_instance, Rest("POST", "/v1/instances", 201), "Creates an instance.", rpc=False, unbound=True,
    ),
    Operation(
        "ListInstances", "Administration", Role.ADMINISTRATOR, False, ByKey, ListInstancesResponse,
        list_instances, Rest("GET", "/v1/instances"), "Lists instances.", rpc=False, unbound=True,
    ),
)  # fmt: skip
