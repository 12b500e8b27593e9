"""A deadline for whoever waits, kept even when what is waited for does not end in time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_left: set[asyncio.Task[Any]] = set()  # Any: results of every type


async def within(seconds: float, work: Coroutine[object, object, T]) -> T:
    """The result of `work`, or TimeoutError after that time. `asyncio.timeout` waits until cancelled work has ended;
    this does not: a connection to a frozen server takes its own time to be given back, and does so behind the caller's
    back. Cancelling the caller cancels the work."""
    task = asyncio.ensure_future(work)
    _left.add(task)
    task.add_done_callback(_forget)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise TimeoutError(f"no answer within {seconds} s")
    return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # seen: nobody waits for it any more, or has had it
