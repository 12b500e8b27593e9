"""shadow, put together.

    device.shadow, device.lifecycle ──> consumer ──> documents ── Redis
                                                        └── replies, controls ── connection-gateway Deliver
    gRPC ShadowService ─────────────────────────────> documents

Ready while Redis and the bus with its topics are there.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Handler
from thinghub.common.redis import open_redis
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import DEVICE_LIFECYCLE, DEVICE_SHADOW
from thinghub.shadow.adapters.gateway_downlinks import GatewayDownlinks
from thinghub.shadow.adapters.redis_documents import RedisDocuments
from thinghub.shadow.adapters.watches import watch, watch_bus
from thinghub.shadow.entrypoints.consumer import consume
from thinghub.shadow.entrypoints.documents import DocumentMessages, DocumentPresence
from thinghub.shadow.entrypoints.documents_rpc import ShadowServicer
from thinghub.shadow.service.document_limits import RequestRates
from thinghub.shadow.service.document_observation import DocumentObservation
from thinghub.shadow.service.documents import Documents
from thinghub.shadow.settings import Settings
from thinghubpb.shadow.v1 import shadow_pb2_grpc


async def serve(settings: Settings, runtime: Runtime) -> None:
    redis_health = runtime.health.component(runtime.service, "redis")
    bus_health = runtime.health.component(runtime.service, "bus")
    async with AsyncExitStack() as stack:
        redis = await open_redis(settings.redis_url, settings.redis_prefix)
        stack.push_async_callback(redis.close)
        bus = await open_bus(settings.bus_url, settings.bus_prefix, runtime)
        stack.push_async_callback(bus.close)
        gateway = await stack.enter_async_context(channel(settings.gateway_target, runtime))

        observation = DocumentObservation(runtime.metrics, runtime.tracing)
        downlinks = GatewayDownlinks(gateway)
        rates = RequestRates(settings.document_requests_per_second, settings.document_rate_mode == "enforce")
        documents = Documents(RedisDocuments(redis, settings.redis_replicas), downlinks, rates, observation, now_ms)
        servicer = ShadowServicer(documents)
        await stack.enter_async_context(
            serve_rpc(
                settings.rpc_listen,
                lambda server: shadow_pb2_grpc.add_ShadowServiceServicer_to_server(servicer, server),
                runtime,
            )
        )
        handlers: Mapping[str, Sequence[Handler]] = {
            DEVICE_SHADOW: [DocumentMessages(documents, observation)],
            DEVICE_LIFECYCLE: [DocumentPresence(documents, observation)],
        }
        appeared = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(redis_health, redis.ping))
            tasks.create_task(watch_bus(bus, tuple(handlers), bus_health, appeared))
            await appeared.wait()
            tasks.create_task(consume(bus, handlers, settings.max_records))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
