"""How far the rotation of the master key is. REST only; the public contract has no such action."""

from typing import Literal

from pydantic import Field

from thinghub.api_gateway.domain.master_keys import MasterKeyUse
from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.service.model import Members, Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Rest

State = Literal["active", "in_use", "unused", "missing"]


class MasterKeyInfo(Members):
    key_id: str
    state: State = Field(
        description="active: it seals; in_use: records are still being sealed anew; unused: its line may be removed; "
        "missing: records need it and it is not given."
    )
    records: dict[str, int] = Field(description="What it opens, by kind; at most 1000000 of a kind are counted.")


class ListMasterKeysResponse(Response):
    master_keys: list[MasterKeyInfo]


async def list_master_keys(call: Call, request: Request) -> ListMasterKeysResponse:
    keys = await call.owners.master_keys.list()
    return ListMasterKeysResponse(
        master_keys=[MasterKeyInfo(key_id=key.key_id, state=state(key), records=dict(key.records)) for key in keys]
    )


def state(key: MasterKeyUse) -> State:
    if not key.given:
        return "missing"
    if key.active:
        return "active"
    return "in_use" if key.records else "unused"


OPERATIONS = (
    Operation(
        "ListMasterKeys", "Administration", Role.ADMINISTRATOR, False, Request, ListMasterKeysResponse,
        list_master_keys, Rest("GET", "/v1/master-keys"),
        "Tells which master keys secrets are sealed with, and how far sealing anew under the first one is.", rpc=False,
        unbound=True, note="It shows no key. Bearer tokens are signed with the key that was the first one when they "
        "were issued: those that have not expired (a day at most) end with its line.",
    ),
)  # fmt: skip
