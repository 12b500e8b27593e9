"""Calls between services: gRPC over TCP or a unix socket, with our faults, deadlines, traces and metrics.

The server side wraps each handler, the client side each stub method (a channel of our own rather than grpc.aio's
interceptors, which cost a task a call). Calls are unary: each carries a batch (design §2.2).

    server                                               client
    raise DeviceNotFound(...)  --status + metadata-->    RemoteFault(kind "NotFound", remote_reason "device_not_found")
    any other exception        --INTERNAL, logged-->     RemoteFault(kind "Internal", remote_reason "internal")
    not there, or too late     --->                      Unavailable

A call without a timeout gets 5 s. Nothing is retried here: only the caller knows what may be repeated.
"""

from thinghub.common.rpc.client import channel
from thinghub.common.rpc.server import serve_rpc
from thinghub.common.rpc.wire import DEADLINE, MESSAGE_BYTES

__all__ = ["DEADLINE", "MESSAGE_BYTES", "channel", "serve_rpc"]
