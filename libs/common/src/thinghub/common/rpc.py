"""Calls between services: gRPC over TCP or a unix socket, with our faults, deadlines, traces and metrics.

The server side wraps each handler, the client side each stub method (a channel of our own rather than grpc.aio's
interceptors, which cost a task a call). Calls are unary: each carries a batch (design §2.2).

    server                                               client
    raise DeviceNotFound(...)  --status + metadata-->    RemoteFault(kind "NotFound", remote_reason "device_not_found")
    any other exception        --INTERNAL, logged-->     RemoteFault(kind "Internal", remote_reason "internal")
    not there, or too late     --->                      Unavailable

A call without a timeout gets 5 s. Nothing is retried here: only the caller knows what may be repeated.
"""

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Never
from urllib.parse import quote, unquote

import grpc

from thinghub.common import errors, tracing
from thinghub.common.errors import Fault, RemoteFault, Unavailable
from thinghub.common.runtime import Runtime

DEADLINE = 5.0
MESSAGE_BYTES = 16 << 20
STOP_SECONDS = 5.0
CONCURRENT_CALLS = 1024
UNIX_PATH_BYTES = 107  # sockaddr_un.sun_path, less its NUL

KIND, REASON, MESSAGE, DETAILS = "thinghub-kind", "thinghub-reason", "thinghub-message", "thinghub-details"
TRACEPARENT = "traceparent"
TEXT_CHARS = 1000  # of a message or the details: all metadata of a call have to fit in 8 kB

