"""The run loop: what a process gives its services, from start to orderly stop.

    Process.run ── uvloop, signals, bound on shutdown
      ├── HTTP endpoint /metrics /healthz /readyz
      ├── log ticker
      └── main: serve(settings, runtime) of one service, or of several in one process

SIGINT or SIGTERM cancels main; cancellation is the orderly stop, and has `shutdown_seconds`. A second signal exits at
once. A service whose serve() raises ends the process with 1, so that a supervisor starts it afresh; one that raises
SettingsError ends it with 2 and its sentence, as wrong variables do.
"""

import asyncio
import contextvars
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Never

import uvloop

from thinghub.common import logs
from thinghub.common.health import Component, Health
from thinghub.common.http_endpoint import Endpoint
from thinghub.common.metrics import Metrics, process_registry
from thinghub.common.settings import ServiceSettings, SettingsError, SettingsT, load, unknown_variables
from thinghub.common.tracing import Tracing

__all__ = ["Component", "Health", "Process", "Runtime", "Serve", "ServiceFailed", "run_service"]

# kafka-python's sender is a CPU-bound thread: with the default 5 ms each of our turns could wait that long for the GIL
SWITCH_INTERVAL = 0.0005
# A batch makes thousands of objects that live for a moment; to look for cycles every 700 of them, as by default, costs
# a quarter of a service's CPU. What was loaded before the start is not looked at again.
COLLECT = (20_000, 20, 20)

FLUSH_SECONDS = 2.0

EXIT_OK, EXIT_FAILED, EXIT_SETTINGS = 0, 1, 2

log = logging.getLogger("thinghub.common.runtime")


@dataclass(frozen=True)
class Runtime:
    """What one service gets from the process it runs in."""

    service: str
    health: Health
    metrics: Metrics
    tracing: Tracing
    log: logging.Logger

    @classmethod
    def for_tests(cls, service: str = "test") -> "Runtime":
        """A runtime of its own, with spans kept in memory."""
        name = logging.getLogger(f"thinghub.{service.replace('-', '_')}")
        return cls(service, Health(), Metrics(service), Tracing.memory(service), name)


Serve = Callable[[SettingsT, Runtime], Awaitable[None]]


class ServiceFailed(Exception):
    """A service ended by itself; it has been logged."""


class ServiceMisconfigured(ServiceFailed):
    """A service cannot start with the settings it was given; the sentence has been printed."""


