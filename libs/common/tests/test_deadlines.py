"""`within`: nobody waits longer than the deadline, and nothing is left behind for ever."""

import asyncio
import time

import pytest

from thinghub.common import deadlines
from thinghub.common.deadlines import within


async def test_a_result_and_an_error_are_the_works_own() -> None:
    async def work(fails: bool) -> int:
        if fails:
            raise KeyError("x")
        return 7

    assert await within(1, work(False)) == 7
    with pytest.raises(KeyError):
        await within(1, work(True))


async def test_work_that_does_not_end_when_it_is_cancelled_is_not_waited_for() -> None:
    ended = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.5)
            ended.set()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await within(0.05, stubborn())
    assert time.monotonic() - began < 0.4
    assert len(deadlines._left) == 1
    await asyncio.wait_for(ended.wait(), 5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not deadlines._left


async def test_cancelling_the_caller_cancels_the_work() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caller = asyncio.create_task(within(60, work()))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)
    with pytest.raises(asyncio.CancelledError):
        await caller
