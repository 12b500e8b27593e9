"""The connection plane as the service sees it: `Connections` over the native core, and its figures as metrics."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.ports import ProductPolicy, Pushed
from thinghub_gateway_core import Accept, Attach, Core, Downlink, Limits, TopicClass, TopicRule

PREFIX = "thinghub_connection_gateway_core_"
# Counters named `family:value` become one metric each, with this label.
LABEL = "reason"
GAUGES = frozenset(
    {
        "running",
        "connections",
        "sessions",
        "sub_sessions",
        "records_outstanding",
        "inflight_bytes",
        "buffered_bytes",
        "local_waiting",
    }
)


class CoreConnections:
    def __init__(self, core: Core) -> None:
        self._core = core

    def accept(self, sessions: Sequence[Session]) -> list[int]:
        if not sessions:
            return []
        return self._core.accept(
            [
                Accept(
                    one.connection,
                    one.device.product_key,
                    one.device.device_name,
                    one.epoch,
                    one.ext,
                    one.clean,
                    one.kept.present if one.kept else False,
                    one.kept.subscriptions if one.kept else (),
                    one.kept.stopped if one.kept else (),
                )
                for one in sessions
            ]
        )

    def attach(self, sessions: Sequence[Session]) -> list[int]:
        if not sessions:
            return []
        return self._core.attach(
            [
                Attach(
                    one.parent.handle if one.parent else 0,
                    one.device.product_key,
                    one.device.device_name,
                    one.epoch,
                    one.ext,
                )
                for one in sessions
            ]
        )

    def reject(self, refusals: Sequence[tuple[int, int, str]]) -> None:
        if refusals:
            self._core.reject([(connection, int(code), str(reason)) for connection, code, reason in refusals])

    def close(self, sessions: Sequence[tuple[int, str]]) -> None:
        if sessions:
            self._core.close(list(sessions))

    def deliver(self, messages: Sequence[Pushed]) -> None:
        if messages:
            self._core.deliver(
                [
                    Downlink(one.token, one.handle, one.topic, one.payload, one.qos, one.must_subscribe, one.dup)
                    for one in messages
                ]
            )

    def confirm_subscriptions(self, tokens: Sequence[int]) -> None:
        if tokens:
            self._core.confirm_subscriptions(list(tokens))

    def fail_subscriptions(self, tokens: Sequence[int]) -> None:
        if tokens:
            self._core.fail_subscriptions(list(tokens))

    def inspect(self, handles: Sequence[int]) -> None:
        if handles:
            self._core.inspect(list(handles))

    def policy_version(self, product_key: str) -> int:
        return self._core.has_product_policy(product_key)

    def set_policy(self, policy: ProductPolicy) -> None:
        limits = policy.limits
        self._core.set_product_policy(
            policy.product_key,
            policy.version,
            [TopicClass(one.filter, one.publish, one.subscribe) for one in policy.classes],
            Limits(
                limits.enforce,
                limits.up_qos0_per_second,
                limits.up_qos1_per_second,
                limits.down_per_second,
                limits.bytes_per_second,
                limits.subscriptions,
                limits.drop_qos1,
            ),
        )

    def drop_policy(self, product_key: str) -> None:
        self._core.drop_product_policy(product_key)


def core_rules(rules: Sequence[tuple[str, bool, bool, int, str, bool, bool, int]]) -> list[TopicRule]:
    """The topic table in the core's own type."""
    return [TopicRule(*rule) for rule in rules]


class CoreFigures(Collector):
    """The core's counters and gauges at the moment of a scrape."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, value in sorted(self._core.counters().items()):
            family, _, reason = name.partition(":")
            made = families.get(family)
            if made is None:
                made = families[family] = self._family(family, bool(reason))
            made.add_metric([reason] if reason else [], value)
        yield from families.values()

    def _family(self, name: str, labelled: bool) -> CounterMetricFamily | GaugeMetricFamily:
        kind = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
        return kind(PREFIX + name, "Connection plane, see the core's counters.", labels=[LABEL] if labelled else [])
