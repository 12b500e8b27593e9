"""Health: when a process is ready, and what it says."""

import asyncio
import logging

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from thinghub.common.errors import Unavailable
from thinghub.common.health import Health


def test_a_process_without_components_is_not_ready() -> None:
    assert not Health().ready()


def test_ready_when_every_required_component_is_ok() -> None:
    health = Health()
    redis, postgres = health.component("auth", "redis"), health.component("auth", "postgres", required=False)
    assert not health.ready()
    redis.ok()
    assert health.ready()
    postgres.fail("refused")
    assert health.ready()
    redis.fail("refused")
    assert not health.ready()
    assert health.report()["not_ready"] == ["auth/redis"]
    assert health.component("auth", "redis") is redis


def test_an_expected_service_that_has_not_begun_keeps_the_process_unready() -> None:
    health = Health()
    health.expect("auth")
    health.expect("rule-engine")
    health.component("auth", "redis").ok()
    assert not health.ready()
    assert health.report()["not_ready"] == ["rule-engine/starting"]
    health.component("rule-engine", "bus").ok()
    assert health.ready()


def test_only_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    part = Health().component("rule-engine", "bus")
    for _ in range(3):
        part.fail("refused")
    part.fail("timed out")
    for _ in range(3):
        part.ok()
    part.fail("gone")
    assert [record.getMessage() for record in caplog.records] == [
        "bus failed: refused",
        "bus is ok",
        "bus failed: gone",
    ]
    assert {record.name for record in caplog.records} == {"thinghub.rule_engine"}


async def test_waiting_for_readiness_ends_when_the_last_part_is_ok() -> None:
    health = Health()
    parts = [health.component("auth", name) for name in ("redis", "postgres")]
    waiting = asyncio.create_task(health.wait_ready())
    parts[0].ok()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    parts[1].ok()
    await asyncio.wait_for(waiting, 1)


async def test_a_component_is_watched_by_asking() -> None:
    part = Health().component("auth", "redis")
    answers: list[Exception | None] = [Unavailable("away"), None, Unavailable("gone")]

    async def ping() -> None:
        answer = answers.pop(0)
        seen.append((part.is_ok, part.why))
        if not answers:
            raise asyncio.CancelledError
        if answer:
            raise answer

    seen: list[tuple[bool, str]] = []
    answers.append(None)
    with pytest.raises(asyncio.CancelledError):
        await part.watch(ping, pause=0.001)
    assert seen == [(False, "starting"), (False, "away"), (True, ""), (False, "gone")]


def test_components_are_metrics() -> None:
    registry, health = CollectorRegistry(), Health()
    registry.register(health)
    health.component("auth", "redis").ok()
    health.component("auth", "postgres")
    text = generate_latest(registry).decode()
    assert 'thinghub_component_ok{component="redis",service="auth"} 1.0' in text
    assert 'thinghub_component_ok{component="postgres",service="auth"} 0.0' in text
