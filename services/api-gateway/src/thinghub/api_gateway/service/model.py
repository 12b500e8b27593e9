"""Bases of the request and response models.

A member's alias is its name in the public contract (`ProductKey`), on both faces. Absent optional members are left
out of answers.
"""

import types
import typing
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, field_validator
from pydantic.alias_generators import to_pascal
from pydantic.fields import FieldInfo

from thinghub.api_gateway.domain.parameters import Shape

REST_ONLY: dict[str, Any] = {"x-rest-only": True}  # Any: pydantic's own type of schema extras
"""Marks a member that the public contract does not have: the RPC face neither reads nor writes it."""

Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Identifier = Annotated[int, Field(ge=1, le=2**63 - 1)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Topic = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Text = Annotated[str, StringConstraints(max_length=4096)]


class Members(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, populate_by_name=True, frozen=True, extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("it has a NUL character")
        return value


class Request(Members):
    iot_instance_id: Text = Field("", description="Instance to act in; a key that is bound to one may leave it out.")


class Paged(Request):
    """`CurrentPage` counts from 1."""

    current_page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(10, ge=1, le=200)


class Response(Members):
    """An answer. A business outcome that is no success but has members all the same says so by `failed`."""

    _failure: tuple[str, str] | None = PrivateAttr(None)

    def failed(self, code: str, message: str) -> Self:
        self._failure = (code, message)
        return self

    @property
    def failure(self) -> tuple[str, str] | None:
        """Public code and message, or None for a success."""
        return self._failure


class Empty(Response):
    """Nothing but success."""


def rest_only(model: type[Members]) -> frozenset[str]:
    """Python names of the members that only the REST face has."""
    return frozenset(name for name, field in model.model_fields.items() if field.json_schema_extra == REST_ONLY)


def shape_of(model: type[Request]) -> Shape:
    """How the members of a request nest on the RPC wire."""
    hidden = rest_only(model)
    scalars, lists, objects = set(), set(), {}
    for name, field in model.model_fields.items():
        if name in hidden:
            continue
        item = _item_of(field)
        if item is None:
            scalars.add(wire_name(name, field))
        elif isinstance(item, type) and issubclass(item, Members):
            objects[wire_name(name, field)] = frozenset(wire_name(n, f) for n, f in item.model_fields.items())
        else:
            lists.add(wire_name(name, field))
    return Shape(frozenset(scalars), frozenset(lists), objects)


def wire_name(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _item_of(field: FieldInfo) -> object | None:
    """The item type of a list member, or None for a scalar."""
    annotation: object = field.annotation
    if isinstance(annotation, types.UnionType):
        annotation = next(arg for arg in annotation.__args__ if arg is not type(None))
    if typing.get_origin(annotation) is list:
        item: object = typing.get_args(annotation)[0]
        return item
    return None
