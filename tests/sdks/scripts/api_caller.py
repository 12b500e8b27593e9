"""Servers of the public SDK `alibabacloud-iot20180120`, driven by lines of JSON; runs in the SDKs' environment.

argv[1] maps a name to the SDK's `Config`. A line `{"call": METHOD, "client": NAME, "request": {...}}`, the request by
the contract's names, is answered `{"result": ..., "mistyped": [...], "unknown": [...]}`: the answer as the SDK's models
understood it, what in it has another type than they say (Python does not mind; the same models in Java and Go do), and
what they have no name for. Or it is answered `{"raised": ...}`. An answer repeats the `number` of its line.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from alibabacloud_iot20180120.client import Client  # type: ignore[import-not-found]
from alibabacloud_tea_openapi.models import Config  # type: ignore[import-not-found]


class Caller:
    """A client that remembers the answer as it came."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.client = Client(Config(**config))
        self._call_api = self.client.call_api
        self.client.call_api = self._remember
        self._came: dict[str, Any] = {}

    def _remember(self, *args: Any, **kwargs: Any) -> Any:
        self._came = self._call_api(*args, **kwargs)
        return self._came

    def answered(self, call: str, fields: dict[str, Any]) -> dict[str, Any]:
        method = getattr(self.client, call)
        request = inspect.signature(method).parameters["request"].annotation()
        body = method(request.from_map(fields)).body
        understood = body.to_map()
        return {
            "result": understood,
            "mistyped": list(mistyped(body, type(body), "")),
            "unknown": list(unknown(self._came["body"], understood, "")),
        }


def unknown(came: Any, understood: Any, path: str) -> Iterator[str]:
    """Paths of what came and was not understood."""
    if isinstance(came, dict):
        for name, value in came.items():
            if name in understood:
                yield from unknown(value, understood[name], f"{path}.{name}")
            elif value is not None:
                yield f"{path}.{name}"
    elif isinstance(came, list):
        for index, (item, known) in enumerate(zip(came, understood, strict=True)):
            yield from unknown(item, known, f"{path}[{index}]")


def mistyped(value: Any, kind: Any, path: str) -> Iterator[str]:
    """Paths below `value` that hold something else than the model's annotations say."""
    if value is None or kind is Any:
        return
    if get_origin(kind) is list:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from mistyped(item, get_args(kind)[0], f"{path}[{index}]")
            return
    elif type(value) is (get_origin(kind) or kind):
        if hasattr(value, "to_map"):
            for name, parameter in list(inspect.signature(kind).parameters.items()):
                yield from mistyped(getattr(value, name), parameter.annotation, f"{path}.{name}")
        return
    yield f"{path}: {value!r} is no {kind}"


def main() -> None:
    callers = {name: Caller(config) for name, config in json.loads(sys.argv[1]).items()}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = callers[request["client"]].answered(request["call"], request["request"])
        except Exception as error:
            told = getattr(error, "data", None) or {}
            answer = {"raised": [type(error).__name__, getattr(error, "code", ""), str(error), told.get("httpCode")]}
        print(json.dumps({"number": request["number"], **answer}), flush=True)


main()
