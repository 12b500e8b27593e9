"""The native core, built from the settings, and its listeners."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from thinghub.connection_gateway.adapters.core import core_rules
from thinghub.connection_gateway.settings import Settings
from thinghub.device_protocol.topics import TopicRule
from thinghub_gateway_core import Core


def build_core(
    settings: Settings, incarnation: str, worker: int, streams: Sequence[int], rules: Sequence[TopicRule]
) -> Core:
    """The core, running, without listeners. `streams` are the partitions of each topic that devices publish to, `rules`
    the topic table, which names them by index. Raises ValueError when the certificate does not load."""
    core = Core(
        {
            "origin": incarnation,
            "worker_id": worker,
            "max_connections": settings.max_connections,
            "delivery_timeout_ms": settings.acknowledge_seconds * 1000,
            "max_sub_sessions": settings.max_sessions,
            "record_linger_ms": settings.record_linger_ms,
            "record_timeout_ms": settings.record_timeout_ms,
            "keep_alive_min_s": settings.keep_alive_min_s,
            "keep_alive_max_s": settings.keep_alive_max_s,
            "trace_every": settings.sampled_every,
            "refuse_above_bytes": settings.refuse_above_bytes,
        }
    )
    if settings.tls_cert_file:
        core.set_tls(Path(settings.tls_cert_file).read_bytes(), Path(settings.tls_key_file).read_bytes())
    core.set_streams(list(streams))
    core.set_topic_table(core_rules(rules))
    core.start()
    return core


def open_listeners(core: Core, settings: Settings, log: logging.Logger) -> None:
    """Opens those that the settings ask for, and says where."""
    opened = {}
    if settings.mqtt_port >= 0:
        mode: Literal["sniff", "never"] = "sniff" if settings.tls_cert_file else "never"
        opened["mqtt"] = core.listen(settings.mqtt_host, settings.mqtt_port, mode)
    if settings.mqtts_port >= 0 and settings.tls_cert_file:
        opened["mqtts"] = core.listen(settings.mqtt_host, settings.mqtts_port, "always")
    where = ", ".join(f"{name} on {settings.mqtt_host}:{port}" for name, port in opened.items())
    log.info("accepting %s", where or "no devices", extra={"listeners": opened})
