"""What is refused stands in the log: one line a second, whatever comes."""

import dataclasses
import json
import logging

import pytest

from tests.support.gateways import Hub, eventually, refusal
from thinghub.common.logs import JsonFormatter
from thinghub.connection_gateway.service.refusals import Refusals


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name.endswith("refusals")]


def test_many_refusals_are_one_line_with_counts_and_three_examples(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for number in range(1000):
        refusals.note("connect", "bad_signature", f"d{number}&pk", f"10.0.0.{number % 4}:1")
    refusals.note("login", "no_topology", "pk/sub", "pk/gw 10.0.0.1:1")
    refusals.report()
    (line,) = lines(caplog)
    assert "connect bad_signature 1000 (d0&pk from 10.0.0.0:1, d1&pk from 10.0.0.1:1, d2&pk from 10.0.0.2:1)" in line
    assert "login no_topology 1 (pk/sub from pk/gw 10.0.0.1:1)" in line
    assert caplog.records[0].levelno == logging.WARNING
    fields = json.loads(JsonFormatter("gateway").format(caplog.records[0]))
    assert {"reason": "connect bad_signature", "count": 1000} in fields["refused"]
    refusals.report()
    assert len(lines(caplog)) == 1


def test_a_name_is_shortened_and_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    refusals.note("connect", "bad_user", "x\nrefused: nobody" + "y" * 10_000, "10.0.0.1:1")
    refusals.report()
    (line,) = lines(caplog)
    assert "\n" not in line
    assert len(line) < 250


async def test_an_operator_reads_who_was_refused_and_from_where_and_no_secret(
    platform: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    wrong = dataclasses.replace(identity.login(), password="00" * 32)
    assert await refusal(wrong, *gateway.mqtt) == 4

    async def told() -> bool:
        return any("connect bad_signature 1" in line for line in lines(caplog))

    await eventually(told)
    text = " ".join(lines(caplog))
    assert f"{identity.device_name}&{identity.product_key} from 127.0.0.1:" in text
    assert wrong.password not in text
    assert identity.device_secret not in text
