"""A service for test_runtime.py to start as a process: what it does is its one argument."""

import asyncio
import contextlib
import sys
import time

from thinghub.common.runtime import Process, Runtime, run_service
from thinghub.common.settings import ServiceSettings, SettingsError, load


class Settings(ServiceSettings, env_prefix="THINGHUB_SAMPLE_"):
    what: str = "serve"


async def serve(settings: Settings, runtime: Runtime) -> None:
    part = runtime.health.component(runtime.service, "store")
    try:
        await _DO[settings.what](runtime)
        if settings.what == "return":
            return
        part.ok()
        await asyncio.Event().wait()
    finally:
        runtime.log.info("closed in order")


async def _nothing(runtime: Runtime) -> None:
    runtime.metrics.counter("begun_total", "Begun.").inc()


async def _fail(runtime: Runtime) -> None:
    raise KeyError("a defect")


async def _misconfigured(runtime: Runtime) -> None:
    raise SettingsError("the sample key cannot be used: it is too short")


async def _misconfigured_within(runtime: Runtime) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_misconfigured(runtime))
        await asyncio.sleep(60)


async def _hang(runtime: Runtime) -> None:
    runtime.health.component(runtime.service, "store").ok()
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            runtime.log.info("not listening")


async def _thread(runtime: Runtime) -> None:
    """Leaves a thread behind that nobody can end."""
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)


async def _return(runtime: Runtime) -> None:
    """Takes the cancellation for its end."""
    runtime.health.component(runtime.service, "store").ok()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def _wait(runtime: Runtime) -> None:
    await asyncio.sleep(60)


_DO = {
    "serve": _nothing,
    "fail": _fail,
    "misconfigured": _misconfigured,
    "misconfigured_within": _misconfigured_within,
    "hang": _hang,
    "thread": _thread,
    "wait": _wait,
    "return": _return,
}


def two() -> int:
    """Two services in one process, the second as the settings say."""
    settings = load(Settings)
    process = Process("two", settings)
    first, second = process.runtime("first"), process.runtime("second")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(process.serve(serve, settings.model_copy(update={"what": "serve"}), first))
            group.create_task(process.serve(serve, settings, second))

    return process.run(main)


if __name__ == "__main__":
    raise SystemExit(two() if sys.argv[1:] == ["two"] else run_service("sample", Settings, serve))
