"""Outputs that waited on the bus, back to the engine when their time has come.

A topic has one delay, so its records fall due in their order: waiting for the first holds up none behind it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import orjson
from google.protobuf.message import DecodeError

from thinghub.common.bus.port import BusRecord
from thinghub.rule_engine.domain.outputs import Origin, Output
from thinghub.rule_engine.service.engine import MAX_OUTPUTS, Engine
from thinghubpb.bus.v1 import retry_pb2

log = logging.getLogger("thinghub.rule_engine.retries")


class Retries:
    """A bus handler. `refresh` reloads the rules; `stop` ends what waits, so that the process can go."""

    def __init__(self, engine: Engine, refresh: Callable[[], Awaitable[None]], now_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._refresh = refresh
        self._now_ms = now_ms
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        waiting = deque(decoded for record in records if (decoded := decode(record)) is not None)
        while waiting:
            await self._until(_due(waiting[0]))
            outputs: list[Output] = []
            while waiting and _due(waiting[0]) <= self._now_ms() and len(outputs) < MAX_OUTPUTS:
                outputs += map(output_of, waiting.popleft().actions)
            await self._engine.retry(outputs, self._refresh)

    async def _until(self, due_ms: int) -> None:
        """When the process is stopping the handler ends as if the bus had lost patience with it: the records stay."""
        while (left := due_ms - self._now_ms()) > 0:
            try:
                async with asyncio.timeout(left / 1000):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            if task := asyncio.current_task():
                task.cancel()
            await asyncio.sleep(0)


def _due(record: retry_pb2.RetryRecord) -> int:
    return max(action.not_before_ms for action in record.actions)


def decode(record: BusRecord) -> retry_pb2.RetryRecord | None:
    """None for what is not one, or an empty one."""
    try:
        decoded = retry_pb2.RetryRecord.FromString(record.value)
    except DecodeError:
        log.error("%s/%d@%d is not a retry record and is skipped", record.topic, record.partition, record.offset)
        return None
    return decoded if decoded.actions else None


def output_of(action: retry_pb2.RenderedAction) -> Output:
    origin = Origin(
        action.message_id,
        action.product_key,
        action.device_name,
        action.topic,
        action.received_ms,
        action.qos,
        action.hops,
        action.traceparent,
    )
    result = orjson.loads(action.body)
    return Output(
        action.rule_id,
        action.action_id,
        origin,
        result,
        action.attempts,
        action.first_failed_ms,
        action.last_error,
        action.payload,
    )
