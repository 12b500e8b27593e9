"""docs/uplink.md says which spans a traced message leaves; one real message must leave just these."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.child import scratch_directory
from tests.support.collector import Collector, collecting
from tests.support.platform import AllInOne

PAGE = Path(__file__).parents[2] / "docs" / "uplink.md"


def spans_of_the_page() -> list[str]:
    table = PAGE.read_text().partition("| Span |")[2]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


@pytest.mark.timeout(120)
async def test_one_traced_message_leaves_the_spans_of_the_page(postgres_dsn: str) -> None:
    folder = scratch_directory("trace")
    async with collecting() as collector:
        env = {"THINGHUB_TRACE_RATIO": "1", "THINGHUB_OTLP_ENDPOINT": collector.endpoint.removeprefix("http://")}
        platform = AllInOne(folder, postgres_dsn, env)
        try:
            await asyncio.to_thread(platform.start)
            trace = await traced_message(platform, collector)
        finally:
            await platform.close_apis()
            await asyncio.to_thread(platform.stop)
            shutil.rmtree(folder)
    named = spans_of_the_page()
    assert [span.name for span in trace] == named
    parents = {span.name: span.parent_span_id for span in trace}
    ids = {span.name: span.span_id for span in trace}
    root, produce, evaluate, sink = named
    assert not parents[root]
    assert parents[produce] == parents[evaluate] == ids[root]
    assert parents[sink] == ids[evaluate]


async def traced_message(platform: AllInOne, collector: Collector) -> list[Span]:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "v integer").create(api)
    await running_rule(api, identity.product_key, "v", "RDS", json.dumps(sink.action({"v": "${v}"})))
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b'{"v": 1}')

        async def complete() -> list[Span]:
            roots = [span for span in collector.spans if span.name == spans_of_the_page()[0]]
            found = collector.trace(roots[0].trace_id) if roots else []
            return found if len(found) >= len(spans_of_the_page()) else []

        trace: list[Span] = await eventually(complete, deadline=40)
    return trace
