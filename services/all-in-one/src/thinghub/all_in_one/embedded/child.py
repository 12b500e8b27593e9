"""A supervised child process: started, watched, started again when it dies, stopped with us, found again after a crash.

A child runs in a session of its own (Ctrl-C reaches only us) and outlives us if we are killed. So each has an identity
file: its process id together with the time it was started, which no later process of the same id shares. At the next
start a leftover is ended in its orderly way before a new one is started: there is never a server on our data that we do
not supervise.
"""

import asyncio
import contextlib
import json
import logging
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from thinghub.all_in_one.embedded.places import write_private
from thinghub.all_in_one.errors import CannotRun

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS = 60.0
LOG_BYTES = 4 << 20

log = logging.getLogger("thinghub.all_in_one")


@dataclass(frozen=True)
class Plan:
    """How to run one child. `ready` says whether it serves, given its process id; `before` tidies before each start."""

    name: str
    command: tuple[str, ...]
    stop_signal: signal.Signals
    identity: Path
    log: Path
    ready: Callable[[int], Awaitable[bool]]
    before: Callable[[], None] = lambda: None


class Child:
    """Use as `async with`: on entry the child serves; on exit it has ended. Raises CannotRun when it does not start."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.restarts = 0
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def __aenter__(self) -> "Child":
        await end_leftover(self.plan)
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        self._watch = asyncio.create_task(self._supervise(), name=f"supervise {self.plan.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._end()

    def kill(self) -> None:
        """At once, without waiting: for a second Ctrl-C."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def _start(self) -> None:
        self.plan.before()
        _trim(self.plan.log)
        with self.plan.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.plan.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        _remember(self.plan.identity, self._process.pid)
        deadline = time.monotonic() + READY_SECONDS
        while not await self.plan.ready(self._process.pid):
            if self._process.returncode is not None:
                raise CannotRun(
                    f"{self.plan.name} ended with {self._process.returncode} at its start: {_tail(self.plan.log)}"
                )
            if time.monotonic() > deadline:
                raise CannotRun(f"{self.plan.name} did not serve within {READY_SECONDS:.0f} s: {_tail(self.plan.log)}")
            await asyncio.sleep(0.02)

    async def _supervise(self) -> None:
        failures = 0
        while self._process:
            begun = time.monotonic()
            code = await self._process.wait()
            failures = 0 if time.monotonic() - begun > STEADY_SECONDS else failures + 1
            pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1] if failures else 0.0
            log.warning("%s ended with %s, starting it again in %.1f s", self.plan.name, code, pause)
            await asyncio.sleep(pause)
            self.restarts += 1
            try:
                await self._start()
            except CannotRun as error:
                log.error("%s", error)
                await self._end()
            else:
                log.warning("%s serves again", self.plan.name)

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.plan.stop_signal)
            try:
                await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(process.wait())), STOP_SECONDS)
            except TimeoutError:
                log.warning("%s did not stop within %.0f s, killing it", self.plan.name, STOP_SECONDS)
                process.kill()
                await process.wait()
        self.plan.identity.unlink(missing_ok=True)


async def end_leftover(plan: Plan) -> None:
    """Ends the child of an earlier process of ours that was killed, if it still runs."""
    process = _recall(plan.identity)
    if process is None:
        return
    log.warning("%s (process %d) is left over from an earlier run, ending it", plan.name, process.pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(plan.stop_signal)
        process.send_signal(signal.SIGCONT)
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait, STOP_SECONDS)
    plan.identity.unlink(missing_ok=True)


def _remember(identity: Path, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        write_private(identity, json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}).encode())


def _recall(identity: Path) -> psutil.Process | None:
    """The process of the file if it is still that very one."""
    try:
        kept = json.loads(identity.read_bytes())
        process = psutil.Process(int(kept["pid"]))
        same = abs(process.create_time() - float(kept["started"])) < 0.05
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _trim(file: Path) -> None:
    """Keeps one older log beside the current one, so that logs stay bounded."""
    if file.exists() and file.stat().st_size > LOG_BYTES:
        file.replace(file.with_name(file.name + ".1"))


def _tail(file: Path) -> str:
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return " / ".join(line.strip() for line in lines[-3:]) or f"see {file}"
