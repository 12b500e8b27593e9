"""Whether an owner can be reached, as the channel to it says."""

from typing import Never

import grpc

from thinghub.common.health import Component

READY, IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE


async def watch(channel: grpc.aio.Channel, component: Component) -> Never:
    """Keeps the channel connected and `component` as its state is, until cancelled. A connection that went idle, or is
    made anew, changes nothing; one that fails does."""
    while True:
        state = channel.get_state(try_to_connect=True)
        if state is READY:
            component.ok()
        elif state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            component.fail("it cannot be reached")
        await channel.wait_for_state_change(state)
