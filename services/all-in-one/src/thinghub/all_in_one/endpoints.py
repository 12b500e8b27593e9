"""endpoints.json: how a script learns where this platform is, at the very moment it is ready."""

import json
from collections.abc import Mapping

from thinghub.all_in_one.embedded.keys import AccessKey
from thinghub.all_in_one.embedded.places import Places, write_private
from thinghub.all_in_one.options import Options

VERSION = 1


def write(places: Places, options: Options, key: AccessKey, environment: Mapping[str, str]) -> dict[str, str | int]:
    """Mode 0600, renamed into place whole. `environment`: the variables that a command beside the platform needs to
    reach its parts, as `thinghub doctor` does."""
    host = _reachable(options.host)
    endpoints: dict[str, str | int] = {
        "mqtt": f"{host}:{options.mqtt_port}",
        "mqtts": f"{host}:{options.mqtts_port}",
        "api": f"http://{host}:{options.api_port}",
        "ota": f"http://{host}:{options.ota_port}",
        "metrics": f"http://{host}:{options.metrics_port}/metrics",
        "ca": str(places.tls / "ca.pem"),
        "access_key_id": key.access_key_id,
        "access_key_secret": key.access_key_secret,
        "version": VERSION,
    }
    write_private(
        places.endpoints, json.dumps(endpoints | {"environment": dict(environment)}, indent=2).encode() + b"\n"
    )
    return endpoints


def remove(places: Places) -> None:
    places.endpoints.unlink(missing_ok=True)


def _reachable(host: str) -> str:
    """An address that listens everywhere is reached on this machine by loopback."""
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{named}]" if ":" in named and not named.startswith("[") else named
