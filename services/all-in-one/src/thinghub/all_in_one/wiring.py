"""The embedded deployment, known in this file only: which address each service is told for each thing it needs."""

from collections.abc import Mapping
from pathlib import Path

import thinghub.api_gateway.settings
import thinghub.auth.settings
import thinghub.connection_gateway.settings
import thinghub.device_registry.settings
import thinghub.ota.settings
import thinghub.rule_engine.settings
import thinghub.shadow.settings
from thinghub.all_in_one.embedded import postgres, redis
from thinghub.all_in_one.embedded.certificates import Certificates
from thinghub.all_in_one.embedded.keys import AccessKey
from thinghub.all_in_one.embedded.places import Places
from thinghub.all_in_one.options import Options
from thinghub.common.settings import ServiceSettings, load

WITH_RPC = ("auth", "device-registry", "connection-gateway", "rule-engine", "shadow", "ota")


def settings(
    options: Options, places: Places, certificates: Certificates, master_key: Path, access_key: AccessKey
) -> dict[str, ServiceSettings]:
    """Every target's settings by name. What is not given here comes from the environment or the default."""
    rpc = {name: f"unix://{places.socket(name)}" for name in WITH_RPC}
    redis_url = redis.url(places)
    shared = {
        "redis_url": redis_url,
        "redis_prefix": "",
        "redis_replicas": 0,
        "postgres_dsn": postgres.dsn(places),
        "bus_url": f"streams+{redis_url}",
        "bus_prefix": "",
        "metrics_port": -1,
    }
    return {
        "auth": load(
            thinghub.auth.settings.Settings,
            **shared,
            rpc_listen=rpc["auth"],
            master_key_file=str(master_key),
            bootstrap_access_key_id=access_key.access_key_id,
            bootstrap_access_key_secret=access_key.access_key_secret,
        ),
        "device-registry": load(
            thinghub.device_registry.settings.Settings,
            **shared,
            rpc_listen=rpc["device-registry"],
            auth_target=rpc["auth"],
            gateway_target=rpc["connection-gateway"],
        ),
        "connection-gateway": load(
            thinghub.connection_gateway.settings.Settings,
            **shared,
            rpc_listen=rpc["connection-gateway"],
            auth_target=rpc["auth"],
            registry_target=rpc["device-registry"],
            mqtt_host=options.host,
            mqtt_port=options.mqtt_port,
            mqtts_port=options.mqtts_port,
            tls_cert_file=str(certificates.chain),
            tls_key_file=str(certificates.key),
        ),
        "rule-engine": load(
            thinghub.rule_engine.settings.Settings,
            **shared,
            rpc_listen=rpc["rule-engine"],
            auth_target=rpc["auth"],
            registry_target=rpc["device-registry"],
            gateway_target=rpc["connection-gateway"],
        ),
        "shadow": load(
            thinghub.shadow.settings.Settings,
            **shared,
            rpc_listen=rpc["shadow"],
            registry_target=rpc["device-registry"],
            gateway_target=rpc["connection-gateway"],
        ),
        "ota": load(
            thinghub.ota.settings.Settings,
            **shared,
            rpc_listen=rpc["ota"],
            registry_target=rpc["device-registry"],
            gateway_target=rpc["connection-gateway"],
            listen_host=options.host,
            listen_port=options.ota_port,
            tls_cert_file=str(certificates.chain),
            tls_key_file=str(certificates.key),
            packages_url=str(places.data / "packages"),
        ),
        "api-gateway": load(
            thinghub.api_gateway.settings.Settings,
            **shared,
            auth_target=rpc["auth"],
            registry_target=rpc["device-registry"],
            gateway_target=rpc["connection-gateway"],
            rules_target=rpc["rule-engine"],
            shadow_target=rpc["shadow"],
            ota_target=rpc["ota"],
            listen_host=options.host,
            listen_port=options.api_port,
            tls_cert_file=str(certificates.chain),
            tls_key_file=str(certificates.key),
        ),
    }


def environment(wired: Mapping[str, ServiceSettings]) -> dict[str, str]:
    """The variables by which a command beside this platform finds the same parts and files."""
    shared = {name: str(getattr(wired["auth"], name)) for name in ("redis_url", "postgres_dsn", "bus_url")}
    files = {
        "auth": ("master_key_file",),
        "connection-gateway": ("tls_cert_file", "tls_key_file"),
        "api-gateway": ("tls_cert_file", "tls_key_file"),
    }
    own = {
        f"{service}_{name}".replace("-", "_"): str(getattr(wired[service], name))
        for service, names in files.items()
        for name in names
    }
    return {f"THINGHUB_{name.upper()}": value for name, value in (shared | own).items()}
