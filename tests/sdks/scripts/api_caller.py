"""Servers of the public SDK `alibabacloud-iot20180120`, driven by lines of JSON; runs in the SDKs' environment.

argv[1] maps a name to the SDK's `Config`. A line `{"call": METHOD, "client": NAME, "request": {...}}`, the request by
the contract's names, is answered `{"result": ...}`, the answer as the SDK's models understood it, or `{"raised": ...}`.
"""

import inspect
import json
import sys
from typing import Any

from alibabacloud_iot20180120.client import Client  # type: ignore[import-not-found]
from alibabacloud_tea_openapi.models import Config  # type: ignore[import-not-found]


def result(client: Any, call: str, fields: dict[str, Any]) -> Any:
    method = getattr(client, call)
    request = inspect.signature(method).parameters["request"].annotation()
    return method(request.from_map(fields)).body.to_map()


def main() -> None:
    clients = {name: Client(Config(**config)) for name, config in json.loads(sys.argv[1]).items()}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": result(clients[request["client"]], request["call"], request["request"])}
        except Exception as error:
            told = getattr(error, "data", None) or {}
            answer = {"raised": [type(error).__name__, getattr(error, "code", ""), str(error), told.get("httpCode")]}
        print(json.dumps(answer), flush=True)


main()
