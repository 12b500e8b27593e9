"""One device of the public SDK `aliyun-iot-linkkit`, driven by lines of JSON; runs in the SDKs' environment.

argv[1] is what `Settings` of the driver says. A line `{"call": METHOD, "args": [...]}` calls a method of the SDK's
object and is answered `{"result": ...}` or `{"raised": ...}`, with the `number` of the line; what the SDK calls back is
a line `{"event": ..., "args": [...]}`. The end of stdin ends it.
"""

import json
import logging
import ssl
import sys
import threading
from enum import Enum
from functools import partial
from typing import Any

from linkkit.linkkit import LinkKit  # type: ignore[import-not-found]

CALLBACKS = (
    "on_connect",
    "on_disconnect",
    "on_thing_enable",
    "on_subscribe_topic",
    "on_topic_message",
    "on_topic_rrpc_message",
    "on_thing_prop_post",
    "on_thing_prop_changed",
    "on_thing_event_post",
    "on_thing_call_service",
    "on_thing_shadow_get",
    "on_thing_device_info_update",
    "on_thing_device_info_delete",
    "on_ota_message_arrived",
    "on_gateway_add_subdev_topo_reply",
    "on_gateway_delete_subdev_topo_reply",
    "on_gateway_login_subdev_reply",
    "on_gateway_logout_subdev_reply",
    "on_gateway_topo_change",
)
_writing = threading.Lock()


class OneAtATime(ssl.SSLSocket):
    """The SDK publishes from other threads than the one that reads, and OpenSSL is not made for two threads in one
    connection: now and then it sends a broken record, to whatever server. That is not what is to be shown here."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "OneAtATime":
        made = super().__new__(cls, *args, **kwargs)
        made._turn = threading.Lock()
        return made

    _turn: threading.Lock

    def send(self, *args: Any) -> int:
        with self._turn:
            return super().send(*args)

    def recv(self, *args: Any) -> bytes:
        with self._turn:
            return super().recv(*args)


def say(**line: Any) -> None:
    with _writing:
        print(json.dumps(line, default=plain), flush=True)


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.value if isinstance(value, Enum) else str(value)


def called_back(name: str, *args: Any) -> None:
    say(event=name, args=args)


def made(settings: dict[str, Any]) -> Any:
    kit = LinkKit("cn-shanghai", settings["product_key"], settings["device_name"], settings["device_secret"])
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    kit.enable_logger(logging.WARNING)
    kit.config_mqtt(**settings["mqtt"])
    for name in CALLBACKS:
        setattr(kit, name, partial(called_back, name))
    if settings["tsl"] is not None:
        assert kit.thing_setup(settings["tsl"] or None) == 0
    return kit


def result(kit: Any, call: str, args: list[Any]) -> Any:
    if call == "thing_trigger_event":  # the SDK insists on a tuple
        args = [tuple(args[0])]
    if call == "local_get_latest_shadow":
        return kit.local_get_latest_shadow().to_dict()
    return getattr(kit, call)(*args)


def main() -> None:
    ssl.SSLContext.sslsocket_class = OneAtATime
    kit = made(json.loads(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": result(kit, request["call"], request["args"])}
        except Exception as error:
            answer = {"raised": f"{type(error).__name__}: {error}"}
        say(number=request["number"], **answer)
    kit.destruct()


main()
