"""Which router an address wants."""

from thinghub.common.redis.cluster import ClusterRouter
from thinghub.common.redis.pipeline import Router
from thinghub.common.redis.single import SentinelRouter, SingleRouter
from thinghub.common.redis.urls import Address


def router_of(address: Address) -> Router:
    if address.shape == "cluster":
        return ClusterRouter(address.servers, address.login)
    if address.shape == "sentinel":
        return SentinelRouter(address.servers, address.name, address.login)
    return SingleRouter(address.servers[0], address.login)
