"""What the gateway depends on: the health of each part, and the wait for the topics."""

import asyncio

from thinghub.common.bus.port import Bus, TopicMissing
from thinghub.common.errors import Fault
from thinghub.common.runtime import Component, Runtime

RETRY_SECONDS = 1.0


class Parts:
    """A component of the process's health each. Without the registry, products already known are served."""

    def __init__(self, runtime: Runtime) -> None:
        self.worker = runtime.health.component(runtime.service, "worker id")
        self.redis = runtime.health.component(runtime.service, "redis")
        self.bus = runtime.health.component(runtime.service, "bus")
        self.auth = runtime.health.component(runtime.service, "auth")
        self.registry = runtime.health.component(runtime.service, "registry", required=False)
        self.listeners = runtime.health.component(runtime.service, "listeners")


async def partitions_of(bus: Bus, topic: str, component: Component) -> int:
    """Waits for the topic to exist: the core is built with the number of its partitions."""
    while True:
        try:
            return await bus.partitions(topic)
        except TopicMissing:
            component.fail(f"topic {topic} is missing; `thinghub admin topics` creates it")
        except Fault as fault:
            component.fail(fault.message)
        await asyncio.sleep(RETRY_SECONDS)