_STATUS: dict[str, grpc.StatusCode] = {
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "Unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "PermissionDenied": grpc.StatusCode.PERMISSION_DENIED,
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "FailedPrecondition": grpc.StatusCode.FAILED_PRECONDITION,
    "ResourceExhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}
_KINDS = {status: kind for kind, status in _STATUS.items()}

_COMMON_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
_CLIENT_OPTIONS = [
    *_COMMON_OPTIONS,
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # gRPC's name for the time that one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
]
_SERVER_OPTIONS = [
    *_COMMON_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
    # clients look the name up again when a connection ends, and so find servers that were added
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
]

log = logging.getLogger("thinghub.common.rpc")

Handle = Callable[[Any, Any], Awaitable[Any]]  # Any: the messages of any method, and grpc's context


# -- server -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve_rpc(listen: str, add: Callable[[grpc.aio.Server], None], runtime: Runtime) -> AsyncIterator[str]:
    """Serves while the context lasts; `add` adds the servicers. `listen` is "host:port" (port 0: any free one) or
    "unix:///path". Yields the target to dial: "host:port" or "unix:/path". Leaving it, running calls have 5 s.
    Raises OSError when the address cannot be had."""
    server = grpc.aio.server(
        interceptors=[_Server(runtime)], options=_SERVER_OPTIONS, maximum_concurrent_rpcs=CONCURRENT_CALLS
    )
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
                outcome = _reason(fault)
                await _refuse(context, fault)
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


async def _refuse(context: Any, fault: Fault) -> Never:
    kind = _kind(fault)
    metadata = [(KIND, kind), (REASON, _reason(fault)), (MESSAGE, quote(fault.message[:TEXT_CHARS]))]
    details = quote(json.dumps(fault.details))
    if fault.details and len(details) <= 3 * TEXT_CHARS:
        metadata.append((DETAILS, details))
    await context.abort(_STATUS.get(kind, grpc.StatusCode.UNKNOWN), fault.message[:TEXT_CHARS], tuple(metadata))
    raise AssertionError("abort raises")


def _kind(fault: Fault) -> str:
    if isinstance(fault, RemoteFault):
        return fault.kind
    return next((kind.__name__ for kind in type(fault).__mro__ if kind.__module__ == errors.__name__), "Fault")


def _reason(fault: Fault) -> str:
    return fault.remote_reason if isinstance(fault, RemoteFault) else fault.reason


def _bind(server: grpc.aio.Server, listen: str) -> str:
    if not listen.startswith("unix:"):
        host = listen.rpartition(":")[0]
        try:
            port = server.add_insecure_port(listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}: {error}") from None
        return f"{host}:{port}"
    path = _unix_path(listen)
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise OSError(f"cannot listen on {path}: a socket path has at most {UNIX_PATH_BYTES} bytes")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(path)
    server.add_insecure_port(f"unix:{path}")
    return f"unix:{path}"


def _unix_path(target: str) -> Path:
    rest = target.removeprefix("unix:")
    return Path(rest[2:] if rest.startswith("//") else rest).absolute()


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


# -- client -----------------------------------------------------------------------------------------------------------


def channel(target: str, runtime: Runtime | None = None) -> grpc.aio.Channel:
    """A channel to "host:port" (a name with several addresses: calls go round) or "unix:/path" ("unix:///path" too). It
    connects on the first call and again after a loss; a target that cannot be reached is Unavailable at once. With a
    runtime, calls are counted and timed there. To be made inside a running event loop."""
    dial = f"unix:{_unix_path(target)}" if target.startswith("unix:") else target
    return _Channel(grpc.aio.insecure_channel(dial, options=_CLIENT_OPTIONS), target, runtime)


class _Channel(grpc.aio.Channel):
    """grpc.aio's channel, with our call around every unary method."""

    def __init__(self, inner: grpc.aio.Channel, target: str, runtime: Runtime | None) -> None:
        self._inner = inner
        self._target = target
        self._runtime = runtime

    # Any: the signatures of grpc.aio.Channel; the generated stubs give the methods their types
    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        call = self._inner.unary_unary(method, *args, **options)
        return _Method(method, call, self._target, self._runtime)

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        return self._inner.unary_stream(*args, **options)

    def stream_unary(self, *args: Any, **options: Any) -> Any:
        return self._inner.stream_unary(*args, **options)

    def stream_stream(self, *args: Any, **options: Any) -> Any:
        return self._inner.stream_stream(*args, **options)

    async def __aenter__(self) -> "_Channel":
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()


class _Method:
    """One method of a stub: adds deadline and traceparent, turns a status into a fault."""

    def __init__(self, method: str, call: Any, target: str, runtime: Runtime | None) -> None:
        self._method = method
        self._name = method.lstrip("/")
        self._call = call
        self._target = target
        self._calls = self._seconds = None
        if runtime is not None:
            self._calls = runtime.metrics.counter("rpc_client_calls_total", "Calls made.", ("method", "outcome"))
            self._seconds = runtime.metrics.histogram("rpc_client_seconds", "Time of a call.", ("method",))

    async def __call__(self, request: Any, *, timeout: float | None = None, metadata: Any = (), **options: Any) -> Any:
        began = time.perf_counter()
        outcome = "ok"
        try:
            with tracing.below(self._name) as span:
                sent = (*(metadata or ()), (TRACEPARENT, span.traceparent)) if span.sampled else metadata
                return await self._call(request, timeout=timeout or DEADLINE, metadata=sent or None, **options)
        except grpc.aio.AioRpcError as error:
            fault = _fault(error, self._name, self._target)
            outcome = _reason(fault)
            raise fault from None
        finally:
            if self._calls is not None and self._seconds is not None:
                self._calls.labels(self._method, outcome).inc()
                self._seconds.labels(self._method).observe(time.perf_counter() - began)


def _fault(error: grpc.aio.AioRpcError, method: str, target: str) -> Fault:
    trailing: Any = error.trailing_metadata() or ()  # Any: the stubs do not know that it is a sequence of pairs
    said = {name: value for name, value in trailing if isinstance(value, str)}
    if KIND in said:
        fault = RemoteFault(said[KIND], said.get(REASON, "fault"), unquote(said.get(MESSAGE, "")))
        fault.details = json.loads(unquote(said.get(DETAILS, "{}")))  # its names may be those of our parameters
        return fault
    status = error.code()
    if status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return Unavailable(f"{method} at {target}: {error.details()}")
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{method} at {target}: no answer in time")
    kind = _KINDS.get(status, "Internal")
    return RemoteFault(kind, status.name.lower(), error.details() or "")