class Process:
    """Hosts one or several services. `settings` are the process's own: logs, metrics port, traces, shutdown."""

    def __init__(self, name: str, settings: ServiceSettings) -> None:
        self.name = name
        self.settings = settings
        self.health = Health()
        self.registry = process_registry()
        self.registry.register(self.health)
        self.metrics_address = ""  # "host:port" while running
        self._tracings: list[Tracing] = []

    def runtime(self, service: str) -> Runtime:
        """Call it for every service before the first is started: the process is ready when all of them are."""
        self.health.expect(service)
        tracing = Tracing.exporting(service, self.settings.trace_ratio, self.settings.otlp_endpoint)
        self._tracings.append(tracing)
        name = logging.getLogger(f"thinghub.{service.replace('-', '_')}")
        return Runtime(service, self.health, Metrics(service, self.registry), tracing, name)

    async def serve(self, serve: Serve[SettingsT], settings: SettingsT, runtime: Runtime) -> None:
        """Runs one service until cancelled. Raises ServiceFailed when it ends by itself, for whatever reason;
        ServiceMisconfigured when its settings cannot be used."""
        logs.current_service.set(runtime.service)  # this task's context only
        try:
            await serve(settings, runtime)
        except Exception as error:
            if sentences := _sentences(error):
                print("\n".join(sentences), file=sys.stderr)
                raise ServiceMisconfigured(runtime.service) from None
            runtime.log.error("service failed", exc_info=error)
            raise ServiceFailed(runtime.service) from error
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError  # it took the cancellation for its end, which it was
        runtime.log.error("service ended by itself")
        raise ServiceFailed(runtime.service)

    def run(self, main: Callable[[], Awaitable[None]]) -> int:
        """Runs `main` until it ends or a signal comes; returns the exit code. To be called from the main thread."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.freeze()
        gc.set_threshold(*COLLECT)
        handler = logs.setup(self.name, self.settings.log_level, self.settings.log_format)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(self._run(main, handler))
        finally:
            for tracing in self._tracings:
                tracing.close(FLUSH_SECONDS / len(self._tracings))
            handler.finish()

    async def _run(self, main: Callable[[], Awaitable[None]], handler: logs.Handler) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unhandled)
        stop = _Stop(loop, self.settings.shutdown_seconds)
        # a context of its own, so that what main sets does not leak into the process's own tasks
        task = asyncio.create_task(self._main(main), context=contextvars.copy_context())
        stop.on_signals(task)
        ticker = asyncio.create_task(_tick(handler))
        try:
            return await task
        except asyncio.CancelledError:
            log.info("stopped")
            return EXIT_OK
        finally:
            ticker.cancel()
            stop.begin()  # what is left (executor threads, generators) has the same bound

    async def _main(self, main: Callable[[], Awaitable[None]]) -> int:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._endpoint())
            except OSError as error:
                where = f"{self.settings.metrics_host}:{self.settings.metrics_port}"
                log.error("cannot serve metrics on %s: %s", where, error.strerror or error)
                return EXIT_FAILED
            try:
                await main()
            except Exception as error:
                if not _logged_before(error):
                    log.error("process failed", exc_info=error)
                return EXIT_SETTINGS if _misconfigured(error) else EXIT_FAILED
            return EXIT_OK

    @asynccontextmanager
    async def _endpoint(self) -> AsyncIterator[None]:
        if self.settings.metrics_port < 0:
            yield
            return
        endpoint = Endpoint(self.registry, self.health)
        async with endpoint.listening(self.settings.metrics_host, self.settings.metrics_port) as address:
            self.metrics_address = address
            log.info("metrics and health on http://%s", address, extra={"address": address})
            yield


class _Stop:
    """Signals, and the bound on an orderly stop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._begun = False

    def on_signals(self, task: "asyncio.Task[int]") -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._signalled, number, task)

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._loop.call_later(self._seconds, self._late)

    def _signalled(self, number: signal.Signals, task: "asyncio.Task[int]") -> None:
        if self._begun:
            log.warning("second signal: leaving at once")
            _leave(128 + number)
        log.info("stopping on %s", number.name)
        self.begin()
        task.cancel()

    def _late(self) -> None:
        names = sorted(task.get_name() for task in asyncio.all_tasks(self._loop) if not task.done())
        log.error("not stopped after %s s, leaving; still running: %s", self._seconds, ", ".join(names[:20]))
        _leave(EXIT_FAILED)


def run_service(name: str, settings_type: type[SettingsT], serve: Serve[SettingsT]) -> int:
    """The main of a service: reads its settings, runs it until a signal comes, returns the exit code (0 stopped in
    order, 1 failed, 2 wrong settings)."""
    try:
        settings = load(settings_type)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_SETTINGS
    process = Process(name, settings)
    runtime = process.runtime(name)

    async def main() -> None:
        for sentence in unknown_variables(settings_type):
            log.warning("%s", sentence)
        await process.serve(serve, settings, runtime)

    return process.run(main)


async def _tick(handler: logs.Handler) -> None:
    while True:
        await asyncio.sleep(1)
        handler.tick()


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Any: asyncio's own shape. What nobody awaited is a defect of ours; it is logged, and the process goes on."""
    log.error("unhandled in the event loop: %s", context.get("message"), exc_info=context.get("exception"))


def _logged_before(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_logged_before(part) for part in error.exceptions)
    return isinstance(error, ServiceFailed)


def _misconfigured(error: BaseException) -> bool:
    """One service is enough: starting afresh would not help it."""
    if isinstance(error, BaseExceptionGroup):
        return any(_misconfigured(part) for part in error.exceptions)
    return isinstance(error, ServiceMisconfigured)


def _sentences(error: BaseException) -> list[str]:
    """What an operator is told when there is nothing but wrong settings; empty for everything else."""
    if isinstance(error, BaseExceptionGroup):
        parts = [_sentences(part) for part in error.exceptions]
        return [sentence for part in parts for sentence in part] if all(parts) else []
    return [str(error)] if isinstance(error, SettingsError) else []


def _leave(code: int) -> Never:
    """Out, without waiting for any thread."""
    sys.stderr.flush()
    os._exit(code)
