"""The howtos' blocks, run as a reader would: one shell a page, from the checkout, beside `thinghub up --no-demo`."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.support.platform import AllInOne

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "howto"


async def said_by(page: str, platform: AllInOne, folder: Path) -> str:
    """What the page's commands print."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        "\n".join(blocks),
        cwd=ROOT,
        env=os.environ | {"DATA": str(platform.data_dir), "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(shell.communicate(), 90)
    assert shell.returncode == 0, errors.decode()
    return said.decode()


@pytest.mark.timeout(120)
async def test_the_page_on_connecting_a_device_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    text = await said_by("connect-a-device.md", all_in_one, tmp_path)
    assert '"Outcome":"delivered"' in text.replace(" ", "")
    assert '"Status":"ONLINE"' in text.replace(" ", "")
    assert text.strip().endswith("command: blinds down")


@pytest.mark.timeout(120)
async def test_the_page_on_sensors_behind_a_gateway_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    text = (await said_by("put-sensors-behind-a-gateway.md", all_in_one, tmp_path)).replace(" ", "")
    assert "loggedin2of2" in text
    assert '"DeviceName":"north"' in text
    assert '"Identifier":"temperature"' in text


@pytest.mark.timeout(120)
async def test_the_page_on_a_device_that_is_away_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    text = await said_by("find-out-why-a-device-is-away.md", all_in_one, tmp_path)
    assert "It has never connected" in text
    assert "exit code 1" in text
    assert "Its last 3 connects were refused: wrong signature, from 127.0.0.1 " in text
    assert "It is online since " in text.splitlines()[-1]


@pytest.mark.timeout(120)
async def test_the_page_on_checking_an_installation_does_what_it_says(all_in_one: AllInOne, tmp_path: Path) -> None:
    text = await said_by("check-an-installation.md", all_in_one, tmp_path)
    assert "ok      redis persistence" in text
    assert "ok: nothing is thrown away when memory is full." in text
    assert "schemas are up to date." in text
    assert "refuse: 5 pools of 8 in 40 processes each take 1600 of " in text
    assert text.splitlines()[-1].startswith("refuse: 1024 may be open and 18000 connections")
