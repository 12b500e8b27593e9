"""The platform as a table: what can run, what it is made from, and what it needs beside it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import thinghub.api_gateway.app
import thinghub.api_gateway.settings
import thinghub.auth.app
import thinghub.auth.settings
import thinghub.connection_gateway.app
import thinghub.connection_gateway.settings
import thinghub.device_registry.app
import thinghub.device_registry.settings
import thinghub.ota.app
import thinghub.ota.settings
import thinghub.rule_engine.app
import thinghub.rule_engine.settings
import thinghub.shadow.app
import thinghub.shadow.settings
from thinghub.common.runtime import Serve
from thinghub.common.settings import ServiceSettings


@dataclass(frozen=True)
class Target:
    """`serve` takes an instance of `settings`; Any, because a table of several services cannot say which is whose."""

    name: str
    settings: type[ServiceSettings]
    serve: Serve[Any]
    needs: tuple[str, ...]


TARGETS: tuple[Target, ...] = (
    Target("auth", thinghub.auth.settings.Settings, thinghub.auth.app.serve, ()),
    Target(
        "device-registry",
        thinghub.device_registry.settings.Settings,
        thinghub.device_registry.app.serve,
        ("auth",),
    ),
    Target(
        "connection-gateway",
        thinghub.connection_gateway.settings.Settings,
        thinghub.connection_gateway.app.serve,
        ("auth", "device-registry"),
    ),
    Target(
        "rule-engine",
        thinghub.rule_engine.settings.Settings,
        thinghub.rule_engine.app.serve,
        ("auth", "device-registry", "connection-gateway"),
    ),
    Target(
        "shadow",
        thinghub.shadow.settings.Settings,
        thinghub.shadow.app.serve,
        ("auth", "device-registry", "connection-gateway"),
    ),
    Target(
        "ota",
        thinghub.ota.settings.Settings,
        thinghub.ota.app.serve,
        ("auth", "device-registry", "connection-gateway"),
    ),
    Target(
        "api-gateway",
        thinghub.api_gateway.settings.Settings,
        thinghub.api_gateway.app.serve,
        ("auth", "device-registry", "connection-gateway", "rule-engine", "shadow", "ota"),
    ),
)

NAMES = tuple(target.name for target in TARGETS)


def with_needs(names: Iterable[str]) -> list[Target]:
    """The named targets and all they need, in the table's order (a target stands below what it needs)."""
    wanted = set(names)
    for target in reversed(TARGETS):
        if target.name in wanted:
            wanted.update(target.needs)
    return [target for target in TARGETS if target.name in wanted]
