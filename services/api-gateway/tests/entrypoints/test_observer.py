from prometheus_client import generate_latest

from thinghub.api_gateway.entrypoints.observer import Observer
from thinghub.api_gateway.errors import Refused
from thinghub.common.runtime import Runtime

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def call(observer: Observer, action: str, code: str = "", parent: str = "") -> None:
    try:
        with observer.call("rpc", parent) as seen:
            seen.action = action
            if code:
                raise Refused(code, "x")
    except Refused:
        pass


def test_calls_are_counted_by_action_and_outcome() -> None:
    runtime = Runtime.for_tests("api-gateway")
    observer = Observer(runtime)
    call(observer, "Pub")
    call(observer, "Pub", "iot.device.NotExistedDevice")
    call(observer, "Pub", "ServiceUnavailable")
    call(observer, "Pub", "SignatureDoesNotMatch")
    text = generate_latest(runtime.metrics.registry).decode()
    for outcome, count in (("ok", 1), ("refused", 2), ("failed", 1)):
        assert f'calls_total{{action="Pub",face="rpc",outcome="{outcome}"}} {count}.0' in text
    assert 'refusals_total{code="SignatureDoesNotMatch"} 1.0' in text


def test_a_callers_trace_is_followed_only_where_it_is_trusted() -> None:
    for trusted, spans in ((False, 0), (True, 1)):
        runtime = Runtime.for_tests("api-gateway")
        call(Observer(runtime, trusted), "Pub", parent=PARENT)
        followed = runtime.tracing.finished()
        assert len(followed) == spans
