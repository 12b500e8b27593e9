"""The server side: each handler wrapped once with deadline, trace, metrics and faults."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from thinghub.common.errors import Fault
from thinghub.common.rpc.wire import (
    COMMON_OPTIONS,
    DEADLINE,
    TRACEPARENT,
    metadata_of,
    reason_of,
    status_of,
    unix_path,
)
from thinghub.common.runtime import Runtime

STOP_SECONDS = 5.0
CONCURRENT_CALLS = 1024
UNIX_PATH_BYTES = 107  # sockaddr_un.sun_path, less its NUL

OPTIONS = [
    *COMMON_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
    # clients look the name up again when a connection ends, and so find servers that were added
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
]

Handle = Callable[[Any, Any], Awaitable[Any]]  # Any: the messages of any method, and grpc's context


@asynccontextmanager
async def serve_rpc(listen: str, add: Callable[[grpc.aio.Server], None], runtime: Runtime) -> AsyncIterator[str]:
    """Serves while the context lasts; `add` adds the servicers. `listen` is "host:port" (port 0: any free one) or
    "unix:///path". Yields the target to dial: "host:port" or "unix:/path". Leaving it, running calls have 5 s.
    Raises OSError when the address cannot be had."""
    server = grpc.aio.server(interceptors=[_Server(runtime)], options=OPTIONS, maximum_concurrent_rpcs=CONCURRENT_CALLS)
    add(server)
    target = _bind(server, listen)
    await server.start()
    runtime.log.info("rpc on %s", target, extra={"target": target})
    try:
        yield target
    finally:
        await server.stop(STOP_SECONDS)
        if target.startswith("unix:"):
            Path(target.removeprefix("unix:")).unlink(missing_ok=True)


class _Server(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Wraps each method once: deadline, trace, metrics, faults."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._wrapped: dict[str, Any] = {}  # Any: a handler of whatever messages
        self._calls = runtime.metrics.counter("rpc_calls_total", "Calls answered.", ("method", "outcome"))
        self._seconds = runtime.metrics.histogram("rpc_seconds", "Time to answer a call.", ("method",))

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # Any: a handler of whatever messages, or None for an unknown method
        method = handler_call_details.method
        if method not in self._wrapped:
            handler: Any = await continuation(handler_call_details)  # None for an unknown method
            if handler is None or handler.unary_unary is None:
                return handler
            self._wrapped[method] = grpc.unary_unary_rpc_method_handler(
                self._wrap(method, handler.unary_unary), handler.request_deserializer, handler.response_serializer
            )
        return self._wrapped[method]

    def _wrap(self, method: str, handle: Handle) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            began = time.perf_counter()
            outcome = "ok"
            try:
                async with asyncio.timeout(None if context.time_remaining() else DEADLINE):
                    return await self._traced(method, handle, request, context)
            except Fault as fault:
                outcome = reason_of(fault)
                await context.abort(status_of(fault), reason_of(fault), metadata_of(fault))
            except TimeoutError:
                outcome = "deadline"
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            except grpc.aio.AbortError:
                outcome = "aborted"
                raise
            except Exception as error:
                outcome = "internal"
                self._runtime.log.error("call failed: %s", method, exc_info=error)
                await context.abort(grpc.StatusCode.INTERNAL, "internal error")
            finally:
                self._calls.labels(method, outcome).inc()
                self._seconds.labels(method).observe(time.perf_counter() - began)

        return answer

    async def _traced(self, method: str, handle: Handle, request: Any, context: Any) -> Any:
        parent = next((value for name, value in context.invocation_metadata() or () if name == TRACEPARENT), "")
        if not parent:
            return await handle(request, context)
        with self._runtime.tracing.span(method.lstrip("/"), parent, {"rpc.system": "grpc"}):
            return await handle(request, context)


def _bind(server: grpc.aio.Server, listen: str) -> str:
    if not listen.startswith("unix:"):
        host = listen.rpartition(":")[0]
        try:
            port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}: {error}") from None
        return f"{host}:{port}"
    path = unix_path(listen)
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise OSError(f"cannot listen on {path}: a socket path has at most {UNIX_PATH_BYTES} bytes")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(path)
    server.add_insecure_port(f"unix:{path}")
    return f"unix:{path}"


def _remove_stale(path: Path) -> None:
    """Removes the socket of a process that is gone; one that answers is somebody's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(f"cannot listen on {path}: another process does")
