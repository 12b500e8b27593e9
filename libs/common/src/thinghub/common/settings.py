"""Settings: typed, defaulted, read once from the environment, frozen.

A service names its own prefix; the shared fields fall back to the common one, so that one THINGHUB_REDIS_URL serves a
whole installation and THINGHUB_AUTH_REDIS_URL overrides it for one service:

    class Settings(ServiceSettings, env_prefix="THINGHUB_AUTH_"):
        master_key_file: str = ""

A wrong value is a `SettingsError`: one sentence a variable, naming it; `run_service` prints it and exits with 2.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar

import pydantic_settings
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

SHARED_PREFIX = "THINGHUB_"


class SettingsError(Exception):
    """What is wrong with the environment, in sentences for an operator; never contains a value that may be secret."""


class _Shared(EnvSettingsSource):
    """The common prefix, for the fields that every service has."""

    def __call__(self) -> dict[str, Any]:  # Any: pydantic-settings' own signature
        return {name: value for name, value in super().__call__().items() if name in ServiceSettings.model_fields}


class ServiceSettings(BaseSettings):
    """What every service can be told. Addresses of parts that may be away; nothing here connects to anything."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Which of redis, postgres and bus the service uses."""

    model_config = SettingsConfigDict(env_prefix=SHARED_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0", description="redis:// unix:// redis+sentinel:// redis+cluster://"
    )
    redis_prefix: str = Field("", description="put before every key")
    redis_replicas: int = Field(0, ge=0, le=8, description="replicas that must confirm a write that has to survive")
    postgres_dsn: str = Field("postgresql://127.0.0.1/thinghub")
    postgres_schema: str = Field("", description="default: the service's own name")
    bus_url: str = Field("kafka://127.0.0.1:9092")
    bus_prefix: str = Field("", description="put before every topic name")
    rpc_listen: str = Field("127.0.0.1:0", description="host:port or unix:///path")
    metrics_host: str = Field("127.0.0.1")
    metrics_port: int = Field(9464, ge=-1, le=65535, description="0: any free port; -1: none")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "human"] = Field("auto", description="auto: human on a terminal, else json")
    trace_ratio: float = Field(0.0, ge=0.0, le=1.0)
    otlp_endpoint: str = Field("", description="host:port of an OTLP gRPC collector; empty: spans are not exported")
    shutdown_seconds: float = Field(10.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _own_schema(self) -> Self:
        own = type(self).model_config.get("env_prefix", "").removeprefix(SHARED_PREFIX).strip("_").lower()
        if not self.postgres_schema and own:
            object.__setattr__(self, "postgres_schema", own)  # frozen for everyone else
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _Shared(settings_cls, env_prefix=SHARED_PREFIX)


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def load(settings_type: type[SettingsT], **given: object) -> SettingsT:
    """Reads the environment; `given` values win over it. Raises SettingsError."""
    try:
        return settings_type(**given)  # type: ignore[arg-type]  # checked by pydantic, not by us
    except ValidationError as error:
        sentences = [_sentence(settings_type, dict(problem)) for problem in error.errors(include_url=False)]
        raise SettingsError("\n".join(sentences)) from None
    except pydantic_settings.SettingsError as error:
        raise SettingsError(f"{_prefix(settings_type)}*: {error}") from None


def unknown_variables(settings_type: type[ServiceSettings], environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each variable under the service's own prefix that nothing reads: most likely a typing mistake."""
    prefix = _prefix(settings_type)
    known = {prefix + name.upper() for name in settings_type.model_fields}
    if prefix == SHARED_PREFIX:
        return
    for name in sorted(environ):
        if name.startswith(prefix) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            yield f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def _prefix(settings_type: type[ServiceSettings]) -> str:
    return settings_type.model_config.get("env_prefix", SHARED_PREFIX)


def _sentence(settings_type: type[ServiceSettings], problem: dict[str, Any]) -> str:
    """Any: the shape of pydantic's error list."""
    place = problem["loc"]
    if not place:
        return f"{_prefix(settings_type)}*: {problem['msg']}"
    field = str(place[0])
    own, shared = _prefix(settings_type) + field.upper(), SHARED_PREFIX + field.upper()
    name = shared if field in ServiceSettings.model_fields and shared in os.environ and own not in os.environ else own
    return f"{name}{_value(settings_type, field, problem)}: {problem['msg'][:1].lower() + problem['msg'][1:]}"


def _value(settings_type: type[ServiceSettings], field: str, problem: dict[str, Any]) -> str:
    given = problem.get("input")
    info = settings_type.model_fields.get(field)
    secret = info is not None and SecretStr in (info.annotation, *getattr(info.annotation, "__args__", ()))
    if problem["type"] == "missing" or secret or not isinstance(given, str) or "@" in given:
        return ""
    return f"={given!r}"
