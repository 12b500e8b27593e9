"""Which services there are, and what their environment tells them: the addresses to ask and the bounds to judge by.

A service's package names its settings by an entry point of the group `thinghub.services`, so a host is judged by what
is installed on it, and the variables are those that the services themselves read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TypeVar

from thinghub.common.settings import ServiceSettings, SettingsError, load

GROUP = "thinghub.services"
T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """`settings` is None when the environment is wrong for it; `wrong` then says how."""

    name: str
    kind: type[ServiceSettings]
    settings: ServiceSettings | None
    wrong: str = ""

    @property
    def migrations(self) -> str:
        return f"{self.kind.__module__.rpartition('.')[0]}.migrations"


@dataclass(frozen=True)
class Place:
    """An address, and the services that use it; `key` is the address itself, and never printed."""

    key: tuple[str, str]
    services: tuple[Service, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(service.name for service in self.services)


@dataclass(frozen=True)
class Deployment:
    services: tuple[Service, ...]
    processes: int = 1
    places: dict[str, list[Place]] = field(default_factory=dict)

    def setting(self, service: str, name: str) -> object | None:
        """None when that service is not here, or its environment is wrong."""
        for one in self.services:
            if one.name == service and one.settings is not None:
                return getattr(one.settings, name, None)
        return None

    def most(self, name: str, services: tuple[Service, ...]) -> int:
        """The largest value of a setting among these."""
        return max((int(getattr(one.settings, name)) for one in services if one.settings is not None), default=0)


def read(processes: int = 1) -> Deployment:
    """From the environment as it is. Raises SettingsError when what all services share is wrong."""
    shared = load(ServiceSettings)
    services = tuple(_service(point.name, point.load()) for point in sorted(entry_points(group=GROUP)))
    places = {
        "bus": _places(services, shared, "bus", lambda one: (one.bus_url, one.bus_prefix)),
        "redis": _places(services, shared, "redis", lambda one: (one.redis_url, "")),
        "postgres": _places(services, shared, "postgres", lambda one: (one.postgres_dsn, "")),
    }
    return Deployment(services, processes, places)


def _service(name: str, kind: type[ServiceSettings]) -> Service:
    try:
        return Service(name, kind, load(kind))
    except SettingsError as error:
        return Service(name, kind, None, " ".join(str(error).split("\n")))


def _places(
    services: tuple[Service, ...],
    shared: ServiceSettings,
    part: str,
    address: Callable[[ServiceSettings], tuple[str, str]],
) -> list[Place]:
    """A service with a wrong environment counts where the shared variables point."""
    found: dict[tuple[str, str], list[Service]] = {}
    for service in services:
        if part in service.kind.parts:
            found.setdefault(address(service.settings or shared), []).append(service)
    return [Place(key, tuple(users)) for key, users in found.items()]
