"""The client side: a channel that adds deadline and traceparent to each call, and turns a status into a fault."""

import json
import time
from typing import Any

import grpc

from thinghub.common import tracing
from thinghub.common.rpc.wire import COMMON_OPTIONS, DEADLINE, TRACEPARENT, fault_of, reason_of, unix_path
from thinghub.common.runtime import Runtime

OPTIONS = [
    *COMMON_OPTIONS,
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # gRPC's name for the time that one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
]


def channel(target: str, runtime: Runtime | None = None) -> grpc.aio.Channel:
    """A channel to "host:port" (a name with several addresses: calls go round) or "unix:/path" ("unix:///path" too). It
    connects on the first call and again after a loss; a target that cannot be reached is Unavailable at once. With a
    runtime, calls are counted and timed there. To be made inside a running event loop."""
    dial = f"unix:{unix_path(target)}" if target.startswith("unix:") else target
    return _Channel(grpc.aio.insecure_channel(dial, options=OPTIONS), target, runtime)


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
            fault = fault_of(error, self._name, self._target)
            outcome = reason_of(fault)
            raise fault from None
        finally:
            if self._calls is not None and self._seconds is not None:
                self._calls.labels(self._method, outcome).inc()
                self._seconds.labels(self._method).observe(time.perf_counter() - began)
