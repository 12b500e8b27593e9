"""Cores for tests: `gateway` with the defaults, `make_gateway` with others."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.gateway_core import Gateway, MakeGateway


@pytest.fixture
def make_gateway() -> Iterator[MakeGateway]:
    with ExitStack() as stack:

        def make(**options: Any) -> Gateway:
            gateway = Gateway(**options)
            stack.callback(gateway.core.stop)
            return gateway

        yield make


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Gateway:
    return make_gateway()
