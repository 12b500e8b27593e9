"""Calls between services, over real sockets. The messages are a well-known proto, so that no service is needed."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from prometheus_client import generate_latest

from thinghub.common.errors import NotFound, RemoteFault, ResourceExhausted, Unavailable
from thinghub.common.rpc import MESSAGE_BYTES, channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.common.tracing import Tracing

Method = Callable[[StringValue, Any], Awaitable[Any]]
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class DeviceNotFound(NotFound):
    reason = "device_not_found"


class Full(ResourceExhausted):
    reason = "limit"


async def _echo(request: StringValue, context: Any) -> StringValue:
    return request


async def _missing(request: StringValue, context: Any) -> StringValue:
    raise DeviceNotFound("kein Gerät: d\n1", device="pk/d1", kind="x", position="3")


async def _defect(request: StringValue, context: Any) -> StringValue:
    raise ValueError("with a secret=geheim inside")


async def _slow(request: StringValue, context: Any) -> StringValue:
    await asyncio.sleep(float(request.value))
    return request


async def _wordy(request: StringValue, context: Any) -> StringValue:
    raise Full("x" * 100_000, detail="y" * 100_000)


async def _wordy_abroad(request: StringValue, context: Any) -> StringValue:
    raise Full("\U0001f331" * 100_000)


METHODS: dict[str, Method] = {
    "Echo": _echo,
    "Missing": _missing,
    "Defect": _defect,
    "Slow": _slow,
    "Wordy": _wordy,
    "WordyAbroad": _wordy_abroad,
}


def _adder(methods: dict[str, Method]) -> Callable[[grpc.aio.Server], None]:
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
        )
        for name, method in methods.items()
    }
    return lambda server: server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.S", handlers),))


def _stub(dialled: grpc.aio.Channel, name: str) -> Any:
    return dialled.unary_unary(f"/test.S/{name}", StringValue.SerializeToString, StringValue.FromString)


@asynccontextmanager
async def _serving(
    listen: str = "127.0.0.1:0", methods: dict[str, Method] = METHODS, runtime: Runtime | None = None
) -> AsyncIterator[str]:
    async with serve_rpc(listen, _adder(methods), runtime or Runtime.for_tests()) as target:
        yield target


@pytest.fixture(params=["tcp", "unix"])
def listen(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "127.0.0.1:0" if request.param == "tcp" else f"unix://{tmp_path}/deep/rpc.sock"


async def test_a_call_is_answered(listen: str) -> None:
    async with _serving(listen) as target, channel(target) as dialled:
        assert (await _stub(dialled, "Echo")(StringValue(value="hé"))).value == "hé"
        answers = await asyncio.gather(*(_stub(dialled, "Echo")(StringValue(value=f"{n}")) for n in range(200)))
        assert [answer.value for answer in answers] == [f"{n}" for n in range(200)]


async def test_a_fault_arrives_as_it_was_raised(listen: str) -> None:
    async with _serving(listen) as target, channel(target) as dialled:
        with pytest.raises(RemoteFault) as caught:
            await _stub(dialled, "Missing")(StringValue())
        fault = caught.value
        assert (fault.kind, fault.remote_reason, fault.message) == ("NotFound", "device_not_found", "kein Gerät: d\n1")
        assert fault.details == {"device": "pk/d1", "kind": "x", "position": "3"}


async def test_a_fault_of_a_third_service_passes_through() -> None:
    async with _serving() as third, channel(third) as inner:

        async def relay(request: StringValue, context: Any) -> Any:
            return await _stub(inner, "Missing")(request)

        async with _serving(methods={"Relay": relay}) as target, channel(target) as dialled:
            with pytest.raises(RemoteFault) as caught:
                await _stub(dialled, "Relay")(StringValue())
            assert (caught.value.kind, caught.value.remote_reason) == ("NotFound", "device_not_found")


async def test_a_defect_is_internal_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with _serving() as target, channel(target) as dialled:
        with pytest.raises(RemoteFault) as caught:
            await _stub(dialled, "Defect")(StringValue())
        assert (caught.value.kind, caught.value.message) == ("Internal", "internal error")
        assert [record.exc_info is not None for record in caplog.records if "call failed" in record.message] == [True]


@pytest.mark.parametrize(("method", "kept"), [("Wordy", "x" * 2000), ("WordyAbroad", "\U0001f331" * 125)])
async def test_a_wordy_fault_still_fits(method: str, kept: str) -> None:
    async with _serving() as target, channel(target) as dialled:
        with pytest.raises(RemoteFault) as caught:
            await _stub(dialled, method)(StringValue())
        assert (caught.value.kind, caught.value.remote_reason) == ("ResourceExhausted", "limit")
        assert caught.value.message == kept
        assert caught.value.details == {}


async def test_an_unknown_method_is_a_fault() -> None:
    async with _serving() as target, channel(target) as dialled:
        with pytest.raises(RemoteFault) as caught:
            await _stub(dialled, "Nothing")(StringValue())
        assert caught.value.remote_reason == "unimplemented"


@pytest.mark.parametrize("target", ["127.0.0.1:1", "unix:/nowhere/rpc.sock"])
async def test_an_absent_server_is_unavailable_at_once(target: str) -> None:
    async with channel(target) as dialled:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"test\.S/Echo"):
            await _stub(dialled, "Echo")(StringValue())
        assert time.monotonic() - began < 1


async def test_a_deadline_is_unavailable_and_ends_the_work() -> None:
    ended = asyncio.Event()

    async def forever(request: StringValue, context: Any) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with _serving(methods={"Forever": forever}) as target, channel(target) as dialled:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="no answer in time"):
            await _stub(dialled, "Forever")(StringValue(), timeout=0.2)
        assert time.monotonic() - began < 1
        await asyncio.wait_for(ended.wait(), 1)


async def test_a_cancelled_call_ends_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(request: StringValue, context: Any) -> Any:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with _serving(methods={"Forever": forever}) as target, channel(target) as dialled:
        task = asyncio.create_task(_stub(dialled, "Forever")(StringValue()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 2)


async def test_a_server_that_returns_is_found_again(tmp_path: Path) -> None:
    listen = f"unix://{tmp_path}/rpc.sock"
    async with channel(listen) as dialled:
        for _ in range(2):
            async with _serving(listen):
                async with asyncio.timeout(5):
                    while True:
                        try:
                            await _stub(dialled, "Echo")(StringValue(value="a"))
                            break
                        except Unavailable:
                            await asyncio.sleep(0.05)
            with pytest.raises(Unavailable):
                await _stub(dialled, "Echo")(StringValue(value="a"))


async def test_running_calls_end_before_the_server_does() -> None:
    async with channel_to_be() as (serving, dialled):
        task = asyncio.create_task(_stub(dialled, "Slow")(StringValue(value="0.3")))
        await asyncio.sleep(0.1)
        await serving.__aexit__(None, None, None)
        assert (await task).value == "0.3"


@asynccontextmanager
async def channel_to_be() -> AsyncIterator[tuple[Any, grpc.aio.Channel]]:
    serving = _serving()
    async with channel(await serving.__aenter__()) as dialled:
        yield serving, dialled


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rpc.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with _serving(f"unix://{path}") as target, channel(target) as dialled:
        await _stub(dialled, "Echo")(StringValue())
        with pytest.raises(OSError, match="another process does"):
            async with _serving(f"unix:{path}"):
                pass
        await _stub(dialled, "Echo")(StringValue())
    assert not path.exists()


async def test_an_address_that_cannot_be_had_is_a_sentence(tmp_path: Path) -> None:
    async with _serving() as target:
        with pytest.raises(OSError, match=f"cannot listen on {target}"):
            async with _serving(target):
                pass
    with pytest.raises(OSError, match="at most 107 bytes"):
        async with _serving(f"unix://{tmp_path}/{'x' * 200}"):
            pass


async def test_messages_are_bounded() -> None:
    async with _serving() as target, channel(target) as dialled:
        large = StringValue(value="x" * (MESSAGE_BYTES - 1000))
        assert len((await _stub(dialled, "Echo")(large, timeout=20)).value) == MESSAGE_BYTES - 1000
        echo = dialled.unary_unary("/test.S/Echo", BytesValue.SerializeToString, BytesValue.FromString)
        with pytest.raises(RemoteFault) as caught:
            await echo(BytesValue(value=b"x" * (MESSAGE_BYTES + 1)))
        assert caught.value.kind == "ResourceExhausted"


async def test_calls_are_counted_by_outcome_on_both_sides() -> None:
    server, client = Runtime.for_tests("auth"), Runtime.for_tests("api-gateway")
    async with _serving(runtime=server) as target, channel(target, client) as dialled:
        await _stub(dialled, "Echo")(StringValue())
        for _ in range(2):
            with pytest.raises(RemoteFault):
                await _stub(dialled, "Missing")(StringValue())
    text = generate_latest(server.metrics.registry).decode() + generate_latest(client.metrics.registry).decode()
    for side in ("auth_rpc", "api_gateway_rpc_client"):
        assert f'thinghub_{side}_calls_total{{method="/test.S/Echo",outcome="ok"}} 1.0' in text
        assert f'thinghub_{side}_calls_total{{method="/test.S/Missing",outcome="device_not_found"}} 2.0' in text
        assert f'thinghub_{side}_seconds_count{{method="/test.S/Missing"}} 2.0' in text


async def test_a_sampled_trace_goes_through_a_call_and_others_cost_nothing() -> None:
    server = Runtime.for_tests("auth")
    tracing = Tracing.memory("api-gateway")
    async with _serving(runtime=server) as target, channel(target) as dialled:
        await _stub(dialled, "Echo")(StringValue())
        assert server.tracing.finished() == ()
        with tracing.span("request", SAMPLED):
            await _stub(dialled, "Echo")(StringValue())
    (inner,) = server.tracing.finished()
    call, request = tracing.finished()
    assert (inner.name, call.name, request.name) == ("test.S/Echo", "test.S/Echo", "request")
    assert inner.parent is not None
    assert call.parent is not None
    assert inner.parent.span_id == call.context.span_id
    assert call.parent.span_id == request.context.span_id
    assert inner.context.trace_id == call.context.trace_id == int(SAMPLED[3:35], 16)
